//! Where a request stands, and what the controllers should make of it.

use std::time::Duration;

use jiff::Timestamp;

use crate::{
    access::{Answer, Emergency, Grant, Reviewed, Seal, after},
    settings::Rules,
    standing::{Candidate, Standing},
};

/// How long a role binding outlives the single use: the API server asks RBAC after admission.
pub const BINDING_AFTER_USE: Duration = Duration::from_mins(1);

/// How long requests are kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Keep {
    /// Those that are over (`--keep-finished`). Those that nobody answered or used are kept as long
    /// as they can be used.
    pub finished: Duration,
}

/// What the controllers should make of a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Plan {
    /// Where it stands.
    pub standing: Standing,
    /// Whether the user should be bound to the granted role.
    pub bound: bool,
    /// How many approvals the policies require.
    pub approvals: u32,
    /// When it should be deleted.
    pub delete_at: Option<Timestamp>,
    /// The reviews whose uses must be written down as lost.
    pub lost: Vec<String>,
    /// That it is an emergency, to be written into its status and kept there.
    pub emergency: Option<Emergency>,
    /// The review of that.
    pub reviewed: Option<Reviewed>,
    /// What would count if it were sealed.
    pub unsealed: Unsealed,
    /// When to look at it again because time alone changes it.
    pub look_again: Option<Timestamp>,
}

/// What has no good seal, of a request that waits: it was written past the server, or sealed under
/// a key that is gone.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Unsealed {
    /// Whether the request has none.
    pub request: bool,
    /// The names of the grants that have none.
    pub grants: Vec<String>,
}

impl Unsealed {
    fn of(candidate: &Candidate, standing: &Standing) -> Self {
        if *standing != Standing::Pending {
            return Self::default();
        }
        let broken = |grant: &&Grant| grant.seal == Seal::Broken && grant.answer == Answer::Granted;
        let grants = candidate
            .grants
            .iter()
            .filter(broken)
            .map(|grant| grant.name.clone())
            .collect();
        Self {
            request: candidate.request.seal == Seal::Broken,
            grants,
        }
    }
}

/// What the controllers should make of a request at `now`.
pub fn plan(candidate: &Candidate, now: Timestamp, keep: Keep, rules: &Rules) -> Plan {
    let ruling = rules
        .policies
        .of_request(&candidate.request, &rules.settings.prefix);
    let marked = candidate
        .begins(&ruling, now, rules)
        .map(|emergency| candidate.marked(emergency));
    let candidate = marked.as_ref().unwrap_or(candidate);
    let standing = candidate.standing_under(&ruling, now, rules);
    let approvals = candidate.wanted(&ruling, now, rules).needed;
    let ends = Ends::of(candidate, &standing, keep, rules.settings.unused);
    let bound = ends.bound_until.is_some_and(|until| now < until);
    let uses = || {
        candidate
            .request
            .uses
            .iter()
            .filter_map(|one| Some((one, one.lost_at()?)))
    };
    let lost = uses()
        .filter(|(_, at)| *at <= now)
        .map(|(one, _)| one.review_uid.clone())
        .collect();
    let delete_at = once_reviewed(candidate, ends.delete_at, keep);
    let (emergency, reviewed) = (
        candidate.request.emergency.clone(),
        candidate.reviewed(now, rules),
    );
    let overdue = emergency
        .as_ref()
        .filter(|_| reviewed.is_none())
        .map(|emergency| emergency.review_by);
    // Its deletion changes nothing but itself, and is clean-up's: nobody keeps its time in memory.
    let times = [ends.changes, ends.bound_until, overdue]
        .into_iter()
        .flatten();
    let look_again = times
        .chain(uses().map(|(_, at)| at))
        .filter(|at| *at > now)
        .min();
    let unsealed = Unsealed::of(candidate, &standing);
    Plan {
        standing,
        bound,
        approvals,
        delete_at,
        lost,
        emergency,
        reviewed,
        unsealed,
        look_again,
    }
}

/// Every time at which time alone may change what a request comes to, in order: what a clock that
/// goes ahead of ours has already seen.
pub fn moments(candidate: &Candidate, rules: &Rules) -> Vec<Timestamp> {
    let request = &candidate.request;
    let ruling = rules.policies.of_request(request, &rules.settings.prefix);
    let emergency = request
        .emergency
        .iter()
        .map(|emergency| emergency.review_by);
    let lost = request.uses.iter().filter_map(crate::access::Use::lost_at);
    let unused = after(request.created, rules.settings.unused);
    let mut moments: Vec<Timestamp> = candidate
        .turns(&ruling, rules)
        .into_iter()
        .chain(emergency)
        .chain(lost)
        .chain([request.created, unused])
        .collect();
    moments.sort_unstable();
    moments.dedup();
    moments
}

/// When a request comes to something by time alone; `None`: never.
#[derive(Debug, Clone, Copy, Default)]
struct Ends {
    /// Until when its user is bound to the role.
    bound_until: Option<Timestamp>,
    delete_at: Option<Timestamp>,
    /// When its standing changes.
    changes: Option<Timestamp>,
}

impl Ends {
    /// `unused`: how long a request that nobody used is kept.
    fn of(candidate: &Candidate, standing: &Standing, keep: Keep, unused: Duration) -> Self {
        let created = candidate.request.created;
        let over = |at: Timestamp| Self {
            delete_at: Some(after(at, keep.finished)),
            ..Self::default()
        };
        match standing {
            Standing::Pending => {
                let lapses = Some(after(created, unused));
                Self {
                    bound_until: None,
                    delete_at: lapses,
                    changes: lapses,
                }
            }
            Standing::Granted(access) => Self {
                bound_until: Some(access.until),
                delete_at: None,
                changes: Some(access.until),
            },
            Standing::Denied(denial) => over(denial.at),
            Standing::Used { last, .. } => Self {
                bound_until: Some(after(last.at, BINDING_AFTER_USE)),
                ..over(last.at)
            },
            // Nobody used it: it is of no interest to anybody any more.
            Standing::Expired { at, by } if by.is_empty() || is_single_use(candidate) => Self {
                delete_at: Some(*at),
                ..Self::default()
            },
            Standing::Expired { at, .. } => over(*at),
            // Should the policy go, it is what it was.
            Standing::Forbidden(_) => Self {
                delete_at: Some(after(created, keep.finished.max(unused))),
                ..Self::default()
            },
            Standing::Revoked => Self::default(),
        }
    }
}

/// An emergency is kept until it is reviewed, and its review for the record. What is not in the
/// status may still be deleted with its grant.
fn once_reviewed(
    candidate: &Candidate,
    delete_at: Option<Timestamp>,
    keep: Keep,
) -> Option<Timestamp> {
    match (&candidate.request.emergency, &candidate.request.reviewed) {
        (None, _) => delete_at,
        (Some(_), None) => None,
        (Some(_), Some(reviewed)) => delete_at.map(|at| at.max(after(reviewed.at, keep.finished))),
    }
}

fn is_single_use(candidate: &Candidate) -> bool {
    candidate.request.validity == crate::access::Validity::Once
}
