//! The decision, in two steps that cannot be mixed up: [`screen`] works on what memory shows and can only deny or
//! name promising candidates; [`confirm`] works on what was just read from the API server and alone can permit.

use std::{cmp::Reverse, time::Duration};

use jiff::Timestamp;

use crate::{
    access::{Access, Candidate, Command, Standing, Target, TargetKind, Use, Validity},
    attempt::Attempt,
    identity::{NamePrefix, Person},
};

/// What the server was told at its start.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rules {
    /// Whether standard input and terminals can be granted at all.
    pub allow_interactive: bool,
    /// How long a request that nobody used can be used.
    pub unused: Duration,
    /// The prefix before user names.
    pub prefix: NamePrefix,
}

/// What memory says of an attempt. There is no allow here.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Screened {
    /// Nothing gives access.
    Denied(Denied),
    /// These seem to, the best first; the API server must confirm it. Never empty.
    Promising(Vec<Candidate>),
}

/// The decision on what was just read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// Access, by this permit.
    Allow(Permit),
    /// No access.
    Deny(Denied),
}

/// Why an attempt may proceed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Permit {
    /// UID of the request.
    pub request_uid: String,
    /// Name of the request.
    pub request: String,
    /// What must be done before the attempt may proceed.
    pub use_: Spend,
    /// The access.
    pub access: Access,
}

/// What an attempt uses up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Spend {
    /// The single use, which must be spent first.
    SingleUse,
    /// Nothing: the access lasts for a time.
    Nothing,
    /// This very review has spent the single use already.
    AlreadySpentByThisReview,
}

/// Why an attempt may not proceed: the nearest miss.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Denied {
    /// Interactive use cannot be granted on this server.
    InteractiveOff,
    /// No request of the caller comes near.
    NoRequest,
    /// A request of the caller comes near.
    Near {
        /// Its name.
        request: String,
        /// What is missing.
        miss: Miss,
    },
}

/// What is missing for a request to give access.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Miss {
    /// It is for exactly this, and nobody has answered.
    Waiting {
        /// Since when.
        since: Timestamp,
    },
    /// It is for exactly this, and does not give access any more.
    Over(Standing),
    /// It is granted, for something else.
    Differs {
        /// In what.
        differences: Vec<Difference>,
        /// The command that was granted.
        granted: Command,
    },
    /// It is granted for this, but what the pod is has changed or cannot run it.
    Pod(PodMiss),
}

/// In what an attempt differs from a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Difference {
    /// Another command.
    Command,
    /// Another container.
    Container,
    /// Standard input was not asked for.
    Stdin,
    /// A terminal was not asked for.
    Tty,
}

/// What is wrong with the pod.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PodMiss {
    /// It is gone, or is another of the same name, or does not belong to the workload.
    NotTheOne,
    /// It runs under another service account, or another image in this container, than the workload's template.
    NotAsTheTemplate,
    /// The container does not run.
    NotRunning,
}

/// What was just read of the pod.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Pod {
    /// Its UID.
    pub uid: String,
    /// Whether its deletion has begun.
    pub being_deleted: bool,
    /// Its service account.
    pub service_account: String,
    /// Its containers: init and ephemeral ones too.
    pub containers: Vec<Container>,
    /// The workloads that its controller references lead to, and what their templates say.
    pub workloads: Vec<Workload>,
}

/// What was just read of a container.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Container {
    /// Its name.
    pub name: String,
    /// Its image, as the pod's spec has it.
    pub image: String,
    /// Whether it runs.
    pub running: bool,
    /// Whether it is one of the pod's own containers (not an init or ephemeral one).
    pub main: bool,
}

/// What was just read of a workload that controls a pod.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Workload {
    /// Its kind.
    pub kind: TargetKind,
    /// Its UID.
    pub uid: String,
    /// The service account of its template.
    pub service_account: String,
    /// The names and images of its template's containers.
    pub images: Vec<(String, String)>,
}

/// Decides what memory can decide: denies with the nearest miss, or names the candidates worth reading live.
///
/// Compares everything but what only the live pod can tell: UIDs, and the pods of a workload.
pub fn screen(attempt: &Attempt, candidates: &[Candidate], now: Timestamp, rules: &Rules) -> Screened {
    if attempt.exec.is_interactive() && !rules.allow_interactive {
        return Screened::Denied(Denied::InteractiveOff);
    }
    let Some(caller) = rules.prefix.person(&attempt.caller) else {
        return Screened::Denied(Denied::NoRequest);
    };
    let mut hers: Vec<(&Candidate, Standing)> = candidates
        .iter()
        .filter(|candidate| is_about(candidate, attempt, &caller))
        .map(|candidate| (candidate, candidate.standing(now, rules.unused)))
        .collect();
    hers.sort_by_key(|(candidate, standing)| preference(candidate, standing));
    let promising: Vec<Candidate> = hers
        .iter()
        .filter(|(candidate, standing)| gives_access(candidate, standing, attempt))
        .map(|(candidate, _)| (*candidate).clone())
        .collect();
    if promising.is_empty() { Screened::Denied(nearest(&hers, attempt)) } else { Screened::Promising(promising) }
}

/// Decides on what was just read from the API server: the request, its grants, and the pod (`None`: there is none).
pub fn confirm(attempt: &Attempt, candidate: &Candidate, pod: Option<&Pod>, now: Timestamp, rules: &Rules) -> Verdict {
    let live = match screen(attempt, std::slice::from_ref(candidate), now, rules) {
        Screened::Denied(denied) => return Verdict::Deny(denied),
        Screened::Promising(live) => live,
    };
    let [candidate] = live.as_slice() else { return Verdict::Deny(Denied::NoRequest) };
    let request = &candidate.request;
    let near = |miss| Verdict::Deny(Denied::Near { request: request.name.clone(), miss });
    if let Err(miss) = pod_matches(attempt, candidate, pod) {
        return near(miss);
    }
    let permit = |use_, access| {
        Verdict::Allow(Permit { request_uid: request.uid.clone(), request: request.name.clone(), use_, access })
    };
    match (candidate.standing(now, rules.unused), request.validity) {
        (Standing::Granted(access), Validity::Once) => permit(Spend::SingleUse, access),
        (Standing::Granted(access), Validity::For(_)) => permit(Spend::Nothing, access),
        (Standing::Used { first, by }, Validity::Once) if is_its_own(&first, &by, attempt) => {
            permit(Spend::AlreadySpentByThisReview, spent(&first, by))
        }
        (standing, _) => near(Miss::Over(standing)),
    }
}

fn spent(first: &Use, by: Vec<String>) -> Access {
    Access { until: first.at, since: first.at, by, grants: Vec::new() }
}

/// Whether a request of the caller names the pod of the attempt, or may do so as one of a workload.
fn is_about(candidate: &Candidate, attempt: &Attempt, caller: &Person) -> bool {
    let request = &candidate.request;
    caller.is(&request.user) && request.namespace == attempt.namespace && may_name(&request.target, &attempt.pod)
}

fn may_name(target: &Target, pod: &str) -> bool {
    target.kind != TargetKind::Pod || target.name == pod
}

/// Whether the attempt could proceed under this request: it matches, and the request stands granted, or was spent
/// by this very review.
fn gives_access(candidate: &Candidate, standing: &Standing, attempt: &Attempt) -> bool {
    let stands = match standing {
        Standing::Granted(_) => true,
        Standing::Used { first, by } => is_its_own(first, by, attempt),
        Standing::Pending | Standing::Denied(_) | Standing::Expired { .. } | Standing::Revoked => false,
    };
    stands && differences(candidate, attempt).is_empty()
}

/// Whether this very review spent the use, and the access was not revoked meanwhile.
fn is_its_own(first: &Use, by: &[String], attempt: &Attempt) -> bool {
    first.review_uid == attempt.review_uid && !by.is_empty()
}

/// In what an attempt differs from a request, as far as memory can tell. Less than was asked for (no terminal, no
/// standard input) is no difference.
fn differences(candidate: &Candidate, attempt: &Attempt) -> Vec<Difference> {
    let (request, exec) = (&candidate.request, &attempt.exec);
    let command = match &request.command {
        Command::Any => false,
        Command::Exactly(argv) => argv.is_empty() || *argv != exec.command,
    };
    // Which container an unnamed one is, only the live pod can tell.
    let container = exec.container.is_some() && exec.container != request.container;
    [
        (command, Difference::Command),
        (container, Difference::Container),
        (exec.stdin && !request.stdin, Difference::Stdin),
        (exec.tty && !request.tty, Difference::Tty),
    ]
    .into_iter()
    .filter_map(|(differs, difference)| differs.then_some(difference))
    .collect()
}

/// The order in which candidates are tried and misses are told: whatever ends last or is newest first, then by UID,
/// so that the order in which they came never matters. What lasts for a time goes before what is used up.
fn preference(candidate: &Candidate, standing: &Standing) -> (bool, Reverse<Timestamp>, Reverse<Timestamp>, String) {
    let request = &candidate.request;
    let until = match standing {
        Standing::Granted(access) => access.until,
        Standing::Pending
        | Standing::Denied(_)
        | Standing::Used { .. }
        | Standing::Expired { .. }
        | Standing::Revoked => Timestamp::MIN,
    };
    (request.validity == Validity::Once, Reverse(until), Reverse(request.created), request.uid.clone())
}

/// The nearest miss: what waits for exactly this, then what was for exactly this and is over (the newest), then
/// what is granted and differs least.
fn nearest(hers: &[(&Candidate, Standing)], attempt: &Attempt) -> Denied {
    let ranked = hers.iter().filter_map(|(candidate, standing)| {
        let (rank, miss) = miss(candidate, standing, attempt)?;
        Some(((rank, Reverse(candidate.request.created), candidate.request.uid.clone()), candidate, miss))
    });
    ranked.min_by(|(a, ..), (b, ..)| a.cmp(b)).map_or(Denied::NoRequest, |(_, candidate, miss)| Denied::Near {
        request: candidate.request.name.clone(),
        miss,
    })
}

fn miss(candidate: &Candidate, standing: &Standing, attempt: &Attempt) -> Option<(usize, Miss)> {
    let request = &candidate.request;
    let differences = differences(candidate, attempt);
    // For a workload's request memory cannot tell whether it is about this pod: do not speak of what is over.
    let surely_this_pod = request.target.kind == TargetKind::Pod;
    match standing {
        Standing::Pending if differences.is_empty() => Some((0, Miss::Waiting { since: request.created })),
        Standing::Granted(_) if !differences.is_empty() => {
            Some((differences.len().saturating_add(1), Miss::Differs { differences, granted: request.command.clone() }))
        }
        Standing::Denied(_) | Standing::Used { .. } | Standing::Expired { .. } if differences.is_empty() => {
            let rank = if surely_this_pod { 1 } else { 2 };
            Some((rank, Miss::Over(standing.clone())))
        }
        Standing::Pending
        | Standing::Granted(_)
        | Standing::Denied(_)
        | Standing::Used { .. }
        | Standing::Expired { .. }
        | Standing::Revoked => None,
    }
}

/// Whether the live pod is the one that was granted, and its container runs.
fn pod_matches(attempt: &Attempt, candidate: &Candidate, pod: Option<&Pod>) -> Result<(), Miss> {
    let request = &candidate.request;
    let miss = |miss| Err(Miss::Pod(miss));
    // Which pod it is comes first: of any other one, not even its containers are spoken of.
    let meant = pod.filter(|pod| !pod.being_deleted && is_meant(&request.target, pod));
    let Some(pod) = meant else { return miss(PodMiss::NotTheOne) };
    // Where the client names no container, the API server takes the only one, and refuses where there are more.
    let named = attempt.exec.container.as_deref().or_else(|| only_container(pod));
    let differs = || Miss::Differs { differences: vec![Difference::Container], granted: request.command.clone() };
    let name = named.filter(|name| request.container.as_deref() == Some(*name)).ok_or_else(differs)?;
    let Some(container) = pod.containers.iter().find(|container| container.name == name) else {
        return miss(PodMiss::NotRunning);
    };
    if workload(&request.target, pod).is_some_and(|workload| !is_as_the_template(workload, pod, container)) {
        return miss(PodMiss::NotAsTheTemplate);
    }
    if container.running { Ok(()) } else { miss(PodMiss::NotRunning) }
}

fn only_container(pod: &Pod) -> Option<&str> {
    let mut main = pod.containers.iter().filter(|container| container.main);
    let first = main.next()?;
    main.next().is_none().then_some(first.name.as_str())
}

/// Whether a pod is the one that was granted, or belongs to the workload that was: each by UID.
fn is_meant(target: &Target, pod: &Pod) -> bool {
    match target.kind {
        TargetKind::Pod => target.uid.as_ref() == Some(&pod.uid),
        TargetKind::Deployment | TargetKind::StatefulSet | TargetKind::DaemonSet | TargetKind::Job => {
            workload(target, pod).is_some()
        }
    }
}

fn workload<'a>(target: &Target, pod: &'a Pod) -> Option<&'a Workload> {
    let is_target = |workload: &&Workload| workload.kind == target.kind && Some(&workload.uid) == target.uid.as_ref();
    pod.workloads.iter().find(is_target)
}

/// Whether a pod's container runs what the workload's template says, and as whom.
fn is_as_the_template(workload: &Workload, pod: &Pod, container: &Container) -> bool {
    let same_image = workload.images.iter().any(|(name, image)| *name == container.name && *image == container.image);
    same_image && workload.service_account == pod.service_account
}
