//! `kubectl request shell`: files a request for an interactive shell, which is any command with a
//! terminal.

use clap::Args;

use crate::ask::exec::Order;
use crate::ask::{AskError, Asking};
use crate::terminal::exit;

const EXAMPLES: &str = "\
Examples:
  # Ask for a shell, once, in whichever pod the deployment runs
  kubectl request shell deploy/nginx --reason 'INC-42'

  # For half an hour, as often as needed, in one container
  kubectl request shell nginx-7c5ddbdf54-x2x8p -c nginx --valid-for 30m

  # Wait for the grant, and be in it: --run runs 'sh'
  kubectl request shell deploy/nginx --run

It asks for ANY command, with standard input and a terminal, and says so to whoever approves. Once somebody grants \
it, 'kubectl exec -it … -- sh' works, or any other shell. The server may refuse interactive access.";

/// What `shell` is asked for on the command line.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES, after_long_help = format!("{EXAMPLES}\n\n{}", exit::HELP))]
pub struct ShellArgs {
    /// The pod, or the workload that runs it: POD, pod/NAME, deployment/NAME, statefulset/NAME,
    /// daemonset/NAME, job/NAME (and kubectl's short names)
    #[arg(value_name = "POD | TYPE/NAME")]
    pub target: String,
    /// The container [default: the pod's annotation kubectl.kubernetes.io/default-container, or the
    /// first]
    #[arg(short, long)]
    pub container: Option<String>,
    /// What every verb that asks takes.
    #[command(flatten)]
    pub asking: Asking,
}

/// Checks what was typed: what is asked for is an exec.
///
/// # Errors
/// When a duration, key or target is none.
pub fn check(args: ShellArgs) -> Result<Order, AskError> {
    Order::shell(args.target, args.container, args.asking)
}
