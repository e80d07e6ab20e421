//! What the command line asks about notices.

use std::sync::Arc;
use std::time::Duration;

use hitmachine_core::{CaseReference, PartnerId};
use hitmachine_identifier::contains_bsn;
use hitmachine_service::exit;

use super::book::NoticeBook;
use super::{NoticeAsk, NoticeReply, Which};
use crate::ask::AskError;
use crate::control::field;
use crate::failure::Failure;
use crate::node::Node;
use crate::state::StateError;

/// The longest wait of one request, in seconds.
const LONGEST_WAIT_S: u64 = 60;
/// Characters of a reason.
const MOST_REASON: usize = 200;

impl Node {
    /// Does what is asked about notices.
    ///
    /// # Errors
    /// [`Failure`]; then nothing was changed.
    pub(crate) async fn notice(&self, ask: NoticeAsk) -> Result<NoticeReply, Failure> {
        if let NoticeAsk::Wait { after, seconds } = ask {
            return Ok(self.wait(after, seconds).await);
        }
        let book = Arc::clone(&self.notices);
        let done = tokio::task::spawn_blocking(move || answer(&book, ask)).await;
        done.unwrap_or_else(|_| Err(Failure::node("a part of this node stopped")))
    }

    async fn wait(&self, after: Option<u64>, seconds: u64) -> NoticeReply {
        let Some(after) = after else {
            return NoticeReply::Notices(self.notices.list(Which::New, None));
        };
        let patience = Duration::from_secs(seconds.min(LONGEST_WAIT_S));
        let mut came = self.notices.came();
        // That none came in time is an answer too.
        let _ = tokio::time::timeout(patience, came.wait_for(|last| *last > after)).await;
        NoticeReply::Notices(self.notices.after(after))
    }
}

fn answer(book: &NoticeBook, ask: NoticeAsk) -> Result<NoticeReply, Failure> {
    let failed = |error: StateError| Failure::node(&error.to_string());
    Ok(match ask {
        NoticeAsk::List { which, case } => {
            let case = case.map(|case| the_case(&case)).transpose()?;
            NoticeReply::Notices(book.list(which, case.as_ref()))
        }
        NoticeAsk::Show(index) => {
            let view = book.of_entry(index);
            if view.notices.is_empty() {
                return Err(no_notice());
            }
            NoticeReply::Notices(view)
        }
        NoticeAsk::Seen { indexes, user } => {
            let user = field(&user, "user")?;
            let marked = book.seen(&indexes, &user).map_err(failed)?;
            NoticeReply::Seen(marked.ok_or_else(no_notice)?)
        }
        NoticeAsk::Mute {
            asker,
            case,
            user,
            reason,
        } => {
            let (asker, case, user) = (partner(&asker)?, the_case(&case)?, field(&user, "user")?);
            let reason = reason.map(|reason| the_reason(&reason)).transpose()?;
            NoticeReply::Muted(book.mute(&asker, &case, &user, reason).map_err(failed)?)
        }
        NoticeAsk::Unmute { asker, case } => {
            let (asker, case) = (partner(&asker)?, the_case(&case)?);
            let left = book.unmute(&asker, &case).map_err(failed)?;
            NoticeReply::Muted(left.ok_or_else(not_muted)?)
        }
        NoticeAsk::Mutes => NoticeReply::Mutes(book.mutes()),
        // Waited for above.
        NoticeAsk::Wait { after, .. } => NoticeReply::Notices(book.after(after.unwrap_or(0))),
    })
}

fn partner(asker: &str) -> Result<PartnerId, Failure> {
    Ok(field(asker, "asker")?)
}

fn the_case(case: &str) -> Result<CaseReference, Failure> {
    if contains_bsn(case) {
        return Err(AskError::BsnInText("the case reference").into());
    }
    Ok(field(case, "case reference")?)
}

fn the_reason(reason: &str) -> Result<String, Failure> {
    if contains_bsn(reason) {
        return Err(AskError::BsnInText("the reason").into());
    }
    let reason = reason.trim();
    if reason.is_empty() || reason.chars().count() > MOST_REASON || reason.chars().any(char::is_control) {
        let (en, nl) = (
            format!("--reason must be one line of 1 to {MOST_REASON} characters"),
            format!("--reason moet één regel van 1 tot {MOST_REASON} tekens zijn"),
        );
        return Err(Failure::new("reason", exit::USAGE, en, nl));
    }
    Ok(reason.to_owned())
}

fn no_notice() -> Failure {
    let (en, nl) = (
        "this node has no such hit notice; nothing was changed",
        "dit station heeft dat hitbericht niet; er is niets veranderd",
    );
    Failure::new("no_notice", exit::REFUSED, en, nl)
}

fn not_muted() -> Failure {
    let (en, nl) = ("this case is not muted", "deze zaak is niet gedempt");
    Failure::new("not_muted", exit::REFUSED, en, nl)
}
