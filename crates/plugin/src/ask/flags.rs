//! The flags of the verbs that ask.

use clap::{Args, ValueEnum};

use super::error::AskError;
use super::waiting::{Wait, Waiting};
use crate::terminal::output::ObjectFormat;

/// The flags of every verb that asks.
#[derive(Debug, Clone, Args)]
pub struct Asking {
    /// Ask for access that lasts, from the moment it is granted: 45s, 90m, 1h30m, at most 12h
    /// [default: once]
    #[arg(short = 'd', long, value_name = "DURATION", allow_hyphen_values = true)]
    pub valid_for: Option<String>,
    /// Why you need it: whoever approves reads it
    #[arg(long)]
    pub reason: Option<String>,
    /// Keys for the cluster's validation, such as ticket=INC-42 (repeatable)
    #[arg(short = 'k', long = "custom-key", value_name = "K=V,…")]
    pub custom_keys: Vec<String>,
    /// Ask on behalf of somebody else (for callers whom the server allows it)
    #[arg(long, value_name = "USER")]
    pub on_behalf_of: Option<String>,
    /// For a workload: ask for one of its running pods instead of whichever it runs
    #[arg(long)]
    pub pin_pod: bool,
    /// File another request even where the same waits or is granted already
    #[arg(long)]
    pub new: bool,
    /// How it is filed.
    #[command(flatten)]
    pub filing: Filing,
    /// Whether it is waited for.
    #[command(flatten)]
    pub waiting: Waiting,
    /// Whether nothing is filed, and the server is asked what would become of it: `why`.
    #[arg(skip)]
    pub explain: bool,
}

/// How a request is filed and printed.
#[derive(Debug, Clone, Copy, Args)]
pub struct Filing {
    /// Print the request instead of a sentence
    #[arg(short, long, value_name = "FORMAT")]
    pub output: Option<ObjectFormat>,
    /// Store nothing: "client" only shows what would be sent, "server" lets the server check it
    #[arg(long, value_name = "WHERE", default_value = "none", num_args = 0..=1, require_equals = true,
          default_missing_value = "client")]
    pub dry_run: DryRun,
    /// File it even if a part of it looks like a password. At a terminal the plugin asks
    #[arg(long)]
    pub accept_secrets: bool,
}

/// How far a request goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum DryRun {
    /// It is stored.
    None,
    /// It is not sent.
    Client,
    /// It is checked and not stored.
    Server,
}

impl Filing {
    /// Checks that what is waited for is filed, and that nothing else is printed where kubectl
    /// prints.
    ///
    /// # Errors
    /// When it is not so.
    pub fn check(self, wait: Option<Wait>) -> Result<(), AskError> {
        let Some(wait) = wait else { return Ok(()) };
        let flag = if wait.run { "--run" } else { "--wait" };
        match (self.dry_run, self.output) {
            (DryRun::Client | DryRun::Server, _) => Err(AskError::Together {
                flag,
                other: "--dry-run",
            }),
            (DryRun::None, Some(_)) if wait.run => Err(AskError::Together {
                flag,
                other: "--output",
            }),
            (DryRun::None, _) => Ok(()),
        }
    }
}
