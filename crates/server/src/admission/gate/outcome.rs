//! What becomes of an attempt, and why: what the answer, the log and the audit webhook say.

use api::contract::decisions;
use decide::{
    policy_id::PolicyId,
    verdict::{Denied, Permit},
};

use crate::{admission::failure::Failure, cluster::outcomes::SpentUse};

/// What becomes of an attempt.
#[derive(Debug)]
pub(super) enum AttemptOutcome {
    /// It may proceed.
    Allowed(Grounds),
    /// It may not, and this is the nearest miss.
    Denied(Denied),
    /// RBAC would refuse it after us, so nothing was spent.
    NoRight,
    /// The options cannot be understood in full, so nobody knows what they would run.
    Unclear(String),
    /// The server failed.
    Failed(Failure),
}

/// Why an attempt may proceed.
#[derive(Debug)]
pub(super) enum Grounds {
    /// The caller needs no request.
    AlwaysAllowed,
    /// A policy says that no request is needed.
    Policy(PolicyId),
    /// By a request, and by this use where it is for one use.
    Permit(Box<Permit>, Option<SpentUse>),
}

impl Grounds {
    pub(super) fn spent(self) -> Option<SpentUse> {
        match self {
            Self::Permit(_, spent) => spent,
            Self::AlwaysAllowed | Self::Policy(_) => None,
        }
    }

    /// The policies that the access is under.
    fn policies(&self) -> &[PolicyId] {
        match self {
            Self::AlwaysAllowed => &[],
            Self::Policy(policy) => std::slice::from_ref(policy),
            Self::Permit(permit, _) => &permit.policies,
        }
    }
}

impl AttemptOutcome {
    /// What the log, the metrics and the audit call it.
    pub(super) fn name(&self) -> &'static str {
        match self {
            Self::Allowed(Grounds::AlwaysAllowed) => decisions::ALWAYS_ALLOWED,
            Self::Allowed(Grounds::Policy(_)) => decisions::ALLOWED_BY_POLICY,
            Self::Allowed(Grounds::Permit(..)) => decisions::GRANTED,
            Self::Denied(Denied::Forbidden(_)) => decisions::DENIED_BY_POLICY,
            Self::Denied(Denied::InteractiveOff) => decisions::DENIED_INTERACTIVE,
            Self::Denied(Denied::NoRequest) => decisions::DENIED_NO_REQUEST,
            Self::Denied(Denied::Near { .. }) => decisions::DENIED_NEAR_MISS,
            Self::NoRight => decisions::DENIED_NO_RIGHT,
            Self::Unclear(_) => decisions::DENIED_UNCLEAR,
            Self::Failed(_) => decisions::DENIED_FAILURE,
        }
    }

    /// Why nothing could be decided.
    pub(super) fn failure(&self) -> Option<&Failure> {
        match self {
            Self::Failed(failure) => Some(failure),
            Self::Allowed(_) | Self::Denied(_) | Self::NoRight | Self::Unclear(_) => None,
        }
    }

    /// The policies that decided, for the record.
    pub(super) fn policies(&self) -> &[PolicyId] {
        match self {
            Self::Allowed(basis) => basis.policies(),
            Self::Denied(Denied::Forbidden(forbidden)) => std::slice::from_ref(&forbidden.policy),
            Self::Denied(Denied::InteractiveOff | Denied::NoRequest | Denied::Near { .. })
            | Self::NoRight
            | Self::Unclear(_)
            | Self::Failed(_) => &[],
        }
    }

    pub(super) fn policies_shown(&self) -> String {
        self.policies()
            .iter()
            .map(ToString::to_string)
            .collect::<Vec<_>>()
            .join(", ")
    }

    /// Who approved it; `None`: nobody did.
    pub(super) fn approvers(&self) -> Option<&[String]> {
        match self {
            Self::Allowed(Grounds::Permit(permit, _)) if !permit.access.grants.is_empty() => {
                Some(&permit.access.by)
            }
            Self::Allowed(_)
            | Self::Denied(_)
            | Self::NoRight
            | Self::Unclear(_)
            | Self::Failed(_) => None,
        }
    }

    pub(super) fn is_emergency(&self) -> bool {
        matches!(self, Self::Allowed(Grounds::Permit(permit, _)) if permit.emergency)
    }

    pub(super) fn request(&self) -> Option<&str> {
        match self {
            Self::Allowed(Grounds::Permit(permit, _)) => Some(&permit.request),
            Self::Denied(Denied::Near { request, .. }) => Some(request),
            Self::Allowed(Grounds::AlwaysAllowed | Grounds::Policy(_))
            | Self::Denied(Denied::InteractiveOff | Denied::NoRequest | Denied::Forbidden(_))
            | Self::NoRight
            | Self::Unclear(_)
            | Self::Failed(_) => None,
        }
    }
}
