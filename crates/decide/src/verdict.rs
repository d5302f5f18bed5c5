//! The decision, in two steps that cannot be mixed up: [`screen`] works on what memory shows and
//! can only deny or name promising candidates; [`confirm`] works on what was just read from the API
//! server and alone can permit.

use std::{borrow::Borrow, cmp::Reverse};

use jiff::Timestamp;

use crate::{
    access::{Ask, Request, Target, TargetKind, Use, Validity},
    attempt::{Action, Attempt},
    debug::DebugContainer,
    identity::Person,
    matching::{self, Difference, Left, Part},
    policy::Deed,
    policy_id::PolicyId,
    ruling::{Forbidden, Wanted},
    settings::Rules,
    standing::{Access, Candidate, Standing},
};

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
    /// The policies that it is under, for the record: one that grants it, and those that require
    /// something of it.
    pub policies: Vec<PolicyId>,
    /// Whether a policy for emergencies granted the request.
    pub emergency: bool,
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
    /// A policy forbids it.
    Forbidden(Box<Forbidden>),
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
        /// For what.
        wanted: Box<Wanted>,
    },
    /// It is for exactly this, and does not give access any more.
    Over(Standing),
    /// It is granted, for something else.
    Differs {
        /// In what.
        differences: Vec<Difference>,
        /// What was granted.
        granted: Box<Ask>,
    },
    /// It is granted for this, but what the pod is has changed or cannot run it.
    Pod(PodMiss),
}

/// What is wrong with the pod.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PodMiss {
    /// It is gone, or is another of the same name, or does not belong to the workload.
    NotTheOne,
    /// It runs under another service account, or another image in this container, than the
    /// workload's template.
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
    /// Of an ephemeral one all that it is; `None` for others, and for one that is not understood.
    pub ephemeral: Option<DebugContainer>,
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

/// The policy by which an attempt needs no request, if any does. It must be asked of policies that
/// were just read.
pub fn allowed_by_policy<'a>(attempt: &Attempt, rules: &'a Rules) -> Option<&'a PolicyId> {
    if attempt.action.is_interactive() && !rules.settings.allow_interactive {
        return None;
    }
    rules.policies.ruling(&Deed::of(attempt), None).allows()
}

/// Decides what memory can decide: denies with the nearest miss, or names the candidates worth
/// reading live.
///
/// Compares everything but what only the live pod can tell: UIDs, and the pods of a workload.
pub fn screen<C: Borrow<Candidate>>(
    attempt: &Attempt,
    candidates: &[C],
    now: Timestamp,
    rules: &Rules,
) -> Screened {
    if attempt.action.is_interactive() && !rules.settings.allow_interactive {
        return Screened::Denied(Denied::InteractiveOff);
    }
    let ruling = rules.policies.ruling(&Deed::of(attempt), None);
    if let Some(forbidden) = ruling.forbids(attempt.action.is_interactive()) {
        return Screened::Denied(Denied::Forbidden(Box::new(forbidden)));
    }
    let Some(caller) = rules.settings.prefix.person(&attempt.caller) else {
        return Screened::Denied(Denied::NoRequest);
    };
    let mut hers: Vec<Hers<'_>> = candidates
        .iter()
        .filter_map(|candidate| Hers::of(candidate.borrow(), attempt, &caller, now, rules))
        .collect();
    hers.sort_by_key(Hers::preference);
    let promising: Vec<Candidate> = hers
        .iter()
        .filter(|hers| hers.gives_access() || hers.may_give_access())
        .map(|hers| hers.candidate.clone())
        .collect();
    if promising.is_empty() {
        Screened::Denied(nearest(&hers))
    } else {
        Screened::Promising(promising)
    }
}

/// Decides on what was just read from the API server: the request, its grants, and the pod (`None`:
/// there is none).
pub fn confirm(
    attempt: &Attempt,
    candidate: &Candidate,
    pod: Option<&Pod>,
    now: Timestamp,
    rules: &Rules,
) -> Verdict {
    if let Screened::Denied(denied) = screen(attempt, std::slice::from_ref(candidate), now, rules) {
        return Verdict::Deny(denied);
    }
    let hers = rules.settings.prefix.person(&attempt.caller);
    let hers = hers.and_then(|caller| Hers::of(candidate, attempt, &caller, now, rules));
    let Some(hers) = hers.filter(Hers::gives_access) else {
        return Verdict::Deny(Denied::NoRequest);
    };
    let request = &candidate.request;
    let near = |miss| {
        Verdict::Deny(Denied::Near {
            request: request.name.clone(),
            miss,
        })
    };
    if let Err(miss) = pod_matches(attempt, candidate, hers.part, pod) {
        return near(miss);
    }
    let required = hers.required.clone();
    let permit = |use_, access: Access| {
        let (request_uid, name) = (request.uid.clone(), request.name.clone());
        // Of what was spent before, only the request tells.
        let marked = request
            .emergency
            .as_ref()
            .map(|emergency| &emergency.policy);
        let granting = access.policy.as_deref().or(marked).cloned();
        let policies = granting.into_iter().chain(required).collect();
        let emergency = request.emergency.is_some();
        Verdict::Allow(Permit {
            request_uid,
            request: name,
            use_,
            access,
            policies,
            emergency,
        })
    };
    match (hers.left, hers.standing) {
        (Left::ToSpend, Standing::Granted(access)) => permit(Spend::SingleUse, access),
        (Left::Free, Standing::Granted(access)) => permit(Spend::Nothing, access),
        (Left::Own, Standing::Granted(access)) => permit(Spend::AlreadySpentByThisReview, access),
        (Left::Own, Standing::Used { last, by }) if !by.is_empty() => {
            permit(Spend::AlreadySpentByThisReview, spent(&last, by))
        }
        (_, standing) => near(Miss::Over(standing)),
    }
}

fn spent(last: &Use, by: Vec<String>) -> Access {
    Access {
        until: last.at,
        since: last.at,
        by,
        grants: Vec::new(),
        policy: None,
    }
}

/// A request of the caller that is about the attempt.
struct Hers<'a> {
    candidate: &'a Candidate,
    standing: Standing,
    part: Part,
    differences: Vec<Difference>,
    left: Left,
    wanted: Wanted,
    required: Vec<PolicyId>,
}

impl<'a> Hers<'a> {
    /// `None` where the request is somebody else's, or for another pod or door.
    fn of(
        candidate: &'a Candidate,
        attempt: &Attempt,
        caller: &Person,
        now: Timestamp,
        rules: &Rules,
    ) -> Option<Self> {
        let request = &candidate.request;
        let about = caller.is(&request.user)
            && rules.settings.may_request(caller)
            && request.namespace == attempt.namespace
            && may_name(&request.target, &attempt.pod);
        // What was granted before interactive use was switched off opens nothing any more.
        let copies = matches!(request.ask, Ask::Copy(_));
        let possible = rules.settings.allow_interactive || copies || !attempt.action.takes_input();
        let part = matching::part(&request.ask, &attempt.action).filter(|_| about && possible)?;
        let asked = Deed::asked(request, &rules.settings.prefix);
        let ruling = rules.policies.ruling(&Deed::of(attempt), Some(&asked));
        let standing = candidate.standing_under(&ruling, now, rules);
        let wanted = candidate.wanted(&ruling, now, rules);
        let left = matching::left(candidate, &standing, part, attempt, now);
        // Of a container that this request did not add, it says nothing.
        if left == Left::Nothing && part == Part::Attach && candidate.has_all_grants {
            return None;
        }
        let differences = matching::differences(&request.ask, &attempt.action);
        let required = ruling.requiring().map(|policy| policy.id.clone()).collect();
        Some(Self {
            candidate,
            standing,
            part,
            differences,
            left,
            wanted,
            required,
        })
    }

    /// Whether the attempt could proceed under this request: it matches, and the request stands
    /// granted and has something left, or was spent by this very attempt and not revoked since.
    fn gives_access(&self) -> bool {
        let granted = match &self.standing {
            Standing::Granted(_) => matches!(self.left, Left::ToSpend | Left::Free | Left::Own),
            Standing::Used { by, .. } => self.left == Left::Own && !by.is_empty(),
            Standing::Pending
            | Standing::Denied(_)
            | Standing::Forbidden(_)
            | Standing::Expired { .. }
            | Standing::Revoked => false,
        };
        granted && self.differences.is_empty()
    }

    /// Whether grants that are not in memory may give access.
    fn may_give_access(&self) -> bool {
        let unanswered = match &self.standing {
            Standing::Pending => true,
            Standing::Expired { by, .. } => by.is_empty(),
            Standing::Used { by, .. } => by.is_empty() && self.left == Left::Own,
            Standing::Granted(_)
            | Standing::Denied(_)
            | Standing::Forbidden(_)
            | Standing::Revoked => false,
        };
        !self.candidate.has_all_grants && unanswered && self.differences.is_empty()
    }

    /// The order in which candidates are tried and misses are told: whatever ends last or is newest
    /// first, then by UID, so that the order in which they came never matters. What lasts for a
    /// time goes before what is used up.
    fn preference(&self) -> (bool, Reverse<Timestamp>, Reverse<Timestamp>, String) {
        let request = &self.candidate.request;
        let until = match &self.standing {
            Standing::Granted(access) => access.until,
            Standing::Pending
            | Standing::Denied(_)
            | Standing::Forbidden(_)
            | Standing::Used { .. }
            | Standing::Expired { .. }
            | Standing::Revoked => Timestamp::MIN,
        };
        (
            request.validity == Validity::Once,
            Reverse(until),
            Reverse(request.created),
            request.uid.clone(),
        )
    }

    /// How far it is from giving access, the nearest first; `None`: nothing is to be told of it.
    fn distance(&self) -> Option<usize> {
        let request = &self.candidate.request;
        // For a workload's request memory cannot tell whether it is about this pod: do not speak of
        // what is over.
        let over = if request.target.kind == TargetKind::Pod {
            1
        } else {
            2
        };
        let matches = self.differences.is_empty();
        match &self.standing {
            Standing::Pending => matches.then_some(0),
            Standing::Granted(_) if !matches => Some(self.differences.len().saturating_add(1)),
            Standing::Granted(_) => matches!(self.left, Left::Spent(_)).then_some(over),
            Standing::Denied(_)
            | Standing::Forbidden(_)
            | Standing::Used { .. }
            | Standing::Expired { .. } => matches.then_some(over),
            Standing::Revoked => None,
        }
    }

    /// What is missing, of one that has a distance.
    fn miss(&self) -> Miss {
        let request = &self.candidate.request;
        match (&self.standing, &self.left) {
            (Standing::Pending, _) => Miss::Waiting {
                since: request.created,
                wanted: Box::new(self.wanted.clone()),
            },
            (Standing::Granted(_), _) if !self.differences.is_empty() => Miss::Differs {
                differences: self.differences.clone(),
                granted: Box::new(request.ask.clone()),
            },
            (Standing::Granted(access), Left::Spent(one)) => Miss::Over(Standing::Used {
                last: one.clone(),
                by: access.by.clone(),
            }),
            (standing, _) => Miss::Over(standing.clone()),
        }
    }
}

fn may_name(target: &Target, pod: &str) -> bool {
    target.kind != TargetKind::Pod || target.name == pod
}

/// The nearest miss: what waits for exactly this, then what was for exactly this and is over (the
/// newest), then what is granted and differs least.
fn nearest(hers: &[Hers<'_>]) -> Denied {
    let ranked = hers.iter().filter_map(|hers| {
        let request = &hers.candidate.request;
        Some((
            (hers.distance()?, Reverse(request.created), &request.uid),
            hers,
        ))
    });
    ranked
        .min_by(|(a, _), (b, _)| a.cmp(b))
        .map_or(Denied::NoRequest, |(_, nearest)| Denied::Near {
            request: nearest.candidate.request.name.clone(),
            miss: nearest.miss(),
        })
}

/// Whether the live pod is the one that was granted, and what is tried can run there.
fn pod_matches(
    attempt: &Attempt,
    candidate: &Candidate,
    part: Part,
    pod: Option<&Pod>,
) -> Result<(), Miss> {
    let request = &candidate.request;
    // Which pod it is comes first: of any other one, not even its containers are spoken of.
    let meant = pod.filter(|pod| !pod.being_deleted && is_meant(&request.target, pod));
    let pod = meant.ok_or(Miss::Pod(PodMiss::NotTheOne))?;
    match (&attempt.action, part) {
        (Action::Debug(addition), _) if addition.pod_uid != pod.uid => {
            Err(Miss::Pod(PodMiss::NotTheOne))
        }
        // They reach every container.
        (Action::PortForward | Action::Debug(_), _) => whole_pod(request, pod),
        (Action::Attach(_), Part::Attach) => debug_container(attempt, request, pod),
        (Action::Exec(_) | Action::Attach(_), _) => one_container(attempt, request, pod),
    }
}

/// The container that is named, or the only one, is the one that was granted, as the template has
/// it, and runs.
fn one_container(attempt: &Attempt, request: &Request, pod: &Pod) -> Result<(), Miss> {
    let differs = || Miss::Differs {
        differences: vec![Difference::Container],
        granted: Box::new(request.ask.clone()),
    };
    // Where the client names no container, the API server takes the only one, and refuses where
    // there are more.
    let named = attempt.action.container().or_else(|| only_container(pod));
    let name = named
        .filter(|name| request.ask.container() == Some(*name))
        .ok_or_else(differs)?;
    let container = pod
        .containers
        .iter()
        .find(|container| container.name == name);
    let container = container.ok_or(Miss::Pod(PodMiss::NotRunning))?;
    check_template(request, pod, std::slice::from_ref(container))?;
    if container.running {
        Ok(())
    } else {
        Err(Miss::Pod(PodMiss::NotRunning))
    }
}

/// All containers are as the template has them, and something runs.
fn whole_pod(request: &Request, pod: &Pod) -> Result<(), Miss> {
    let main: Vec<Container> = pod
        .containers
        .iter()
        .filter(|container| container.main)
        .cloned()
        .collect();
    check_template(request, pod, &main)?;
    if main.iter().any(|container| container.running) {
        Ok(())
    } else {
        Err(Miss::Pod(PodMiss::NotRunning))
    }
}

/// The container that is attached to is an ephemeral one, and all that was asked for.
fn debug_container(attempt: &Attempt, request: &Request, pod: &Pod) -> Result<(), Miss> {
    let Ask::Debug(ask) = &request.ask else {
        return Err(Miss::Pod(PodMiss::NotTheOne));
    };
    // One of the same name in another pod of the workload is somebody else's.
    let here = attempt
        .action
        .container()
        .and_then(|name| request.added(&pod.uid, name));
    here.ok_or(Miss::Pod(PodMiss::NotTheOne))?;
    let differs = |fields: Vec<String>| Miss::Differs {
        differences: fields.into_iter().map(Difference::Field).collect(),
        granted: Box::new(request.ask.clone()),
    };
    let named =
        |container: &&Container| Some(container.name.as_str()) == attempt.action.container();
    let container = pod
        .containers
        .iter()
        .find(named)
        .ok_or(Miss::Pod(PodMiss::NotRunning))?;
    let ephemeral = container
        .ephemeral
        .as_ref()
        .ok_or_else(|| differs(vec!["name".to_owned()]))?;
    let fields = ask.container.differences(ephemeral);
    if !fields.is_empty() {
        return Err(differs(fields));
    }
    if container.running {
        Ok(())
    } else {
        Err(Miss::Pod(PodMiss::NotRunning))
    }
}

fn check_template(request: &Request, pod: &Pod, containers: &[Container]) -> Result<(), Miss> {
    let Some(workload) = workload(&request.target, pod) else {
        return Ok(());
    };
    let same = containers
        .iter()
        .all(|container| is_as_the_template(workload, pod, container));
    if same {
        Ok(())
    } else {
        Err(Miss::Pod(PodMiss::NotAsTheTemplate))
    }
}

fn only_container(pod: &Pod) -> Option<&str> {
    let mut main = pod.containers.iter().filter(|container| container.main);
    let first = main.next()?;
    main.next().is_none().then_some(first.name.as_str())
}

/// Whether a pod is the one that was granted, or belongs to the workload that was: each by UID.
pub fn is_meant(target: &Target, pod: &Pod) -> bool {
    match target.kind {
        TargetKind::Pod => target.uid.as_ref() == Some(&pod.uid),
        TargetKind::Deployment
        | TargetKind::StatefulSet
        | TargetKind::DaemonSet
        | TargetKind::Job => workload(target, pod).is_some(),
    }
}

fn workload<'a>(target: &Target, pod: &'a Pod) -> Option<&'a Workload> {
    let is_target = |workload: &&Workload| {
        workload.kind == target.kind && Some(&workload.uid) == target.uid.as_ref()
    };
    pod.workloads.iter().find(is_target)
}

/// Whether a pod's container runs what the workload's template says, and as whom.
fn is_as_the_template(workload: &Workload, pod: &Pod, container: &Container) -> bool {
    let same_image = workload
        .images
        .iter()
        .any(|(name, image)| *name == container.name && *image == container.image);
    same_image && workload.service_account == pod.service_account
}
