//! See `hitmachine_targets::process::key_file`.
#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| hitmachine_targets::process::key_file::check(input));
