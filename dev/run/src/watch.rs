//! Looks at the sources, to rebuild when they change.

use std::{
    fs,
    path::{Path, PathBuf},
    time::SystemTime,
};

/// When the newest source file was changed.
pub fn newest(checkout: &Path) -> Option<SystemTime> {
    let mut newest = None;
    let mut open: Vec<PathBuf> = vec![checkout.join("crates"), checkout.join("Cargo.toml")];
    while let Some(path) = open.pop() {
        if let Ok(entries) = fs::read_dir(&path) {
            open.extend(entries.flatten().map(|entry| entry.path()));
        } else {
            newest = newest.max(fs::metadata(&path).and_then(|meta| meta.modified()).ok());
        }
    }
    newest
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_checkout_has_a_newest_file() {
        assert!(newest(&crate::checkout()).is_some());
    }
}
