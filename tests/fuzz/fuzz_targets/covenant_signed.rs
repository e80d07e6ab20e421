//! See `hitmachine_targets::covenant::signed`.
#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| hitmachine_targets::covenant::signed::check(input));
