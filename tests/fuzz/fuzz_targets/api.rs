//! See `hitmachine_targets::console::api`.
#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| hitmachine_targets::console::api::check(input));
