//! How `kubectl request` ends, as the shell sees it.

use std::process::ExitCode;

/// What each verb explains below its examples.
pub const HELP: &str = "\
Exit codes: 0 done; 1 error; 2 wrong usage; 3 denied; 4 over (expired, used, withdrawn or deleted) before it could be used; \
5 timed out waiting; 130 interrupted. Once --run has started kubectl, kubectl's own.";

/// The exit codes. They stay as they are: scripts compare them. Once `--run` has started kubectl,
/// its own exit code is what the shell sees, and can be any of these.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum Exit {
    /// What was asked for is done.
    Done = 0,
    /// It could not be done: the cluster refused, or could not be asked.
    Error = 1,
    /// The command line makes no sense.
    Usage = 2,
    /// Somebody denied the request.
    Denied = 3,
    /// The request expired, was used, withdrawn or deleted before it could be used.
    Over = 4,
    /// Nobody answered in time: the request stays open.
    TimedOut = 5,
    /// Ctrl-C while waiting: the request stays open. 128 and the number of the signal, as shells
    /// have it.
    Interrupted = 130,
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit as u8)
    }
}
