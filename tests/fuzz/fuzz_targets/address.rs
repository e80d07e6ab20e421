//! See `hitmachine_targets::process::address`.
#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| hitmachine_targets::process::address::check(input));
