//! The lock as it is shipped.

use std::collections::BTreeMap;

use serde_json::Value;

use super::{compare::content, part::Part};

/// The contents of all parts in `deploy`, by `KIND/NAME`; `kra-generate` writes it.
const SHIPPED: &str = include_str!("shipped.json");

/// Every part, with its content as [`content`] has it.
///
/// # Errors
/// The generated file is not what it should be.
pub fn shipped() -> Result<BTreeMap<Part, Value>, serde_json::Error> {
    let read: BTreeMap<String, Value> = serde_json::from_str(SHIPPED)?;
    let part = |(name, object): (String, Value)| {
        let part: Part = name.parse().map_err(serde::de::Error::custom)?;
        let content = content(part.kind, &object);
        Ok((part, content))
    };
    read.into_iter().map(part).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lock::part::Kind;

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
}
