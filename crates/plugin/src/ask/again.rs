//! `kubectl request again`: files once more what an earlier request was for.

use api::{AccessRequest, AccessRequestSpec, Phase, UserInfo};
use clap::Args;
use decide::attempt::Door;
use kube::ResourceExt;

use crate::answer::named::BadName;
use crate::ask::waiting::{Wait, Waiting};
use crate::ask::{self, AskError, Filing, Order, secrets};
use crate::cluster::{Cluster, Me};
use crate::describe::words;
use crate::target::Workload;
use crate::terminal::exit;
use crate::terminal::kubectl::Next;
use crate::terminal::lines::Hint;
use crate::terminal::words::Words;
use crate::terminal::{Terminal, kubectl};
use api::names::NOBODY;
use decide::rules::is_name;
use decide::text::safe_word;

const EXAMPLES: &str = "\
Examples:
  # The one use of a request is gone, or its time is over: ask for the same again
  kubectl request again access-exec-jane-x4k2z

  # And run it as soon as it is granted
  kubectl request again access-exec-jane-x4k2z --run

The new request names the earlier one, so that whoever approves can look it up. It needs a grant of its own.";

/// What `again` is asked for on the command line.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES, after_long_help = format!("{EXAMPLES}\n\n{}", exit::HELP))]
pub struct AgainArgs {
    /// Name of the earlier request
    pub request: String,
    /// How it is filed.
    #[command(flatten)]
    pub filing: Filing,
    /// Whether it is waited for.
    #[command(flatten)]
    pub waiting: Waiting,
}

/// What was asked for, checked as far as it can be without a cluster.
pub struct Repeat {
    /// Name of the earlier request.
    pub name: String,
    /// Another validity than the earlier one's.
    pub valid_for: Option<String>,
    /// How it is filed.
    pub filing: Filing,
    /// Whether it is waited for.
    pub wait: Option<Wait>,
}

/// Why a request is not repeated.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum AgainError {
    /// Not the name of any request.
    #[error(transparent)]
    BadName(#[from] BadName),
    /// Somebody else's.
    #[error(
        "request {name} is {whose}'s, and you are {me}: nobody asks again for somebody else. To ask for the same \
         yourself, read it with '{show}'"
    )]
    Another {
        /// Name of the request.
        name: String,
        /// Whose it is.
        whose: String,
        /// Who asks.
        me: String,
        /// What shows it.
        show: String,
    },
}

impl From<AgainError> for AskError {
    fn from(error: AgainError) -> Self {
        Self::Verb(Box::new(error))
    }
}

/// Checks what was typed.
///
/// # Errors
/// When flags contradict each other.
pub fn check(args: AgainArgs) -> Result<Repeat, AskError> {
    Repeat::check(args.request, None, args.filing, args.waiting)
}

impl Repeat {
    /// Checks what was typed.
    ///
    /// # Errors
    /// When flags contradict each other.
    pub fn check(
        name: String,
        valid_for: Option<String>,
        filing: Filing,
        waiting: Waiting,
    ) -> Result<Self, AskError> {
        let wait = waiting.check()?;
        filing.check(wait)?;
        Ok(Self {
            name,
            valid_for,
            filing,
            wait,
        })
    }
}

/// Files the request.
///
/// # Errors
/// When it cannot be the name of a request, there is no earlier one of that name, it is somebody else's, or the server refuses.
pub async fn run(
    repeat: Repeat,
    cluster: &Cluster,
    terminal: &mut Terminal<'_>,
) -> Result<Next, AskError> {
    if !is_name(&repeat.name) {
        return Err(AgainError::from(BadName::of(&repeat.name, cluster)).into());
    }
    let earlier = cluster.request(&repeat.name).await?;
    let me = cluster.whoami().await?;
    let user_info = on_behalf_of(&earlier, me.as_deref(), cluster)?;
    if repeat.valid_for.is_none()
        && let Some(note) = still(&earlier)
    {
        writeln!(terminal.err, "{note}")?;
    }
    let user = user_info
        .as_ref()
        .map(|user| user.name().to_owned())
        .or(me)
        .unwrap_or_else(|| NOBODY.to_owned());
    let (verb, words) = (verb(&earlier), words(&earlier.spec));
    secrets::check(&earlier.spec, repeat.filing, terminal)?;
    let request = ask::compose(
        verb,
        again(earlier, user_info, repeat.valid_for),
        &user,
        &cluster.namespace,
    );
    Order {
        request,
        filing: repeat.filing,
        wait: repeat.wait,
        words,
    }
    .file(cluster, terminal)
    .await
}

/// The same, without what the server stamps.
fn again(
    earlier: AccessRequest,
    user_info: Option<UserInfo>,
    valid_for: Option<String>,
) -> AccessRequestSpec {
    let follows = Some(earlier.name_any());
    let valid_for = valid_for.or_else(|| earlier.spec.valid_for.clone());
    let mut spec = AccessRequestSpec {
        user_info,
        created_by: None,
        cluster_name: None,
        username_prefix: None,
        follows,
        valid_for,
        ..earlier.spec
    };
    spec.for_object.uid = None;
    spec
}

/// What kubectl is run with, as far as a request tells: not the local side of a copy, nor which of
/// any commands.
fn words(spec: &AccessRequestSpec) -> Option<Vec<String>> {
    let name = &spec.for_object.name;
    // What is stored is somebody's text: with its kind before it, no name is a flag.
    let kind = Workload::of(&spec.for_object.resource).map_or("pod", Workload::short);
    if !is_name(name) {
        return None;
    }
    let target = format!("{kind}/{name}");
    match Door::of(&spec.for_object.sub_resource)? {
        Door::Exec => {
            let options = spec.exec_options.as_ref().filter(|_| spec.copy.is_none())?;
            let command = options
                .command
                .as_deref()
                .filter(|command| !command.is_empty())?;
            let words = interactive(Words::of("exec"), options.stdin, options.tty).plain([target]);
            Some(
                words
                    .value("--container", options.container.as_deref())
                    .command(command),
            )
        }
        Door::Attach => {
            let options = spec.attach_options.as_ref()?;
            let words =
                interactive(Words::of("attach"), options.stdin, options.tty).plain([target]);
            Some(
                words
                    .value("--container", options.container.as_deref())
                    .command(&[]),
            )
        }
        Door::PortForward => {
            let ports = spec.port_forward_options.as_ref()?.ports.as_ref()?;
            Some(
                Words::of("port-forward")
                    .plain([target])
                    .plain(ports.iter().map(i32::to_string))
                    .command(&[]),
            )
        }
        Door::EphemeralContainers => None,
    }
}

fn interactive(words: Words, stdin: Option<bool>, tty: Option<bool>) -> Words {
    words
        .flag(stdin == Some(true), "--stdin")
        .flag(tty == Some(true), "--tty")
}

/// For whom it is filed, where that is not who files it: as it was the first time.
fn on_behalf_of(
    earlier: &AccessRequest,
    me: Option<&str>,
    cluster: &Cluster,
) -> Result<Option<UserInfo>, AgainError> {
    // Where the API server does not say who we are, it is for our server to refuse.
    let Some(me) = me else { return Ok(None) };
    let user = earlier
        .spec
        .user_info
        .as_ref()
        .map(UserInfo::name)
        .unwrap_or_default();
    let filer = earlier
        .spec
        .created_by
        .as_ref()
        .map(UserInfo::name)
        .unwrap_or_default();
    let me = Me::new(me.to_owned());
    match (me.is(user, earlier), me.is(filer, earlier)) {
        (false, false) => Err(AgainError::Another {
            name: safe_word(&earlier.name_any()),
            whose: words::user(earlier),
            me: safe_word(me.name()),
            show: kubectl::told(cluster, Hint::ShowAnothers, &earlier.name_any()),
        }),
        (true, _) => Ok(None),
        (false, true) => Ok(Some(UserInfo {
            username: Some(user.to_owned()),
            ..UserInfo::default()
        })),
    }
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
    match earlier.phase() {
        Phase::Pending => Some(format!("request {name} is still waiting for a grant")),
        Phase::Granted => Some(format!("request {name} still gives this access")),
        Phase::Denied | Phase::Used | Phase::Expired => None,
    }
}
