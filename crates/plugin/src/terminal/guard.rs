//! The last thing before a terminal: whatever it would obey is escaped, but for our own colours.
//!
//! Texts of others are made safe where they are put into words. This is for the one that is forgotten
//! some day: an error of a library, a name out of a kubeconfig or of the environment.

use std::io::{self, Write};

use decide::text;

/// The colours and styles that we write: `ESC [ N m`.
const STYLES: [&str; 7] = ["0", "1", "2", "31", "32", "33", "4"];

/// A stream that escapes what a terminal obeys.
pub struct Guarded<W> {
    inner: W,
    /// The beginning of a character whose end was not written yet.
    open: Vec<u8>,
}

impl<W: Write> Guarded<W> {
    /// Guards a stream.
    pub fn new(inner: W) -> Self {
        Self {
            inner,
            open: Vec::new(),
        }
    }
}

impl<W: Write> Write for Guarded<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.open.extend_from_slice(bytes);
        let whole = match std::str::from_utf8(&self.open) {
            Ok(text) => text.len(),
            // Of what is no text at all, the rest is shown as it can be.
            Err(error) if error.error_len().is_some() => self.open.len(),
            Err(error) => error.valid_up_to(),
        };
        let rest = self.open.split_off(whole);
        let text = String::from_utf8_lossy(&self.open).into_owned();
        self.open = rest;
        self.inner.write_all(guarded(&text).as_bytes())?;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.inner.flush()
    }
}

/// A text as a terminal may get it. A carriage return stands only where a line is written over, at the
/// beginning of what is written.
pub fn guarded(text: &str) -> String {
    let mut guarded = String::with_capacity(text.len());
    let mut rest = text;
    if let Some(after) = rest.strip_prefix('\r') {
        guarded.push('\r');
        rest = after;
    }
    while let Some(c) = rest.chars().next() {
        // Most of what is written needs no look at each character.
        let odd = rest.find(|c: char| !matches!(c, '\n' | ' '..='~'));
        let (plain, after) = rest.split_at(odd.unwrap_or(rest.len()));
        if !plain.is_empty() {
            guarded.push_str(plain);
            rest = after;
            continue;
        }
        if let Some(after) = style(rest) {
            let style = rest.len().saturating_sub(after.len());
            guarded.push_str(rest.get(..style).unwrap_or_default());
            rest = after;
            continue;
        }
        let (one, after) = rest.split_at(c.len_utf8());
        guarded.push_str(&text::safe_lines(one));
        rest = after;
    }
    guarded
}

/// What stands behind a style of ours, where the text begins with one.
fn style(text: &str) -> Option<&str> {
    let (style, after) = text.strip_prefix("\u{1b}[")?.split_once('m')?;
    STYLES.contains(&style).then_some(after)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use rstest::rstest;

    use super::*;

    // P15
    #[rstest]
    #[case("plain\ntext", "plain\ntext")]
    #[case("\u{1b}[32mgreen\u{1b}[0m", "\u{1b}[32mgreen\u{1b}[0m")]
    #[case("\u{1b}[2Jgone", "\\u{1b}[2Jgone")]
    #[case("\u{1b}[8mhidden", "\\u{1b}[8mhidden")]
    #[case("\u{1b}]0;title\u{7}", "\\u{1b}]0;title\\u{7}")]
    #[case("\rwaiting", "\rwaiting")]
    #[case("a\rb", "a\\rb")]
    #[case("\u{202e}x\u{9b}31m", "\\u{202e}x\\u{9b}31m")]
    fn what_a_terminal_would_obey_is_escaped(#[case] text: &str, #[case] shown: &str) {
        assert_eq!(guarded(text), shown);
    }

    #[test]
    fn a_character_that_comes_in_pieces_is_whole() {
        let mut out = Vec::new();
        let mut stream = Guarded::new(&mut out);
        for byte in "größe \u{1f600}\u{202e}".bytes() {
            stream.write_all(&[byte]).unwrap();
        }
        assert_eq!(String::from_utf8(out).unwrap(), "größe \u{1f600}\\u{202e}");
    }

    #[test]
    fn what_is_no_text_is_shown_as_it_can_be() {
        let mut out = Vec::new();
        Guarded::new(&mut out).write_all(b"a\xffb").unwrap();
        assert_eq!(String::from_utf8(out).unwrap(), "a\\u{fffd}b");
    }

    proptest! {
        #[test]
        fn nothing_hidden_passes_but_line_breaks_and_styles(text in any::<String>()) {
            let shown = guarded(&text);
            let plain = STYLES.iter().fold(shown, |shown, style| shown.replace(&format!("\u{1b}[{style}m"), ""));
            let plain = plain.strip_prefix('\r').unwrap_or(&plain);
            prop_assert!(!plain.chars().any(|c| c != '\n' && text::is_hidden(c)), "{plain:?}");
        }
    }
}
