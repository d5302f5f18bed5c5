//! A terminal that never scrolls, of which one knows when each character appeared, and what
//! vanished.

use std::{collections::BTreeSet, time::Duration};

use crate::recording::Kind;

/// A character on it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Cell {
    pub(crate) character: char,
    pub(crate) kind: Kind,
    pub(crate) since: Duration,
}

const BLANK: Cell = Cell {
    character: ' ',
    kind: Kind::Said,
    since: Duration::ZERO,
};

/// A line on it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Row {
    cells: Vec<Cell>,
    /// Whether what is being written over is in `vanished` already.
    is_kept: bool,
}

/// Neighbours of one kind.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Span {
    /// Of the first character.
    pub(crate) column: usize,
    pub(crate) kind: Kind,
    pub(crate) text: String,
    /// When its first character appeared.
    pub(crate) from: Duration,
    /// When its last one did.
    pub(crate) to: Duration,
}

/// A line that was there for a while.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Vanished {
    pub(crate) row: usize,
    pub(crate) spans: Vec<Span>,
    pub(crate) at: Duration,
}

/// See the module.
#[derive(Debug, Clone)]
pub(crate) struct Screen {
    columns: usize,
    rows: Vec<Row>,
    row: usize,
    column: usize,
    vanished: Vec<Vanished>,
    /// An escape sequence that has begun.
    escape: Option<String>,
}

impl Row {
    pub(crate) fn text(&self) -> String {
        self.cells.iter().map(|cell| cell.character).collect()
    }

    /// What is on it, without the blanks around.
    pub(crate) fn spans(&self) -> Vec<Span> {
        let mut spans: Vec<Span> = Vec::new();
        for (column, cell) in self.cells.iter().enumerate() {
            match spans.last_mut().filter(|span| span.kind == cell.kind) {
                Some(span) => {
                    span.text.push(cell.character);
                    span.to = span.to.max(cell.since);
                }
                None if cell.character == ' ' => {}
                None => spans.push(Span {
                    column,
                    kind: cell.kind,
                    text: cell.character.to_string(),
                    from: cell.since,
                    to: cell.since,
                }),
            }
        }
        for span in &mut spans {
            span.text.truncate(span.text.trim_end().len());
        }
        spans.retain(|span| !span.text.is_empty());
        spans
    }
}

impl Screen {
    /// An empty one.
    pub(crate) fn new(columns: usize) -> Self {
        Self {
            columns,
            rows: vec![Row::default()],
            row: 0,
            column: 0,
            vanished: Vec::new(),
            escape: None,
        }
    }

    /// All lines.
    pub(crate) fn rows(&self) -> &[Row] {
        &self.rows
    }

    /// What is there no more.
    pub(crate) fn vanished(&self) -> &[Vanished] {
        &self.vanished
    }

    /// Where the next character would appear: row and column.
    pub(crate) fn cursor(&self) -> (usize, usize) {
        (self.row, self.column)
    }

    /// Writes; answers with the rows that may have changed.
    pub(crate) fn write(&mut self, at: Duration, kind: Kind, text: &str) -> BTreeSet<usize> {
        let mut changed = BTreeSet::new();
        for character in text.chars() {
            if self.is_of_an_escape(character) {
                continue;
            }
            match character {
                '\u{1b}' => self.escape = Some(String::new()),
                '\n' => self.feed(),
                '\r' => self.return_to_start(),
                _ if character.is_control() => {}
                _ => {
                    if self.column >= self.columns {
                        self.feed();
                    }
                    self.put(
                        Cell {
                            character,
                            kind,
                            since: at,
                        },
                        at,
                    );
                    changed.insert(self.row);
                    self.column = self.column.saturating_add(1);
                }
            }
        }
        changed
    }

    /// Colours and the like are left out.
    fn is_of_an_escape(&mut self, character: char) -> bool {
        let Some(escape) = &mut self.escape else {
            return false;
        };
        let is_parameter = matches!(character, '[' | '?' | ';' | '0'..='9');
        if is_parameter {
            escape.push(character);
        } else {
            self.escape = None;
        }
        true
    }

    fn feed(&mut self) {
        self.row = self.row.saturating_add(1);
        self.column = 0;
        if self.row == self.rows.len() {
            self.rows.push(Row::default());
        }
    }

    /// Whatever is written over now is another line.
    fn return_to_start(&mut self) {
        self.column = 0;
        if let Some(row) = self.rows.get_mut(self.row) {
            row.is_kept = false;
        }
    }

    fn put(&mut self, cell: Cell, at: Duration) {
        let Some(row) = self.rows.get_mut(self.row) else {
            return;
        };
        if row.cells.len() <= self.column {
            row.cells.resize(self.column.saturating_add(1), BLANK);
        }
        let spans = row.spans();
        let Some(old) = row.cells.get_mut(self.column) else {
            return;
        };
        if (old.character, old.kind) == (cell.character, cell.kind) {
            return;
        }
        let overwrites = old.character != ' ';
        *old = cell;
        if overwrites && !row.is_kept {
            row.is_kept = true;
            // What stays of it belongs to the line that it is now.
            row.cells.iter_mut().for_each(|cell| cell.since = at);
            self.vanished.push(Vanished {
                row: self.row,
                spans,
                at,
            });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn texts(screen: &Screen) -> Vec<String> {
        screen.rows().iter().map(Row::text).collect()
    }

    #[test]
    fn long_lines_are_wrapped_and_colours_left_out() {
        let mut screen = Screen::new(4);
        screen.write(SECOND, Kind::Said, "ab\u{1b}[1");
        let changed = screen.write(SECOND, Kind::Said, ";32mcdef\r\ng");
        assert_eq!(texts(&screen), ["abcd", "ef", "g"]);
        assert_eq!(changed, BTreeSet::from([0, 1, 2]));
        assert_eq!(screen.cursor(), (2, 1));
    }

    #[test]
    fn what_is_written_over_is_remembered_once() {
        let mut screen = Screen::new(80);
        screen.write(SECOND, Kind::Said, "\rwaiting: 0s");
        screen.write(SECOND * 2, Kind::Said, "\r           \rgranted\n");
        assert_eq!(texts(&screen), ["granted    ", ""]);
        let [vanished] = screen.vanished() else {
            panic!("{:?}", screen.vanished())
        };
        assert_eq!((vanished.row, vanished.at), (0, SECOND * 2));
        assert_eq!(vanished.spans[0].text, "waiting: 0s");
        assert_eq!(screen.rows()[0].spans()[0].from, SECOND * 2);
    }

    #[test]
    fn a_line_that_counts_is_remembered_with_each_number() {
        let mut screen = Screen::new(80);
        for (second, text) in [(1, "\rwaited 0s"), (2, "\rwaited 1s"), (3, "\rwaited 2s")] {
            screen.write(SECOND * second, Kind::Said, text);
        }
        let seen = screen
            .vanished()
            .iter()
            .map(|line| (line.spans[0].text.as_str(), line.spans[0].from, line.at));
        let seen: Vec<(&str, Duration, Duration)> = seen.collect();
        assert_eq!(
            seen,
            [
                ("waited 0s", SECOND, SECOND * 2),
                ("waited 1s", SECOND * 2, SECOND * 3)
            ]
        );
        assert_eq!(screen.rows()[0].spans()[0].from, SECOND * 3);
    }

    #[test]
    fn neighbours_of_one_kind_are_one_span() {
        let mut screen = Screen::new(80);
        screen.write(Duration::ZERO, Kind::Prompt, "$ ");
        screen.write(SECOND, Kind::Typed, "l");
        screen.write(SECOND * 2, Kind::Typed, "s -l");
        let spans = screen.rows()[0].spans();
        let seen: Vec<(usize, &str)> = spans
            .iter()
            .map(|span| (span.column, span.text.as_str()))
            .collect();
        assert_eq!(seen, [(0, "$"), (2, "ls -l")]);
        assert_eq!((spans[1].from, spans[1].to), (SECOND, SECOND * 2));
    }
}
