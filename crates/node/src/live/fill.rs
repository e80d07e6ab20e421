//! A live partner's register: read as for a sync, but it stays here.

use hitmachine_core::Day;

use super::set::{LiveSet, LocalSet};
use crate::epochs::EpochRegister;
use crate::register::Wanted;
use crate::sync::{SyncError, SyncOptions, Synchroniser, TOGETHER};

impl Synchroniser {
    /// Makes the local register what the sources say, durably, and answers from it from then on; how many came or
    /// changed, and how many went. Nothing is sent.
    ///
    /// After a stop in the middle the set is the last one that was complete.
    ///
    /// # Errors
    /// [`SyncError`].
    pub(crate) async fn fill(
        &self,
        of: &mut EpochRegister,
        wanted: &[Wanted],
        (today, term_days): (Day, u32),
        options: SyncOptions,
    ) -> Result<(u64, u64), SyncError> {
        let register = &mut of.local;
        // What was written before a stop, or sent to a hub that is not sent anything any more, counts as there.
        register.acknowledge(u64::MAX);
        let before = register.len();
        let withdrawn = register.difference(wanted, today, term_days).withdrawn;
        self.guard(before, withdrawn, options)?;
        if options.full || register.mark.generation == 0 {
            let generation = register.mark.generation.saturating_add(1);
            register.restart(generation);
            of.slot.start_generation(register.mark)?;
        }
        let difference = register.difference(wanted, today, term_days);
        let counts = (difference.registered, withdrawn);
        // The mark stays where it is until everything is written: a part is no set to answer from.
        let mark = register.mark;
        let mut batches = difference.into_batches(register.next_sequence())?;
        while !batches.is_empty() {
            let window: Vec<_> = batches.drain(..batches.len().min(TOGETHER)).collect();
            let last = window.last().map_or(0, |(sequence, _)| *sequence);
            let slot = of.slot.clone();
            let written = tokio::task::spawn_blocking(move || slot.append(mark, &window).map(|()| window));
            register.in_doubt = written.await.map_err(|_| SyncError::Stopped)??;
            register.acknowledge(last);
        }
        let now = self.clock.now();
        register.mark.complete_ms = now.as_millisecond();
        register.mark.complete_count = register.len();
        let (name, complete) = LocalSet::remembered(register.mark, now);
        of.slot.set_note(name, &complete)?;
        of.slot.set_mark(register.mark)?;
        self.local.replace(of.keys.number, LiveSet::new(register, now));
        Ok(counts)
    }
}
