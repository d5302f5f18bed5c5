//! Requests and grants as values, and where a request can stand: see [`crate::standing`].

use std::{collections::BTreeMap, time::Duration};

use jiff::Timestamp;

use crate::{
    attempt::Door, copy::Copy, debug::DebugContainer, identity::Person, policy_id::PolicyId,
};

/// How far the clock of the API server may be ahead of ours before a creation time is not believed.
const CLOCK_SKEW: Duration = Duration::from_secs(5);
/// How long after a use it may still come out that its review was answered: the API server waits
/// for half a minute at most, and the answer is written down a moment later. What is not known by
/// then is lost.
pub const OUTCOME: Duration = Duration::from_secs(45);

/// A request for access.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Request {
    /// Unique id. One re-created under the same name has another.
    pub uid: String,
    /// Namespace, of the request and of what it is for.
    pub namespace: String,
    /// Name.
    pub name: String,
    /// Who may use it.
    pub user: Person,
    /// Her groups when she filed it; none where somebody else filed it for her.
    pub groups: Vec<String>,
    /// Who filed it, where that was stamped.
    pub created_by: Option<Person>,
    /// What it is for.
    pub target: Target,
    /// Through which door, to do what.
    pub ask: Ask,
    /// How often or how long.
    pub validity: Validity,
    /// Why, as she wrote it.
    pub reason: Option<String>,
    /// Custom keys.
    pub keys: BTreeMap<String, String>,
    /// When it was created.
    pub created: Timestamp,
    /// Whether its deletion has begun, which already counts.
    pub being_deleted: bool,
    /// How much room it takes: its spec in bytes, as JSON.
    pub size: usize,
    /// The uses of a single-use request.
    pub uses: Vec<Use>,
    /// Set once somebody denied it.
    pub denied: Option<Denial>,
    /// Set once an emergency policy granted it. Until that is written down, the policy gives
    /// nothing.
    pub emergency: Option<Emergency>,
    /// Set once somebody reviewed that.
    pub reviewed: Option<Reviewed>,
    /// Whether this server's key sealed it, as it is: else no policy grants it, and no more answers
    /// are taken.
    pub seal: Seal,
}

/// What a request is for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Target {
    /// A pod, or any pod of a workload.
    pub kind: TargetKind,
    /// Name of the pod or workload.
    pub name: String,
    /// Its UID, where that was stamped. Nothing is granted for a target without one.
    pub uid: Option<String>,
}

/// The kind of a target.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TargetKind {
    /// `v1/pods`
    Pod,
    /// `apps/v1/deployments`
    Deployment,
    /// `apps/v1/statefulsets`
    StatefulSet,
    /// `apps/v1/daemonsets`
    DaemonSet,
    /// `batch/v1/jobs`
    Job,
}

impl TargetKind {
    /// The singular, as kubectl writes it before the slash.
    pub fn singular(self) -> &'static str {
        match self {
            Self::Pod => "pod",
            Self::Deployment => "deployment",
            Self::StatefulSet => "statefulset",
            Self::DaemonSet => "daemonset",
            Self::Job => "job",
        }
    }
}

/// What a request asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Ask {
    /// To run a command.
    Exec(ExecAsk),
    /// To copy with `kubectl cp`.
    Copy(Copy),
    /// To attach to what runs.
    Attach(AttachAsk),
    /// To forward ports: whichever.
    PortForward,
    /// To add an ephemeral container.
    Debug(DebugAsk),
}

/// A command that is asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ExecAsk {
    /// The container.
    pub container: Option<String>,
    /// The command.
    pub command: Command,
    /// Whether standard input was asked for.
    pub stdin: bool,
    /// Whether a terminal was asked for.
    pub tty: bool,
}

/// How somebody asks to attach.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AttachAsk {
    /// The container.
    pub container: Option<String>,
    /// Whether standard input was asked for.
    pub stdin: bool,
    /// Whether a terminal was asked for.
    pub tty: bool,
}

/// An ephemeral container that is asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DebugAsk {
    /// The container.
    pub container: DebugContainer,
    /// Whether the same user may then attach to that container.
    pub attach: bool,
}

impl Ask {
    /// The door.
    pub fn door(&self) -> Door {
        match self {
            Self::Exec(_) | Self::Copy(_) => Door::Exec,
            Self::Attach(_) => Door::Attach,
            Self::PortForward => Door::PortForward,
            Self::Debug(_) => Door::EphemeralContainers,
        }
    }

    /// Whether somebody could type into it. What `kubectl cp` sends is not typed.
    pub fn is_interactive(&self) -> bool {
        match self {
            Self::Exec(ask) => ask.stdin || ask.tty,
            Self::Attach(ask) => ask.stdin || ask.tty,
            Self::Debug(ask) => ask.container.is_interactive(),
            Self::Copy(_) | Self::PortForward => false,
        }
    }

    /// The container that is meant; for an ephemeral one that whose processes it sees.
    pub fn container(&self) -> Option<&str> {
        match self {
            Self::Exec(ask) => ask.container.as_deref(),
            Self::Copy(copy) => copy.container.as_deref(),
            Self::Attach(ask) => ask.container.as_deref(),
            Self::Debug(ask) => ask.container.target.as_deref(),
            Self::PortForward => None,
        }
    }
}

/// Which commands a request is for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Command {
    /// This one, argument by argument.
    Exactly(Vec<String>),
    /// Any, said aloud by `anyCommand: true`.
    Any,
}

/// How often or how long a request can be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Validity {
    /// Once.
    Once,
    /// As often as wanted, for this long from the grant on.
    For(Duration),
}

/// One use.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Use {
    /// UID of the review that spent it.
    pub review_uid: String,
    /// When.
    pub at: Timestamp,
    /// The door.
    pub door: Door,
    /// UID of the pod.
    pub pod_uid: String,
    /// The container: of an ephemeral one that was added its name.
    pub container: Option<String>,
    /// What is known of the answer to that review. It explains, and decides nothing: whatever it
    /// says, the use is used.
    pub outcome: Option<Outcome>,
}

/// What is known of the answer to a review that spent a use.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// It was handed over.
    Answered,
    /// It was not, for all that is known.
    Lost,
}

impl Use {
    /// Since when it counts as lost, should nobody write down that it was answered.
    pub fn lost_at(&self) -> Option<Timestamp> {
        self.outcome.is_none().then(|| after(self.at, OUTCOME))
    }
}

/// A denial by somebody.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Denial {
    /// Who.
    pub by: String,
    /// When.
    pub at: Timestamp,
    /// Why, where it was said.
    pub reason: Option<String>,
}

/// That a policy grants a request without any approver, because of an emergency: somebody must
/// review it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Emergency {
    /// The policy, as it stood then.
    pub policy: PolicyId,
    /// When that was written down.
    pub since: Timestamp,
    /// Until when it must be reviewed.
    pub review_by: Timestamp,
}

/// A review of an emergency. It gives no access, and takes none.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reviewed {
    /// By whom.
    pub by: String,
    /// When.
    pub at: Timestamp,
    /// What she remarked.
    pub reason: Option<String>,
}

/// Somebody's answer to a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Grant {
    /// Name.
    pub name: String,
    /// Granted, denied or reviewed.
    pub answer: Answer,
    /// Who, as the server stamped it.
    pub by: Option<Person>,
    /// Whether no authenticator put the prefix before her name where one must: then she is not whom
    /// a policy names with it.
    pub unprefixed: bool,
    /// Her groups when she answered, as the server stamped them.
    pub groups: Vec<String>,
    /// UID of the request that was read, by the spec or the ownerReference.
    pub request_uid: Option<String>,
    /// A shorter validity than was asked for.
    pub valid_for: Option<Duration>,
    /// Why.
    pub reason: Option<String>,
    /// When the object was created.
    pub created: Timestamp,
    /// When the answer was admitted, as its seal says.
    pub sealed_at: Option<Timestamp>,
    /// Whether this server's key sealed it.
    pub seal: Seal,
    /// Whether its deletion has begun.
    pub being_deleted: bool,
}

impl Grant {
    /// Since when it counts: an object that is created anew from an old one's content lasts no
    /// longer than that did.
    pub fn since(&self) -> Timestamp {
        self.sealed_at
            .map_or(self.created, |sealed| sealed.min(self.created))
    }
}

/// What the seal of a request or grant proves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Seal {
    /// It was admitted by a server with our key, or this server seals nothing.
    Good,
    /// It was not, or not with this content, or not for this request: it gives no access.
    Broken,
}

/// Granted, denied or reviewed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Answer {
    /// Granted.
    Granted,
    /// Denied, for good.
    Denied,
    /// Seen afterwards, where an emergency policy had granted it. It says nothing of access.
    Reviewed,
}

impl Request {
    /// One as somebody would file it for a pod: for one use, without a reason. It has no name, and
    /// nothing became of it.
    pub fn draft(
        namespace: String,
        user: Person,
        groups: Vec<String>,
        pod: String,
        ask: Ask,
        now: Timestamp,
    ) -> Self {
        Self {
            uid: String::new(),
            namespace,
            name: String::new(),
            user,
            groups,
            created_by: None,
            target: Target {
                kind: TargetKind::Pod,
                name: pod,
                uid: None,
            },
            ask,
            validity: Validity::Once,
            reason: None,
            keys: BTreeMap::new(),
            created: now,
            being_deleted: false,
            size: 0,
            uses: Vec::new(),
            denied: None,
            emergency: None,
            reviewed: None,
            seal: Seal::Good,
        }
    }

    /// Whether it is an emergency that nobody has reviewed.
    pub fn is_unreviewed(&self) -> bool {
        self.emergency.is_some() && self.reviewed.is_none()
    }

    /// The use that used a single-use request up. One for a debug container and for attaching to it
    /// takes two.
    pub(crate) fn used_up(&self) -> Option<&Use> {
        match &self.ask {
            // A use of a door that is none of its own was written by another version: it counts
            // too.
            Ask::Debug(ask) if ask.attach => self.used(Door::Attach).or_else(|| {
                self.uses
                    .iter()
                    .find(|one| !matches!(one.door, Door::Attach | Door::EphemeralContainers))
            }),
            Ask::Exec(_) | Ask::Copy(_) | Ask::Attach(_) | Ask::PortForward | Ask::Debug(_) => {
                self.uses.first()
            }
        }
    }

    /// The use by which an ephemeral container of this name was added to this pod.
    pub fn added(&self, pod_uid: &str, container: &str) -> Option<&Use> {
        let this =
            |one: &&Use| one.pod_uid == pod_uid && one.container.as_deref() == Some(container);
        self.uses
            .iter()
            .filter(|one| one.door == Door::EphemeralContainers)
            .find(this)
    }

    /// The first use of a door.
    pub fn used(&self, door: Door) -> Option<&Use> {
        self.uses.iter().find(|one| one.door == door)
    }
}

/// Whether a creation time lies further ahead than clocks differ: then it is not believed.
pub fn is_from_the_future(created: Timestamp, now: Timestamp) -> bool {
    created > after(now, CLOCK_SKEW)
}

/// A time plus a duration; the start itself where that leaves the calendar, so that an overflow
/// ends an access instead of prolonging it.
pub(crate) fn after(start: Timestamp, duration: Duration) -> Timestamp {
    start.checked_add(duration).unwrap_or(start)
}
