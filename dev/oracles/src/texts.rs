//! Inputs that are several texts.

/// Texts of an input: as UTF-8, what is none replaced; apart by a byte that UTF-8 never has.
pub(crate) fn texts(data: &[u8]) -> Vec<String> {
    if data.is_empty() {
        return Vec::new();
    }
    data.split(|byte| *byte == SEPARATOR)
        .map(|text| String::from_utf8_lossy(text).into_owned())
        .collect()
}

/// Stands between the texts of an input.
pub const SEPARATOR: u8 = 0xff;
