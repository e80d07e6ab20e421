//! See `hitmachine_targets::wire::query`.
#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| hitmachine_targets::wire::query::check(input));
