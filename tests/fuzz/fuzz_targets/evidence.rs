//! See `hitmachine_targets::log::evidence`.
#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| hitmachine_targets::log::evidence::check(input));
