//! `kubectl request withdraw`: takes back a request that nobody has answered yet.

use api::Phase;
use clap::Args;

use crate::answer::named::{Named, Tally};
use crate::answer::remove::{self, RemoveError};
use crate::cluster::{Cluster, Me};
use crate::describe::words;
use crate::terminal::lines::Hint;
use crate::terminal::{Terminal, kubectl};
use decide::text::safe_word;

const EXAMPLES: &str = "\
Examples:
  # It is not needed any more
  kubectl request withdraw access-exec-jane-x4k2z";

/// What `withdraw` is asked for on the command line.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub struct WithdrawArgs {
    /// Names of the requests
    #[arg(value_name = "[NAMESPACE/]NAME", required = true)]
    pub requests: Vec<String>,
}

/// Deletes each.
///
/// # Errors
/// When one of them is somebody else's or answered, or the server refuses.
pub async fn run(
    args: WithdrawArgs,
    cluster: &Cluster,
    terminal: &mut Terminal<'_>,
) -> Result<(), RemoveError> {
    let all = Named::all(&args.requests, cluster).map_err(RemoveError::BadName)?;
    let me = cluster.me().await.map_err(RemoveError::Cluster)?;
    let mut tally = Tally::default();
    for named in all {
        let withdrawn = withdraw(&named, me.as_ref(), &named.place(cluster), terminal).await;
        tally
            .note(withdrawn, terminal)
            .map_err(RemoveError::Terminal)?;
    }
    tally.end()
}

async fn withdraw(
    named: &Named,
    me: Option<&Me>,
    cluster: &Cluster,
    terminal: &mut Terminal<'_>,
) -> Result<(), RemoveError> {
    let request = cluster.request(&named.name).await?;
    named.check_uid(&request)?;
    let name = safe_word(&named.name);
    let line = |hint| kubectl::told(cluster, hint, &named.name);
    if let Some(me) = me.filter(|me| !me.is_party_to(&request)) {
        return Err(RemoveError::Another {
            name,
            whose: words::user(&request),
            me: safe_word(me.name()),
            line: line(Hint::DenyAnothers),
        });
    }
    match remove::stands(&request) {
        (Phase::Pending, _) => {}
        (Phase::Granted, _) if request.is_unreviewed() => {
            let line = line(Hint::DenyEmergency);
            return Err(RemoveError::Unreviewed { name, line });
        }
        (Phase::Granted, phase) => {
            let hint = format!(
                ". To end the access: {}",
                line(Hint::RevokeInsteadOfWithdraw)
            );
            return Err(RemoveError::NotPending { name, phase, hint });
        }
        (_, phase) => {
            return Err(RemoveError::NotPending {
                name,
                phase,
                hint: String::new(),
            });
        }
    }
    remove::deleted(&name, cluster.delete_request(&request).await, cluster)?;
    Ok(writeln!(terminal.out, "withdrew accessrequest {name}")?)
}
