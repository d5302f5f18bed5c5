//! `kubectl request completion`: completions for a shell.

use std::io;

use clap::{Args, Command};
use clap_complete::Shell;

use crate::terminal::Terminal;

const EXAMPLES: &str = "\
Examples:
  # In this shell
  source <(kubectl request completion bash)

These are for the command kubectl-request. For 'kubectl request …', kubectl itself completes verbs, flags, pods, \
containers and requests once it finds this on the PATH:

  ln -s \"$(command -v kubectl-request)\" ~/bin/kubectl_complete-request

Where there are no links, a script of that name does: kubectl-request __complete \"$@\"";

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
pub fn run(
    args: &CompletionArgs,
    command: &mut Command,
    terminal: &mut Terminal<'_>,
) -> io::Result<()> {
    let mut script = Vec::new();
    clap_complete::generate(args.shell, command, "kubectl-request", &mut script);
    // For bash, clap_complete writes the dash of our name in two ways, and then finds no verb.
    let script =
        String::from_utf8_lossy(&script).replace("kubectl__subcmd__request", "kubectl__request");
    terminal.out.write_all(script.as_bytes())
}
