//! What libFuzzer needs beside the bodies of the targets.

use oracles::mutate::{self, Dice};

/// Changes an input in its buffer: mostly as JSON where it is some, else as libFuzzer does. Returns
/// its new length.
pub fn mutate(data: &mut [u8], size: usize, most: usize, seed: u32) -> usize {
    let mut dice = Dice::new(seed.into());
    if dice.below(4) > 0
        && let Ok(value) = serde_json::from_slice(&data[..size])
    {
        let changed = mutate::json(value, &mut dice);
        if let Some(room) = data
            .get_mut(..changed.len())
            .filter(|_| changed.len() <= most)
        {
            room.copy_from_slice(&changed);
            return changed.len();
        }
    }
    libfuzzer_sys::fuzzer_mutate(data, size, most)
}
