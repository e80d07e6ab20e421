//! See `hitmachine_targets::wire::notice`.
#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| hitmachine_targets::wire::notice::check(input));
