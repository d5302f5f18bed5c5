//! `kubectl request revoke`: ends a granted access at once.

use api::{AccessGrant, AccessRequest, GrantStatus, Phase};
use clap::Args;
use kube::ResourceExt;

use crate::answer::named::{Named, Tally};
use crate::answer::remove::{self, RemoveError};
use crate::cluster::Cluster;
use crate::describe::history;
use crate::terminal::lines::Hint;
use crate::terminal::{Terminal, kubectl};
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
    for named in Named::all(&args.requests, cluster).map_err(RemoveError::BadName)? {
        let revoked = revoke(&named, &named.place(cluster), terminal).await;
        tally
            .note(revoked, terminal)
            .map_err(RemoveError::Terminal)?;
    }
    tally.end()
}

async fn revoke(
    named: &Named,
    cluster: &Cluster,
    terminal: &mut Terminal<'_>,
) -> Result<(), RemoveError> {
    let request = cluster.request(&named.name).await?;
    named.check_uid(&request)?;
    let name = safe_word(&named.name);
    let deny = kubectl::told(cluster, Hint::DenyInsteadOfRevoke, &named.name);
    let (phase, shown) = remove::stands(&request);
    // It is what must be reviewed.
    if phase == Phase::Granted && request.is_unreviewed() {
        return Err(RemoveError::Unreviewed { name, line: deny });
    }
    if !matches!(phase, Phase::Pending | Phase::Granted) {
        return Err(RemoveError::NotGranted {
            name,
            phase: shown,
            hint: String::new(),
        });
    }
    // The grants say who gives access. The phase is written later, and by a controller.
    match take_back(&request, cluster, terminal).await? {
        Taken::Grants(by) => {
            let left = grants_left(&request, cluster).await?;
            if left > 0 {
                return Err(RemoveError::Left {
                    name,
                    left,
                    line: deny,
                });
            }
            writeln!(
                terminal.out,
                "revoked accessrequest {name}: the grants by {by} are deleted, and it waits again. To end it for good: {deny}"
            )?;
        }
        Taken::Policy => {
            remove::deleted(&name, cluster.delete_request(&request).await, cluster)?;
            writeln!(
                terminal.out,
                "revoked accessrequest {name}: it is deleted, for a policy would go on granting it"
            )?;
        }
        Taken::Nothing if phase == Phase::Pending => {
            let withdraw = kubectl::told(cluster, Hint::WithdrawPending, &named.name);
            let hint = format!(". To take it back: {withdraw}; to refuse it: {deny}");
            return Err(RemoveError::NotGranted {
                name,
                phase: shown,
                hint,
            });
        }
        Taken::Nothing | Taken::NotOurs => {
            remove::deleted(&name, cluster.delete_request(&request).await, cluster)?;
            writeln!(terminal.out, "revoked accessrequest {name}: it is deleted")?;
        }
    }
    Ok(())
}

/// What became of the grants of a request.
enum Taken {
    /// They are deleted; whose they were.
    Grants(String),
    /// There are none.
    Nothing,
    /// A policy grants it, with or without them, or is about to.
    Policy,
    /// They are not ours to delete.
    NotOurs,
}

/// Deletes the grants.
async fn take_back(
    request: &AccessRequest,
    cluster: &Cluster,
    terminal: &mut Terminal<'_>,
) -> Result<Taken, RemoveError> {
    let name = request.name_any();
    // Without its grants a policy would grant it still.
    if request
        .status
        .as_ref()
        .is_some_and(|status| status.granted_by_policy.is_some())
    {
        return Ok(Taken::Policy);
    }
    let mut by: Vec<String> = Vec::new();
    for grant in &grants(request, cluster).await? {
        let answer = cluster.delete_grant(grant).await;
        // What is gone is gone, whatever becomes of the others.
        if answer.as_ref().is_err_and(|error| !error.is_not_found()) && !by.is_empty() {
            writeln!(
                terminal.err,
                "accessrequest {}: the grants by {} are deleted, and the one by {} could not be",
                safe_word(&name),
                by.join(", "),
                by_whom(grant)
            )?;
        }
        match answer {
            Err(error) if error.is_forbidden() => return Ok(Taken::NotOurs),
            answer => remove::deleted(&safe_word(&name), answer, cluster)?,
        }
        by.push(by_whom(grant));
    }
    Ok(if by.is_empty() {
        Taken::Nothing
    } else {
        Taken::Grants(by.join(", "))
    })
}

fn by_whom(grant: &AccessGrant) -> String {
    grant
        .spec
        .granted_by
        .as_ref()
        .map_or_else(|| "somebody".to_owned(), |by| safe_word(by.name()))
}

/// How many grants there are still: one may have been stored meanwhile.
async fn grants_left(request: &AccessRequest, cluster: &Cluster) -> Result<usize, RemoveError> {
    Ok(grants(request, cluster).await?.len())
}

async fn grants(
    request: &AccessRequest,
    cluster: &Cluster,
) -> Result<Vec<AccessGrant>, RemoveError> {
    let mut grants = cluster.grants_of(&request.name_any()).await?;
    grants.retain(|grant| {
        grant.status == Some(GrantStatus::Granted) && history::is_for(grant, request)
    });
    Ok(grants)
}
