//! Follows the log, and looks after what waits.

use std::sync::Arc;
use std::time::{Duration, Instant};

use hitmachine_core::CovenantVersion;

use super::{NoticeError, Notices};
use crate::alarm::Alarms;

/// Entries that are looked at in one go.
const CHUNK: u64 = 1_024;
/// Pause when nothing is new.
const PAUSE: Duration = Duration::from_millis(100);
/// How often what waits is looked after.
const EVERY: Duration = Duration::from_secs(10);
/// Longest pause after a failure.
const LONGEST_PAUSE: Duration = Duration::from_mins(1);

/// Queues the notices of everything that the log has and gets, and looks after what waits; for ever.
pub(crate) async fn keep(notices: Arc<Notices>, alarms: Arc<Alarms>) {
    let mut looked_after: Option<(Instant, CovenantVersion)> = None;
    let mut pause = PAUSE;
    loop {
        let version = notices.rules.covenant().version();
        let due = looked_after.is_none_or(|(at, with)| with != version || at.elapsed() >= EVERY);
        let (working, hears) = (Arc::clone(&notices), Arc::clone(&alarms));
        let worked = tokio::task::spawn_blocking(move || work(&working, &hears, due)).await;
        match worked.unwrap_or(Err(NoticeError::Stopped)) {
            Ok(()) => {
                pause = PAUSE;
                if due {
                    looked_after = Some((Instant::now(), version));
                }
            }
            Err(error) => {
                pause = (pause * 2).min(LONGEST_PAUSE);
                let error = hitmachine_service::console::chain(&error);
                tracing::error!(error, "hit notices cannot be queued; tried again");
                alarms.raise("notices_stopped", "");
            }
        }
        tokio::time::sleep(pause).await;
    }
}

/// Reads on to the end of the log, and looks after what waits if that is `due`.
pub(super) fn work(notices: &Notices, alarms: &Arc<Alarms>, due: bool) -> Result<(), NoticeError> {
    if due {
        notices.tidy()?;
    }
    while notices.is_behind() {
        let taken = notices.take(CHUNK)?;
        if taken.unreadable > 0 {
            alarms.raise("notices_incomplete", "");
        }
    }
    if due {
        for partner in notices.newly_overdue()? {
            alarms.raise("notice_not_fetched", partner.as_str());
        }
        notices.measure();
    }
    Ok(())
}
