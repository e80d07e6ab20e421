//! See `hitmachine_targets::wire::answer`.
#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| hitmachine_targets::wire::answer::check(input));
