//! See `hitmachine_targets::process::config`.
#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| hitmachine_targets::process::config::check(input));
