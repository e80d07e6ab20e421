//! See `hitmachine_targets::log::proof`.
#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| hitmachine_targets::log::proof::check(input));
