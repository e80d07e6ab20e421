//! See `hitmachine_targets::process::names`.
#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| hitmachine_targets::process::names::check(input));
