//! `kubectl request deny`: shows a request, asks, and denies it for good.

use api::GrantStatus;
use clap::Args;

use crate::answer::{Answer, AnswerError, Naming};
use crate::cluster::Cluster;
use crate::terminal::Terminal;

const EXAMPLES: &str = "\
Examples:
  # Deny a request, and say why
  kubectl request deny access-exec-jane-x4k2z --reason 'use the dashboard for this'

  # Several, without a question for each
  kubectl request deny access-exec-jane-x4k2z access-exec-jane-b7m1c --yes

A denial is final, and ends an access that was granted.";

/// What `deny` is asked for on the command line.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub struct DenyArgs {
    /// Names of the requests
    #[arg(value_name = "[NAMESPACE/]NAME", required = true)]
    pub requests: Vec<String>,
    /// Why, for whoever asked and for the record
    #[arg(long)]
    pub reason: Option<String>,
    /// Do not ask
    #[arg(short, long)]
    pub yes: bool,
}

/// Shows each request, asks, and stores the denial.
///
/// # Errors
/// When one of them is not there, is decided, the answer is not yes, or the server refuses.
pub async fn run(
    args: DenyArgs,
    cluster: &Cluster,
    terminal: &mut Terminal<'_>,
) -> Result<(), AnswerError> {
    let answer = Answer {
        status: GrantStatus::Denied,
        valid_for: None,
        reason: args.reason,
        naming: Naming::Original,
    };
    answer
        .each(&args.requests, args.yes, cluster, terminal)
        .await
}
