//! Tells other systems of this organisation that there is something new: how many, and nothing more.
//!
//! A hook is told at least once of each notice, also when it or this node was away: up to which notice it was told is
//! remembered after it said that all is well. Notices that somebody has seen meanwhile, and muted ones, do not count.

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::Arc;
use std::time::Duration;

use hitmachine_core::Clock;
use hitmachine_service::console::chain;
use hitmachine_service::secret::{SecretError, SecretText};
use hitmachine_service::web::{WebAddress, WebAddressError, WebError};
use serde::Serialize;
use tokio::io::AsyncWriteExt;
use tokio::process::Command;

use super::book::NoticeBook;
use crate::config::NoticeSection;
use crate::state::StateError;

/// First and longest pause before a hook is tried again.
const FIRST_PAUSE: Duration = Duration::from_secs(2);
const LONGEST_PAUSE: Duration = Duration::from_mins(5);
/// What a command finds of this process's environment.
const PASSED_ON: [&str; 4] = ["PATH", "HOME", "LANG", "TZ"];

/// Why a hook cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum HookConfigError {
    /// The address, or what goes with it.
    #[error("notice.webhook")]
    Webhook(#[from] WebAddressError),
    /// The token file.
    #[error("notice.webhook_token")]
    Token(#[from] SecretError),
    /// An authority or a token without an address.
    #[error("notice.webhook_authority and notice.webhook_token are for notice.webhook, which is absent")]
    NoWebhook,
    /// Not an absolute path.
    #[error("notice.command must begin with the absolute path of a program")]
    Command,
}

/// Why a hook did not take it.
#[derive(Debug, thiserror::Error)]
enum HookError {
    #[error(transparent)]
    Web(#[from] WebError),
    #[error("the command cannot be run ({0})")]
    Run(std::io::ErrorKind),
    #[error("the command did not end well")]
    Failed,
    #[error("the command took too long and was ended")]
    TimedOut,
    #[error(transparent)]
    State(#[from] StateError),
    #[error("this process is ending")]
    Ending,
}

impl HookError {
    const fn code(&self) -> &'static str {
        match self {
            Self::Web(error) => error.code(),
            Self::Run(_) => "command_run",
            Self::Failed => "command_failed",
            Self::TimedOut => "command_timeout",
            Self::State(_) => "node",
            Self::Ending => "ending",
        }
    }
}

/// Everything that a hook is told.
#[derive(Serialize)]
struct Message<'a> {
    count_new: usize,
    partner: &'a str,
    time: String,
}

enum Way {
    Web(WebAddress),
    Command {
        program: PathBuf,
        arguments: Vec<String>,
    },
}

/// One system that is told.
pub(crate) struct Hook {
    /// By which it is remembered how far it was told.
    name: &'static str,
    way: Way,
    partner: String,
    gather: Duration,
    patience: Duration,
}

impl Hook {
    /// Those that the configuration names.
    ///
    /// # Errors
    /// [`HookConfigError`].
    pub(crate) fn all(section: &NoticeSection, partner: &str) -> Result<Vec<Self>, HookConfigError> {
        let hook = |name, way| Self {
            name,
            way,
            partner: partner.to_owned(),
            gather: Duration::from_secs(section.gather_seconds),
            patience: Duration::from_secs(section.timeout_seconds.max(1)),
        };
        let mut hooks = Vec::new();
        match &section.webhook {
            Some(address) => {
                let token = section.webhook_token.as_ref().map(SecretText::read).transpose()?;
                let authority = section.webhook_authority.as_deref();
                let address = WebAddress::new(address, authority, token.as_ref())?;
                hooks.push(hook("webhook", Way::Web(address)));
            }
            None if section.webhook_authority.is_some() || section.webhook_token.is_some() => {
                return Err(HookConfigError::NoWebhook);
            }
            None => {}
        }
        if let Some((program, arguments)) = section.command.split_first() {
            let program = Path::new(program).to_owned();
            if !program.is_absolute() {
                return Err(HookConfigError::Command);
            }
            let arguments = arguments.to_vec();
            hooks.push(hook("command", Way::Command { program, arguments }));
        }
        Ok(hooks)
    }

    /// Tells of everything that is there and comes, for ever.
    pub(crate) async fn keep(&self, book: &Arc<NoticeBook>, clock: &dyn Clock) {
        let mut came = book.came();
        let mut pause = FIRST_PAUSE;
        loop {
            match self.tell(book, clock).await {
                Ok(told) => {
                    pause = FIRST_PAUSE;
                    // The sender lives as long as the book.
                    let _ = came.wait_for(|last| *last > told).await;
                    // What comes together is told together.
                    tokio::time::sleep(self.gather).await;
                }
                Err(error) => {
                    let (hook, code) = (self.name, error.code());
                    let error = chain(&error);
                    tracing::warn!(
                        hook,
                        code,
                        error,
                        "a hook was not told of hit notices; tried again"
                    );
                    tokio::time::sleep(pause).await;
                    pause = (pause * 2).min(LONGEST_PAUSE);
                }
            }
        }
    }

    /// Tells of what was not told; up to which notice that is.
    async fn tell(&self, book: &Arc<NoticeBook>, clock: &dyn Clock) -> Result<u64, HookError> {
        let (name, reading) = (self.name, Arc::clone(book));
        let read = tokio::task::spawn_blocking(move || {
            let told = reading.told(name)?;
            Ok::<_, StateError>((told, reading.untold(told)))
        });
        let (told, (count, last)) = read.await.map_err(|_| HookError::Ending)??;
        if last <= told {
            return Ok(told);
        }
        if count > 0 {
            self.call(count, clock).await?;
        }
        let writing = Arc::clone(book);
        let written = tokio::task::spawn_blocking(move || writing.set_told(name, last)).await;
        written.map_err(|_| HookError::Ending)??;
        Ok(last)
    }

    async fn call(&self, count: usize, clock: &dyn Clock) -> Result<(), HookError> {
        let message = Message {
            count_new: count,
            partner: &self.partner,
            time: clock.now().to_string(),
        };
        // Three plain fields always have a form in JSON.
        let json = serde_json::to_vec(&message).unwrap_or_default();
        match &self.way {
            Way::Web(address) => Ok(address.post(json, self.patience).await?),
            Way::Command { program, arguments } => {
                let running = run(program, arguments, count, &self.partner, json);
                tokio::time::timeout(self.patience, running)
                    .await
                    .unwrap_or(Err(HookError::TimedOut))
            }
        }
    }
}

/// Runs a program, without a shell. What it prints is not kept. Dropped before its end it is killed.
async fn run(
    program: &Path,
    arguments: &[String],
    count: usize,
    partner: &str,
    json: Vec<u8>,
) -> Result<(), HookError> {
    let cannot = |error: std::io::Error| HookError::Run(error.kind());
    let mut command = Command::new(program);
    command
        .args(arguments)
        .env_clear()
        .envs(
            PASSED_ON
                .iter()
                .filter_map(|name| Some((name, std::env::var_os(name)?))),
        )
        .env("HITMACHINE_NOTICE_COUNT", count.to_string())
        .env("HITMACHINE_PARTNER", partner)
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .kill_on_drop(true);
    let mut child = command.spawn().map_err(cannot)?;
    if let Some(mut input) = child.stdin.take() {
        // A program that does not read it closes the pipe.
        let _ = input.write_all(&json).await;
        let _ = input.write_all(b"\n").await;
    }
    let status = child.wait().await.map_err(cannot)?;
    if status.success() {
        Ok(())
    } else {
        Err(HookError::Failed)
    }
}

#[cfg(test)]
#[path = "hook_tests.rs"]
mod tests;
