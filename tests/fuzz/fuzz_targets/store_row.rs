//! See `hitmachine_targets::held::store_row`.
#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| hitmachine_targets::held::store_row::check(input));
