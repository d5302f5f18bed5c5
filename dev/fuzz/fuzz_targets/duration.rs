//! See `oracles::duration`.

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| oracles::duration::check(data));
