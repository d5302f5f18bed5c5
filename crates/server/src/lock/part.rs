//! What the lock consists of, and how it is shipped.

use std::{collections::BTreeMap, fmt, str::FromStr};

use kube::api::ApiResource;
use serde_json::Value;

/// The contents of all parts in `deploy`, by `KIND/NAME`; `kra-generate` writes it.
const SHIPPED: &str = include_str!("shipped.json");
/// The API group of all parts.
const GROUP: &str = "admissionregistration.k8s.io";

/// A kind of object that the lock is made of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Kind {
    /// What the API server asks about every attempt and every object of ours.
    ValidatingWebhookConfiguration,
    /// What it has stamped and sealed.
    MutatingWebhookConfiguration,
    /// What it decides itself.
    ValidatingAdmissionPolicy,
    /// Where it does.
    ValidatingAdmissionPolicyBinding,
}

impl Kind {
    /// Every kind.
    pub const ALL: [Self; 4] = [
        Self::ValidatingWebhookConfiguration,
        Self::MutatingWebhookConfiguration,
        Self::ValidatingAdmissionPolicy,
        Self::ValidatingAdmissionPolicyBinding,
    ];

    /// As manifests name it.
    pub fn name(self) -> &'static str {
        match self {
            Self::ValidatingWebhookConfiguration => "ValidatingWebhookConfiguration",
            Self::MutatingWebhookConfiguration => "MutatingWebhookConfiguration",
            Self::ValidatingAdmissionPolicy => "ValidatingAdmissionPolicy",
            Self::ValidatingAdmissionPolicyBinding => "ValidatingAdmissionPolicyBinding",
        }
    }

    /// As the API names it.
    pub fn resource(self) -> ApiResource {
        let plural = match self {
            Self::ValidatingWebhookConfiguration => "validatingwebhookconfigurations",
            Self::MutatingWebhookConfiguration => "mutatingwebhookconfigurations",
            Self::ValidatingAdmissionPolicy => "validatingadmissionpolicies",
            Self::ValidatingAdmissionPolicyBinding => "validatingadmissionpolicybindings",
        };
        ApiResource {
            group: GROUP.to_owned(),
            version: "v1".to_owned(),
            api_version: format!("{GROUP}/v1"),
            kind: self.name().to_owned(),
            plural: plural.to_owned(),
        }
    }
}

/// One object of the lock, written `KIND/NAME`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Part {
    /// Its kind.
    pub kind: Kind,
    /// Its name.
    pub name: String,
}

impl fmt::Display for Part {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.kind.name(), self.name)
    }
}

/// It is no part of the lock.
#[derive(Debug, thiserror::Error)]
#[error("{0:?} is no part of the lock: write KIND/NAME, as in ValidatingAdmissionPolicy/kube-request-access-guard")]
pub struct PartError(String);

impl FromStr for Part {
    type Err = PartError;

    fn from_str(text: &str) -> Result<Self, PartError> {
        let part = text.split_once('/').and_then(|(kind, name)| {
            let kind = Kind::ALL.into_iter().find(|known| known.name() == kind)?;
            Some(Self { kind, name: name.to_owned() })
        });
        part.filter(|part| !part.name.is_empty()).ok_or_else(|| PartError(text.to_owned()))
    }
}

/// Every part, with its content as [`super::compare::content`] has it.
///
/// # Errors
/// The generated file is not what it should be.
pub fn shipped() -> Result<BTreeMap<Part, Value>, serde_json::Error> {
    let read: BTreeMap<String, Value> = serde_json::from_str(SHIPPED)?;
    let part = |(name, object): (String, Value)| {
        let part: Part = name.parse().map_err(serde::de::Error::custom)?;
        let content = super::compare::content(part.kind, &object);
        Ok((part, content))
    };
    read.into_iter().map(part).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_policy_has_its_binding_and_both_configurations_are_there() {
        let shipped = shipped().unwrap();
        let names = |kind: Kind| -> Vec<_> {
            shipped.keys().filter(|part| part.kind == kind).map(|part| part.name.clone()).collect()
        };
        assert_eq!(names(Kind::ValidatingAdmissionPolicy), names(Kind::ValidatingAdmissionPolicyBinding));
        assert!(names(Kind::ValidatingAdmissionPolicy).len() >= 7);
        assert_eq!(names(Kind::ValidatingWebhookConfiguration), ["kube-request-access"]);
        assert_eq!(names(Kind::MutatingWebhookConfiguration), ["kube-request-access"]);
        assert!(shipped.values().all(|content| content.as_object().is_some_and(|content| !content.is_empty())));
    }

    #[test]
    fn a_part_is_written_as_kind_and_name() {
        for part in shipped().unwrap().keys() {
            assert_eq!(&part.to_string().parse::<Part>().unwrap(), part);
        }
        for wrong in ["", "guard", "ValidatingAdmissionPolicy/", "Pod/kube-request-access-guard"] {
            assert!(wrong.parse::<Part>().is_err(), "{wrong}");
        }
    }
}
