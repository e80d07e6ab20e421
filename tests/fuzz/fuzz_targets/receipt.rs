//! See `hitmachine_targets::wire::receipt`.
#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| hitmachine_targets::wire::receipt::check(input));
