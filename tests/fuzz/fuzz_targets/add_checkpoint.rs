//! See `hitmachine_targets::log::add_checkpoint`.
#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| hitmachine_targets::log::add_checkpoint::check(input));
