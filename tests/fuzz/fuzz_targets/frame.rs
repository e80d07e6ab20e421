//! See `hitmachine_targets::log::frame`.
#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| hitmachine_targets::log::frame::check(input));
