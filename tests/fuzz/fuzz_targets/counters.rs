//! See `hitmachine_targets::held::counters`.
#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| hitmachine_targets::held::counters::check(input));
