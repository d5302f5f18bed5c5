//! `kubectl request why`: asks the server what would become of an attempt, and files nothing.

use clap::{Args, Subcommand};

use crate::ask::attach::AttachArgs;
use crate::ask::cp::CpArgs;
use crate::ask::debug::DebugArgs;
use crate::ask::exec::ExecArgs;
use crate::ask::port_forward::PortForwardArgs;
use crate::ask::shell::ShellArgs;

const EXAMPLES: &str = "\
Examples:
  # What would happen to this command: is it granted, what differs, whom would I ask?
  kubectl request why exec deploy/nginx -- ls

  # The same for a port-forward
  kubectl request why port-forward postgres-0 5432

It takes the arguments of the command that asks, and files nothing.";

/// What `why` is asked for on the command line.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES, subcommand_value_name = "COMMAND", subcommand_help_heading = "Commands")]
#[command(disable_help_subcommand = true)]
pub struct WhyArgs {
    /// What is tried.
    #[command(subcommand)]
    pub door: DoorArgs,
}

/// The verbs that ask, with their own arguments.
#[derive(Debug, Subcommand)]
pub enum DoorArgs {
    /// Ask to run a command in a pod
    Exec(Box<ExecArgs>),
    /// Ask for an interactive shell in a pod
    Shell(Box<ShellArgs>),
    /// Ask to attach to what runs in a pod
    Attach(Box<AttachArgs>),
    /// Ask to forward ports to a pod
    PortForward(Box<PortForwardArgs>),
    /// Ask to add a debug container to a pod
    Debug(Box<DebugArgs>),
    /// Ask to copy files to or from a pod
    Cp(Box<CpArgs>),
}

impl DoorArgs {
    /// The same arguments, of which nothing is filed.
    #[must_use]
    pub fn explained(mut self) -> Self {
        let asking = match &mut self {
            Self::Exec(args) => &mut args.asking,
            Self::Shell(args) => &mut args.asking,
            Self::Attach(args) => &mut args.asking,
            Self::PortForward(args) => &mut args.asking,
            Self::Debug(args) => &mut args.asking,
            Self::Cp(args) => &mut args.asking,
        };
        asking.explain = true;
        self
    }
}
