//! See `hitmachine_targets::console::oidc`.
#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| hitmachine_targets::console::oidc::check(input));
