//! A command at a terminal of its own, as people have one: `script` makes it.

use std::{
    io::{self, Read, Write},
    process::{Child, Command, ExitStatus, Stdio},
    sync::mpsc::{self, Receiver, RecvTimeoutError, Sender},
    thread,
    time::{Duration, Instant},
};

/// Characters in a line.
pub(crate) const COLUMNS: usize = 108;
/// Whatever is waited for comes within this time.
const PATIENCE: Duration = Duration::from_mins(1);

/// A command that runs. It is killed where it is dropped before its end.
pub(crate) struct Terminal {
    child: Child,
    pieces: Receiver<String>,
    /// All that was said and read.
    pub(crate) said: String,
}

impl Terminal {
    /// Starts a line as a shell would; `script` is the command of that name, and each piece of
    /// output is told to `tell`.
    pub(crate) fn start(
        mut script: Command,
        line: &str,
        tell: impl FnMut(&str) + Send + 'static,
    ) -> io::Result<Self> {
        let sized = format!("stty cols {COLUMNS} rows 40; {line}");
        script.args([
            "--quiet",
            "--return",
            "--flush",
            "--command",
            &sized,
            "/dev/null",
        ]);
        let mut child = script
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::inherit())
            .spawn()?;
        let (sender, pieces) = mpsc::channel();
        if let Some(stdout) = child.stdout.take() {
            thread::spawn(move || follow(stdout, tell, &sender));
        }
        Ok(Self {
            child,
            pieces,
            said: String::new(),
        })
    }

    /// Reads until what was said is enough; answers whether it was.
    pub(crate) fn until(&mut self, is_enough: impl Fn(&str) -> bool) -> bool {
        let deadline = Instant::now().checked_add(PATIENCE);
        while !is_enough(&self.said) {
            let left = deadline.map(|deadline| deadline.saturating_duration_since(Instant::now()));
            match self.pieces.recv_timeout(left.unwrap_or_default()) {
                Ok(piece) => self.said.push_str(&piece),
                Err(RecvTimeoutError::Timeout | RecvTimeoutError::Disconnected) => return false,
            }
        }
        true
    }

    /// Types into it.
    pub(crate) fn types(&mut self, keys: &str) -> io::Result<()> {
        match &mut self.child.stdin {
            Some(stdin) => stdin.write_all(keys.as_bytes()),
            None => Err(io::ErrorKind::BrokenPipe.into()),
        }
    }

    /// Reads to its end.
    pub(crate) fn end(mut self) -> io::Result<(ExitStatus, String)> {
        let _all_was_read = self.until(|_| false);
        if self.child.try_wait()?.is_none() {
            // Without output for so long it will not end.
            let _gone: io::Result<()> = self.child.kill();
        }
        Ok((
            self.child.wait()?,
            std::mem::take(&mut self.said).replace("\r\n", "\n"),
        ))
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        // Both fail only where it is gone already.
        let _gone = self.child.kill();
        let _reaped = self.child.wait();
    }
}

fn follow(mut from: impl Read, mut tell: impl FnMut(&str), to: &Sender<String>) {
    let (mut buffer, mut open) = ([0; 4096], Vec::new());
    while let Ok(length @ 1..) = from.read(&mut buffer) {
        open.extend_from_slice(buffer.get(..length).unwrap_or_default());
        let piece = take_text(&mut open);
        tell(&piece);
        if to.send(piece).is_err() {
            return;
        }
    }
}

/// What is text already; a character that has not come whole stays.
fn take_text(open: &mut Vec<u8>) -> String {
    let whole = match std::str::from_utf8(open) {
        Err(error) if error.error_len().is_none() => error.valid_up_to(),
        Ok(_) | Err(_) => open.len(),
    };
    let rest = open.split_off(whole);
    String::from_utf8_lossy(&std::mem::replace(open, rest)).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_character_in_two_pieces_is_told_whole() {
        let mut open = b"a\xe2\x80".to_vec();
        assert_eq!(take_text(&mut open), "a");
        open.push(0xa6);
        assert_eq!(take_text(&mut open), "…");
        assert!(open.is_empty());
    }

    #[test]
    fn a_command_has_a_terminal_and_its_exit_code_is_known() {
        let line = "test -t 1 && stty size; exit 7";
        let mut terminal = Terminal::start(Command::new("script"), line, |_| {}).unwrap();
        assert!(terminal.until(|said| said.contains("40 108")));
        let (status, said) = terminal.end().unwrap();
        assert_eq!((status.code(), said.as_str()), (Some(7), "40 108\n"));
    }
}
