//! See `hitmachine_targets::log::policy`.
#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| hitmachine_targets::log::policy::check(input));
