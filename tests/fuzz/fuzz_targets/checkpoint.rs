//! See `hitmachine_targets::log::checkpoint`.
#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| hitmachine_targets::log::checkpoint::check(input));
