//! Requests in a table, as kubectl lays one out.

use anstyle::{AnsiColor, Style};
use api::{AccessRequest, Phase};
use jiff::Timestamp;
use kube::ResourceExt;

use crate::ask::secrets;
use crate::describe::summary;
use crate::describe::words;
use crate::terminal::screen::{Screen, count_spaces, cut};
use crate::terminal::times;
use decide::text::safe_word;

/// Columns that a command takes at the most, where people only look.
const COMMAND: usize = 40;
/// Columns that a command takes at the most where people choose. It is shown whole before they decide.
const LONG_COMMAND: usize = 100;
/// Columns that any other cell takes at the most: a long name leaves room for the rest of its row.
const CELL: usize = 63;

/// What the table shows.
#[derive(Debug, Clone, Copy)]
pub struct Layout {
    /// The namespaces are named.
    pub namespaces: bool,
    /// For whom it is.
    pub form: Form,
    /// Columns of the terminal that it is read on: a row that were longer would begin a row of its own,
    /// which looks like one of ours. `None`: it goes elsewhere.
    pub width: Option<usize>,
}

/// For whom a table is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form {
    /// For whoever looks: long commands are cut, and what looks like a password is masked.
    Short,
    /// The same, and nothing is cut.
    Wide,
    /// For whoever chooses: passwords are shown, and each row has a number.
    Numbered,
    /// The same without numbers.
    Picked,
}

/// The titles, and the rows that somebody picks from, without colours: whatever draws them has its
/// own.
pub fn rows_to_pick(
    groups: &[Vec<AccessRequest>],
    namespaces: bool,
    now: Timestamp,
) -> (String, Vec<String>) {
    let (_, text) = Table::of(
        groups,
        Layout {
            namespaces,
            form: Form::Picked,
            width: None,
        },
        now,
    );
    let plain = anstream::adapter::strip_str(&text).to_string();
    let mut lines = plain.lines().map(str::to_owned);
    (lines.next().unwrap_or_default(), lines.collect())
}

/// A table, and how wide its columns are.
pub struct Table {
    layout: Layout,
    counted: bool,
    widths: Vec<usize>,
}

/// A cell, and whether it stands out. Every text in it is printable ASCII, but for the `…` of a cut
/// and the `×` of a count.
struct Cell {
    text: String,
    style: Style,
}

impl From<String> for Cell {
    fn from(text: String) -> Self {
        Self {
            text,
            style: Style::new(),
        }
    }
}

impl Table {
    /// The table of these requests, those that are the same in one row, and its text.
    pub fn of(groups: &[Vec<AccessRequest>], layout: Layout, now: Timestamp) -> (Self, String) {
        Self::begin(groups, layout, false, now)
    }

    /// The same where [`rows`](Self::rows) follow, and some may be `counted` that are the same.
    pub fn begin(
        groups: &[Vec<AccessRequest>],
        layout: Layout,
        counted: bool,
        now: Timestamp,
    ) -> (Self, String) {
        let mut table = Self {
            layout,
            counted: counted || groups.iter().any(|group| group.len() > 1),
            widths: Vec::new(),
        };
        let titles = table.titles();
        let text = table.laid_out(Some(titles), groups, now);
        (table, text)
    }

    /// More rows, below the others. Columns grow where they must.
    pub fn rows(&mut self, groups: &[Vec<AccessRequest>], now: Timestamp) -> String {
        self.laid_out(None, groups, now)
    }

    fn laid_out(
        &mut self,
        titles: Option<Vec<Cell>>,
        groups: &[Vec<AccessRequest>],
        now: Timestamp,
    ) -> String {
        let rows = groups
            .iter()
            .enumerate()
            .map(|(at, group)| self.row(at, group, now));
        let rows: Vec<Vec<Cell>> = titles.into_iter().chain(rows).collect();
        let before = self.widths.iter().copied().chain(std::iter::repeat(0));
        let widths = widths(&rows).into_iter().zip(before);
        let widths: Vec<usize> = widths.map(|(new, before)| new.max(before)).collect();
        if !widths.is_empty() {
            self.widths = widths;
        }
        rows.iter().map(|row| self.fitted(row)).collect()
    }

    /// One more row, below the others.
    pub fn line(&self, request: &AccessRequest, now: Timestamp) -> String {
        self.fitted(&self.row(0, std::slice::from_ref(request), now))
    }

    /// A row on the terminal. What nothing is cut of goes on behind a gutter; else it is cut.
    fn fitted(&self, row: &[Cell]) -> String {
        let whole = line(row, &self.widths);
        let plain = anstream::adapter::strip_str(&whole).to_string();
        let plain = plain.trim_end();
        match self.layout.width {
            // The last column is left free: some terminals begin the next row there.
            Some(width) if plain.chars().count() >= width => match self.layout.form {
                Form::Wide => {
                    let screen = Screen {
                        width: width.saturating_sub(1),
                        height: None,
                    };
                    screen.broken(plain).join("\n") + "\n"
                }
                Form::Short | Form::Numbered | Form::Picked => {
                    cut(plain, width.saturating_sub(1)) + "\n"
                }
            },
            Some(_) | None => whole,
        }
    }

    fn titles(&self) -> Vec<Cell> {
        let title = |title: &str| Cell::from(title.to_owned());
        let count = self.counted.then(|| title("COUNT"));
        let after = ["FOR", "STATUS", "AGE"]
            .map(title)
            .into_iter()
            .chain(count)
            .collect();
        let mut titles = self.columns(
            ["NAME", "USER", "TARGET", "CONTAINER"].map(title).into(),
            title("COMMAND"),
            after,
        );
        if self.layout.namespaces {
            titles.insert(0, title("NAMESPACE"));
        }
        if self.layout.form == Form::Numbered {
            titles.insert(0, title("#"));
        }
        titles
    }

    fn row(&self, at: usize, group: &[AccessRequest], now: Timestamp) -> Vec<Cell> {
        let Some(request) = group.first() else {
            return Vec::new();
        };
        let before = [
            safe_word(&request.name_any()),
            words::user(request),
            summary::target(request),
            summary::container(request),
        ];
        let before = before.map(|text| self.cell(text)).into();
        let count = if group.len() > 1 {
            format!("×{}", group.len())
        } else {
            String::new()
        };
        let state = Cell {
            text: summary::state(request, now),
            style: style(request),
        };
        let after = [
            summary::validity(request).into(),
            state,
            age(request, now).into(),
        ];
        let after = after
            .into_iter()
            .chain(self.counted.then(|| count.into()))
            .collect();
        let mut row = self.columns(before, self.command(request).into(), after);
        if self.layout.namespaces {
            row.insert(
                0,
                safe_word(&request.namespace().unwrap_or_default()).into(),
            );
        }
        if self.layout.form == Form::Numbered {
            row.insert(0, at.saturating_add(1).to_string().into());
        }
        row
    }

    fn cell(&self, text: String) -> Cell {
        match self.layout.form {
            Form::Wide => text.into(),
            Form::Short | Form::Numbered | Form::Picked => cut(&text, CELL).into(),
        }
    }

    /// A whole command may be long: then nothing stands behind it.
    fn columns(&self, before: Vec<Cell>, command: Cell, after: Vec<Cell>) -> Vec<Cell> {
        match self.layout.form {
            Form::Short | Form::Wide => before.into_iter().chain([command]).chain(after).collect(),
            Form::Numbered | Form::Picked => {
                before.into_iter().chain(after).chain([command]).collect()
            }
        }
    }

    fn command(&self, request: &AccessRequest) -> String {
        let masked = || AccessRequest {
            spec: secrets::masked(&request.spec),
            ..request.clone()
        };
        // Spaces would begin rows of their own on a narrower screen.
        let line = |request: &AccessRequest| count_spaces(&summary::command_line(request), 1);
        match self.layout.form {
            Form::Short => cut(&line(&masked()), COMMAND),
            Form::Wide => line(&masked()),
            Form::Numbered | Form::Picked => cut(&line(request), LONG_COMMAND),
        }
    }
}

fn style(request: &AccessRequest) -> Style {
    match request.phase() {
        Phase::Pending => AnsiColor::Yellow.on_default(),
        Phase::Granted => AnsiColor::Green.on_default(),
        Phase::Denied => AnsiColor::Red.on_default(),
        Phase::Used | Phase::Expired => Style::new().dimmed(),
    }
}

fn widths(rows: &[Vec<Cell>]) -> Vec<usize> {
    let columns = rows.first().map(Vec::len).unwrap_or_default();
    let width = |column: usize| {
        rows.iter()
            .filter_map(|row| row.get(column))
            .map(|cell| cell.text.chars().count())
            .max()
    };
    (0..columns)
        .map(|column| width(column).unwrap_or_default())
        .collect()
}

/// Any rows, the first of them titles, laid out the same way.
pub fn plain(rows: &[Vec<String>]) -> String {
    let rows: Vec<Vec<Cell>> = rows
        .iter()
        .map(|row| row.iter().cloned().map(Cell::from).collect())
        .collect();
    let widths = widths(&rows);
    rows.iter().map(|row| line(row, &widths)).collect()
}

/// Columns stand three spaces apart, as kubectl's do.
fn line(row: &[Cell], widths: &[usize]) -> String {
    let cells: Vec<String> = row
        .iter()
        .zip(widths)
        .map(|(cell, &width)| padded(cell, width))
        .collect();
    cells.join("   ").trim_end().to_owned() + "\n"
}

fn padded(Cell { text, style }: &Cell, width: usize) -> String {
    let gap = " ".repeat(width.saturating_sub(text.chars().count()));
    format!("{style}{text}{style:#}{gap}")
}

fn age(request: &AccessRequest, now: Timestamp) -> String {
    let Some(created) = &request.metadata.creation_timestamp else {
        return "<unknown>".to_owned();
    };
    times::rough(
        now.duration_since(created.0)
            .max(jiff::SignedDuration::ZERO),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    // P16
    #[test]
    fn a_long_name_leaves_room_for_the_rest_of_its_row() {
        let named = |name: &str| AccessRequest::new(name, api::AccessRequestSpec::default());
        let groups = [vec![named(&"n".repeat(253))], vec![named("short")]];
        let text = |form| {
            let layout = Layout {
                namespaces: false,
                form,
                width: None,
            };
            Table::of(&groups, layout, Timestamp::UNIX_EPOCH).1
        };
        for form in [Form::Short, Form::Numbered, Form::Picked] {
            let shown = anstream::adapter::strip_str(&text(form)).to_string();
            assert!(
                shown.lines().all(|row| row.chars().count() < 160),
                "{shown}"
            );
        }
        assert!(text(Form::Wide).contains(&"n".repeat(253)));
    }

    // P1
    #[test]
    fn no_row_of_a_table_begins_another_on_the_terminal() {
        let named = |name: &str| AccessRequest::new(name, api::AccessRequestSpec::default());
        let groups = [vec![named(&"n".repeat(253))], vec![named("short")]];
        for form in [Form::Short, Form::Numbered, Form::Wide] {
            for width in 1..220 {
                let layout = Layout {
                    namespaces: false,
                    form,
                    width: Some(width),
                };
                let text = Table::of(&groups, layout, Timestamp::UNIX_EPOCH).1;
                let shown = anstream::adapter::strip_str(&text).to_string();
                let long = shown
                    .lines()
                    .find(|row| row.chars().count() > width.max(24));
                assert_eq!(long, None, "{form:?} {width}");
                let wide = shown
                    .lines()
                    .filter(|row| !row.starts_with("           | "));
                assert_eq!(wide.count(), 3, "{form:?} {width}: {shown}");
            }
        }
    }
}
