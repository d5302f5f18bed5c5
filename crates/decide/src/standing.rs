//! Where a request stands at a given time, under its grants and the policies.

use std::{cmp::Reverse, time::Duration};

use jiff::Timestamp;

use crate::{
    access::{
        Answer, Denial, Emergency, Grant, Request, Reviewed, Seal, Use, Validity, after,
        is_from_the_future,
    },
    policy_id::PolicyId,
    ruling::{Forbidden, Ruling, Wanted},
    settings::Rules,
};

/// A request with the grants that name it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Candidate {
    /// The request.
    pub request: Request,
    /// The grants that name it, those for another request of that name included.
    pub grants: Vec<Grant>,
    /// Whether these are all of them. What was read always has all; memory has fewer while it
    /// learns them, and then nothing is denied for want of a grant that was not looked for.
    pub has_all_grants: bool,
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

impl Candidate {
    /// Where the request stands at `now`, under what the policies say of it by itself.
    ///
    /// A denial wins over everything but deletion, whenever it came. The end of an access is itself
    /// not part of it.
    pub fn standing(&self, now: Timestamp, rules: &Rules) -> Standing {
        self.standing_under(
            &rules
                .policies
                .of_request(&self.request, &rules.settings.prefix),
            now,
            rules,
        )
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
            return Standing::Used {
                last: last.clone(),
                by,
            };
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

    /// Whether it takes one of its user's places: it waits or gives access, or is an emergency that
    /// nobody reviewed, which is kept.
    pub fn is_open(&self, now: Timestamp, rules: &Rules) -> bool {
        self.request.is_unreviewed()
            || matches!(
                self.standing(now, rules),
                Standing::Pending | Standing::Granted(_)
            )
    }

    /// How far the request is from being granted, where it is pending.
    pub fn wanted(&self, ruling: &Ruling<'_>, now: Timestamp, rules: &Rules) -> Wanted {
        ruling.wanted(&self.counting(now, rules), &rules.settings.prefix)
    }

    /// The emergency that begins now: a policy for emergencies would grant the request, nothing
    /// else does, and that is not written down yet. Until it is, the policy gives nothing: no
    /// access is without a trace.
    pub fn begins(&self, ruling: &Ruling<'_>, now: Timestamp, rules: &Rules) -> Option<Emergency> {
        let granting = ruling
            .grants(&self.request)
            .filter(|_| self.request.emergency.is_none())?;
        // As Kubernetes writes times.
        let since = Timestamp::from_second(now.as_second()).unwrap_or(now);
        let review_by = after(since, granting.review_within?);
        let emergency = Emergency {
            policy: granting.policy.clone(),
            since,
            review_by,
        };
        let gives =
            |one: &Self| matches!(one.standing_under(ruling, now, rules), Standing::Granted(_));
        (!gives(self) && gives(&self.marked(emergency.clone()))).then_some(emergency)
    }

    /// The same once it is written down that it is an emergency.
    pub(crate) fn marked(&self, emergency: Emergency) -> Self {
        let request = Request {
            emergency: Some(emergency),
            ..self.request.clone()
        };
        Self {
            request,
            ..self.clone()
        }
    }

    /// The review of an emergency: as the request's own status has it, or by the first good answer
    /// of somebody who looked at it, be it by denying it.
    pub fn reviewed(&self, now: Timestamp, rules: &Rules) -> Option<Reviewed> {
        self.request.emergency.as_ref()?;
        let looked = |grant: &&Grant| match grant.answer {
            Answer::Reviewed | Answer::Denied => self.is_good(grant, now, rules),
            Answer::Granted => false,
        };
        self.request.reviewed.clone().or_else(|| {
            let grant = self
                .grants
                .iter()
                .filter(looked)
                .min_by_key(|grant| (grant.since(), &grant.name))?;
            let by = grant.by.as_ref()?.name.clone();
            Some(Reviewed {
                by,
                at: grant.since(),
                reason: grant.reason.clone(),
            })
        })
    }

    fn counting(&self, now: Timestamp, rules: &Rules) -> Vec<&Grant> {
        self.grants
            .iter()
            .filter(|grant| self.counts(grant, now, rules))
            .collect()
    }

    /// When access is given, by whom: by each grant where one is enough, else by those that stand
    /// at the same time; and by a policy.
    fn windows(&self, ruling: &Ruling<'_>, now: Timestamp, rules: &Rules) -> Vec<Access> {
        let longest = ruling.longest();
        let counting = self.counting(now, rules);
        let ends: Vec<(&Grant, Timestamp)> = counting
            .into_iter()
            .map(|grant| (grant, self.end(grant, longest, rules)))
            .collect();
        let mut windows: Vec<Access> = if ruling.needs_one() {
            ends.iter()
                .map(|one| window(one.0.since(), one.1, std::slice::from_ref(one)))
                .collect()
        } else {
            ends.iter()
                .filter_map(|(last, _)| together(last.since(), &ends, ruling, rules))
                .collect()
        };
        // What was filed past the server says of its user what it likes.
        let believed =
            !is_from_the_future(self.request.created, now) && self.request.seal == Seal::Good;
        let granting = ruling.grants(&self.request).filter(|_| believed);
        // An emergency must stand in the request's status first.
        let granting =
            granting.filter(|one| one.review_within.is_none() || self.request.emergency.is_some());
        windows.extend(granting.map(|one| {
            let since = self.request.created;
            let by = vec![format!("policy {}", one.policy.name)];
            let until = self.asked_end(since, one.longest, rules);
            Access {
                until,
                since,
                by,
                grants: Vec::new(),
                policy: Some(Box::new(one.policy.clone())),
            }
        }));
        windows
    }

    /// When what its grants and a policy say begins and ends, whether or not they count.
    pub(crate) fn turns(&self, ruling: &Ruling<'_>, rules: &Rules) -> Vec<Timestamp> {
        let longest = ruling.longest();
        let by_grants = self.grants.iter().flat_map(|grant| {
            [
                grant.created,
                grant.since(),
                self.end(grant, longest, rules),
            ]
        });
        let by_policy = ruling
            .grants(&self.request)
            .map(|one| self.asked_end(self.request.created, one.longest, rules));
        by_grants.chain(by_policy).collect()
    }

    /// When what a grant says ends: each approval lasts as long as was asked for, from when it was
    /// given.
    fn end(&self, grant: &Grant, longest: Option<Duration>, rules: &Rules) -> Timestamp {
        let asked = self.asked_end(grant.since(), longest, rules);
        grant
            .valid_for
            .map_or(asked, |shorter| asked.min(after(grant.since(), shorter)))
    }

    /// When access that is given at a time ends, as it was asked for and as far as a policy lets it
    /// last.
    fn asked_end(&self, since: Timestamp, longest: Option<Duration>, rules: &Rules) -> Timestamp {
        match self.request.validity {
            Validity::Once => {
                let unused = after(self.request.created, rules.settings.unused);
                longest.map_or(unused, |longest| unused.min(after(since, longest)))
            }
            Validity::For(asked) => {
                after(since, longest.map_or(asked, |longest| asked.min(longest)))
            }
        }
    }

    /// The denial, by the request's own status or by any grant that denies it: one that is being
    /// deleted too.
    fn denial(&self) -> Option<Denial> {
        let said = |grant: &&Grant| grant.answer == Answer::Denied && self.is_for_this(grant);
        self.request.denied.clone().or_else(|| {
            let grant = self
                .grants
                .iter()
                .filter(said)
                .min_by_key(|grant| (grant.created, &grant.name))?;
            let by = grant
                .by
                .as_ref()
                .map(|by| by.name.clone())
                .unwrap_or_default();
            Some(Denial {
                by,
                at: grant.created,
                reason: grant.reason.clone(),
            })
        })
    }

    fn is_for_this(&self, grant: &Grant) -> bool {
        grant.request_uid.as_ref() == Some(&self.request.uid)
    }

    /// Whether a grant gives access.
    fn counts(&self, grant: &Grant, now: Timestamp, rules: &Rules) -> bool {
        grant.answer == Answer::Granted && self.is_good(grant, now, rules)
    }

    /// Whether an answer is one: sealed, for this very request, by somebody else who may answer,
    /// not deleted, not from the future.
    fn is_good(&self, grant: &Grant, now: Timestamp, rules: &Rules) -> bool {
        let somebody_else = grant.by.as_ref().is_some_and(|by| {
            let requester = by.may_be(&self.request.user);
            let filer = self
                .request
                .created_by
                .as_ref()
                .is_some_and(|filer| by.may_be(filer));
            !requester && !filer && rules.settings.approvers.check(&grant.groups, by).is_ok()
        });
        let believed = |created: Timestamp| !is_from_the_future(created, now);
        grant.seal == Seal::Good
            && self.is_for_this(grant)
            && somebody_else
            && !grant.being_deleted
            && believed(grant.created)
            && believed(self.request.created)
    }
}

/// The access that opens at a time by all grants that stand then, if they are enough: until so many
/// have ended that they are not.
fn together(
    opens: Timestamp,
    ends: &[(&Grant, Timestamp)],
    ruling: &Ruling<'_>,
    rules: &Rules,
) -> Option<Access> {
    let mut standing: Vec<(&Grant, Timestamp)> = ends
        .iter()
        .copied()
        .filter(|(grant, end)| grant.since() <= opens && opens < *end)
        .collect();
    standing.sort_by_key(|(grant, end)| (Reverse(*end), &grant.name));
    let grants: Vec<&Grant> = standing.iter().map(|(grant, _)| *grant).collect();
    let enough = |count: &usize| {
        grants
            .get(..*count)
            .is_some_and(|first| ruling.is_met_by(first, &rules.settings.prefix))
    };
    let count = (1..=grants.len()).find(enough)?;
    let until = standing.get(count.checked_sub(1)?)?.1;
    Some(window(opens, until, &standing))
}

fn window(since: Timestamp, until: Timestamp, grants: &[(&Grant, Timestamp)]) -> Access {
    Access {
        until,
        since,
        by: grants
            .iter()
            .filter_map(|(grant, _)| Some(grant.by.as_ref()?.name.clone()))
            .collect(),
        grants: grants.iter().map(|(grant, _)| grant.name.clone()).collect(),
        policy: None,
    }
}

/// The access that windows give together at a time.
fn access(until: Timestamp, windows: Vec<Access>, now: Timestamp) -> Access {
    let mut all = Access {
        until,
        since: until,
        by: Vec::new(),
        grants: Vec::new(),
        policy: None,
    };
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
