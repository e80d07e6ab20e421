//! See `hitmachine_targets::held::node_row`.
#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| hitmachine_targets::held::node_row::check(input));
