//! The story as an SVG: both terminals as they are at the end, and, where styles are animated, how
//! that came about.
//!
//! It plays once and then stays. Whoever wants no motion, or has no CSS, sees the end at once.

use std::{fmt::Write as _, time::Duration};

use crate::{
    recording::{Event, Kind, Recording},
    screen::{Screen, Span},
    stage::Person,
    terminal::COLUMNS,
};

/// Of the letters, in pixels; a monospaced one is 0.6 of that wide.
const SIZE: usize = 14;
const LETTER: f64 = 8.4;
const LINE: usize = 19;
const MARGIN: usize = 16;
const TITLE: usize = 32;
const GAP: usize = 14;

const STYLE: &str = "
.window{fill:#fff;stroke:#d0d7de}.title{font:600 13px sans-serif;fill:#57606a}
text{white-space:pre}.terminal{font:14px ui-monospace,SFMono-Regular,Menlo,Consolas,'DejaVu Sans Mono','Liberation Mono',monospace}
.said{fill:#24292f}.prompt{fill:#116329;font-weight:700}.typed{fill:#0550ae}.past{fill:#57606a;opacity:0}
@media(prefers-color-scheme:dark){.window{fill:#0d1117;stroke:#30363d}.title{fill:#8b949e}
.said{fill:#e6edf3}.prompt{fill:#3fb950}.typed{fill:#79c0ff}.past{fill:#8b949e}}
.said,.prompt{animation:appear 40ms linear backwards}.typed{animation:type linear backwards}.past{animation:stay linear}
@keyframes appear{from{opacity:0}to{opacity:1}}
@keyframes type{from{clip-path:inset(0 100% 0 0)}to{clip-path:inset(0 0 0 0)}}
@keyframes stay{from,to{opacity:1}}
@media(prefers-reduced-motion:reduce){text{animation:none!important}}@media print{text{animation:none!important}}
";

const DESCRIPTION: &str = "jane's kubectl exec is refused, with the line that asks for it. She types it with --run, and it waits. \
On her own terminal amy lists what waits, and approves it. jane's command runs. The same once more is refused: it was for \
one use.";

/// The whole file.
pub(crate) fn svg(recording: &Recording) -> String {
    of_events(&recording.events())
}

fn of_events(events: &[Event]) -> String {
    let (mut windows, mut top) = (String::new(), 1_usize);
    let width = COLUMNS
        .saturating_mul(SIZE)
        .saturating_mul(6)
        .div_ceil(10)
        .saturating_add(MARGIN.saturating_mul(2));
    for person in Person::ALL {
        let mut screen = Screen::new(COLUMNS);
        for event in events.iter().filter(|event| event.on == person) {
            screen.write(event.at, event.kind, &event.text);
        }
        let height = screen
            .rows()
            .len()
            .saturating_mul(LINE)
            .saturating_add(TITLE)
            .saturating_add(MARGIN);
        windows.push_str(&window(&screen, person, top, width, height));
        top = top.saturating_add(height).saturating_add(GAP);
    }
    let (whole, height) = (
        width.saturating_add(2),
        top.saturating_sub(GAP).saturating_add(1),
    );
    format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {whole} {height}\" width=\"{whole}\" height=\"{height}\" \
         role=\"img\" aria-labelledby=\"title description\" xml:space=\"preserve\">\
         <title id=\"title\">kube-request-access: from refused to running</title>\
         <desc id=\"description\">{DESCRIPTION}</desc>\n<style>{STYLE}</style>\n{windows}</svg>\n"
    )
}

fn window(screen: &Screen, person: Person, top: usize, width: usize, height: usize) -> String {
    let baseline = top.saturating_add(21);
    let mut window = format!(
        "<rect class=\"window\" x=\"1\" y=\"{top}\" width=\"{width}\" height=\"{height}\" rx=\"8\"/>\
         <text class=\"title\" x=\"{MARGIN}\" y=\"{baseline}\">{}</text>\n<g class=\"terminal\">\n",
        escaped(person.title())
    );
    let first = top.saturating_add(TITLE).saturating_add(SIZE);
    let line = |row: usize| first.saturating_add(row.saturating_mul(LINE));
    for (row, content) in screen.rows().iter().enumerate() {
        content
            .spans()
            .iter()
            .for_each(|span| push(&mut window, span, line(row), None));
    }
    for vanished in screen.vanished() {
        vanished
            .spans
            .iter()
            .for_each(|span| push(&mut window, span, line(vanished.row), Some(vanished.at)));
    }
    window.push_str("</g>\n");
    window
}

/// A piece of text, that is there from its time on, or until it vanished.
fn push(to: &mut String, span: &Span, y: usize, until: Option<Duration>) {
    let seconds = |time: Duration| format!("{:.2}s", time.as_secs_f64());
    let (class, lasts) = match (span.kind, until) {
        (_, Some(until)) => ("past", Some(until.saturating_sub(span.from))),
        (Kind::Prompt, None) => ("prompt", None),
        (Kind::Said, None) => ("said", None),
        (Kind::Typed, None) => ("typed", Some(span.to.saturating_sub(span.from))),
    };
    let mut style = format!("animation-delay:{}", seconds(span.from));
    if let Some(lasts) = lasts {
        // Writing into a String does not fail.
        let _: std::fmt::Result = write!(
            style,
            ";animation-duration:{}",
            seconds(lasts.max(Duration::from_millis(10)))
        );
    }
    let column = u32::try_from(span.column).unwrap_or_default();
    let x = f64::from(u32::try_from(MARGIN).unwrap_or_default()) + f64::from(column) * LETTER;
    let text = escaped(&span.text);
    let _: std::fmt::Result = writeln!(
        to,
        "<text class=\"{class}\" x=\"{x:.1}\" y=\"{y}\" style=\"{style}\">{text}</text>"
    );
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_stays_is_visible_without_animation_and_what_vanished_is_not() {
        let event = |milliseconds, kind, text: &str| Event {
            at: Duration::from_millis(milliseconds),
            on: Person::Jane,
            kind,
            text: text.to_owned(),
        };
        let svg = of_events(&[
            event(0, Kind::Prompt, "$ "),
            event(500, Kind::Typed, "a"),
            event(600, Kind::Typed, "<b\n"),
            event(1000, Kind::Said, "waiting"),
            event(3000, Kind::Said, "\rgranted\r\n"),
        ]);
        assert!(
            svg.contains(
                r#"<text class="prompt" x="16.0" y="47" style="animation-delay:0.00s">$</text>"#
            ),
            "{svg}"
        );
        let typed = r#"<text class="typed" x="32.8" y="47" style="animation-delay:0.50s;animation-duration:0.10s">a&lt;b</text>"#;
        assert!(svg.contains(typed), "{svg}");
        assert!(svg.contains(
            r#"class="past" x="16.0" y="66" style="animation-delay:1.00s;animation-duration:2.00s">waiting<"#
        ));
        assert!(
            svg.contains(r#"class="said" x="16.0" y="66" style="animation-delay:3.00s">granted<"#),
            "{svg}"
        );
        assert!(svg.contains(".past{fill:#57606a;opacity:0}"));
    }
}
