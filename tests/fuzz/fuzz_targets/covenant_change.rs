//! See `hitmachine_targets::covenant::change`.
#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| hitmachine_targets::covenant::change::check(input));
