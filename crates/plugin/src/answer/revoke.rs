//! `kubectl request revoke`: ends a granted access at once.

use api::{AccessRequest, GrantStatus, Phase};
use clap::Args;
use kube::ResourceExt;

use crate::answer::named::{Named, Tally};
use crate::answer::remove::{self, RemoveError};
use crate::cluster::Cluster;
use crate::describe::history;
use crate::terminal::Terminal;
use decide::text::safe_word;

const EXAMPLES: &str = "\
Examples:
  # The work is done before the hour is over
  kubectl request revoke access-exec-jane-x4k2z

An approver takes back the grants, and the request waits again: 'kubectl request deny' ends it for good. Whoever asked \
deletes her request. Either way the access is gone at once; a session that runs goes on to its end.";

/// What `revoke` is asked for on the command line.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub struct RevokeArgs {
    /// Names of the requests
    #[arg(value_name = "[NAMESPACE/]NAME", required = true)]
    pub requests: Vec<String>,
}

/// Ends the access of each.
///
/// # Errors
/// When one of them gives no access, or the server refuses.
pub async fn run(
    args: RevokeArgs,
    cluster: &Cluster,
    terminal: &mut Terminal<'_>,
) -> Result<(), RemoveError> {
    let mut tally = Tally::default();
    for named in Named::all(&args.requests).map_err(RemoveError::BadName)? {
        let revoked = revoke(&named.name, &named.place(cluster), terminal).await;
        tally
            .note(revoked, terminal)
            .map_err(RemoveError::Terminal)?;
    }
    tally.end()
}

async fn revoke(
    name: &str,
    cluster: &Cluster,
    terminal: &mut Terminal<'_>,
) -> Result<(), RemoveError> {
    let request = cluster.request(name).await?;
    let name = safe_word(name);
    match remove::stands(&request) {
        // It is what must be reviewed.
        (Phase::Granted, _) if request.is_unreviewed() => {
            return Err(RemoveError::Unreviewed { name });
        }
        (Phase::Granted, _) => {}
        (Phase::Pending, phase) => {
            let hint = format!(
                ". To take it back: kubectl request withdraw {name}; to refuse it: kubectl request deny {name}"
            );
            return Err(RemoveError::NotGranted { name, phase, hint });
        }
        (_, phase) => {
            return Err(RemoveError::NotGranted {
                name,
                phase,
                hint: String::new(),
            });
        }
    }
    if let Some(by) = take_back(&request, cluster).await? {
        let done = format!(
            "revoked accessrequest {name}: the grants by {by} are deleted, and it waits again"
        );
        writeln!(
            terminal.out,
            "{done}. To end it for good: kubectl request deny {name}"
        )?;
    } else {
        remove::deleted(&name, cluster.delete_request(&request).await)?;
        writeln!(terminal.out, "revoked accessrequest {name}: it is deleted")?;
    }
    Ok(())
}

/// Deletes the grants; answers with whose they were. `None`: there are none (a policy grants it),
/// or they are not ours to delete, and only the request itself can go.
async fn take_back(
    request: &AccessRequest,
    cluster: &Cluster,
) -> Result<Option<String>, RemoveError> {
    let name = request.name_any();
    // Without its grants a policy would grant it still.
    if request
        .status
        .as_ref()
        .is_some_and(|status| status.granted_by_policy.is_some())
    {
        return Ok(None);
    }
    let mut grants = cluster.grants_of(&name).await?;
    grants.retain(|grant| {
        grant.status == Some(GrantStatus::Granted) && history::is_for(grant, request)
    });
    let mut by = Vec::new();
    for grant in &grants {
        match cluster.delete_grant(grant).await {
            Err(error) if error.is_forbidden() => return Ok(None),
            answer => remove::deleted(&safe_word(&name), answer)?,
        }
        by.push(
            grant
                .spec
                .granted_by
                .as_ref()
                .map_or_else(|| "somebody".to_owned(), |by| safe_word(by.name())),
        );
    }
    Ok((!by.is_empty()).then(|| by.join(", ")))
}
