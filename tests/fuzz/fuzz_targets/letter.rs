//! See `hitmachine_targets::process::letter`.
#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| hitmachine_targets::process::letter::check(input));
