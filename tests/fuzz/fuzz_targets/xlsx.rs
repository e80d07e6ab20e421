//! See `hitmachine_targets::source::xlsx`.
#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| hitmachine_targets::source::xlsx::check(input));
