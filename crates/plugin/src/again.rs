//! `kubectl request again`: files once more what an earlier request was for.

use api::{AccessRequest, AccessRequestSpec, Phase, UserInfo};
use clap::Args;
use decide::attempt::Door;
use kube::ResourceExt;

use crate::asking::{self, AskError, Filing};
use crate::cluster::Cluster;
use crate::names::{self, NOBODY};
use crate::safe::safe_word;
use crate::summary;
use crate::terminal::Terminal;

const EXAMPLES: &str = "\
Examples:
  # The one use of a request is gone, or its time is over: ask for the same again
  kubectl request again access-exec-jane-x4k2z

The new request names the earlier one, so that whoever approves can look it up. It needs a grant of its own.";

/// What `again` is asked for on the command line.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub struct AgainArgs {
    /// Name of the earlier request
    pub request: String,
    /// How it is filed.
    #[command(flatten)]
    pub filing: Filing,
}

/// Why a request is not repeated.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum AgainError {
    /// Not the name of any request.
    #[error("{} is not the name of a request: see 'kubectl request list'", safe_word(name))]
    BadName {
        /// What was typed.
        name: String,
    },
    /// Somebody else's.
    #[error(
        "request {name} is {whose}'s, and you are {me}: nobody asks again for somebody else. To ask for the same \
         yourself, read it with 'kubectl request show {name}'"
    )]
    Another {
        /// Name of the request.
        name: String,
        /// Whose it is.
        whose: String,
        /// Who asks.
        me: String,
    },
}

/// Checks what was typed.
///
/// # Errors
/// When it cannot be the name of a request.
pub fn check(args: AgainArgs) -> Result<AgainArgs, AskError> {
    if names::is_object_name(&args.request) {
        return Ok(args);
    }
    Err(AgainError::BadName { name: args.request }.into())
}

/// Files the request.
///
/// # Errors
/// When there is no earlier one of that name, it is somebody else's, or the server refuses.
pub async fn run(args: AgainArgs, cluster: &Cluster, terminal: &mut Terminal<'_>) -> Result<(), AskError> {
    let earlier = cluster.request(&args.request).await?;
    let me = cluster.whoami().await?;
    let user_info = on_behalf_of(&earlier, me.as_deref())?;
    if let Some(note) = still(&earlier) {
        writeln!(terminal.err, "{note}")?;
    }
    let user = user_info.as_ref().map(|user| user.name().to_owned()).or(me).unwrap_or_else(|| NOBODY.to_owned());
    let verb = verb(&earlier);
    let request = asking::compose(verb, again(earlier, user_info), &user, &cluster.namespace);
    asking::file(&request, args.filing, cluster, terminal).await
}

/// The same, without what the server stamps.
fn again(earlier: AccessRequest, user_info: Option<UserInfo>) -> AccessRequestSpec {
    let follows = Some(earlier.name_any());
    let mut spec = AccessRequestSpec { user_info, created_by: None, follows, ..earlier.spec };
    spec.for_object.uid = None;
    spec
}

/// For whom it is filed, where that is not who files it: as it was the first time.
fn on_behalf_of(earlier: &AccessRequest, me: Option<&str>) -> Result<Option<UserInfo>, AgainError> {
    // Where the API server does not say who we are, it is for our server to refuse.
    let Some(me) = me else { return Ok(None) };
    let user = earlier.spec.user_info.as_ref().map(UserInfo::name).unwrap_or_default();
    let filer = earlier.spec.created_by.as_ref().map(UserInfo::name).unwrap_or_default();
    match (likeness(me, user), likeness(me, filer)) {
        (0, 0) => Err(AgainError::Another {
            name: safe_word(&earlier.name_any()),
            whose: summary::user(earlier),
            me: safe_word(me),
        }),
        (user, filer) if user >= filer => Ok(None),
        _ => Ok(Some(UserInfo { username: Some(user.to_owned()), ..UserInfo::default() })),
    }
}

/// How much of our name another one is. Requests have names without the prefix of the authenticator, which only the
/// server knows: it compares for good, and here somebody else is told so in better words.
fn likeness(me: &str, name: &str) -> usize {
    if me.ends_with(name) { name.len() } else { 0 }
}

fn verb(earlier: &AccessRequest) -> &'static str {
    match Door::of(&earlier.spec.for_object.sub_resource) {
        Some(Door::Exec) if earlier.spec.copy.is_some() => "cp",
        Some(door) => door.verb(),
        None => Door::Exec.verb(),
    }
}

/// A note where the earlier request still waits or gives access.
fn still(earlier: &AccessRequest) -> Option<String> {
    let name = safe_word(&earlier.name_any());
    match earlier.status.as_ref().and_then(|status| status.phase) {
        None | Some(Phase::Pending) => Some(format!("request {name} is still waiting for a grant")),
        Some(Phase::Granted) => Some(format!("request {name} still gives this access")),
        Some(Phase::Denied | Phase::Used | Phase::Expired) => None,
    }
}
