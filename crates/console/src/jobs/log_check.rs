//! The check of the whole log: that everything is there, that nothing was changed, and that it agrees with what this node
//! asked itself. It runs on its own, one at a time; what it found is kept in the node's sealed state, without anything
//! about a person.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use hitmachine_node::officer::overlap::OverlapView;
use hitmachine_node::officer::published::VerifyView;
use hitmachine_node::officer::task::CompletenessView;
use hitmachine_node::sync::Progress;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::officer::{self, Looking};
use crate::app::App;
use crate::caller::Caller;
use crate::problem::Problem;

/// Name of the table in the node's state.
const TABLE: &str = "log-checks";
/// Checks that are kept.
const MOST_KEPT: usize = 50;

/// What a check found.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct LogCheck {
    /// When it began.
    pub at: Timestamp,
    /// Who had it done, by the name of the account.
    pub by: String,
    /// The published log.
    pub verify: Part<VerifyView>,
    /// What the hub says is there.
    pub completeness: Part<CompletenessView>,
    /// This node's own journal.
    pub overlap: Part<OverlapView>,
}

/// One part of it, or why nothing can be said.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Part<T> {
    /// What was found.
    Found(T),
    /// Why nothing can be said.
    Failed {
        /// Stable code.
        code: String,
        /// For people, in Dutch.
        nl: String,
        /// For people, in English.
        en: String,
    },
}

/// How a check, or a part of it, came out; the worst last.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Verdict {
    /// Everything is right.
    Right,
    /// Nothing can be said for certain.
    Unknown,
    /// Something is wrong.
    Wrong,
}

impl<T> Part<T> {
    fn of(result: Result<T, Problem>) -> Self {
        match result {
            Ok(found) => Self::Found(found),
            Err(problem) => Self::Failed {
                code: problem.code,
                nl: problem.text_nl,
                en: problem.text_en,
            },
        }
    }

    fn verdict(&self, of: impl Fn(&T) -> Verdict) -> Verdict {
        match self {
            Self::Found(found) => of(found),
            Self::Failed { .. } => Verdict::Unknown,
        }
    }
}

impl LogCheck {
    /// Of the published log: wrong, or sound but not cosigned by enough partners, or right.
    pub fn published(&self) -> Verdict {
        self.verify
            .verdict(|view| match (view.is_right(), view.cosigned) {
                (false, _) => Verdict::Wrong,
                (true, false) => Verdict::Unknown,
                (true, true) => Verdict::Right,
            })
    }

    /// Whether every entry is there, or was provably erased.
    pub fn complete(&self) -> Verdict {
        let right = |view: &CompletenessView| view.first_bad.is_none();
        self.completeness.verdict(|view| verdict(right(view)))
    }

    /// Whether log and journal say the same.
    pub fn agrees(&self) -> Verdict {
        self.overlap.verdict(|view| verdict(view.differences.is_empty()))
    }

    /// The worst of its parts.
    pub fn verdict(&self) -> Verdict {
        self.published().max(self.complete()).max(self.agrees())
    }
}

fn verdict(right: bool) -> Verdict {
    if right { Verdict::Right } else { Verdict::Wrong }
}

/// The last checks, newest first. One that another version kept is left out.
///
/// # Errors
/// [`Problem`] if the local state fails.
pub fn last(app: &App, most: usize) -> Result<Vec<LogCheck>, Problem> {
    let kept = app.node().table(TABLE)?.newest(most)?;
    Ok(kept
        .iter()
        .filter_map(|value| serde_json::from_slice(value).ok())
        .collect())
}

fn keep(app: &App, check: &LogCheck) -> Result<(), Problem> {
    let table = app.node().table(TABLE)?;
    let time = u64::try_from(check.at.as_millisecond()).unwrap_or(0);
    let value = serde_json::to_vec(check).map_err(|error| Problem::node(&error))?;
    let mut changes = vec![(time.to_be_bytes().to_vec(), Some(value))];
    let keys = table.keys(&[])?;
    let surplus = (keys.len() + 1).saturating_sub(MOST_KEPT);
    changes.extend(keys.into_iter().take(surplus).map(|key| (key, None)));
    Ok(table.change(&changes)?)
}

/// The check that is on its way, if there is one.
#[derive(Default)]
pub struct Running(Mutex<Option<Arc<Steps>>>);

/// How far it is.
#[derive(Default)]
pub struct Steps {
    part: AtomicU64,
    done: AtomicU64,
    total: AtomicU64,
}

/// How far a check is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct At {
    /// Which of the three parts, from 1.
    pub part: u64,
    /// Entries of this part so far.
    pub done: u64,
    /// Of so many; 0 if that is not known.
    pub total: u64,
}

impl Running {
    /// How far it is; `None` if none is on its way.
    pub fn at(&self) -> Option<At> {
        let place = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        place.as_ref().map(|steps| At {
            part: steps.part.load(Ordering::Relaxed) + 1,
            done: steps.done.load(Ordering::Relaxed),
            total: steps.total.load(Ordering::Relaxed),
        })
    }

    /// Takes the place, if nobody has it.
    fn begin(&self) -> Option<Arc<Steps>> {
        let mut place = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if place.is_some() {
            return None;
        }
        let steps = Arc::new(Steps::default());
        *place = Some(Arc::clone(&steps));
        Some(steps)
    }

    fn end(&self) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }
}

impl Steps {
    fn hear(self: &Arc<Self>) -> Arc<dyn Fn(Progress) + Send + Sync> {
        let steps = Arc::clone(self);
        Arc::new(move |progress| {
            if let Progress::Log { done, total } = progress {
                steps.done.store(done, Ordering::Relaxed);
                steps.total.store(total, Ordering::Relaxed);
            }
        })
    }

    fn next(&self) {
        self.part.fetch_add(1, Ordering::Relaxed);
        self.done.store(0, Ordering::Relaxed);
        self.total.store(0, Ordering::Relaxed);
    }
}

/// Leaves the place, whatever comes of the check.
struct Place(App);

impl Drop for Place {
    fn drop(&mut self) {
        self.0.checking().end();
    }
}

/// Has the log checked, unless that is being done already, and waits for it at most so long.
///
/// # Errors
/// [`Problem::role_missing`].
pub async fn start(
    app: &App,
    looking: &Looking<'_>,
    caller: &Caller,
    patience: Duration,
) -> Result<(), Problem> {
    caller.officer()?;
    let Some(steps) = app.checking().begin() else {
        return Ok(());
    };
    let place = Place(app.clone());
    let (caller, reference) = (caller.clone(), looking.reference().to_owned());
    let running = tokio::spawn(async move {
        let Place(app) = &place;
        if let Err(problem) = run(app, &caller, &reference, &steps).await {
            tracing::error!(
                code = problem.code,
                "what a check of the log found could not be kept"
            );
        }
    });
    // It goes on by itself when this is over.
    let _ = tokio::time::timeout(patience, running).await;
    Ok(())
}

async fn run(app: &App, caller: &Caller, reference: &str, steps: &Arc<Steps>) -> Result<(), Problem> {
    let looking = Looking::new(caller.officer()?, reference);
    let at = app.node().clock().now();
    let verify = officer::verify(app, &looking, steps.hear()).await;
    steps.next();
    let completeness = officer::completeness(app, &looking).await;
    steps.next();
    let overlap = officer::overlap(app, &looking, steps.hear()).await;
    let check = LogCheck {
        at,
        by: caller.user.clone(),
        verify: Part::of(verify),
        completeness: Part::of(completeness),
        overlap: Part::of(overlap),
    };
    keep(app, &check)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_check_is_as_good_as_its_worst_part() {
        let sound = VerifyView {
            sound: true,
            cosigned: true,
            ..VerifyView::default()
        };
        let failed = || Problem::malformed();
        let mut check = LogCheck {
            at: Timestamp::UNIX_EPOCH,
            by: "a".into(),
            verify: Part::Found(sound.clone()),
            completeness: Part::of(Err(failed())),
            overlap: Part::Found(OverlapView::default()),
        };
        assert_eq!(check.published(), Verdict::Right);
        assert_eq!(
            check.verdict(),
            Verdict::Unknown,
            "what could not be asked is not right"
        );
        check.verify = Part::Found(VerifyView {
            heads_off: vec![3],
            ..sound.clone()
        });
        assert_eq!(check.verdict(), Verdict::Wrong);
        check.verify = Part::Found(VerifyView {
            cosigned: false,
            ..sound
        });
        assert_eq!(check.published(), Verdict::Unknown);
        let text = serde_json::to_vec(&check).unwrap();
        let again: LogCheck = serde_json::from_slice(&text).unwrap();
        assert_eq!(again.verdict(), check.verdict());
    }

    #[test]
    fn one_check_at_a_time() {
        let running = Running::default();
        assert_eq!(running.at(), None);
        let steps = running.begin().unwrap();
        assert!(running.begin().is_none());
        steps.hear()(Progress::Log { done: 3, total: 9 });
        let at = |part, done, total| Some(At { part, done, total });
        assert_eq!(running.at(), at(1, 3, 9));
        steps.next();
        assert_eq!(running.at(), at(2, 0, 0));
        running.end();
        assert!(running.begin().is_some());
    }
}
