//! See `hitmachine_targets::wire::changes`.
#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| hitmachine_targets::wire::changes::check(input));
