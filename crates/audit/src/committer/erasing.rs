//! Erasures in the committing thread.

use std::{
    io,
    panic::{AssertUnwindSafe, catch_unwind},
};

use super::{CommitHandle, Shared, SubmitError, Waiting, guarded, publish};
use crate::log::{CommitError, EraseError, EraseRequest, Erased, ErasurePlan, Log};

type Outcome = Result<Option<Erased>, EraseError>;
type Hook = Box<dyn FnMut(&ErasurePlan) -> io::Result<()> + Send>;
type Done = Box<dyn FnOnce(Outcome) + Send>;

/// An erasure that waits for its turn.
pub(super) struct ErasureJob {
    request: EraseRequest,
    after_keys: Hook,
    done: Done,
}

impl ErasureJob {
    /// A callback that panics harms nobody else's answer.
    pub(super) fn answer(self, result: Outcome) {
        let _ = catch_unwind(AssertUnwindSafe(|| (self.done)(result)));
    }
}

impl CommitHandle {
    /// Queues an erasure: planned ([`Log::plan_erasure`]) and carried out ([`Log::erase`]) in the committing
    /// thread when its turn comes, between two batches; what is submitted meanwhile waits. `after_keys` is
    /// called after the keys are destroyed. `done` is called once, with `None` if there was nothing to erase.
    /// Both are called in the committing thread.
    ///
    /// An error that is [fatal](EraseError::is_fatal) ends the committer like a failed commit.
    ///
    /// # Errors
    /// [`SubmitError::Stopped`], and then nothing is called. Never waits.
    pub fn erase(
        &self,
        request: EraseRequest,
        after_keys: impl FnMut(&ErasurePlan) -> io::Result<()> + Send + 'static,
        done: impl FnOnce(Result<Option<Erased>, EraseError>) + Send + 'static,
    ) -> Result<(), SubmitError> {
        let mut queue = self.shared.queue();
        if !queue.open {
            return Err(SubmitError::Stopped);
        }
        queue.waiting.push_back(Waiting::Erasure(ErasureJob {
            request,
            after_keys: Box::new(after_keys),
            done: Box::new(done),
        }));
        drop(queue);
        self.shared.wake.notify_one();
        Ok(())
    }
}

/// One erasure: what to answer, unless it is fatal.
pub(super) fn erase(log: &mut Log, shared: &Shared, job: &mut ErasureJob) -> Result<Outcome, CommitError> {
    guarded(|| match plan_and_erase(log, shared, job) {
        Err(error) if error.is_fatal() => Err(CommitError::Erasure(Box::new(error))),
        result => Ok(result),
    })
}

fn plan_and_erase(log: &mut Log, shared: &Shared, job: &mut ErasureJob) -> Outcome {
    let Some(plan) = log.plan_erasure(&job.request)? else {
        return Ok(None);
    };
    let intent = log.begin_erasure(&plan)?;
    publish(shared, &intent);
    let erased = log.carry_out(intent.first_index(), &plan, &mut job.after_keys)?;
    publish(shared, &erased.batch);
    Ok(Some(erased))
}
