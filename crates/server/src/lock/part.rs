//! What the lock consists of, and how it is shipped.

use std::{fmt, str::FromStr};

use kube::api::ApiResource;

/// A kind of object that the lock is made of, or stands on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum PartKind {
    /// What the API server asks about every attempt and every object of ours.
    ValidatingWebhookConfiguration,
    /// What it has stamped and sealed.
    MutatingWebhookConfiguration,
    /// What it decides itself.
    ValidatingAdmissionPolicy,
    /// Where it does.
    ValidatingAdmissionPolicyBinding,
    /// What our objects are like.
    CustomResourceDefinition,
    /// Who serves an API group: the API server itself.
    APIService,
    /// Whom installers trust.
    ConfigMap,
}

impl PartKind {
    /// Every kind.
    pub const ALL: [Self; 7] = [
        Self::ValidatingWebhookConfiguration,
        Self::MutatingWebhookConfiguration,
        Self::ValidatingAdmissionPolicy,
        Self::ValidatingAdmissionPolicyBinding,
        Self::CustomResourceDefinition,
        Self::APIService,
        Self::ConfigMap,
    ];

    /// As manifests name it.
    pub fn name(self) -> &'static str {
        match self {
            Self::ValidatingWebhookConfiguration => "ValidatingWebhookConfiguration",
            Self::MutatingWebhookConfiguration => "MutatingWebhookConfiguration",
            Self::ValidatingAdmissionPolicy => "ValidatingAdmissionPolicy",
            Self::ValidatingAdmissionPolicyBinding => "ValidatingAdmissionPolicyBinding",
            Self::CustomResourceDefinition => "CustomResourceDefinition",
            Self::APIService => "APIService",
            Self::ConfigMap => "ConfigMap",
        }
    }

    /// As the API names it.
    pub fn resource(self) -> ApiResource {
        const REGISTRATION: &str = "admissionregistration.k8s.io";
        let (group, plural) = match self {
            Self::ValidatingWebhookConfiguration => {
                (REGISTRATION, "validatingwebhookconfigurations")
            }
            Self::MutatingWebhookConfiguration => (REGISTRATION, "mutatingwebhookconfigurations"),
            Self::ValidatingAdmissionPolicy => (REGISTRATION, "validatingadmissionpolicies"),
            Self::ValidatingAdmissionPolicyBinding => {
                (REGISTRATION, "validatingadmissionpolicybindings")
            }
            Self::CustomResourceDefinition => ("apiextensions.k8s.io", "customresourcedefinitions"),
            Self::APIService => ("apiregistration.k8s.io", "apiservices"),
            Self::ConfigMap => ("", "configmaps"),
        };
        ApiResource {
            group: group.to_owned(),
            version: "v1".to_owned(),
            api_version: if group.is_empty() {
                "v1".to_owned()
            } else {
                format!("{group}/v1")
            },
            kind: self.name().to_owned(),
            plural: plural.to_owned(),
        }
    }
}

/// One object of the lock, written `KIND/NAME`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Part {
    /// Its kind.
    pub kind: PartKind,
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
#[error(
    "{0:?} is no part of the lock: write KIND/NAME, as in ValidatingAdmissionPolicy/kube-request-access-guard"
)]
pub struct PartError(String);

impl FromStr for Part {
    type Err = PartError;

    fn from_str(text: &str) -> Result<Self, PartError> {
        let part = text.split_once('/').and_then(|(kind, name)| {
            let kind = PartKind::ALL
                .into_iter()
                .find(|known| known.name() == kind)?;
            Some(Self {
                kind,
                name: name.to_owned(),
            })
        });
        part.filter(|part| !part.name.is_empty())
            .ok_or_else(|| PartError(text.to_owned()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_part_is_written_as_kind_and_name() {
        for kind in PartKind::ALL {
            let part = Part {
                kind,
                name: "kube-request-access".to_owned(),
            };
            assert_eq!(part.to_string().parse::<Part>().unwrap(), part);
        }
        for wrong in [
            "",
            "guard",
            "ValidatingAdmissionPolicy/",
            "Pod/kube-request-access-guard",
        ] {
            assert!(wrong.parse::<Part>().is_err(), "{wrong}");
        }
    }
}
