//! Logging: `tracing` to standard error, as text for people or as JSON lines for a collector.

use std::backtrace::{Backtrace, BacktraceStatus};
use std::io::IsTerminal;

use serde::Deserialize;
use tracing_subscriber::EnvFilter;

/// Libraries that write frames, headers, certificates or (sled) whole values into their detailed logs. They stay at `info` however
/// talkative the rest is set, so that nobody copies traffic into a log file by asking for `debug`. Naming one of
/// them in the filter (`h2=trace`) lifts that for it.
const KEPT_QUIET: [&str; 7] = ["h2", "hyper", "hyper_util", "rustls", "sled", "tonic", "tower"];

/// How log lines look.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LogFormat {
    /// One line per event for people; coloured only on a terminal.
    #[default]
    Text,
    /// One JSON object per line.
    Json,
}

/// The `[log]` section of a process configuration.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct LogConfig {
    /// Text or JSON.
    pub format: LogFormat,
    /// What to log, in the notation of `tracing`: `info`, or `info,hitmachine_broker=debug`.
    pub filter: String,
}

impl Default for LogConfig {
    fn default() -> Self {
        Self {
            format: LogFormat::Text,
            filter: String::from("info"),
        }
    }
}

/// Why logging could not be set up.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TelemetryError {
    /// The filter cannot be read.
    #[error("log filter not understood; examples: info, or info,hitmachine_broker=debug")]
    Filter(#[source] tracing_subscriber::filter::ParseError),
    /// Something in this process did it before.
    #[error("logging is already set up")]
    AlreadySet(#[source] tracing_subscriber::util::TryInitError),
}

/// Sends events of this process to standard error, those that `filter` lets through.
///
/// Libraries that log traffic in detail stay at `info` unless `filter` names them. A panic is logged with its place and,
/// if `RUST_BACKTRACE` asks for it, how it came there; not with its words, in which a library may repeat the text at which
/// it panicked.
///
/// # Errors
/// [`TelemetryError::Filter`] if `filter` cannot be read, [`TelemetryError::AlreadySet`] at a second call.
pub fn init_logging(format: LogFormat, filter: &str) -> Result<(), TelemetryError> {
    use tracing_subscriber::util::SubscriberInitExt;

    let builder = tracing_subscriber::fmt()
        .with_env_filter(quiet(filter)?)
        .with_writer(std::io::stderr)
        .with_ansi(std::io::stderr().is_terminal());
    match format {
        LogFormat::Text => builder.finish().try_init(),
        LogFormat::Json => builder
            .json()
            .flatten_event(true)
            .with_ansi(false)
            .finish()
            .try_init(),
    }
    .map_err(TelemetryError::AlreadySet)?;
    std::panic::set_hook(Box::new(|panic| {
        let place = panic.location().map(ToString::to_string).unwrap_or_default();
        let backtrace = Backtrace::capture();
        if backtrace.status() == BacktraceStatus::Captured {
            tracing::error!(place, %backtrace, "panicked");
        } else {
            tracing::error!(place, "panicked");
        }
    }));
    Ok(())
}

/// `filter` with the quiet libraries capped. Later directives win, so what the filter names itself stays.
fn quiet(filter: &str) -> Result<EnvFilter, TelemetryError> {
    let mut directives = KEPT_QUIET.map(|target| format!("{target}=info")).join(",");
    if !filter.trim().is_empty() {
        directives.push(',');
        directives.push_str(filter);
    }
    EnvFilter::try_new(directives).map_err(TelemetryError::Filter)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn traffic_logging_libraries_are_capped_unless_named() {
        let text = |filter: &str| quiet(filter).unwrap().to_string();
        assert!(text("debug").contains("h2=info"));
        assert!(text("debug,h2=trace").contains("h2=trace"));
        assert!(!text("debug,h2=trace").contains("h2=info"));
        assert!(text("debug,h2=trace").contains("rustls=info"));
        assert!(matches!(
            quiet("info,broker=loudest"),
            Err(TelemetryError::Filter(_))
        ));
    }
}
