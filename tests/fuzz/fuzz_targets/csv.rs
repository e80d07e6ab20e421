//! See `hitmachine_targets::source::csv`.
#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| hitmachine_targets::source::csv::check(input));
