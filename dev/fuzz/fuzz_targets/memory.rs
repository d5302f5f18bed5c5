//! See `oracles::memory`.

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| oracles::memory::check(data));
libfuzzer_sys::fuzz_mutator!(|data: &mut [u8], size: usize, most: usize, seed: u32| {
    kra_fuzz::mutate(data, size, most, seed)
});
