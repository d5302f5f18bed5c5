//! What a verb reads from and writes to.

use std::io::{self, BufRead, Write};

use jiff::Zoned;

/// Lets somebody choose among lines, under their titles: the places of those that she chose, none
/// where she thought better of it.
pub type Pick = dyn Fn(&str, &[String]) -> io::Result<Vec<usize>>;

/// The three streams of a verb: those of the process, or buffers in tests.
pub struct Terminal<'a> {
    /// What was asked for. Colours are written always, and stripped by the stream where they are
    /// not wanted.
    pub out: &'a mut dyn Write,
    /// Notes beside it.
    pub err: &'a mut dyn Write,
    /// Answers to questions.
    pub input: &'a mut dyn BufRead,
    /// Whether `out` is a terminal.
    pub shown: bool,
    /// Whether `err` is a terminal: somebody sees what takes so long.
    pub watched: bool,
    /// Where somebody can choose by keys. Elsewhere numbers are typed.
    pub pick: Option<&'a Pick>,
    /// The time, in the time zone of whoever reads.
    pub now: Zoned,
}

impl Terminal<'_> {
    /// Asks, and takes nothing but `y` or `Y` for a yes: not the end of the input either.
    ///
    /// # Errors
    /// When a stream fails.
    pub fn ask(&mut self, question: &str) -> io::Result<bool> {
        Ok(matches!(self.ask_for(question)?.as_str(), "y" | "Y"))
    }

    /// Asks, and takes a line for an answer. The end of the input is an empty one.
    ///
    /// # Errors
    /// When a stream fails.
    pub fn ask_for(&mut self, question: &str) -> io::Result<String> {
        write!(self.out, "{question} ")?;
        self.out.flush()?;
        let mut answer = String::new();
        self.input.read_line(&mut answer)?;
        if !answer.ends_with('\n') {
            writeln!(self.out)?;
        }
        Ok(answer.trim().to_owned())
    }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case("y\n", true)]
    #[case("Y\n", true)]
    #[case("y", true)]
    #[case("y\r\n", true)]
    #[case("", false)]
    #[case("\n", false)]
    #[case("n\n", false)]
    #[case("yes\n", false)]
    #[case("yy\n", false)]
    #[case("n\ny\n", false)]
    fn only_a_y_is_a_yes(#[case] typed: &str, #[case] yes: bool) {
        let mut out = Vec::new();
        let (err, input) = (&mut io::sink(), &mut typed.as_bytes());
        let now = Zoned::default();
        let mut terminal = Terminal {
            out: &mut out,
            err,
            input,
            shown: false,
            watched: false,
            pick: None,
            now,
        };
        assert_eq!(terminal.ask("Sure ([yN])?").unwrap(), yes);
        assert!(out.starts_with(b"Sure ([yN])? "));
    }
}
