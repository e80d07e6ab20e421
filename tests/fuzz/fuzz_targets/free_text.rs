//! See `hitmachine_targets::number::free_text`.
#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| hitmachine_targets::number::free_text::check(input));
