//! The end of a process, as a future; and the signal that asks it to read its files again.

use std::io;
use std::sync::Arc;

use tokio::signal::unix::{SignalKind, signal as unix_signal};
use tokio::sync::{Notify, watch};

/// Listens for SIGTERM (systemd, containers) and SIGINT (Ctrl-C) from now on; the future returned resolves at the
/// first of them. The handlers are in place when this function returns, so a signal that comes while the process is
/// still starting is not lost.
///
/// # Errors
/// When the operating system refuses the handlers.
pub fn signal() -> io::Result<impl Future<Output = ()> + Send + 'static> {
    let mut terminate = unix_signal(SignalKind::terminate())?;
    let mut interrupt = unix_signal(SignalKind::interrupt())?;
    Ok(async move {
        let name = tokio::select! {
            _ = terminate.recv() => "SIGTERM",
            _ = interrupt.recv() => "SIGINT",
        };
        tracing::info!(signal = name, "shutting down");
    })
}

/// Notified at each SIGHUP from now on, which does not end the process any more. Several that come together are one.
///
/// # Errors
/// When the operating system refuses the handler.
pub fn hangups() -> io::Result<Arc<Notify>> {
    let mut hangups = unix_signal(SignalKind::hangup())?;
    let notify = Arc::new(Notify::new());
    let told = Arc::clone(&notify);
    tokio::spawn(async move {
        while hangups.recv().await.is_some() {
            tracing::info!("SIGHUP: reading again what may have changed");
            told.notify_one();
        }
    });
    Ok(notify)
}

/// A shutdown that several tasks wait for: [`Trigger::fire`] (or dropping the [`Trigger`]) ends every
/// [`Shutdown::wait`].
pub fn channel() -> (Trigger, Shutdown) {
    let (sender, receiver) = watch::channel(false);
    (Trigger(sender), Shutdown(receiver))
}

/// The end that starts a shutdown.
#[derive(Debug)]
pub struct Trigger(watch::Sender<bool>);

impl Trigger {
    /// Tells all who wait. Doing it twice changes nothing.
    pub fn fire(&self) {
        self.0.send_replace(true);
    }
}

/// The end that waits for a shutdown; clone it for each task.
#[derive(Clone, Debug)]
pub struct Shutdown(watch::Receiver<bool>);

impl Shutdown {
    /// Resolves once the shutdown has begun, at once if that was earlier.
    pub async fn wait(mut self) {
        // An error says that the trigger is gone: who could still start a shutdown no longer runs, so stop too.
        let _ = self.0.wait_for(|fired| *fired).await;
    }

    /// Whether the shutdown has begun.
    pub fn has_begun(&self) -> bool {
        *self.0.borrow() || self.0.has_changed().is_err()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_signal_resolves_it_even_if_it_came_before_the_waiting() {
        let signal = signal().unwrap();
        let me = std::process::id().to_string();
        let sent = std::process::Command::new("kill")
            .args(["-TERM", &me])
            .status()
            .unwrap();
        assert!(sent.success());
        signal.await;
    }

    #[tokio::test]
    async fn a_hangup_is_told_and_ends_nothing() {
        let hangups = hangups().unwrap();
        let me = std::process::id().to_string();
        let sent = std::process::Command::new("kill").args(["-HUP", &me]).status();
        assert!(sent.unwrap().success());
        hangups.notified().await;
    }

    #[tokio::test]
    async fn all_who_wait_are_told_early_or_late() {
        let (trigger, shutdown) = channel();
        assert!(!shutdown.has_begun());
        let early = tokio::spawn(shutdown.clone().wait());
        trigger.fire();
        early.await.unwrap();
        shutdown.clone().wait().await;
        assert!(shutdown.has_begun());
    }

    #[tokio::test]
    async fn a_trigger_that_is_gone_ends_the_waiting() {
        let (trigger, shutdown) = channel();
        drop(trigger);
        assert!(shutdown.has_begun());
        shutdown.wait().await;
    }
}
