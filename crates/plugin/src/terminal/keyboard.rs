//! What is typed at a terminal, and when: only what somebody types after they were asked answers a
//! question.

use std::io::{self, IsTerminal as _, Write as _};
use std::time::Duration;

/// How long nothing may have been typed before a question is asked: whoever types faster answers
/// something that they have not read.
const QUIET: Duration = Duration::from_millis(300);
/// Maximum number of times that typed input is dropped before a question: more is no person.
const MAX_DROPS: u32 = 40;
/// Has the terminal mark what is pasted, which is then no plain `y`.
const MARK_PASTES: &str = "\u{1b}[?2004h";
const STOP_MARKING: &str = "\u{1b}[?2004l";

/// A keyboard of somebody who answers questions.
pub trait Keyboard {
    /// Drops all that was typed or pasted so far, until nothing more comes.
    ///
    /// # Errors
    /// When the terminal fails, or something types on and on.
    fn settle(&self) -> io::Result<()>;

    /// Has pastes marked, or no longer.
    ///
    /// # Errors
    /// When the terminal fails.
    fn mark_pastes(&self, marked: bool) -> io::Result<()>;
}

/// The keyboard of this process.
pub struct Tty;

impl Tty {
    /// Whether somebody can read a question and type its answer.
    pub fn is_there() -> bool {
        io::stdin().is_terminal() && io::stdout().is_terminal()
    }
}

impl Keyboard for Tty {
    fn settle(&self) -> io::Result<()> {
        // Key by key, for half a line is no line yet; what is left of it is dropped at the end.
        let _keys = system::Keys::begin()?;
        for _ in 0..MAX_DROPS {
            system::drop_typed()?;
            if !system::is_typed_within(QUIET)? {
                return Ok(());
            }
        }
        Err(io::Error::other(
            "something types into this terminal without a pause: nothing was asked",
        ))
    }

    fn mark_pastes(&self, marked: bool) -> io::Result<()> {
        // Past the stream that strips colours: a terminal without colours knows pastes.
        let mut out = io::stdout();
        out.write_all(if marked { MARK_PASTES } else { STOP_MARKING }.as_bytes())?;
        out.flush()
    }
}

#[cfg(unix)]
mod system {
    use std::io;
    use std::time::Duration;

    use rustix::event::{PollFd, PollFlags, Timespec, poll};
    use rustix::termios::{
        LocalModes, OptionalActions, QueueSelector, Termios, tcflush, tcgetattr, tcsetattr,
    };

    /// A terminal that tells of each key and shows none, until this is dropped.
    pub(super) struct Keys(Termios);

    impl Keys {
        pub(super) fn begin() -> io::Result<Self> {
            let before = tcgetattr(io::stdin())?;
            let mut keys = before.clone();
            keys.local_modes
                .remove(LocalModes::ICANON | LocalModes::ECHO);
            tcsetattr(io::stdin(), OptionalActions::Flush, &keys)?;
            Ok(Self(before))
        }
    }

    impl Drop for Keys {
        fn drop(&mut self) {
            // This drops what was typed, too. A terminal that is gone needs nothing.
            let _gone = tcsetattr(io::stdin(), OptionalActions::Flush, &self.0);
        }
    }

    pub(super) fn drop_typed() -> io::Result<()> {
        Ok(tcflush(io::stdin(), QueueSelector::IFlush)?)
    }

    pub(super) fn is_typed_within(time: Duration) -> io::Result<bool> {
        let stdin = io::stdin();
        let timeout = Timespec::try_from(time).map_err(io::Error::other)?;
        let ready = poll(&mut [PollFd::new(&stdin, PollFlags::IN)], Some(&timeout))?;
        Ok(ready > 0)
    }
}

#[cfg(not(unix))]
mod system {
    use std::io;
    use std::time::Duration;

    use crossterm::event::{poll, read};

    /// The console tells of each key anyway.
    pub(super) struct Keys;

    impl Keys {
        #[expect(clippy::unnecessary_wraps, reason = "elsewhere it can fail")]
        pub(super) fn begin() -> io::Result<Self> {
            Ok(Self)
        }
    }

    pub(super) fn drop_typed() -> io::Result<()> {
        while poll(Duration::ZERO)? {
            read()?;
        }
        Ok(())
    }

    pub(super) fn is_typed_within(time: Duration) -> io::Result<bool> {
        poll(time)
    }
}
