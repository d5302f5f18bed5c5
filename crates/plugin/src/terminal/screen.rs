//! Rows of a screen on which nobody but us draws.
//!
//! A terminal wraps what is too long, and begins the next row in column 0: a text that is padded with
//! spaces then draws rows that look like ours. So every value is wrapped here, at the width of the
//! terminal, and each row that a value goes on in begins with a gutter. Column 0 is ours at every
//! width.

use std::fmt::Write as _;
use std::io;

use decide::text;
use terminal_size::{Height, Width};

/// Width of the labels.
const LABEL: usize = 12;
/// What stands before each row in which a value goes on. It is as wide as a label and a space.
const GUTTER: &str = "           | ";
/// What stands before each row in which a sentence goes on.
const INDENT: &str = "  ";
/// The narrowest screen that is drawn for: a narrower one breaks the rows itself.
const MIN_WIDTH: usize = 24;
/// Maximum number of rows of a fact: what is longer stands whole among the notes, too.
const MAX_FACT: usize = 2;
/// How many rows the question may take, and the row about those that are hidden.
const QUESTION: usize = 4;
/// Maximum number of spaces in a row that facts show as they are: of more they tell the number.
const MAX_SPACES: usize = 8;

/// The size of what somebody reads on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Screen {
    /// Columns.
    pub width: usize,
    /// Rows. `None`: this is no terminal.
    pub height: Option<usize>,
}

/// For whom a summary is drawn.
pub struct Reader<'a> {
    /// On what they read it.
    pub screen: Screen,
    /// The cluster in which they answer it, as their kubeconfig has it.
    pub cluster: &'a str,
}

impl Screen {
    /// What is drawn for where there is no terminal: whoever reads it on one later has hardly a
    /// narrower one.
    pub const PIPE: Self = Self {
        width: 80,
        height: None,
    };

    /// The terminal that the standard output is; or the standard error, where the output is kept.
    pub fn of_process() -> Self {
        let size = terminal_size::terminal_size_of(io::stdout())
            .or_else(|| terminal_size::terminal_size_of(io::stderr()));
        size.map_or(Self::PIPE, |(Width(width), Height(height))| Self {
            width: usize::from(width),
            height: Some(usize::from(height)),
        })
    }

    fn columns(self) -> usize {
        self.width.max(MIN_WIDTH)
    }

    /// The rows of one value behind its label.
    pub fn rows(self, label: &str, value: &str) -> Vec<String> {
        let room = self.columns().saturating_sub(GUTTER.len());
        let lines = value.split('\n').flat_map(|line| wrap(line, room));
        lines
            .enumerate()
            .map(|(at, row)| match at {
                0 => format!("{label:LABEL$} {row}"),
                _ => format!("{GUTTER}{row}"),
            })
            .collect()
    }

    /// The rows of a line that is too long: those that it goes on in begin with a gutter.
    pub fn broken(self, line: &str) -> Vec<String> {
        let room = self.columns().saturating_sub(GUTTER.len());
        let mut rows = wrap(line, self.columns());
        let first = if rows.is_empty() {
            String::new()
        } else {
            rows.remove(0)
        };
        let rest = line.get(first.len()..).unwrap_or_default().trim_start();
        let rest = if rest.is_empty() {
            Vec::new()
        } else {
            wrap(rest, room)
        };
        let rest = rest.into_iter().map(|row| format!("{GUTTER}{row}"));
        std::iter::once(first).chain(rest).collect()
    }

    /// The rows of what somebody wrote as they liked: each of them is marked, and more spaces than
    /// one are counted.
    fn quoted(self, label: &str, text: &str) -> Vec<String> {
        let mut rows = self.rows("", &count_spaces(text, 1));
        if let Some(first) = rows.first_mut() {
            let value = first.split_off(GUTTER.len().min(first.len()));
            *first = format!("{label:<11}| {value}");
        }
        rows
    }

    /// A sentence, broken between words.
    pub fn sentence(self, sentence: &str) -> Vec<String> {
        let room = self.columns().saturating_sub(INDENT.len());
        let mut rows: Vec<String> = Vec::new();
        let counted = count_spaces(sentence, 1);
        for word in counted.split(' ') {
            match rows.last_mut() {
                Some(row) if width(row).saturating_add(1).saturating_add(width(word)) <= room => {
                    row.push(' ');
                    row.push_str(word);
                }
                Some(_) | None => rows.extend(wrap(word, room)),
            }
        }
        for row in rows.iter_mut().skip(1) {
            row.insert_str(0, INDENT);
        }
        rows
    }
}

/// What an approver reads before they answer. What others wrote freely, or at length, stands first;
/// the facts, each of few rows, and the closing sentence stand last, where no padding pushes them
/// off the screen.
pub struct Sheet {
    screen: Screen,
    notes: Vec<String>,
    facts: Vec<String>,
}

impl Sheet {
    /// An empty one.
    pub fn new(screen: Screen) -> Self {
        Self {
            screen,
            notes: Vec::new(),
            facts: Vec::new(),
        }
    }

    /// Adds what somebody wrote as they liked. More spaces than one are counted.
    pub fn note(&mut self, label: &str, text: &str) {
        self.notes.extend(self.screen.quoted(label, text));
    }

    /// Adds a fact. One that takes more than a few rows is cut here, and stands whole among the
    /// notes.
    pub fn fact(&mut self, label: &str, value: &str) {
        let value = count_spaces(value, MAX_SPACES);
        // A command with an argument a line is the same on one line without the indentation.
        let line: String = if value.contains('\n') {
            value.lines().map(str::trim_start).collect()
        } else {
            value.clone()
        };
        let mut rows = self.screen.rows(label, &line);
        if rows.len() > MAX_FACT {
            self.notes.extend(self.screen.quoted(label, &value));
            rows.truncate(MAX_FACT);
            let length = line.chars().count();
            let more = format!("\u{2026} {length} characters: whole above");
            rows.extend(self.screen.rows("", &more).into_iter().map(gutter));
        }
        self.facts.extend(rows);
    }

    /// The same, where there is a value.
    pub fn fact_if_any(&mut self, label: &str, value: Option<&str>) {
        if let Some(value) = value {
            self.fact(label, value);
        }
    }

    /// All of it, and the sentence. Where the screen is too small, the last row says how many rows it
    /// does not show: there it cannot be pushed away.
    pub fn text(self, sentence: &str) -> String {
        let Self {
            screen,
            notes,
            facts,
        } = self;
        let mut rows = notes;
        if !rows.is_empty() {
            rows.push(String::new());
        }
        rows.extend(facts);
        rows.push(String::new());
        rows.extend(screen.sentence(sentence));
        let all = rows.len().saturating_add(QUESTION);
        let hidden = screen.height.map(|height| all.saturating_sub(height));
        if let Some(hidden @ 1..) = hidden {
            rows.extend(screen.sentence(&format!(
                "-- {hidden} rows above do not fit on this screen: scroll up to read them --"
            )));
        }
        rows.join("\n") + "\n"
    }
}

/// A row without a label, as one in which a value goes on.
fn gutter(row: String) -> String {
    match row.get(GUTTER.len()..) {
        Some(rest) if row.starts_with(' ') => format!("{GUTTER}{rest}"),
        Some(_) | None => row,
    }
}

/// Columns that a character takes: none more than two. What lies beyond ASCII may be as wide on one
/// terminal and not on the other, so the wider one is expected.
fn width(text: &str) -> usize {
    text.chars().map(columns).sum()
}

fn columns(c: char) -> usize {
    if c.is_ascii() { 1 } else { 2 }
}

/// Breaks a line where a row is full. No row ends in a space, which nobody would see: what is broken
/// there goes on with it.
fn wrap(line: &str, room: usize) -> Vec<String> {
    let mut rows = Vec::new();
    let mut row = String::new();
    let mut used = 0_usize;
    for c in line.chars() {
        if used.saturating_add(columns(c)) > room {
            let kept = place_to_break(&row, c);
            let spaces = if kept == 0 {
                String::new()
            } else {
                row.split_off(kept)
            };
            rows.push(std::mem::replace(&mut row, spaces));
            used = width(&row);
        }
        row.push(c);
        used = used.saturating_add(columns(c));
    }
    rows.push(row);
    rows
}

/// How much of a full row stays there: what stands before its last word, where that is not most of
/// the row, and no space at its end.
fn place_to_break(row: &str, next: char) -> usize {
    let words = if next == ' ' {
        row
    } else {
        row.rsplit_once(' ').map_or(row, |(words, _)| words)
    };
    let kept = words.trim_end_matches(' ').len();
    if kept >= row.len() / 2 {
        kept
    } else {
        row.trim_end_matches(' ').len()
    }
}

/// The text, with the number of spaces where more than so many stand in a row: ten become
/// `\(10 spaces)`. In a JSON string no other text reads so.
pub fn count_spaces(text: &str, most: usize) -> String {
    let mut counted = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find(' ') {
        let (before, from) = rest.split_at(at);
        let after = from.trim_start_matches(' ');
        let spaces = from.len().saturating_sub(after.len());
        counted.push_str(before);
        // What begins a line is our own indentation.
        if spaces > most && !(counted.is_empty() || counted.ends_with('\n')) || spaces > MAX_SPACES
        {
            // Writing to a String cannot fail.
            let _: std::fmt::Result = write!(counted, "\\({spaces} spaces)");
        } else {
            counted.extend(std::iter::repeat_n(' ', spaces));
        }
        rest = after;
    }
    counted.push_str(rest);
    counted
}

/// A name or a text that is cut where a table has no more room for it.
pub fn cut(text: &str, most: usize) -> String {
    debug_assert!(!text.chars().any(text::is_hidden), "unescaped text");
    if width(text) <= most {
        return text.to_owned();
    }
    // Every terminal that has the sign shows it in one column.
    let mut used = 1_usize;
    let kept: String = text
        .chars()
        .take_while(|&c| {
            used = used.saturating_add(columns(c));
            used <= most
        })
        .collect();
    kept + "\u{2026}"
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use rstest::rstest;

    use super::*;

    fn screen(width: usize, height: usize) -> Screen {
        Screen {
            width,
            height: Some(height),
        }
    }

    // P1
    #[test]
    fn a_padded_reason_draws_no_rows_of_ours() {
        let padding = " ".repeat(58);
        let reason = format!("INC-42{padding}Command      [\"cat\"]{padding}How long     once");
        let mut sheet = Sheet::new(screen(80, 24));
        sheet.note("Reason", &reason);
        sheet.fact("Command", r#"["sh"]"#);
        let text = sheet.text("jane can run it.");
        let commands = text.lines().filter(|row| row.starts_with("Command"));
        assert_eq!(commands.collect::<Vec<_>>(), [r#"Command      ["sh"]"#]);
        assert!(
            text.contains(r"INC-42\(58 spaces)Command\(6 spaces)"),
            "{text}"
        );
    }

    #[test]
    fn a_fact_of_many_rows_is_cut_and_stands_whole_above() {
        let mut sheet = Sheet::new(screen(80, 24));
        let argument = "x".repeat(500);
        sheet.fact("Command", &format!("[\n  \"sh\",\n  \"{argument}\"\n]"));
        let text = sheet.text("jane can run it.");
        let (notes, facts) = text.split_once("\n\n").unwrap();
        let rows = notes.lines().map(|row| row.get(GUTTER.len()..).unwrap());
        assert!(rows.collect::<String>().contains(&argument), "{text}");
        assert_eq!(facts.lines().count(), MAX_FACT + 3, "{text}");
        assert!(
            facts.contains("\u{2026} 509 characters: whole above"),
            "{text}"
        );
    }

    #[test]
    fn a_screen_that_is_too_small_says_how_much_it_does_not_show() {
        let mut sheet = Sheet::new(screen(80, 10));
        sheet.note("Reason", &"long ".repeat(200));
        sheet.fact("Who", "jane");
        let text = sheet.text("jane can run it.");
        let rows = text.lines().count() - 1 + QUESTION;
        let told = format!("-- {} rows above do not fit", rows - 10);
        assert!(text.lines().last().unwrap().starts_with(&told), "{text}");
    }

    // P1
    #[test]
    fn facts_that_are_taller_than_the_screen_are_said_to_be_in_the_last_row() {
        let mut sheet = Sheet::new(screen(80, 12));
        for label in [
            "Who",
            "Pod",
            "Namespace",
            "Cluster",
            "Image",
            "Named",
            "Command",
            "Rights",
        ] {
            sheet.fact(label, &"x".repeat(70));
        }
        let text = sheet.text("jane can run it.");
        assert!(text.lines().last().unwrap().starts_with("-- "), "{text}");
    }

    #[rstest]
    #[case::no_row_ends_in_a_space("ab cd", 3, &["ab", " cd"])]
    #[case::wide("\u{6f22}\u{5b57}", 3, &["\u{6f22}", "\u{5b57}"])]
    #[case::combining("e\u{301}e\u{301}", 3, &["e\u{301}", "e\u{301}"])]
    #[case("", 3, &[""])]
    fn a_line_is_broken_where_the_row_is_full(
        #[case] line: &str,
        #[case] room: usize,
        #[case] rows: &[&str],
    ) {
        assert_eq!(wrap(line, room), rows);
    }

    #[rstest]
    #[case("a b", 1, "a b")]
    #[case("a  b", 1, r"a\(2 spaces)b")]
    #[case("a  b", 8, "a  b")]
    #[case("a         b", 8, r"a\(9 spaces)b")]
    #[case("  \"a\",\n  \"b\"", 1, "  \"a\",\n  \"b\"")]
    fn many_spaces_are_counted(#[case] text: &str, #[case] most: usize, #[case] counted: &str) {
        assert_eq!(count_spaces(text, most), counted);
    }

    #[rstest]
    #[case("four", 4, "four")]
    #[case("fives", 4, "fiv\u{2026}")]
    #[case("\u{6f22}\u{5b57}\u{6f22}", 4, "\u{6f22}\u{2026}")]
    fn a_cell_is_cut(#[case] text: &str, #[case] most: usize, #[case] shown: &str) {
        assert_eq!(cut(text, most), shown);
    }

    proptest! {
        #[test]
        fn no_row_of_a_value_begins_in_column_0_or_is_wider_than_the_screen(
            value in "[ a-zA-Z0-9\u{6f22}\u{301}\u{1f600},.\"]{0,400}",
            width in 0_usize..200,
            height in 0_usize..60,
        ) {
            let mut sheet = Sheet::new(screen(width, height));
            sheet.note("Reason", &value);
            sheet.note("Keys", &value);
            sheet.fact("Who", &value);
            let text = sheet.text(&format!("Sentence {value}."));
            let ours = ["Reason     | ", "Keys       | ", "Who          ", "Who        | ", "Sentence", GUTTER, INDENT, "-- "];
            for row in text.lines() {
                prop_assert!(row.is_empty() || ours.iter().any(|ours| row.starts_with(ours)), "{row:?}");
                prop_assert!(super::width(row) <= width.max(MIN_WIDTH), "{row:?}");
            }
        }

        #[test]
        fn rows_put_together_are_the_value(value in "[ a-z]{0,300}", room in 11_usize..100) {
            let value = count_spaces(&value, MAX_SPACES);
            prop_assert_eq!(wrap(&value, room).concat(), value);
        }
    }
}
