//! The lock as it is shipped.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::{
    compare::content,
    part::{Part, PartKind},
};
use crate::cluster::mutators::TRUSTED;

/// The contents of all parts in `deploy`, by `KIND/NAME`; `kra-generate` writes it.
const SHIPPED: &str = include_str!("shipped.json");

/// Groups that the API server serves itself, and that it or we go by.
const LOCAL: [&str; 10] = [
    "v1.",
    "v1.admissionregistration.k8s.io",
    "v1.apiextensions.k8s.io",
    "v1.apps",
    "v1.authorization.k8s.io",
    "v1.batch",
    "v1.rbac.authorization.k8s.io",
    "v1.spreadgroup.com",
    "v1alpha1.admissionregistration.k8s.io",
    "v1beta1.admissionregistration.k8s.io",
];

/// Every part, with its content as [`content`] has it.
///
/// # Errors
/// The generated file is not what it should be.
pub fn shipped() -> Result<BTreeMap<Part, Value>, serde_json::Error> {
    let read: BTreeMap<String, Value> = serde_json::from_str(SHIPPED)?;
    let part = |(name, object): (String, Value)| {
        let part: Part = name.parse().map_err(serde::de::Error::custom)?;
        let mut content = content(part.kind, &object);
        // A manifest has no status, and what is compared with it is served.
        if let Value::Object(fields) = &mut content {
            fields.remove("status");
        }
        Ok((part, content))
    };
    let local = LOCAL.map(|name| Part {
        kind: PartKind::APIService,
        name: name.to_owned(),
    });
    let trusted = Part {
        kind: PartKind::ConfigMap,
        name: TRUSTED.to_owned(),
    };
    let others = local.into_iter().chain([trusted]).map(|part| {
        let content = content(part.kind, &json!({}));
        Ok((part, content))
    });
    read.into_iter().map(part).chain(others).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_policy_has_its_binding_and_both_configurations_are_there() {
        let shipped = shipped().unwrap();
        let names = |kind: PartKind| -> Vec<_> {
            shipped
                .keys()
                .filter(|part| part.kind == kind)
                .map(|part| part.name.clone())
                .collect()
        };
        assert_eq!(
            names(PartKind::ValidatingAdmissionPolicy),
            names(PartKind::ValidatingAdmissionPolicyBinding)
        );
        assert!(names(PartKind::ValidatingAdmissionPolicy).len() >= 7);
        assert_eq!(
            names(PartKind::ValidatingWebhookConfiguration),
            ["kube-request-access"]
        );
        assert_eq!(
            names(PartKind::MutatingWebhookConfiguration),
            ["kube-request-access"]
        );
        assert_eq!(names(PartKind::CustomResourceDefinition).len(), 3);
        let is_empty = |content: &Value| content.as_object().is_none_or(serde_json::Map::is_empty);
        let empty = shipped
            .iter()
            .filter(|(_, content)| is_empty(content))
            .map(|(part, _)| part.kind);
        assert!(empty.eq(
            std::iter::repeat_n(PartKind::APIService, LOCAL.len()).chain([PartKind::ConfigMap])
        ));
    }
}
