//! What is typed, by whom, what is shown, and what should have come of it.

use std::{
    io::{self, Write},
    thread,
    time::Duration,
};

use run::story::{End, StoryError};

use crate::{
    recording::{Kind, Recording},
    screen::Screen,
    stage::{Person, Stage},
    terminal::Terminal,
};

/// How fast people type, in a recording.
const KEY: Duration = Duration::from_millis(22);
/// How long they read, in a recording.
const READING: Duration = Duration::from_millis(1200);

/// Tells one story.
pub(crate) struct Teller<'a, W> {
    stage: &'a Stage,
    to: &'a mut W,
    recording: Recording,
    /// Whether people take their time.
    is_recorded: bool,
    /// What was said last.
    step: String,
}

/// A command that somebody has typed.
pub(crate) struct Typed {
    who: Person,
    line: String,
    terminal: Terminal,
}

impl<'a, W: Write> Teller<'a, W> {
    pub(crate) fn new(stage: &'a Stage, to: &'a mut W, is_recorded: bool) -> Self {
        let recording = Recording::new();
        for person in Person::ALL {
            recording.add(person, Kind::Prompt, "$ ");
        }
        Self {
            stage,
            to,
            recording,
            is_recorded,
            step: String::new(),
        }
    }

    /// What happened so far.
    pub(crate) fn recording(&self) -> Recording {
        self.recording.clone()
    }

    /// Tells what happens next.
    pub(crate) fn say(&mut self, text: &str) -> Result<(), StoryError> {
        text.clone_into(&mut self.step);
        writeln!(self.to, "# {text}").map_err(|source| StoryError::Play {
            command: text.to_owned(),
            source,
        })
    }

    /// Somebody types a line, and it ends as it should; answers with what it said.
    pub(crate) fn runs(
        &mut self,
        who: Person,
        line: &str,
        end: End<'_>,
    ) -> Result<String, StoryError> {
        let typed = self.types(who, line)?;
        self.ends(typed, end)
    }

    /// Somebody types a line, and it runs.
    pub(crate) fn types(&mut self, who: Person, line: &str) -> Result<Typed, StoryError> {
        let failed = |source| StoryError::Play {
            command: line.to_owned(),
            source,
        };
        if self.is_recorded {
            thread::sleep(READING);
            for key in line.chars() {
                self.recording
                    .add(who, Kind::Typed, key.encode_utf8(&mut [0; 4]));
                thread::sleep(KEY);
            }
        } else {
            self.recording.add(who, Kind::Typed, line);
        }
        self.recording.add(who, Kind::Typed, "\n");
        writeln!(self.to, "{}$ {line}", who.name()).map_err(failed)?;
        let recording = self.recording.clone();
        let tell = move |piece: &str| recording.add(who, Kind::Said, piece);
        let terminal =
            Terminal::start(self.stage.desk(who).command("script"), line, tell).map_err(failed)?;
        Ok(Typed {
            who,
            line: line.to_owned(),
            terminal,
        })
    }

    /// Waits for the end of a command, and checks it.
    pub(crate) fn ends(&mut self, typed: Typed, end: End<'_>) -> Result<String, StoryError> {
        let Typed {
            who,
            line,
            terminal,
        } = typed;
        let failed = |source: io::Error| StoryError::Play {
            command: line.clone(),
            source,
        };
        let (status, said) = terminal.end().map_err(failed)?;
        self.recording.add(who, Kind::Prompt, "$ ");
        writeln!(self.to, "{}\n", as_it_looks(&said)).map_err(failed)?;
        end.check(&self.step, &line, status, said)
    }
}

impl Typed {
    /// Waits for a question, and types an answer.
    pub(crate) fn answers(&mut self, question: &str, answer: &str) -> Result<(), StoryError> {
        self.terminal.until(|said| said.contains(question));
        self.terminal
            .types(answer)
            .map_err(|source| StoryError::Play {
                command: self.line.clone(),
                source,
            })
    }

    /// Waits until it has said this; answers with the word after it.
    pub(crate) fn says(&mut self, text: &str) -> Result<String, StoryError> {
        let word = |said: &str| {
            let (_, after) = said.split_once(text)?;
            // It may not have come whole.
            let (word, _) = after.trim_start().split_once(char::is_whitespace)?;
            Some(word.to_owned())
        };
        self.terminal.until(|said| word(said).is_some());
        word(&self.terminal.said).ok_or_else(|| StoryError::NoName {
            output: self.terminal.said.clone(),
        })
    }
}

/// What stays of an output on a wide terminal.
fn as_it_looks(said: &str) -> String {
    let mut screen = Screen::new(usize::MAX);
    screen.write(Duration::ZERO, Kind::Said, said);
    let rows: Vec<String> = screen
        .rows()
        .iter()
        .map(|row| row.text().trim_end().to_owned())
        .collect();
    rows.join("\n").trim_end().to_owned()
}
