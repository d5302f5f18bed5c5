//! `kubectl request extend`: files once more what an earlier request was for, with a validity of its own.

use clap::Args;
use decide::duration::{self, MAX_ACCESS};

use crate::ask::again::Repeat;
use crate::ask::waiting::Waiting;
use crate::ask::{AskError, Filing};
use crate::terminal::exit;

const EXAMPLES: &str = "\
Examples:
  # The hour is nearly over, and the work is not: ask for another half
  kubectl request extend access-exec-jane-x4k2z --valid-for 30m

The new request is for the same, and names the earlier one, so that whoever approves can look it up. It needs a grant \
of its own, and begins when it is granted: the earlier access stays as it is.";

/// What `extend` is asked for on the command line.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES, after_long_help = format!("{EXAMPLES}\n\n{}", exit::HELP))]
pub struct ExtendArgs {
    /// Name of the earlier request, of which the access ends too early
    pub request: String,
    /// For how long, from the moment it is granted: 45s, 90m, 1h30m, at most 12h
    #[arg(short = 'd', long, value_name = "DURATION", allow_hyphen_values = true)]
    pub valid_for: String,
    /// How it is filed.
    #[command(flatten)]
    pub filing: Filing,
    /// Whether it is waited for.
    #[command(flatten)]
    pub waiting: Waiting,
}

/// Checks what was typed.
///
/// # Errors
/// When the validity is none, or flags contradict each other.
pub fn check(args: ExtendArgs) -> Result<Repeat, AskError> {
    duration::parse(&args.valid_for, MAX_ACCESS).map_err(AskError::ValidFor)?;
    Repeat::check(
        args.request,
        Some(args.valid_for),
        args.filing,
        args.waiting,
    )
}
