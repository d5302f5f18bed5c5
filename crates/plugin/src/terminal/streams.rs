//! What a verb reads from and writes to.

use std::cell::Cell;
use std::io::{self, BufRead, Write};

use jiff::Zoned;

use crate::terminal::keyboard::Keyboard;
use crate::terminal::screen::{Reader, Screen};

/// Lets somebody choose among lines, under their titles: the places of those that she chose, none
/// where she thought better of it.
pub type Pick = dyn Fn(&str, &[String]) -> io::Result<Vec<usize>>;

/// What became of a question.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reply {
    /// A yes of now.
    Yes,
    /// Anything else.
    No,
    /// A yes to what is drawn otherwise by now: the screen became smaller.
    Shrank,
    /// There is no terminal at which somebody could read the question and answer it.
    NobodyAsked,
}

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
    /// The size of what is read on, now.
    pub screen: &'a dyn Fn() -> Screen,
    /// What the last summary was drawn for.
    pub drawn: Cell<Option<Screen>>,
    /// Where somebody can read a question and type its answer. A pipe cannot.
    pub keyboard: Option<&'a dyn Keyboard>,
    /// Where somebody can choose by keys. Elsewhere numbers are typed.
    pub pick: Option<&'a Pick>,
    /// The time, in the time zone of whoever reads.
    pub now: Zoned,
}

impl Terminal<'_> {
    /// For whom a summary is drawn.
    pub fn reader<'c>(&self, cluster: &'c str) -> Reader<'c> {
        Reader {
            screen: self.draws(),
            cluster,
        }
    }

    /// The screen that something is drawn for, which must not shrink before it is answered.
    pub fn draws(&self) -> Screen {
        let screen = (self.screen)();
        self.drawn.set(Some(screen));
        screen
    }

    /// How wide a row of the output may be, where it is read on a terminal.
    pub fn columns(&self) -> Option<usize> {
        self.shown.then(|| (self.screen)().width)
    }

    /// Whether the screen became smaller since something was drawn on it: what a terminal breaks anew
    /// then begins rows in column 0.
    fn shrank(&self) -> bool {
        let (Some(drawn), now) = (self.drawn.get(), (self.screen)()) else {
            return false;
        };
        now.width < drawn.width
            || now
                .height
                .zip(drawn.height)
                .is_some_and(|(now, drawn)| now < drawn)
    }

    /// Asks, and takes nothing but `y` or `Y` for a yes: not the end of the input, nothing that was
    /// typed before the question, and no paste. Where there is no keyboard nobody is asked.
    ///
    /// # Errors
    /// When a stream fails.
    pub fn ask(&mut self, question: &str) -> io::Result<Reply> {
        let Some(keyboard) = self.keyboard else {
            return Ok(Reply::NobodyAsked);
        };
        self.out.flush()?;
        keyboard.settle()?;
        keyboard.mark_pastes(true)?;
        let answer = self.ask_for(question);
        keyboard.mark_pastes(false)?;
        Ok(match answer?.as_str() {
            "y" | "Y" if self.shrank() => Reply::Shrank,
            "y" | "Y" => Reply::Yes,
            _ => Reply::No,
        })
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

    /// Somebody who typed nothing before.
    struct Quiet;

    impl Keyboard for Quiet {
        fn settle(&self) -> io::Result<()> {
            Ok(())
        }

        fn mark_pastes(&self, _marked: bool) -> io::Result<()> {
            Ok(())
        }
    }

    fn asked(typed: &str, keyboard: Option<&dyn Keyboard>) -> (Reply, String) {
        let mut out = Vec::new();
        let (err, input) = (&mut io::sink(), &mut typed.as_bytes());
        let mut terminal = Terminal {
            out: &mut out,
            err,
            input,
            shown: false,
            watched: false,
            screen: &|| Screen::PIPE,
            drawn: Cell::default(),
            keyboard,
            pick: None,
            now: Zoned::default(),
        };
        let reply = terminal.ask("Sure ([yN])?").unwrap();
        (reply, String::from_utf8(out).unwrap())
    }

    #[rstest]
    #[case("y\n", Reply::Yes)]
    #[case("Y\n", Reply::Yes)]
    #[case("y", Reply::Yes)]
    #[case("y\r\n", Reply::Yes)]
    #[case("", Reply::No)]
    #[case("\n", Reply::No)]
    #[case("n\n", Reply::No)]
    #[case("yes\n", Reply::No)]
    #[case("yy\n", Reply::No)]
    #[case("n\ny\n", Reply::No)]
    #[case::pasted("\u{1b}[200~y\u{1b}[201~\n", Reply::No)]
    fn only_a_y_is_a_yes(#[case] typed: &str, #[case] reply: Reply) {
        let (asked, out) = asked(typed, Some(&Quiet));
        assert_eq!(asked, reply);
        assert!(out.starts_with("Sure ([yN])? "), "{out}");
    }

    // P1
    #[rstest]
    #[case::the_same((80, 24), Reply::Yes)]
    #[case::larger((200, 50), Reply::Yes)]
    #[case::narrower((79, 24), Reply::Shrank)]
    #[case::lower((80, 12), Reply::Shrank)]
    fn a_yes_is_for_what_was_drawn_and_not_for_what_a_smaller_screen_makes_of_it(
        #[case] (width, height): (usize, usize),
        #[case] expected: Reply,
    ) {
        let screen = Cell::new(Screen {
            width: 80,
            height: Some(24),
        });
        let mut terminal = Terminal {
            out: &mut io::sink(),
            err: &mut io::sink(),
            input: &mut "y\n".as_bytes(),
            shown: true,
            watched: true,
            screen: &|| screen.get(),
            drawn: Cell::default(),
            keyboard: Some(&Quiet),
            pick: None,
            now: Zoned::default(),
        };
        terminal.reader("");
        screen.set(Screen {
            width,
            height: Some(height),
        });
        assert_eq!(terminal.ask("Sure ([yN])?").unwrap(), expected);
    }

    #[test]
    fn a_pipe_is_asked_nothing_and_answers_nothing() {
        assert_eq!(asked("y\n", None), (Reply::NobodyAsked, String::new()));
    }
}
