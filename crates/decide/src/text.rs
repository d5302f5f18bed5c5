//! Text that others wrote, made safe to show to people: on a terminal, in a denial, in a notice.

use std::fmt::Write as _;

use unicode_properties::{GeneralCategory, UnicodeGeneralCategory as _};

use crate::argv::quote_json;

/// Characters that show nothing of their own, or change how their neighbours show, and that Unicode
/// does not list as format characters: variation selectors, joiners, fillers that look like nothing
/// (`Default_Ignorable_Code_Point`), and the replacement character, which stands for bytes that
/// nobody can read.
const IGNORABLE: [(char, char); 10] = [
    ('\u{34f}', '\u{34f}'),
    ('\u{115f}', '\u{1160}'),
    ('\u{17b4}', '\u{17b5}'),
    ('\u{180b}', '\u{180f}'),
    ('\u{2800}', '\u{2800}'),
    ('\u{3164}', '\u{3164}'),
    ('\u{fe00}', '\u{fe0f}'),
    ('\u{ffa0}', '\u{ffa0}'),
    ('\u{fffd}', '\u{fffd}'),
    ('\u{e0100}', '\u{e01ef}'),
];

/// Whether a character does not show as itself: controls, format characters (bidirectional,
/// zero-width, tags), separators other than the plain space, what Unicode has not assigned or left
/// to private use, and what it has readers ignore.
pub fn is_hidden(c: char) -> bool {
    let category = matches!(
        c.general_category(),
        GeneralCategory::Control
            | GeneralCategory::Format
            | GeneralCategory::LineSeparator
            | GeneralCategory::ParagraphSeparator
            | GeneralCategory::PrivateUse
            | GeneralCategory::Surrogate
            | GeneralCategory::Unassigned
    );
    let space = c != ' ' && c.general_category() == GeneralCategory::SpaceSeparator;
    category
        || space
        || IGNORABLE
            .iter()
            .any(|(first, last)| (first..=last).contains(&&c))
}

/// A text on one line: characters that do not show are escaped by their code point.
pub fn safe(text: &str) -> String {
    escape_where(text, is_hidden)
}

/// A text that may have several lines, such as an answer of the server: its line breaks stay.
pub fn safe_lines(text: &str) -> String {
    escape_where(text, |c| c != '\n' && is_hidden(c))
}

/// A name inside a sentence: as a JSON string where it is more than one plain word, so that it
/// cannot pretend to be part of the sentence.
pub fn safe_word(name: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_.:@/+=".contains(c);
    if !name.is_empty() && name.chars().all(plain) {
        name.to_owned()
    } else {
        quote_json(name)
    }
}

fn escape_where(text: &str, is_escaped: impl Fn(char) -> bool) -> String {
    let mut safe = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            _ if !is_escaped(c) => safe.push(c),
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

    /// What Unicode 16 has in `Default_Ignorable_Code_Point` and `Bidi_Control`, line and paragraph
    /// separators, and what shows as nothing in most fonts.
    const SHOWS_NOTHING: [(u32, u32); 20] = [
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

    #[test]
    fn what_shows_nothing_or_turns_its_neighbours_round_is_hidden() {
        let shown = SHOWS_NOTHING
            .iter()
            .flat_map(|&(first, last)| first..=last)
            .filter_map(char::from_u32);
        assert_eq!(shown.filter(|&c| !is_hidden(c)).collect::<Vec<_>>(), []);
    }

    #[rstest]
    #[case::no_break_space('\u{a0}')]
    #[case::ideographic_space('\u{3000}')]
    #[case::arabic_number_sign('\u{600}')]
    #[case::replacement('\u{fffd}')]
    #[case::unassigned('\u{378}')]
    #[case::mongolian_selector('\u{180b}')]
    fn what_only_one_of_two_tables_once_had_is_hidden(#[case] c: char) {
        assert!(is_hidden(c));
    }

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
