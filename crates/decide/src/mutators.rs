//! Who may change an object on its way to us: mutating webhooks and mutating policies of others, by
//! their rules alone.
//!
//! Selectors and conditions are left out on purpose: labels are written by people, and what a
//! condition comes to nobody can tell before.

use std::collections::BTreeMap;

/// What a rule of a mutating webhook or policy is for, as Kubernetes writes it.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Rule {
    /// API groups; `*` is any.
    pub groups: Vec<String>,
    /// Resources, with their subresources after a slash; `*` is any of one part.
    pub resources: Vec<String>,
    /// Operations; `*` is any.
    pub operations: Vec<String>,
}

/// What must be stored as it was written, by API group: what is asked for, granted and allowed;
/// `ConfigMaps`, of which one names the mutators that installers trust, and others are records;
/// who serves our objects, and as what; and what we ask of RBAC, and who somebody is. The policy in
/// `deploy/lock/mutators.yaml` names the same.
const OBJECTS: [(&str, &[&str]); 6] = [
    (
        "spreadgroup.com",
        &["accessrequests", "accessgrants", "accesspolicies"],
    ),
    ("", &["configmaps"]),
    ("apiextensions.k8s.io", &["customresourcedefinitions"]),
    ("apiregistration.k8s.io", &["apiservices"]),
    ("authorization.k8s.io", &["subjectaccessreviews"]),
    (
        "authentication.k8s.io",
        &["tokenreviews", "selfsubjectreviews"],
    ),
];

impl Rule {
    /// Whether it is for such objects, or for their status, as they are written.
    pub fn reaches_objects(&self) -> bool {
        let written = self
            .operations
            .iter()
            .any(|operation| ["*", "CREATE", "UPDATE"].contains(&operation.as_str()));
        let reached = |(group, names): &(&str, &[&str])| {
            let is_group = self
                .groups
                .iter()
                .any(|other| other == "*" || other == group);
            is_group
                && self
                    .resources
                    .iter()
                    .any(|resource| is_one(resource, names))
        };
        written && OBJECTS.iter().any(reached)
    }
}

fn is_one(resource: &str, names: &[&str]) -> bool {
    let (name, sub) = resource
        .split_once('/')
        .map_or((resource, None), |(name, sub)| (name, Some(sub)));
    let is_named = name == "*" || names.contains(&name);
    is_named && sub.is_none_or(|sub| sub == "*" || sub == "status")
}

/// Which kind of object changes others.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Kind {
    /// `MutatingWebhookConfiguration`
    Webhook,
    /// `MutatingAdmissionPolicy`
    Policy,
}

impl Kind {
    /// As Kubernetes calls it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Webhook => "MutatingWebhookConfiguration",
            Self::Policy => "MutatingAdmissionPolicy",
        }
    }
}

/// Something that may change objects on their way.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mutator {
    /// Its kind.
    pub kind: Kind,
    /// Its name.
    pub name: String,
    /// Its UID.
    pub uid: String,
    /// Its generation.
    pub generation: i64,
    /// Its rules; `None` where they are not understood, and so may be any.
    pub rules: Option<Vec<Rule>>,
    /// Whether what it does depends on other objects, which change without it.
    pub has_parameters: bool,
}

/// What installers have named as trusted: the data of their `ConfigMap`.
pub type Trusted = BTreeMap<String, String>;

impl Mutator {
    /// Whether it may change a request, a grant, a policy, or what these stand on.
    pub fn reaches_objects(&self) -> bool {
        self.rules
            .as_ref()
            .is_none_or(|rules| rules.iter().any(Rule::reaches_objects))
    }

    /// Whether an installer has named it: a webhook configuration by its name, since who may write
    /// it is guarded; a policy as it is, by UID and generation, since nothing guards it.
    pub fn is_trusted(&self, trusted: &Trusted) -> bool {
        let named = trusted.get(&format!("{}.{}", self.kind.name(), self.name));
        match self.kind {
            Kind::Webhook => named.is_some(),
            Kind::Policy => {
                !self.has_parameters
                    && named.is_some_and(|named| {
                        named.trim() == format!("{} {}", self.uid, self.generation)
                    })
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    fn texts(texts: &[&str]) -> Vec<String> {
        texts.iter().map(|&text| text.to_owned()).collect()
    }

    fn rule(group: &str, resource: &str, operation: &str) -> Rule {
        Rule {
            groups: texts(&[group]),
            resources: texts(&[resource]),
            operations: texts(&[operation]),
        }
    }

    // K3
    #[rstest]
    #[case("spreadgroup.com", "accessgrants", "CREATE")]
    #[case("spreadgroup.com", "accessrequests", "UPDATE")]
    #[case("spreadgroup.com", "accessrequests/status", "UPDATE")]
    #[case("spreadgroup.com", "accesspolicies/*", "*")]
    #[case("spreadgroup.com", "*/status", "UPDATE")]
    #[case("spreadgroup.com", "*", "CREATE")]
    #[case("*", "*", "*")]
    #[case("*", "*/*", "CREATE")]
    #[case("", "configmaps", "UPDATE")]
    #[case("apiextensions.k8s.io", "customresourcedefinitions", "UPDATE")]
    #[case("apiregistration.k8s.io", "*", "CREATE")]
    #[case("authorization.k8s.io", "subjectaccessreviews", "CREATE")]
    #[case("authorization.k8s.io", "*", "*")]
    #[case("authentication.k8s.io", "tokenreviews", "CREATE")]
    #[case("authentication.k8s.io", "selfsubjectreviews", "CREATE")]
    #[case("", "*", "CREATE")]
    #[case("", "*/*", "*")]
    fn a_rule_for_our_objects_reaches_them(
        #[case] group: &str,
        #[case] resource: &str,
        #[case] operation: &str,
    ) {
        assert!(rule(group, resource, operation).reaches_objects());
        let mut more = rule(group, resource, operation);
        more.groups.insert(0, "apps".to_owned());
        more.resources.insert(0, "pods".to_owned());
        more.operations.insert(0, "DELETE".to_owned());
        assert!(more.reaches_objects());
    }

    #[rstest]
    #[case("apps", "*", "*")]
    #[case("", "pods", "*")]
    #[case("", "secrets/*", "*")]
    #[case("", "accessgrants", "CREATE")]
    #[case("spreadgroup.com", "configmaps", "CREATE")]
    #[case("*", "pods", "*")]
    #[case("*", "*/scale", "*")]
    #[case("spreadgroup.com", "accessgrants", "DELETE")]
    #[case("spreadgroup.com", "accessgrants/scale", "UPDATE")]
    #[case("spreadgroup.com.example", "accessgrants", "*")]
    fn a_rule_for_something_else_does_not(
        #[case] group: &str,
        #[case] resource: &str,
        #[case] operation: &str,
    ) {
        assert!(!rule(group, resource, operation).reaches_objects());
    }

    // K3
    #[rstest]
    #[case::webhooks(include_str!("../../../deploy/lock/mutators.yaml"), 2)]
    #[case::policies(include_str!("../../../deploy/lock/guard.yaml"), 1)]
    fn the_lock_names_the_same_objects(#[case] shipped: &str, #[case] times: usize) {
        let rules: Vec<&str> = shipped
            .split("(rule.apiGroups.exists(")
            .skip(1)
            .filter(|rule| !rule.contains("'CONNECT'"))
            .collect();
        for (group, names) in OBJECTS {
            for name in names {
                let naming = rules.iter().filter(|rule| {
                    let words = |list: &str| {
                        list.split([' ', ',', '[', ']'])
                            .any(|word| word == format!("'{group}'"))
                    };
                    let named = rule.split(['(', ')', '|']).any(|word| word == *name);
                    rule.lines().next().is_some_and(words) && named
                });
                assert_eq!(naming.count(), times, "{group} {name}");
            }
        }
    }

    fn mutator(kind: Kind) -> Mutator {
        Mutator {
            kind,
            name: "m".to_owned(),
            uid: "u".to_owned(),
            generation: 3,
            rules: Some(vec![]),
            has_parameters: false,
        }
    }

    #[test]
    fn rules_that_are_not_understood_may_be_any() {
        assert!(!mutator(Kind::Policy).reaches_objects());
        assert!(
            Mutator {
                rules: None,
                ..mutator(Kind::Policy)
            }
            .reaches_objects()
        );
    }

    // K3
    #[rstest]
    #[case::as_it_is("MutatingAdmissionPolicy.m", "u 3", true)]
    #[case::as_a_file_ends("MutatingAdmissionPolicy.m", "u 3\n", true)]
    #[case::as_it_was("MutatingAdmissionPolicy.m", "u 2", false)]
    #[case::another_of_its_name("MutatingAdmissionPolicy.m", "v 3", false)]
    #[case::by_its_name_alone("MutatingAdmissionPolicy.m", "", false)]
    #[case::as_another_kind("MutatingWebhookConfiguration.m", "u 3", false)]
    fn a_policy_is_trusted_as_it_is(#[case] key: &str, #[case] value: &str, #[case] is: bool) {
        let trusted = Trusted::from([(key.to_owned(), value.to_owned())]);
        assert_eq!(mutator(Kind::Policy).is_trusted(&trusted), is);
        assert!(
            !Mutator {
                has_parameters: true,
                ..mutator(Kind::Policy)
            }
            .is_trusted(&trusted)
        );
    }

    #[test]
    fn a_webhook_configuration_is_trusted_by_its_name() {
        let trusted = Trusted::from([("MutatingWebhookConfiguration.m".to_owned(), String::new())]);
        assert!(mutator(Kind::Webhook).is_trusted(&trusted));
        assert!(
            !Mutator {
                name: "n".to_owned(),
                ..mutator(Kind::Webhook)
            }
            .is_trusted(&trusted)
        );
    }
}
