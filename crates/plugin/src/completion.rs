//! `kubectl request completion`: completions for a shell.

use std::io;

use clap::{Args, Command};
use clap_complete::Shell;

use crate::terminal::Terminal;

const EXAMPLES: &str = "\
Examples:
  # In this shell
  source <(kubectl request completion bash)

The completions are for the command kubectl-request.";

/// What `completion` is asked for on the command line.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub struct CompletionArgs {
    /// The shell
    pub shell: Shell,
}

/// Writes the completions of `command`.
///
/// # Errors
/// When the stream fails.
pub fn run(args: &CompletionArgs, command: &mut Command, terminal: &mut Terminal<'_>) -> io::Result<()> {
    let mut script = Vec::new();
    clap_complete::generate(args.shell, command, "kubectl-request", &mut script);
    // For bash, clap_complete writes the dash of our name in two ways, and then finds no verb.
    let script = String::from_utf8_lossy(&script).replace("kubectl__subcmd__request", "kubectl__request");
    terminal.out.write_all(script.as_bytes())
}
