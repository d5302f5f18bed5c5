//! `kubectl request deny`: shows a request, asks, and denies it for good.

use api::GrantStatus;
use clap::Args;

use crate::answer::{Answer, AnswerError};
use crate::cluster::Cluster;
use crate::summary;
use crate::terminal::Terminal;

const EXAMPLES: &str = "\
Examples:
  # Deny a request, and say why
  kubectl request deny access-exec-jane-x4k2z --reason 'use the dashboard for this'

A denial is final, and ends an access that was granted.";

/// What `deny` is asked for on the command line.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub struct DenyArgs {
    /// Name of the request
    pub request: String,
    /// Why, for whoever asked and for the record
    #[arg(long)]
    pub reason: Option<String>,
    /// Do not ask
    #[arg(short, long)]
    pub yes: bool,
}

/// Shows the request, asks, and stores the denial.
///
/// # Errors
/// When there is no such request, it is decided, the answer is not yes, or the server refuses.
pub async fn run(args: DenyArgs, cluster: &Cluster, terminal: &mut Terminal<'_>) -> Result<(), AnswerError> {
    let answer = Answer { status: GrantStatus::Denied, valid_for: None, reason: args.reason };
    let request = answer.read(cluster, &args.request, &terminal.now).await?;
    write!(terminal.out, "{}", summary::of(&request, None))?;
    if !args.yes {
        answer.confirm(cluster, terminal, &request, "Deny the request above ([yN])?").await?;
    }
    answer.store(cluster, terminal, &request).await
}
