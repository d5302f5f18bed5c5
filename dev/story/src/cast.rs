//! asciicast v2: both terminals, one above the other, on one.

use std::fmt::Write as _;

use serde_json::json;

use crate::{
    recording::{Event, Kind, Recording},
    screen::{Row, Screen},
    stage::Person,
    terminal::COLUMNS,
};

const BOLD_GREEN: &str = "\u{1b}[1;32m";
const BOLD: &str = "\u{1b}[1m";
const INVERSE: &str = "\u{1b}[7m";
const PLAIN: &str = "\u{1b}[0m";

/// Somebody's terminal, as it is at the end, and the line of the whole where it begins.
struct Pane {
    screen: Screen,
    top: usize,
}

/// The whole file.
pub(crate) fn cast(recording: &Recording) -> String {
    of_events(&recording.events())
}

fn of_events(events: &[Event]) -> String {
    let heights = Person::ALL.map(|person| height(events, person));
    let mut next = 0_usize;
    let mut panes = heights.map(|height| {
        // A title, and an empty line below.
        let top = next.saturating_add(1);
        next = top.saturating_add(height).saturating_add(1);
        Pane {
            screen: Screen::new(COLUMNS),
            top,
        }
    });
    let header = json!({
        "version": 2, "width": COLUMNS, "height": next, "title": "kube-request-access: from refused to running",
        "env": {"TERM": "xterm-256color"},
    });
    let mut lines = vec![header.to_string()];
    let titles = panes
        .iter()
        .zip(Person::ALL)
        .map(|(pane, person)| title(pane, person));
    lines.push(json!([0.0, "o", format!("\u{1b}[2J{}", titles.collect::<String>())]).to_string());
    for event in events {
        let pane = panes
            .iter_mut()
            .zip(Person::ALL)
            .find(|(_, person)| *person == event.on);
        let Some((pane, _)) = pane else { continue };
        let changed = pane.screen.write(event.at, event.kind, &event.text);
        let mut output = String::new();
        for row in changed {
            output.push_str(&at(pane.top.saturating_add(row), 0));
            output.push_str(
                &pane
                    .screen
                    .rows()
                    .get(row)
                    .map(coloured)
                    .unwrap_or_default(),
            );
            output.push_str("\u{1b}[K");
        }
        let (row, column) = pane.screen.cursor();
        output.push_str(&at(pane.top.saturating_add(row), column));
        let milliseconds = (event.at.as_secs_f64() * 1000.0).round() / 1000.0;
        lines.push(json!([milliseconds, "o", output]).to_string());
    }
    lines.push(String::new());
    lines.join("\n")
}

fn height(events: &[Event], person: Person) -> usize {
    let mut screen = Screen::new(COLUMNS);
    for event in events.iter().filter(|event| event.on == person) {
        screen.write(event.at, event.kind, &event.text);
    }
    screen.rows().len()
}

fn title(pane: &Pane, person: Person) -> String {
    let text = format!(" {}", person.title());
    format!(
        "{}{INVERSE}{text:COLUMNS$}{PLAIN}",
        at(pane.top.saturating_sub(1), 0)
    )
}

/// Moves the cursor; both count from 0.
fn at(row: usize, column: usize) -> String {
    format!(
        "\u{1b}[{};{}H",
        row.saturating_add(1),
        column.saturating_add(1)
    )
}

fn coloured(row: &Row) -> String {
    let (mut text, mut column) = (String::new(), 0_usize);
    for span in row.spans() {
        let blanks = span.column.saturating_sub(column);
        let colour = match span.kind {
            Kind::Prompt => BOLD_GREEN,
            Kind::Typed => BOLD,
            Kind::Said => "",
        };
        let plain = if colour.is_empty() { "" } else { PLAIN };
        // Writing into a String does not fail.
        let _: std::fmt::Result = write!(text, "{:blanks$}{colour}{}{plain}", "", span.text);
        column = span.column.saturating_add(span.text.chars().count());
    }
    text
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use serde_json::Value;

    use super::*;

    #[test]
    fn amys_terminal_is_below_janes() {
        let event = |milliseconds, on, kind, text: &str| Event {
            at: Duration::from_millis(milliseconds),
            on,
            kind,
            text: text.to_owned(),
        };
        let cast = of_events(&[
            event(100, Person::Jane, Kind::Prompt, "$ "),
            event(200, Person::Jane, Kind::Typed, "ls\n"),
            event(300, Person::Jane, Kind::Said, "etc\r\n"),
            event(400, Person::Amy, Kind::Said, "x"),
        ]);
        let lines: Vec<Value> = cast
            .lines()
            .map(|line| serde_json::from_str(line).unwrap())
            .collect();
        assert_eq!(
            (
                &lines[0]["version"],
                &lines[0]["width"],
                &lines[0]["height"]
            ),
            (&json!(2), &json!(COLUMNS), &json!(8))
        );
        assert_eq!(
            lines[3],
            json!([
                0.2,
                "o",
                "\u{1b}[2;1H\u{1b}[1;32m$\u{1b}[0m \u{1b}[1mls\u{1b}[0m\u{1b}[K\u{1b}[3;1H"
            ])
        );
        assert_eq!(lines[4][2], "\u{1b}[3;1Hetc\u{1b}[K\u{1b}[4;1H");
        assert_eq!(lines[5][2], "\u{1b}[7;1Hx\u{1b}[K\u{1b}[7;2H");
    }
}
