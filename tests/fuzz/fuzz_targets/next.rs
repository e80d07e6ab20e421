//! See `hitmachine_targets::console::next`.
#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| hitmachine_targets::console::next::check(input));
