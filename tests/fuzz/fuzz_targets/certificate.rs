//! See `hitmachine_targets::process::certificate`.
#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| hitmachine_targets::process::certificate::check(input));
