//! Requests and grants as values, and whether together they give access at a given time.

use std::{cmp::Reverse, collections::BTreeMap, time::Duration};

use jiff::Timestamp;

use crate::{
    attempt::Door,
    copy::Copy,
    debug::DebugContainer,
    identity::Person,
    policy::PolicyId,
    ruling::{Forbidden, Ruling, Wanted},
    verdict::Rules,
};

/// How far the clock of the API server may be ahead of ours before a creation time is not believed.
const CLOCK_SKEW: Duration = Duration::from_secs(5);
/// How long after a use it may still come out that its review was answered: the API server waits for half a minute at
/// most, and the answer is written down a moment later. What is not known by then is lost.
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
    /// What is known of the answer to that review. It explains, and decides nothing: whatever it says, the use is used.
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

/// Somebody's answer to a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Grant {
    /// Name.
    pub name: String,
    /// Granted or denied.
    pub answer: Answer,
    /// Who, as the server stamped it.
    pub by: Option<Person>,
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
    /// Since when it counts: an object that is created anew from an old one's content lasts no longer than that did.
    pub fn since(&self) -> Timestamp {
        self.sealed_at.map_or(self.created, |sealed| sealed.min(self.created))
    }
}

/// What a grant's seal proves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Seal {
    /// It was admitted by a server with our key, or this server seals nothing.
    Good,
    /// It was not, or not with this content, or not for this request: it grants nothing.
    Broken,
}

/// Granted or denied.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Answer {
    /// Granted.
    Granted,
    /// Denied, for good.
    Denied,
}

/// A request with the grants that name it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Candidate {
    /// The request.
    pub request: Request,
    /// Every grant that names it, those for another request of that name included.
    pub grants: Vec<Grant>,
}

/// Where a request stands at a given time.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Standing {
    /// Nobody has answered.
    Pending,
    /// It gives access now.
    Granted(Access),
    /// Somebody denied it.
    Denied(Denial),
    /// A policy forbids it, for as long as the policy stands.
    Forbidden(Box<Forbidden>),
    /// It was used up.
    Used {
        /// By which review, and when.
        last: Use,
        /// Who had granted it.
        by: Vec<String>,
    },
    /// Its time is over.
    Expired {
        /// Since when.
        at: Timestamp,
        /// Who had granted it; nobody where no answer ever came.
        by: Vec<String>,
    },
    /// It is being deleted.
    Revoked,
}

/// Access that a request gives now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Access {
    /// When it ends.
    pub until: Timestamp,
    /// Since when it is granted.
    pub since: Timestamp,
    /// Who granted it.
    pub by: Vec<String>,
    /// Names of the grants that give it.
    pub grants: Vec<String>,
    /// The policy that gives it, where no grant does.
    pub policy: Option<Box<PolicyId>>,
}

impl Request {
    /// The use that used a single-use request up. One for a debug container and for attaching to it takes two.
    fn used_up(&self) -> Option<&Use> {
        match &self.ask {
            // A use of a door that is none of its own was written by another version: it counts too.
            Ask::Debug(ask) if ask.attach => self
                .used(Door::Attach)
                .or_else(|| self.uses.iter().find(|one| !matches!(one.door, Door::Attach | Door::EphemeralContainers))),
            Ask::Exec(_) | Ask::Copy(_) | Ask::Attach(_) | Ask::PortForward | Ask::Debug(_) => self.uses.first(),
        }
    }

    /// The use by which an ephemeral container of this name was added to this pod.
    pub fn added(&self, pod_uid: &str, container: &str) -> Option<&Use> {
        let this = |one: &&Use| one.pod_uid == pod_uid && one.container.as_deref() == Some(container);
        self.uses.iter().filter(|one| one.door == Door::EphemeralContainers).find(this)
    }

    /// The first use of a door.
    pub fn used(&self, door: Door) -> Option<&Use> {
        self.uses.iter().find(|one| one.door == door)
    }
}

impl Candidate {
    /// Where the request stands at `now`, under what the policies say of it by itself.
    ///
    /// A denial wins over everything but deletion, whenever it came. The end of an access is itself not part of it.
    pub fn standing(&self, now: Timestamp, rules: &Rules) -> Standing {
        self.standing_under(&rules.policies.of_request(&self.request, &rules.settings.prefix), now, rules)
    }

    /// Where it stands at `now`, under this ruling.
    pub fn standing_under(&self, ruling: &Ruling<'_>, now: Timestamp, rules: &Rules) -> Standing {
        if self.request.being_deleted {
            return Standing::Revoked;
        }
        if let Some(denial) = self.denial() {
            return Standing::Denied(denial);
        }
        if let Some(forbidden) = ruling.refuses(&self.request, false) {
            return Standing::Forbidden(Box::new(forbidden));
        }
        let windows = self.windows(ruling, now, rules);
        let mut by = Vec::new();
        for window in &windows {
            extend(&mut by, window.by.clone());
        }
        if let (Validity::Once, Some(last)) = (self.request.validity, self.request.used_up()) {
            return Standing::Used { last: last.clone(), by };
        }
        match windows.iter().map(|window| window.until).max() {
            Some(until) if now < until => Standing::Granted(access(until, windows, now)),
            Some(at) => Standing::Expired { at, by },
            None => match after(self.request.created, rules.settings.unused) {
                at if at <= now => Standing::Expired { at, by },
                _ => Standing::Pending,
            },
        }
    }

    /// How far the request is from being granted, where it is pending.
    pub fn wanted(&self, ruling: &Ruling<'_>, now: Timestamp, rules: &Rules) -> Wanted {
        ruling.wanted(&self.counting(now, rules), &rules.settings.prefix)
    }

    fn counting(&self, now: Timestamp, rules: &Rules) -> Vec<&Grant> {
        self.grants.iter().filter(|grant| self.counts(grant, now, rules)).collect()
    }

    /// When access is given, by whom: by each grant where one is enough, else by those that stand at the same time; and
    /// by a policy.
    fn windows(&self, ruling: &Ruling<'_>, now: Timestamp, rules: &Rules) -> Vec<Access> {
        let longest = ruling.longest();
        let counting = self.counting(now, rules);
        let ends: Vec<(&Grant, Timestamp)> =
            counting.into_iter().map(|grant| (grant, self.end(grant, longest, rules))).collect();
        let mut windows: Vec<Access> = if ruling.needs_one() {
            ends.iter().map(|one| window(one.0.since(), one.1, std::slice::from_ref(one))).collect()
        } else {
            ends.iter().filter_map(|(last, _)| together(last.since(), &ends, ruling, rules)).collect()
        };
        let believed = !is_from_the_future(self.request.created, now);
        windows.extend(ruling.grants(&self.request).filter(|_| believed).map(|(policy, longest)| {
            let since = self.request.created;
            let by = vec![format!("policy {}", policy.name)];
            let until = self.asked_end(since, longest, rules);
            Access { until, since, by, grants: Vec::new(), policy: Some(Box::new(policy.clone())) }
        }));
        windows
    }

    /// When what a grant says ends: each approval lasts as long as was asked for, from when it was given.
    fn end(&self, grant: &Grant, longest: Option<Duration>, rules: &Rules) -> Timestamp {
        let asked = self.asked_end(grant.since(), longest, rules);
        grant.valid_for.map_or(asked, |shorter| asked.min(after(grant.since(), shorter)))
    }

    /// When access that is given at a time ends, as it was asked for and as far as a policy lets it last.
    fn asked_end(&self, since: Timestamp, longest: Option<Duration>, rules: &Rules) -> Timestamp {
        match self.request.validity {
            Validity::Once => after(self.request.created, rules.settings.unused),
            Validity::For(asked) => after(since, longest.map_or(asked, |longest| asked.min(longest))),
        }
    }

    /// The denial, by the request's own status or by any grant that denies it: one that is being deleted too.
    fn denial(&self) -> Option<Denial> {
        let said = |grant: &&Grant| grant.answer == Answer::Denied && self.is_for_this(grant);
        self.request.denied.clone().or_else(|| {
            let grant = self.grants.iter().filter(said).min_by_key(|grant| (grant.created, &grant.name))?;
            let by = grant.by.as_ref().map(|by| by.name.clone()).unwrap_or_default();
            Some(Denial { by, at: grant.created, reason: grant.reason.clone() })
        })
    }

    fn is_for_this(&self, grant: &Grant) -> bool {
        grant.request_uid.as_ref() == Some(&self.request.uid)
    }

    /// Whether a grant gives access: sealed, for this very request, by somebody else who may answer, not deleted, not
    /// from the future.
    fn counts(&self, grant: &Grant, now: Timestamp, rules: &Rules) -> bool {
        let somebody_else = grant.by.as_ref().is_some_and(|by| {
            let requester = by.may_be(&self.request.user);
            let filer = self.request.created_by.as_ref().is_some_and(|filer| by.may_be(filer));
            !requester && !filer && rules.settings.approvers.check(&grant.groups, by).is_ok()
        });
        let believed = |created: Timestamp| !is_from_the_future(created, now);
        grant.answer == Answer::Granted
            && grant.seal == Seal::Good
            && self.is_for_this(grant)
            && somebody_else
            && !grant.being_deleted
            && believed(grant.created)
            && believed(self.request.created)
    }
}

/// The access that opens at a time by all grants that stand then, if they are enough: until so many have ended that
/// they are not.
fn together(opens: Timestamp, ends: &[(&Grant, Timestamp)], ruling: &Ruling<'_>, rules: &Rules) -> Option<Access> {
    let mut standing: Vec<(&Grant, Timestamp)> =
        ends.iter().copied().filter(|(grant, end)| grant.since() <= opens && opens < *end).collect();
    standing.sort_by_key(|(grant, end)| (Reverse(*end), &grant.name));
    let grants: Vec<&Grant> = standing.iter().map(|(grant, _)| *grant).collect();
    let enough =
        |count: &usize| grants.get(..*count).is_some_and(|first| ruling.is_met_by(first, &rules.settings.prefix));
    let count = (1..=grants.len()).find(enough)?;
    let until = standing.get(count.checked_sub(1)?)?.1;
    Some(window(opens, until, &standing))
}

fn window(since: Timestamp, until: Timestamp, grants: &[(&Grant, Timestamp)]) -> Access {
    Access {
        until,
        since,
        by: grants.iter().filter_map(|(grant, _)| Some(grant.by.as_ref()?.name.clone())).collect(),
        grants: grants.iter().map(|(grant, _)| grant.name.clone()).collect(),
        policy: None,
    }
}

/// The access that windows give together at a time.
fn access(until: Timestamp, windows: Vec<Access>, now: Timestamp) -> Access {
    let mut all = Access { until, since: until, by: Vec::new(), grants: Vec::new(), policy: None };
    for window in windows.into_iter().filter(|window| now < window.until) {
        all.since = all.since.min(window.since);
        extend(&mut all.by, window.by);
        extend(&mut all.grants, window.grants);
        all.policy = all.policy.or(window.policy);
    }
    all
}

/// Appends what is not yet there.
fn extend(all: &mut Vec<String>, more: Vec<String>) {
    for one in more {
        if !all.contains(&one) {
            all.push(one);
        }
    }
}

/// Whether a creation time lies further ahead than clocks differ: then it is not believed.
pub fn is_from_the_future(created: Timestamp, now: Timestamp) -> bool {
    created > after(now, CLOCK_SKEW)
}

/// A time plus a duration; the start itself where that leaves the calendar, so that an overflow ends an access
/// instead of prolonging it.
pub(crate) fn after(start: Timestamp, duration: Duration) -> Timestamp {
    start.checked_add(duration).unwrap_or(start)
}
