//! See `oracles::copy`.

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| oracles::copy::check(data));
