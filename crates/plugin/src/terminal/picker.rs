//! Choosing among lines with the keys of a terminal.

use std::env;
use std::io::{self, IsTerminal};

use anstream::{AutoStream, ColorChoice};
use inquire::MultiSelect;
use inquire::error::InquireError;
use inquire::ui::RenderConfig;
use terminal_size::{Height, Width};

/// What the picker writes before each line: the titles begin so far to the right.
const BEFORE: &str = "      ";
/// The lines around them: titles, question, help (two where the terminal is narrow), and the one
/// below.
const AROUND: usize = 5;
const HELP: &str = "space chooses, right all, left none; type to filter; enter when done";

/// Whether keys can be read, and what is drawn and asked be seen.
pub fn is_usable() -> bool {
    let dumb = env::var_os("TERM").is_some_and(|term| term == "dumb");
    !dumb && io::stdin().is_terminal() && io::stdout().is_terminal() && io::stderr().is_terminal()
}

/// Draws the lines on the standard error, and reads keys until some are chosen. Escape and Ctrl-C
/// choose none.
///
/// # Errors
/// When the terminal fails.
pub fn pick(titles: &str, lines: &[String]) -> io::Result<Vec<usize>> {
    let (width, height) = size();
    let coloured = AutoStream::choice(&io::stderr()) != ColorChoice::Never;
    let config = if coloured {
        RenderConfig::default_colored()
    } else {
        RenderConfig::empty()
    };
    anstream::eprintln!("{BEFORE}{}", cut(titles, width));
    // What does not fit on the screen cannot be drawn again. Each is shown whole before it is
    // granted.
    let chosen = MultiSelect::new(
        "Which ones?",
        lines.iter().map(|line| cut(line, width)).collect(),
    )
    .with_page_size(height)
    .with_render_config(config)
    .with_help_message(HELP)
    .with_formatter(&|chosen| chosen.len().to_string())
    .raw_prompt();
    match chosen {
        Ok(lines) => Ok(lines.into_iter().map(|line| line.index).collect()),
        Err(InquireError::OperationCanceled | InquireError::OperationInterrupted) => Ok(Vec::new()),
        Err(InquireError::IO(error)) => Err(error),
        Err(error) => Err(io::Error::other(error)),
    }
}

/// How long lines may be, and how many there may be at once.
fn size() -> (usize, usize) {
    let (Width(width), Height(height)) =
        terminal_size::terminal_size_of(io::stderr()).unwrap_or((Width(80), Height(24)));
    let (width, height) = (usize::from(width), usize::from(height));
    (
        width.saturating_sub(BEFORE.len()).max(1),
        height.saturating_sub(AROUND).max(1),
    )
}

/// Each character of a line is as wide as another.
fn cut(line: &str, width: usize) -> String {
    if line.chars().count() <= width {
        return line.to_owned();
    }
    line.chars()
        .take(width.saturating_sub(1))
        .chain(['\u{2026}'])
        .collect()
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case("four", 4, "four")]
    #[case("\u{d7}more than that", 4, "\u{d7}mo\u{2026}")]
    #[case("more", 1, "\u{2026}")]
    fn a_line_fits_the_terminal(#[case] line: &str, #[case] width: usize, #[case] fits: &str) {
        assert_eq!(cut(line, width), fits);
    }
}
