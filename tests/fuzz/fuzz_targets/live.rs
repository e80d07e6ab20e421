//! See `hitmachine_targets::wire::live`.
#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| hitmachine_targets::wire::live::check(input));
