//! Screenings for people who look in now and then: they begin one and go away, and only see their own.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use jiff::Timestamp;

use super::store::Meta;
use super::{At, List, OnQuota, Runs, ScreeningView, Screenings, Stand, unknown};
use crate::failure::Failure;
use crate::node::Node;
use crate::screen::{Frame, ScreeningReport};

/// How a screening stands at this moment.
#[derive(Clone, Debug)]
pub struct ScreeningState {
    /// The screening in short.
    pub view: ScreeningView,
    /// Until when it waits for a quota, if it does.
    pub waits_until: Option<Timestamp>,
    /// Seconds it will take still, at the pace so far; absent if it does not run or there is no pace yet.
    pub left_s: Option<u64>,
    /// Why it does not go on.
    pub stopped: Option<Failure>,
}

impl At {
    fn left_s(&self, elapsed_s: f64) -> Option<u64> {
        let done = self.done.checked_sub(self.before).filter(|done| *done > 0)?;
        let left = self.total.saturating_sub(self.done);
        #[expect(
            clippy::cast_precision_loss,
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "an estimate of seconds, never negative"
        )]
        Some((elapsed_s / done as f64 * left as f64).ceil() as u64)
    }
}

impl Screenings {
    /// What of this user's screening does not change.
    async fn owned(&self, id: &str, user: &str) -> Result<Meta, Failure> {
        let meta = self.store.meta(id).await?;
        // Somebody else's is none, and nobody learns that it is there.
        if meta.frame.user == user {
            Ok(meta)
        } else {
            Err(unknown(id))
        }
    }
}

impl Node {
    /// Keeps a list and begins to ask about it; the screening's name. It goes on by itself.
    ///
    /// # Errors
    /// [`Failure`] if it cannot be asked about; then nothing was kept.
    pub async fn begin_screening(
        self: &Arc<Self>,
        frame: &Frame,
        list: List,
        on_quota: OnQuota,
    ) -> Result<String, Failure> {
        self.check_list(frame, &list)?;
        let id = self
            .screenings
            .store
            .create(frame, list, self.clock_now())
            .await?;
        self.run_by_itself(&id, on_quota);
        Ok(id)
    }

    /// Goes on with a screening of this user. One that runs is left alone.
    ///
    /// # Errors
    /// [`Failure`], `unknown_screening` if it is not this user's.
    pub async fn go_on_screening(
        self: &Arc<Self>,
        id: &str,
        user: &str,
        on_quota: OnQuota,
    ) -> Result<(), Failure> {
        self.screenings.owned(id, user).await?;
        self.run_by_itself(id, on_quota);
        Ok(())
    }

    fn run_by_itself(self: &Arc<Self>, id: &str, on_quota: OnQuota) {
        let Ok((tell, running)) = self.screenings.take_up(id) else {
            return;
        };
        let (node, id) = (Arc::clone(self), id.to_owned());
        tokio::spawn(async move {
            let _runs = Runs {
                of: &node.screenings,
                id: id.clone(),
            };
            if let Err(failure) = node.run_screening(&id, on_quota, tell, &running.stop).await {
                tracing::warn!(code = failure.code, "a screening stopped");
            }
        });
    }

    /// Has a screening of this user stop; questions that are under way get their answers. It can go on later.
    ///
    /// # Errors
    /// [`Failure`], `unknown_screening` if it is not this user's.
    pub async fn stop_screening(&self, id: &str, user: &str) -> Result<(), Failure> {
        self.screenings.owned(id, user).await?;
        if let Some(running) = self.screenings.running().get(id) {
            running.stop.store(true, Ordering::Relaxed);
        }
        Ok(())
    }

    /// How a screening of this user stands.
    ///
    /// # Errors
    /// [`Failure`], `unknown_screening` if it is not this user's.
    pub async fn screening_state(&self, id: &str, user: &str) -> Result<ScreeningState, Failure> {
        let store = &self.screenings.store;
        let meta = self.screenings.owned(id, user).await?;
        let running = self.screenings.running().get(id).cloned();
        let Some(running) = running else {
            let whole = store.load(id).await?;
            let stopped = whole.end.as_ref().and_then(|end| end.because.clone());
            return Ok(ScreeningState {
                view: store.view(id.to_owned(), &meta, whole.persons_answered(), whole.stand()),
                waits_until: None,
                left_s: None,
                stopped: stopped.or_else(|| whole.stopped.clone()),
            });
        };
        // While it runs it tells how far it is: a page that looks every other second costs little.
        let at = running.hear.borrow().clone();
        let answered = usize::try_from(at.done).unwrap_or(usize::MAX);
        Ok(ScreeningState {
            view: store.view(id.to_owned(), &meta, answered, Stand::Running),
            waits_until: at.waits.filter(|until| *until > self.clock_now()),
            left_s: at.left_s(running.since.elapsed().as_secs_f64()),
            stopped: None,
        })
    }

    /// Everything that is known of a screening of this user.
    ///
    /// # Errors
    /// [`Failure`], `unknown_screening` if it is not this user's.
    pub async fn screening_report(&self, id: &str, user: &str) -> Result<ScreeningReport, Failure> {
        self.screenings.owned(id, user).await?;
        let mut report = self.report_of(id, None).await?;
        if self.screenings.is_running(id) {
            report.stand = Stand::Running;
        }
        Ok(report)
    }

    /// The screenings of this user that this node remembers, the newest first.
    ///
    /// # Errors
    /// [`Failure`] if the local state fails.
    pub async fn screenings_of(&self, user: &str) -> Result<Vec<ScreeningView>, Failure> {
        let running = |id: &str| self.screenings.is_running(id);
        let mut views = self.screenings.store.views(running).await?;
        views.retain(|view| view.user == user);
        views.reverse();
        Ok(views)
    }

    /// Forgets a screening of this user, with its results.
    ///
    /// # Errors
    /// [`Failure`], `unknown_screening` if it is not this user's, `screening_running` while it runs.
    pub async fn forget_screening(&self, id: &str, user: &str) -> Result<(), Failure> {
        self.screenings.owned(id, user).await?;
        self.forget(id).await
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_time_left_follows_the_pace_since_it_was_taken_up() {
        let at = |done, before| At {
            done,
            total: 100,
            before,
            waits: None,
        };
        assert_eq!(at(50, 0).left_s(10.0), Some(10));
        assert_eq!(at(50, 40).left_s(10.0), Some(50));
        assert_eq!(at(40, 40).left_s(10.0), None, "no pace yet");
        assert_eq!(at(100, 40).left_s(10.0), Some(0));
    }
}
