//! Requests and grants as values, and whether together they give access at a given time.

use std::time::Duration;

use jiff::Timestamp;

use crate::identity::Person;

/// How far the clock of the API server may be ahead of ours before a creation time is not believed.
const CLOCK_SKEW: Duration = Duration::from_secs(5);

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
    /// Who filed it, where that was stamped.
    pub created_by: Option<Person>,
    /// What it is for.
    pub target: Target,
    /// The container.
    pub container: Option<String>,
    /// The command.
    pub command: Command,
    /// Whether standard input was asked for.
    pub stdin: bool,
    /// Whether a terminal was asked for.
    pub tty: bool,
    /// How often or how long.
    pub validity: Validity,
    /// When it was created.
    pub created: Timestamp,
    /// Whether its deletion has begun, which already counts.
    pub being_deleted: bool,
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
    /// UID of the request that was read, by the spec or the ownerReference.
    pub request_uid: Option<String>,
    /// A shorter validity than was asked for.
    pub valid_for: Option<Duration>,
    /// Why.
    pub reason: Option<String>,
    /// When.
    pub created: Timestamp,
    /// Whether its deletion has begun.
    pub being_deleted: bool,
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
    /// It was used.
    Used {
        /// By which review, and when.
        first: Use,
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
}

impl Candidate {
    /// Where the request stands at `now`, when requests that nobody used are kept for `unused`.
    ///
    /// A denial wins over everything but deletion, whenever it came. The end of an access is itself not part of it.
    pub fn standing(&self, now: Timestamp, unused: Duration) -> Standing {
        if self.request.being_deleted {
            return Standing::Revoked;
        }
        if let Some(denial) = self.denial() {
            return Standing::Denied(denial);
        }
        let grants: Vec<&Grant> = self.grants.iter().filter(|grant| self.counts(grant, now)).collect();
        let by: Vec<String> = grants.iter().filter_map(|grant| Some(grant.by.as_ref()?.name.clone())).collect();
        if let (Validity::Once, Some(first)) = (self.request.validity, self.request.uses.first()) {
            return Standing::Used { first: first.clone(), by };
        }
        let end = grants.iter().map(|grant| self.end(grant, unused)).max();
        match end {
            Some(until) if now < until => {
                Standing::Granted(access(until, grants.iter().filter(|grant| now < self.end(grant, unused))))
            }
            Some(at) => Standing::Expired { at, by },
            None => match after(self.request.created, unused) {
                at if at <= now => Standing::Expired { at, by },
                _ => Standing::Pending,
            },
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

    /// Whether a grant gives access: for this very request, by another human, not deleted, not from the future.
    fn counts(&self, grant: &Grant, now: Timestamp) -> bool {
        let somebody_else = grant.by.as_ref().is_some_and(|by| {
            let requester = by.may_be(&self.request.user);
            let filer = self.request.created_by.as_ref().is_some_and(|filer| by.may_be(filer));
            !requester && !filer && !by.is_service_account()
        });
        let believed = |created: Timestamp| !is_from_the_future(created, now);
        grant.answer == Answer::Granted
            && self.is_for_this(grant)
            && somebody_else
            && !grant.being_deleted
            && believed(grant.created)
            && believed(self.request.created)
    }

    /// When the access that a grant gives ends.
    fn end(&self, grant: &Grant, unused: Duration) -> Timestamp {
        let asked = match self.request.validity {
            Validity::Once => after(self.request.created, unused),
            Validity::For(duration) => after(grant.created, duration),
        };
        grant.valid_for.map_or(asked, |shorter| asked.min(after(grant.created, shorter)))
    }
}

/// The access that grants give together.
fn access<'a>(until: Timestamp, grants: impl Iterator<Item = &'a &'a Grant> + Clone) -> Access {
    Access {
        until,
        since: grants.clone().map(|grant| grant.created).min().unwrap_or(until),
        by: grants.clone().filter_map(|grant| Some(grant.by.as_ref()?.name.clone())).collect(),
        grants: grants.map(|grant| grant.name.clone()).collect(),
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
