//! What was recorded.

use std::{
    fs,
    path::{Path, PathBuf},
};

fn path(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/fixtures")
        .join(name)
}

/// A recorded file, as it is.
pub(crate) fn read(name: &str) -> String {
    fs::read_to_string(path(name)).unwrap()
}

/// A recorded file as JSON.
pub(crate) fn json(name: &str) -> serde_json::Value {
    serde_json::from_str(&read(name)).unwrap()
}

/// All recorded reviews, by name.
pub(crate) fn reviews() -> Vec<(String, String)> {
    let mut names: Vec<String> = fs::read_dir(path("reviews"))
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    assert!(names.len() > 40, "where are the recorded reviews?");
    names
        .into_iter()
        .map(|name| (name.clone(), read(&format!("reviews/{name}"))))
        .collect()
}
