//! See `oracles::argv`.

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| oracles::argv::check(data));
