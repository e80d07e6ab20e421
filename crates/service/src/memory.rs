//! Keys stay in the memory of this process: out of core dumps, and out of reach of other programs of the same user.

use std::io;

/// Forbids core dumps of this process and of those it starts, and that another process of the same user reads its
/// memory or follows its system calls. Called first in `main`, before a key is read. What is left: who is root, and
/// swap, which the service manager has to keep it out of.
///
/// # Errors
/// As the system says; then no key should be read.
pub fn keep_private() -> io::Result<()> {
    #[cfg(target_os = "linux")]
    {
        use rustix::process::{DumpableBehavior, Resource, Rlimit, set_dumpable_behavior, setrlimit};
        // The second bolt. A service manager that has set the limit may forbid to touch it; the one below suffices, also
        // where dumps go through a pipe, for which the kernel asks nobody's limit.
        let none = Rlimit {
            current: Some(0),
            maximum: Some(0),
        };
        let _ = setrlimit(Resource::Core, none);
        set_dumpable_behavior(DumpableBehavior::NotDumpable)?;
    }
    Ok(())
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::*;

    #[test]
    fn nothing_of_this_process_is_dumped() {
        keep_private().unwrap();
        let limits = std::fs::read_to_string("/proc/self/limits").unwrap();
        let line = limits
            .lines()
            .find(|line| line.starts_with("Max core file size"))
            .unwrap();
        let words: Vec<&str> = line.split_whitespace().collect();
        assert_eq!(words[4..6], ["0", "0"], "{line}");
        assert_eq!(
            rustix::process::dumpable_behavior().unwrap(),
            rustix::process::DumpableBehavior::NotDumpable
        );
        // What the process itself needs of /proc it may still read.
        assert!(
            std::fs::read_to_string("/proc/self/status")
                .unwrap()
                .contains("Uid:")
        );
    }
}
