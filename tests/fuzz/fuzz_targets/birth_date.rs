//! See `hitmachine_targets::number::birth_date`.
#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| hitmachine_targets::number::birth_date::check(input));
