//! See `hitmachine_targets::covenant::file`.
#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| hitmachine_targets::covenant::file::check(input));
