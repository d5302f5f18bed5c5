//! `kubectl request review`: shows what was granted in an emergency and what became of it, asks,
//! and files the review.

use api::GrantStatus;
use clap::Args;

use crate::answer::{Answer, AnswerError, Naming};
use crate::cluster::Cluster;
use crate::terminal::Terminal;

const EXAMPLES: &str = "\
Examples:
  # What policies for emergencies granted, and nobody has looked at yet
  kubectl request list --unreviewed -A

  # Look at one, and say that you did
  kubectl request review access-exec-jane-x4k2z --reason 'the shop was down, as she says'

A review gives no access and takes none. To end an access that goes on: kubectl request deny NAME, which is a review too.";

/// What `review` is asked for on the command line.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub struct ReviewArgs {
    /// Names of the requests
    #[arg(value_name = "[NAMESPACE/]NAME", required = true)]
    pub requests: Vec<String>,
    /// What you found, for the record
    #[arg(long)]
    pub reason: Option<String>,
    /// Do not ask
    #[arg(short, long)]
    pub yes: bool,
}

/// Shows each request and what became of it, asks, and stores the review.
///
/// # Errors
/// When one of them is not there, is no emergency or reviewed already, the answer is not yes, or
/// the server refuses.
pub async fn run(
    args: ReviewArgs,
    cluster: &Cluster,
    terminal: &mut Terminal<'_>,
) -> Result<(), AnswerError> {
    let answer = Answer {
        status: GrantStatus::Reviewed,
        valid_for: None,
        reason: args.reason,
        naming: Naming::PerApprover,
    };
    answer
        .each(&args.requests, args.yes, cluster, terminal)
        .await
}
