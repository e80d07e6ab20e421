//! See `hitmachine_targets::console::upload`.
#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| hitmachine_targets::console::upload::check(input));
