//! `kubectl request why`: asks the server what would become of an attempt, and files nothing.

use api::AccessRequest;
use api::objects::GROUP;
use clap::{Args, Subcommand};
use kube::ResourceExt;

use crate::asking::AskError;
use crate::attach::AttachArgs;
use crate::cluster::Cluster;
use crate::cp::CpArgs;
use crate::debug::DebugArgs;
use crate::exec::ExecArgs;
use crate::kubectl::Next;
use crate::port_forward::PortForwardArgs;
use crate::shell::ShellArgs;
use crate::terminal::Terminal;
use decide::text::safe_lines;

const EXAMPLES: &str = "\
Examples:
  # What would happen to this command: is it granted, what differs, whom would I ask?
  kubectl request why exec deploy/nginx -- ls

  # The same of another door
  kubectl request why port-forward postgres-0 5432

It takes the arguments of the verb that asks, and files nothing.";

/// What `why` is asked for on the command line.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES, subcommand_value_name = "DOOR", subcommand_help_heading = "Doors")]
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

/// Sends the request as a dry run that is to be explained, and prints what the server says.
///
/// # Errors
/// When the server refuses, cannot be asked, or is one that explains nothing.
pub async fn explain(
    request: &AccessRequest,
    cluster: &Cluster,
    terminal: &mut Terminal<'_>,
) -> Result<Next, AskError> {
    let mut question = request.clone();
    question.annotations_mut().insert(format!("{GROUP}/explain"), "true".to_owned());
    let answer = cluster.create_request(&question, true).await?;
    let explanation = answer.annotations().get(&format!("{GROUP}/explanation"));
    let explanation = explanation.ok_or(AskError::NoExplanation)?;
    writeln!(terminal.out, "{}", safe_lines(explanation.trim_end()))?;
    Ok(Next::Done)
}
