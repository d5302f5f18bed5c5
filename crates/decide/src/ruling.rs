//! What the policies say together of something that is done or asked for.

use std::time::Duration;

use crate::{
    access::{Grant, Request},
    identity::NamePrefix,
    policy::{Allow, Deed, Effect, Policy, Require, Terms, Through, Unmet},
    policy_id::PolicyId,
};

/// All policies, in the order of their names.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Policies(Vec<Policy>);

impl<'a> IntoIterator for &'a Policies {
    type Item = &'a Policy;
    type IntoIter = std::slice::Iter<'a, Policy>;

    fn into_iter(self) -> Self::IntoIter {
        self.iter()
    }
}

impl FromIterator<Policy> for Policies {
    fn from_iter<T: IntoIterator<Item = Policy>>(policies: T) -> Self {
        let mut policies: Vec<Policy> = policies.into_iter().collect();
        policies.sort_by(|a, b| (&a.id.name, &a.id.uid).cmp(&(&b.id.name, &b.id.uid)));
        Self(policies)
    }
}

/// What the policies say of something.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Ruling<'a> {
    deny: Option<&'a Policy>,
    require: Vec<(&'a Policy, &'a Require)>,
    allow: Vec<(&'a Policy, &'a Allow)>,
}

/// That a policy forbids something.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Forbidden {
    /// Which.
    pub policy: PolicyId,
    /// What is missing; `None`: nobody may, whatever she asks.
    pub unmet: Option<Unmet>,
    /// Why the policy itself is not understood, where that is so.
    pub fault: Option<String>,
    /// Whom to ask.
    pub contact: Option<String>,
}

/// What would become of a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Foretold<'a> {
    /// None is needed: by this policy.
    Allowed(&'a PolicyId),
    /// It would be granted at once.
    Granted(Granting<'a>),
    /// It would wait for this.
    Waits(Wanted),
    /// It would be refused.
    Refused(Box<Forbidden>),
}

/// How a policy grants a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Granting<'a> {
    /// Which.
    pub policy: &'a PolicyId,
    /// How long at most.
    pub longest: Option<Duration>,
    /// For emergencies: within which time somebody must review it.
    pub review_within: Option<Duration>,
}

/// How far a request that nobody denied is from being granted.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Wanted {
    /// How many approvals are needed.
    pub needed: u32,
    /// Who has approved, of those who count.
    pub have: Vec<String>,
    /// The sets of whom somebody must still approve.
    pub from: Vec<String>,
}

impl Policies {
    /// What the policies say of what is done, and (for restrictions) of what was asked for it.
    pub fn ruling(&self, deed: &Deed<'_>, asked: Option<&Deed<'_>>) -> Ruling<'_> {
        let mut ruling = Ruling::default();
        for policy in &self.0 {
            let concerned =
                || policy.may_concern(deed) || asked.is_some_and(|asked| policy.may_concern(asked));
            match &policy.effect {
                Effect::Deny { .. } if ruling.deny.is_none() && concerned() => {
                    ruling.deny = Some(policy);
                }
                Effect::Require(require) if concerned() => ruling.require.push((policy, require)),
                Effect::Allow(allow) if policy.permits(deed, allow) => {
                    ruling.allow.push((policy, allow));
                }
                Effect::Deny { .. } | Effect::Require(_) | Effect::Allow(_) => {}
            }
        }
        if ruling.deny.is_some() || !ruling.require.is_empty() {
            ruling.allow.clear();
        }
        ruling
    }

    /// The policy that lets somebody through a proxy, where none refuses.
    pub fn through_proxy(&self, through: &Through<'_>) -> Option<&PolicyId> {
        if self.0.iter().any(|policy| policy.may_refuse(through)) {
            return None;
        }
        self.0
            .iter()
            .find(|policy| policy.lets_through(through))
            .map(|policy| &policy.id)
    }

    /// What they say of a request by itself.
    pub fn of_request(&self, request: &Request, prefix: &NamePrefix) -> Ruling<'_> {
        self.ruling(&Deed::asked(request, prefix), None)
    }

    /// Each of them.
    pub fn iter(&self) -> std::slice::Iter<'_, Policy> {
        self.0.iter()
    }
}

impl<'a> Ruling<'a> {
    /// Why nobody may do it, under any request.
    pub fn forbids(&self, interactive: bool) -> Option<Forbidden> {
        if let Some(policy) = self.deny {
            let fault = match &policy.effect {
                Effect::Deny { fault } => fault.clone(),
                Effect::Allow(_) | Effect::Require(_) => None,
            };
            return Some(Forbidden {
                fault,
                ..forbidden(policy, None)
            });
        }
        let (policy, _) = self
            .require
            .iter()
            .find(|(_, require)| require.non_interactive && interactive)?;
        Some(forbidden(policy, Some(Unmet::Interactive)))
    }

    /// Why a request may not be granted as it is. Its length counts when it is filed; later it is
    /// only cut.
    pub fn refuses(&self, request: &Request, filing: bool) -> Option<Forbidden> {
        let unmet = |terms: &Terms| {
            if filing {
                terms.check(request)
            } else {
                terms.check_texts(request)
            }
            .err()
        };
        self.forbids(request.ask.is_interactive()).or_else(|| {
            let first = self
                .require
                .iter()
                .find_map(|(policy, require)| Some((policy, unmet(&require.terms)?)));
            first.map(|(policy, unmet)| forbidden(policy, Some(unmet)))
        })
    }

    /// The policy by which this needs no request.
    pub fn allows(&self) -> Option<&'a PolicyId> {
        let (policy, _) = self.allow.iter().find(|(_, allow)| allow.is_plain())?;
        Some(&policy.id)
    }

    /// How a policy grants a request: one for emergencies only where no other does.
    pub fn grants(&self, request: &Request) -> Option<Granting<'a>> {
        let met = self
            .allow
            .iter()
            .filter(|(_, allow)| allow.terms.check(request).is_ok());
        let (policy, allow) = met.min_by_key(|(_, allow)| allow.emergency.is_some())?;
        Some(Granting {
            policy: &policy.id,
            longest: allow.terms.valid_for,
            review_within: allow.emergency,
        })
    }

    /// What would become of a request if it were filed now.
    pub fn outcome(&self, request: &Request, prefix: &NamePrefix) -> Foretold<'a> {
        if let Some(forbidden) = self.refuses(request, true) {
            return Foretold::Refused(Box::new(forbidden));
        }
        if let Some(policy) = self.allows() {
            return Foretold::Allowed(policy);
        }
        match self.grants(request) {
            Some(granting) => Foretold::Granted(granting),
            None => Foretold::Waits(self.wanted(&[], prefix)),
        }
    }

    /// What an asker could still say so that a policy grants her request by itself; for one that is
    /// for emergencies, within which time that would have to be reviewed. Others come first.
    pub fn would_grant(&self, request: &Request) -> Option<(Forbidden, Option<Duration>)> {
        let unmet = |(policy, allow): &(&'a Policy, &'a Allow)| {
            Some((
                forbidden(policy, Some(allow.terms.check(request).err()?)),
                allow.emergency,
            ))
        };
        self.allow
            .iter()
            .filter_map(unmet)
            .min_by_key(|(_, emergency)| emergency.is_some())
    }

    /// The longest that access may last.
    pub fn longest(&self) -> Option<Duration> {
        self.require
            .iter()
            .filter_map(|(_, require)| require.terms.valid_for)
            .min()
    }

    /// Whether one approval, by whoever may answer, is all that is needed.
    pub fn needs_one(&self) -> bool {
        self.require
            .iter()
            .all(|(_, require)| require.approvals <= 1 && require.sets.is_empty())
    }

    /// Whether these grants, each of which counts by itself, are enough together.
    pub fn is_met_by(&self, grants: &[&Grant], prefix: &NamePrefix) -> bool {
        !grants.is_empty()
            && self
                .require
                .iter()
                .all(|(_, require)| require.is_met_by(grants, prefix))
    }

    /// How far these grants are from being enough.
    pub fn wanted(&self, grants: &[&Grant], prefix: &NamePrefix) -> Wanted {
        let needed = self
            .require
            .iter()
            .map(|(_, require)| require.approvals)
            .max()
            .unwrap_or(1)
            .max(1);
        let counting = grants.iter().filter(|grant| {
            self.require.is_empty()
                || self
                    .require
                    .iter()
                    .any(|(_, require)| require.counts(grant, prefix))
        });
        let sets = self.require.iter().flat_map(|(_, require)| &require.sets);
        let open = sets.filter(|set| !grants.iter().any(|grant| set.has(grant, prefix)));
        let mut from: Vec<String> = open.map(|set| set.name.clone()).collect();
        from.dedup();
        Wanted {
            needed,
            have: names(counting),
            from,
        }
    }

    /// Whether an answer by somebody would count for nothing: a set is named everywhere, and she is
    /// in none.
    pub fn has_no_use_for(&self, grant: &Grant, prefix: &NamePrefix) -> bool {
        !self.require.is_empty()
            && !self
                .require
                .iter()
                .any(|(_, require)| require.counts(grant, prefix))
    }

    /// The policies that require something, for texts.
    pub fn requiring(&self) -> impl Iterator<Item = &'a Policy> {
        self.require.iter().map(|(policy, _)| *policy)
    }
}

fn forbidden(policy: &Policy, unmet: Option<Unmet>) -> Forbidden {
    Forbidden {
        policy: policy.id.clone(),
        unmet,
        fault: None,
        contact: policy.contact.clone(),
    }
}

fn names<'a>(grants: impl Iterator<Item = &'a &'a Grant>) -> Vec<String> {
    let mut names: Vec<String> = grants
        .filter_map(|grant| Some(grant.by.as_ref()?.name.clone()))
        .collect();
    names.dedup();
    names
}
