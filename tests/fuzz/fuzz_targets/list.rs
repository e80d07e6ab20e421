//! See `hitmachine_targets::source::list`.
#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| hitmachine_targets::source::list::check(input));
