//! What command-line programs say: text on standard output, and an error with its causes on standard error.

use std::error::Error;
use std::fmt;
use std::io::{self, Write};
use std::process::ExitCode;

/// Writes to standard output. A reader that has gone (`… | head`) ends the process quietly, as other programs do.
pub fn print(text: impl fmt::Display) {
    let mut out = io::stdout().lock();
    if let Err(error) = write!(out, "{text}").and_then(|()| out.flush())
        && error.kind() == io::ErrorKind::BrokenPipe
    {
        std::process::exit(0);
    }
}

/// [`print()`] with a line end.
pub fn print_line(text: impl fmt::Display) {
    print(format_args!("{text}\n"));
}

/// Writes a line to standard error. If that is gone, there is nobody to tell.
pub fn complain(text: impl fmt::Display) {
    let _ = writeln!(io::stderr(), "{text}");
}

/// Says what went wrong, as `<program>: <error>: <cause>: …`, and gives the exit code back.
pub fn fail(program: &str, error: &dyn Error, code: u8) -> ExitCode {
    complain(format_args!("{program}: {}", chain(error)));
    ExitCode::from(code)
}

/// An error and its causes in one line. A cause that the text before already ends with is not repeated.
pub fn chain(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let more = error.to_string();
        if !text.ends_with(&more) {
            text.push_str(": ");
            text.push_str(&more);
        }
        cause = error.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, thiserror::Error)]
    #[error("{0}")]
    struct Layer(&'static str, #[source] Option<Box<Layer>>);

    #[test]
    fn causes_follow_and_are_not_repeated() {
        let inner = Layer("no route", None);
        let middle = Layer("cannot connect", Some(Box::new(inner)));
        assert_eq!(
            chain(&Layer("sync failed", Some(Box::new(middle)))),
            "sync failed: cannot connect: no route"
        );
        let repeated = Layer("sync failed: no route", Some(Box::new(Layer("no route", None))));
        assert_eq!(chain(&repeated), "sync failed: no route");
    }
}
