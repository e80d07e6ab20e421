//! See `hitmachine_targets::console::form`.
#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| hitmachine_targets::console::form::check(input));
