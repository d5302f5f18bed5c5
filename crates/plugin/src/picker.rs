//! Choosing among lines with the keys of a terminal.

use std::env;
use std::io::{self, IsTerminal};

use anstream::{AutoStream, ColorChoice};
use inquire::MultiSelect;
use inquire::error::{InquireError, InquireResult};
use inquire::ui::RenderConfig;

/// What the picker writes before each line: the titles begin so far to the right.
const BEFORE: &str = "      ";
const HELP: &str =
    "up and down to move, space to choose, right for all, left for none, type to filter, enter when done";

/// Whether keys can be read, and what is drawn be seen.
pub fn is_usable() -> bool {
    let dumb = env::var_os("TERM").is_some_and(|term| term == "dumb");
    !dumb && io::stdin().is_terminal() && io::stderr().is_terminal()
}

/// Draws the lines on the standard error, and reads keys until some are chosen. Escape and Ctrl-C choose none.
///
/// # Errors
/// When the terminal fails.
pub fn pick(titles: &str, lines: &[&str]) -> io::Result<Vec<usize>> {
    let coloured = AutoStream::choice(&io::stderr()) != ColorChoice::Never;
    let config = if coloured { RenderConfig::default_colored() } else { RenderConfig::empty() };
    anstream::eprintln!("{BEFORE}{titles}");
    let chosen = MultiSelect::new("Which ones?", lines.to_vec())
        .with_render_config(config)
        .with_help_message(HELP)
        // Each is shown whole before it is granted.
        .with_formatter(&|chosen| chosen.len().to_string())
        .raw_prompt();
    places(chosen.map(|chosen| chosen.iter().map(|line| line.index).collect()))
}

fn places(chosen: InquireResult<Vec<usize>>) -> io::Result<Vec<usize>> {
    match chosen {
        Ok(places) => Ok(places),
        Err(InquireError::OperationCanceled | InquireError::OperationInterrupted) => Ok(Vec::new()),
        Err(InquireError::IO(error)) => Err(error),
        Err(error) => Err(io::Error::other(error)),
    }
}
