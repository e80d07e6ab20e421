//! See `hitmachine_targets::number::person`.
#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| hitmachine_targets::number::person::check(input));
