//! See `hitmachine_targets::log::fields`.
#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| hitmachine_targets::log::fields::check(input));
