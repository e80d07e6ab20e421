//! See `hitmachine_targets::held::record`.
#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| hitmachine_targets::held::record::check(input));
