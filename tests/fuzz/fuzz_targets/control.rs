//! See `hitmachine_targets::process::control`.
#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| hitmachine_targets::process::control::check(input));
