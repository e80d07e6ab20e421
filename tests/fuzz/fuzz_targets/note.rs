//! See `hitmachine_targets::log::note`.
#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| hitmachine_targets::log::note::check(input));
