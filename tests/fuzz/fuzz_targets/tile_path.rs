//! See `hitmachine_targets::log::tile_path`.
#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| hitmachine_targets::log::tile_path::check(input));
