//! Text that others wrote, made safe to show on a terminal.

use std::fmt::Write as _;

pub use decide::argv::word as safe_word;

/// Characters that show nothing of their own, or change how their neighbours show: formatting, bidirectional
/// controls, joiners, variation selectors, fillers, tags (Unicode's `Default_Ignorable_Code_Point` and
/// `Bidi_Control`), line and paragraph separators.
const HIDDEN: [(u32, u32); 20] = [
    (0x00ad, 0x00ad),
    (0x034f, 0x034f),
    (0x061c, 0x061c),
    (0x115f, 0x1160),
    (0x17b4, 0x17b5),
    (0x180b, 0x180f),
    (0x200b, 0x200f),
    (0x2028, 0x202e),
    (0x2060, 0x206f),
    (0x2800, 0x2800),
    (0x3164, 0x3164),
    (0xfe00, 0xfe0f),
    (0xfeff, 0xfeff),
    (0xffa0, 0xffa0),
    (0xfff0, 0xfffb),
    (0x1_bca0, 0x1_bca3),
    (0x1_d173, 0x1_d17a),
    (0xe_0000, 0xe_0fff),
    (0xf_0000, 0xf_ffff),
    (0x10_0000, 0x10_ffff),
];

/// Whether a character must not reach a terminal as it is.
pub fn is_hidden(c: char) -> bool {
    let point = u32::from(c);
    c.is_control() || HIDDEN.iter().any(|&(first, last)| (first..=last).contains(&point))
}

/// Text on one line: what a terminal would obey, or not show, is escaped.
pub fn safe(text: &str) -> String {
    escape_where(text, is_hidden)
}

/// Text that may have several lines, such as an answer of the server: its line breaks stay.
pub fn safe_lines(text: &str) -> String {
    escape_where(text, |c| c != '\n' && is_hidden(c))
}

fn escape_where(text: &str, hidden: impl Fn(char) -> bool) -> String {
    let mut safe = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            _ if !hidden(c) => safe.push(c),
            '\n' => safe.push_str("\\n"),
            '\t' => safe.push_str("\\t"),
            '\r' => safe.push_str("\\r"),
            _ => {
                // Writing to a String cannot fail.
                let _: std::fmt::Result = write!(safe, "\\u{{{:x}}}", u32::from(c));
            }
        }
    }
    safe
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case("INC-42: disk is full", "INC-42: disk is full")]
    #[case("größe 漢字", "größe 漢字")]
    #[case("\u{1b}[2Jgone", "\\u{1b}[2Jgone")]
    #[case("a\u{202e}b\u{200b}c", "a\\u{202e}b\\u{200b}c")]
    #[case("two\nlines\r", "two\\nlines\\r")]
    #[case("\u{9b}31m", "\\u{9b}31m")]
    fn what_a_terminal_would_obey_is_escaped(#[case] text: &str, #[case] shown: &str) {
        assert_eq!(safe(text), shown);
    }

    #[rstest]
    #[case("jane@corp.com", "jane@corp.com")]
    #[case("jane can run ls, amy", "\"jane can run ls, amy\"")]
    #[case("", "\"\"")]
    #[case("j\u{430}ne", "\"j\\u0430ne\"")]
    fn a_name_cannot_pretend_to_be_a_sentence(#[case] name: &str, #[case] shown: &str) {
        assert_eq!(safe_word(name), shown);
    }

    #[test]
    fn an_answer_of_the_server_keeps_its_lines() {
        assert_eq!(safe_lines("one\ntwo\u{1b}"), "one\ntwo\\u{1b}");
    }

    proptest! {
        #[test]
        fn no_text_reaches_the_terminal_with_anything_hidden_in_it(text in any::<String>()) {
            prop_assert!(!safe(&text).chars().any(is_hidden));
            prop_assert!(!safe_word(&text).chars().any(is_hidden));
        }
    }
}
