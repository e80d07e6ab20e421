//! See `hitmachine_targets::held::batch`.
#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| hitmachine_targets::held::batch::check(input));
