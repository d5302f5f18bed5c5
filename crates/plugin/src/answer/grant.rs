//! `kubectl request grant`: shows a request, asks, and grants it.

use api::GrantStatus;
use clap::Args;

use crate::answer::named::Named;
use crate::answer::{Answer, AnswerError, Naming};
use crate::cluster::Cluster;
use crate::describe::reading;
use crate::terminal::Terminal;
use crate::terminal::output;

const EXAMPLES: &str = "\
Examples:
  # Read a request, then grant it or not
  kubectl request grant access-exec-jane-x4k2z

  # For a shorter time than was asked for
  kubectl request grant access-exec-jane-x4k2z --valid-for 15m

To end an access at once: kubectl request revoke NAME. To grant several, or choose from a list: kubectl request approve";

/// What `grant` is asked for on the command line.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub struct GrantArgs {
    /// Name of the request; with @UID exactly that one
    #[arg(value_name = "[NAMESPACE/]NAME[@UID]")]
    pub request: String,
    /// Grant it for a shorter time than was asked for; for a single use: how long it stays usable
    #[arg(short = 'd', long, value_name = "DURATION", allow_hyphen_values = true)]
    pub valid_for: Option<String>,
    /// Why, for whoever asked and for the record
    #[arg(long)]
    pub reason: Option<String>,
    /// Do not ask. The request must be named with its UID, which `show` tells
    #[arg(short, long)]
    pub yes: bool,
}

/// Shows the request, asks, and stores the grant.
///
/// # Errors
/// When there is no such request, it is decided, the answer is not yes, or the server refuses.
pub async fn run(
    args: GrantArgs,
    cluster: &Cluster,
    terminal: &mut Terminal<'_>,
) -> Result<(), AnswerError> {
    let (valid_for, reason) = (args.valid_for, args.reason);
    let answer = Answer {
        status: GrantStatus::Granted,
        valid_for,
        reason,
        naming: Naming::Original,
    };
    let named = Named::parse(&args.request, cluster)?;
    let place = named.place(cluster);
    let cluster = &place;
    let request = answer
        .read(cluster, &named, args.yes, &terminal.now)
        .await?;
    let valid_for = answer.valid_for.as_deref();
    let summary = reading::summary(&request, valid_for, cluster, terminal).await;
    write!(terminal.out, "{}---\n{summary}", yaml(&request)?)?;
    if !args.yes {
        answer.confirm(cluster, terminal, &request).await?;
    }
    answer.store(cluster, terminal, &request).await
}

fn yaml(request: &api::AccessRequest) -> Result<String, AnswerError> {
    Ok(output::yaml(
        &output::value_of(request).map_err(AnswerError::Print)?,
    ))
}
