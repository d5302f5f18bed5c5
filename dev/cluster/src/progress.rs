//! What is being waited for, told to whoever watches: a spinner on a terminal, plain lines
//! elsewhere.

use std::io::IsTerminal;
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressStyle};

/// Where progress is told.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Progress {
    /// To standard error: a spinner on a terminal, a line at the end of each step elsewhere.
    #[default]
    Stderr,
    /// Nowhere.
    Silent,
}

/// How often the spinner moves and the elapsed time is drawn anew.
const TICK: Duration = Duration::from_millis(120);

impl Progress {
    /// Begins a step; it is over when the returned value is told so or dropped.
    pub fn step(self, text: &str) -> Step {
        let bar = (self == Self::Stderr && std::io::stderr().is_terminal()).then(|| spinner(text));
        Step {
            progress: self,
            text: text.to_owned(),
            bar,
            since: Instant::now(),
        }
    }

    /// Begins a step that may take minutes: announced also where nothing can be redrawn, or it
    /// would look like a hang.
    pub fn long_step(self, text: &str) -> Step {
        let step = self.step(text);
        if step.bar.is_none() {
            self.say(&format!("{text} …"));
        }
        step
    }

    /// Tells one line.
    pub fn say(self, line: &str) {
        if self == Self::Stderr {
            eprintln!("{line}");
        }
    }
}

fn spinner(text: &str) -> ProgressBar {
    let style = ProgressStyle::with_template("{spinner} {msg}  {elapsed}")
        .unwrap_or_else(|_| ProgressStyle::default_spinner());
    let bar = ProgressBar::new_spinner()
        .with_style(style)
        .with_message(text.to_owned());
    bar.enable_steady_tick(TICK);
    bar
}

/// Something that is being done. Dropped without [`Step::done`], it leaves no line behind.
#[derive(Debug)]
pub struct Step {
    progress: Progress,
    text: String,
    bar: Option<ProgressBar>,
    since: Instant,
}

impl Step {
    /// The step has succeeded; its duration is told and returned.
    pub fn done(self) -> Duration {
        let text = self.text.clone();
        self.done_as(&text)
    }

    /// Like [`done`](Self::done), told in other words.
    pub fn done_as(mut self, text: &str) -> Duration {
        let took = self.since.elapsed();
        self.clear();
        self.progress
            .say(&format!("{:>12}  {text}", readable(took)));
        took
    }

    fn clear(&mut self) {
        if let Some(bar) = self.bar.take() {
            bar.finish_and_clear();
        }
    }
}

impl Drop for Step {
    fn drop(&mut self) {
        self.clear();
    }
}

/// A duration for people: `0.4 s`, `12 s`, `5 min 14 s`.
pub(crate) fn readable(duration: Duration) -> String {
    match duration.as_secs() {
        0..10 => format!("{:.1} s", duration.as_secs_f64()),
        seconds @ 10..60 => format!("{seconds} s"),
        seconds => format!("{} min {} s", seconds / 60, seconds % 60),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_read_as_people_say_them() {
        assert_eq!(readable(Duration::from_millis(420)), "0.4 s");
        assert_eq!(readable(Duration::from_secs(12)), "12 s");
        assert_eq!(readable(Duration::from_secs(314)), "5 min 14 s");
    }
}
