//! See `hitmachine_targets::wire::officer`.
#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| hitmachine_targets::wire::officer::check(input));
