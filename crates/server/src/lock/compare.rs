//! Whether a part of the lock is as it is shipped.

use ring::digest::{SHA256, digest as hash};
use serde_json::{Map, Number, Value, json};

use super::part::PartKind;
use crate::cluster::seal::hex;

/// Maximum number of differences that are named.
const MAX_DIFFERENCES: usize = 8;

/// What is compared of an object with what is shipped: neither metadata nor status, but where a
/// definition is not served, nor what differs in each cluster (the CA bundle, which is renewed; the secret end of the path; how long
/// is waited; whom installers trust). Of a local group only whether somebody else serves it. Its
/// keys are in order.
pub fn content(kind: PartKind, object: &Value) -> Value {
    let mut content = written(kind, object);
    match kind {
        PartKind::ValidatingWebhookConfiguration | PartKind::MutatingWebhookConfiguration => {
            for webhook in content
                .get_mut("webhooks")
                .and_then(Value::as_array_mut)
                .into_iter()
                .flatten()
            {
                mask(webhook);
            }
        }
        PartKind::APIService => {
            let service = object
                .pointer("/spec/service")
                .filter(|service| !service.is_null());
            content = service.map_or_else(|| json!({}), |service| json!({"service": service}));
        }
        PartKind::ConfigMap => content = json!({}),
        PartKind::ValidatingAdmissionPolicy
        | PartKind::ValidatingAdmissionPolicyBinding
        | PartKind::CustomResourceDefinition => {}
    }
    content
}

/// All that people write into an object, and what keeps a definition from being served: that is
/// its status, which raises no generation. A change of it is told, whatever it is.
pub fn written(kind: PartKind, object: &Value) -> Value {
    let mut written = object.clone();
    if let Value::Object(fields) = &mut written {
        for key in ["apiVersion", "kind", "metadata", "status"] {
            fields.remove(key);
        }
        let unserved = unserved(object);
        if kind == PartKind::CustomResourceDefinition && !unserved.is_empty() {
            fields.insert("status".to_owned(), json!({ "notServed": unserved }));
        }
    }
    written.sort_all_objects();
    written
}

/// What in the status of a definition keeps the API server from serving it: nothing while it does.
/// The API server goes by the first condition of a type, so of each there must be one only.
fn unserved(object: &Value) -> Vec<&'static str> {
    let conditions = object
        .pointer("/status/conditions")
        .and_then(Value::as_array)
        .map(Vec::as_slice)
        .unwrap_or_default();
    let statuses = |kind: &str| -> Vec<&Value> {
        let of_kind = conditions.iter().filter(|one| one["type"] == kind);
        of_kind.map(|one| &one["status"]).collect()
    };
    let named = |key: &str| {
        let accepted = object.pointer(&format!("/status/acceptedNames/{key}"));
        accepted.is_some() && accepted == object.pointer(&format!("/spec/names/{key}"))
    };
    let as_it_should_be = [
        ("Established", statuses("Established") == ["True"]),
        ("NamesAccepted", statuses("NamesAccepted") == ["True"]),
        (
            "Terminating",
            statuses("Terminating")
                .iter()
                .all(|status| *status == "False"),
        ),
        ("acceptedNames", named("plural") && named("kind")),
    ];
    let not = as_it_should_be.into_iter().filter(|(_, is)| !is);
    not.map(|(what, _)| what).collect()
}

fn mask(webhook: &mut Value) {
    if let Value::Object(fields) = webhook {
        fields.remove("timeoutSeconds");
    }
    if let Some(Value::Object(client)) = webhook.get_mut("clientConfig") {
        client.remove("caBundle");
    }
    if let Some(path) = webhook.pointer_mut("/clientConfig/service/path")
        && let Some(written) = path.as_str()
    {
        // `/validate/SECRET` is `/validate`; more than one secret segment is not ours.
        let shown = match written.split('/').collect::<Vec<_>>().as_slice() {
            ["", way, _secret] => format!("/{way}"),
            _ => written.to_owned(),
        };
        *path = Value::String(shown);
    }
}

/// The digest of a content, as `sha256:HEX`.
pub fn digest(content: &Value) -> String {
    format!(
        "sha256:{}",
        hex(hash(&SHA256, content.to_string().as_bytes()).as_ref())
    )
}

/// Where one content differs from another, as paths; empty: it does not. What the API server adds
/// by default is no difference.
pub fn differences(shipped: &Value, stored: &Value) -> Vec<String> {
    let mut found = Vec::new();
    compare(shipped, stored, &FieldPath::default(), &mut found);
    found.truncate(MAX_DIFFERENCES);
    found
}

/// A place in an object: as people read it, and without the numbers of lists.
#[derive(Debug, Clone, Default)]
struct FieldPath {
    shown: String,
    pattern: String,
}

impl FieldPath {
    fn field(&self, key: &str) -> Self {
        let dot = if self.shown.is_empty() { "" } else { "." };
        Self {
            shown: format!("{}{dot}{key}", self.shown),
            pattern: format!("{}{dot}{key}", self.pattern),
        }
    }

    fn element(&self, index: usize) -> Self {
        Self {
            shown: format!("{}[{index}]", self.shown),
            pattern: format!("{}[]", self.pattern),
        }
    }
}

fn compare(shipped: &Value, stored: &Value, place: &FieldPath, found: &mut Vec<String>) {
    match (shipped, stored) {
        (Value::Object(shipped), Value::Object(stored)) => {
            let of_both = shipped
                .keys()
                .chain(stored.keys().filter(|key| !shipped.contains_key(*key)));
            for key in of_both {
                compare_field(
                    (shipped.get(key), stored.get(key)),
                    &place.field(key),
                    found,
                );
            }
        }
        (Value::Array(shipped), Value::Array(stored)) if shipped.len() == stored.len() => {
            for (index, (shipped, stored)) in shipped.iter().zip(stored).enumerate() {
                compare(shipped, stored, &place.element(index), found);
            }
        }
        // The API server writes 1 where 1.0 was written.
        (Value::Number(shipped), Value::Number(stored)) if same(shipped, stored) => {}
        (shipped, stored) if shipped == stored => {}
        _ => found.push(place.shown.clone()),
    }
}

fn same(one: &Number, other: &Number) -> bool {
    one == other
        || one
            .as_f64()
            .zip(other.as_f64())
            .is_some_and(|(one, other)| one.total_cmp(&other).is_eq())
}

fn compare_field(
    both: (Option<&Value>, Option<&Value>),
    place: &FieldPath,
    found: &mut Vec<String>,
) {
    match both {
        (Some(shipped), Some(stored)) => compare(shipped, stored, place, found),
        // What is not written is the default, on either side.
        (None, Some(written)) | (Some(written), None) if is_default(&place.pattern, written) => {}
        _ => found.push(place.shown.clone()),
    }
}

/// Whether it is what the API server writes at this place where nothing is written. By place and
/// not by key: keys of labels are anybody's. (`pkg/apis/admissionregistration/v1/defaults.go` of
/// Kubernetes.)
fn is_default(pattern: &str, value: &Value) -> bool {
    match pattern {
        "webhooks[].matchPolicy"
        | "spec.matchConstraints.matchPolicy"
        | "spec.matchResources.matchPolicy" => value == "Equivalent",
        "webhooks[].reinvocationPolicy" => value == "Never",
        "spec.conversion" => *value == json!({"strategy": "None"}),
        "spec.names.listKind" => value
            .as_str()
            .is_some_and(|kind| kind.starts_with("Access") && kind.ends_with("List")),
        "webhooks[].clientConfig.service.port" => value == 443,
        "webhooks[].rules[].scope"
        | "spec.matchConstraints.resourceRules[].scope"
        | "spec.matchResources.resourceRules[].scope" => value == "*",
        "webhooks[].namespaceSelector"
        | "webhooks[].objectSelector"
        | "spec.matchConstraints.namespaceSelector"
        | "spec.matchConstraints.objectSelector"
        | "spec.matchResources.namespaceSelector"
        | "spec.matchResources.objectSelector" => value.as_object().is_some_and(Map::is_empty),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;
    use crate::lock::{part::Part, shipped::shipped};

    /// As the API server has it, from what is shipped.
    fn stored(part: &str) -> Value {
        let part: Part = part.parse().unwrap();
        let mut object = shipped().unwrap()[&part].clone();
        object["metadata"] = json!({"name": part.name, "uid": "1", "generation": 3});
        object["status"] = json!({"observedGeneration": 3});
        if part.kind == PartKind::CustomResourceDefinition {
            let names = object["spec"]["names"].clone();
            object["status"] = json!({"acceptedNames": names, "conditions": [condition("NamesAccepted", "True"), condition("Established", "True")]});
        }
        if let Some(webhooks) = object.get_mut("webhooks").and_then(Value::as_array_mut) {
            for webhook in webhooks {
                webhook["timeoutSeconds"] = json!(30);
                webhook["namespaceSelector"] = json!({});
                webhook["objectSelector"] = json!({});
                webhook["clientConfig"]["caBundle"] = json!("AAAA");
                webhook["clientConfig"]["service"]["port"] = json!(443);
                let path = webhook["clientConfig"]["service"]["path"]
                    .as_str()
                    .unwrap()
                    .to_owned();
                webhook["clientConfig"]["service"]["path"] = json!(format!("{path}/secret"));
            }
        }
        if object.pointer("/spec/matchConstraints").is_some() {
            object["spec"]["matchConstraints"]["namespaceSelector"] = json!({});
            object["spec"]["matchConstraints"]["objectSelector"] = json!({});
        }
        object
    }

    fn condition(kind: &str, status: &str) -> Value {
        json!({"type": kind, "status": status, "reason": "x", "message": "", "lastTransitionTime": "2026-01-01T00:00:00Z"})
    }

    // M9
    #[rstest]
    #[case::shadowed(json!({"conditions": [
        condition("Established", "False"), condition("NamesAccepted", "False"), condition("NamesAccepted", "True"),
        condition("Established", "True"),
    ]}))]
    #[case::not_established(json!({"conditions": [condition("NamesAccepted", "True"), condition("Established", "False")]}))]
    #[case::ending(json!({"conditions": [
        condition("NamesAccepted", "True"), condition("Established", "True"), condition("Terminating", "True"),
    ]}))]
    #[case::twice(json!({"conditions": [
        condition("NamesAccepted", "True"), condition("Established", "True"), condition("Established", "True"),
    ]}))]
    #[case::nothing(json!({"conditions": null}))]
    #[case::renamed(json!({"acceptedNames": {"plural": "others", "kind": "AccessGrant"}}))]
    fn a_definition_that_is_not_served_is_a_difference_and_a_change(#[case] status: Value) {
        let part = "CustomResourceDefinition/accessgrants.spreadgroup.com";
        let (served, mut object) = (stored(part), stored(part));
        for (key, value) in status.as_object().unwrap() {
            object["status"][key] = value.clone();
        }
        assert_eq!(compared(part, &object), ["status"]);
        let kind = PartKind::CustomResourceDefinition;
        assert_ne!(
            digest(&written(kind, &served)),
            digest(&written(kind, &object))
        );
        // What it writes about everything else is its own.
        object["status"] = served["status"].clone();
        object["status"]["conditions"]
            .as_array_mut()
            .unwrap()
            .push(condition("NonStructuralSchema", "True"));
        assert!(compared(part, &object).is_empty());
    }

    fn compared(part: &str, object: &Value) -> Vec<String> {
        let part: Part = part.parse().unwrap();
        differences(&shipped().unwrap()[&part], &content(part.kind, object))
    }

    const WEBHOOKS: &str = "ValidatingWebhookConfiguration/kube-request-access";
    const INTERLOCK: &str = "ValidatingAdmissionPolicyBinding/kube-request-access-interlock";
    const GUARD: &str = "ValidatingAdmissionPolicy/kube-request-access-guard";

    #[test]
    fn what_the_api_server_adds_and_what_each_cluster_has_of_its_own_is_no_difference() {
        for part in shipped().unwrap().keys() {
            let part = part.to_string();
            assert_eq!(
                compared(&part, &stored(&part)),
                Vec::<String>::new(),
                "{part}"
            );
        }
    }

    #[rstest]
    #[case(WEBHOOKS, "/webhooks/0/namespaceSelector", json!({"matchLabels": {"a": "b"}}), "webhooks[0].namespaceSelector")]
    #[case(WEBHOOKS, "/webhooks/0/objectSelector", json!({"matchExpressions": [{"key": "a", "operator": "Exists"}]}), "webhooks[0].objectSelector")]
    #[case(WEBHOOKS, "/webhooks/0/failurePolicy", json!("Ignore"), "webhooks[0].failurePolicy")]
    #[case(WEBHOOKS, "/webhooks/0/matchConditions", json!([]), "webhooks[0].matchConditions")]
    #[case(WEBHOOKS, "/webhooks/0/matchPolicy", json!("Exact"), "webhooks[0].matchPolicy")]
    #[case(WEBHOOKS, "/webhooks/0/rules/0/scope", json!("Namespaced"), "webhooks[0].rules[0].scope")]
    #[case(WEBHOOKS, "/webhooks/0/clientConfig", json!({"url": "https://forger"}), "webhooks[0].clientConfig.service")]
    #[case(WEBHOOKS, "/webhooks/0/clientConfig/service/path", json!("/observe/secret"), "webhooks[0].clientConfig.service.path")]
    #[case(WEBHOOKS, "/webhooks/0/clientConfig/service/path", json!("/validate/a/b"), "webhooks[0].clientConfig.service.path")]
    #[case(WEBHOOKS, "/webhooks/0/clientConfig/service/port", json!(444), "webhooks[0].clientConfig.service.port")]
    #[case(WEBHOOKS, "/webhooks", json!([]), "webhooks")]
    #[case(INTERLOCK, "/spec/validationActions", json!(["Audit"]), "spec.validationActions[0]")]
    #[case(INTERLOCK, "/spec/matchResources", json!({"namespaceSelector": {"matchLabels": {"a": "b"}}}), "spec.matchResources")]
    #[case(INTERLOCK, "/spec/matchResources", json!({"excludeResourceRules": [{"resources": ["pods/exec"]}]}), "spec.matchResources")]
    #[case(INTERLOCK, "/spec/paramRef/parameterNotFoundAction", json!("Allow"), "spec.paramRef.parameterNotFoundAction")]
    #[case(GUARD, "/spec/variables/0/expression", json!("['eve']"), "spec.variables[0].expression")]
    #[case(GUARD, "/spec/matchConditions", json!([{"name": "never", "expression": "false"}]), "spec.matchConditions[0].expression")]
    #[case(GUARD, "/spec/failurePolicy", json!("Ignore"), "spec.failurePolicy")]
    #[case(GUARD, "/spec/matchConstraints/excludeResourceRules", json!([{"resources": ["*"]}]), "spec.matchConstraints.excludeResourceRules")]
    fn what_opens_something_is_a_difference_and_is_named(
        #[case] part: &str,
        #[case] pointer: &str,
        #[case] value: Value,
        #[case] named: &str,
    ) {
        let mut object = stored(part);
        let (parent, key) = pointer.rsplit_once('/').unwrap();
        object.pointer_mut(parent).unwrap()[key] = value;
        let found = compared(part, &object);
        assert!(found.iter().any(|path| path == named), "{found:?}");
    }

    // M1: keys of labels are anybody's, so what a default is called says nothing.
    #[rstest]
    #[case(json!({"matchLabels": {"matchPolicy": "Equivalent"}}))]
    #[case(json!({"matchLabels": {"reinvocationPolicy": "Never"}}))]
    #[case(json!({"matchExpressions": [{"key": "a", "operator": "Exists"}]}))]
    #[case(json!({"matchLabels": {}}))]
    fn a_selector_is_a_difference_whatever_it_looks_like(#[case] selector: Value) {
        for (part, parent) in [
            (WEBHOOKS, "/webhooks/0"),
            (WEBHOOKS, "/webhooks/1"),
            (GUARD, "/spec/matchConstraints"),
            (INTERLOCK, "/spec/matchResources"),
        ] {
            for key in ["namespaceSelector", "objectSelector"] {
                let mut object = stored(part);
                if parent == "/spec/matchResources" {
                    object["spec"]["matchResources"] = json!({});
                }
                object.pointer_mut(parent).unwrap()[key] = selector.clone();
                assert_ne!(
                    compared(part, &object),
                    Vec::<String>::new(),
                    "{part} {parent}/{key} {selector}"
                );
            }
        }
    }

    /// Every object within a value, as a pointer.
    fn objects(value: &Value, at: &str, into: &mut Vec<String>) {
        match value {
            Value::Object(fields) => {
                into.push(at.to_owned());
                fields
                    .iter()
                    .for_each(|(key, value)| objects(value, &format!("{at}/{key}"), into));
            }
            Value::Array(values) => {
                values
                    .iter()
                    .enumerate()
                    .for_each(|(index, value)| objects(value, &format!("{at}/{index}"), into));
            }
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
        }
    }

    #[rstest]
    fn a_field_that_is_not_shipped_is_a_difference_wherever_it_stands(
        #[values(
            "matchPolicy",
            "scope",
            "port",
            "reinvocationPolicy",
            "objectSelector",
            "another"
        )]
        key: &str,
        #[values(json!("Equivalent"), json!("Never"), json!("*"), json!(443), json!({"a": "b"}), json!({}), json!(null), json!([]))]
        value: Value,
    ) {
        // Of the definitions the same code compares what is much longer.
        let of_lock = |(part, _): &(Part, Value)| part.kind != PartKind::CustomResourceDefinition;
        for (part, content) in shipped().unwrap().into_iter().filter(of_lock) {
            let mut places = Vec::new();
            objects(&content, "", &mut places);
            for place in places {
                let mut changed = content.clone();
                let fields = changed
                    .pointer_mut(&place)
                    .unwrap()
                    .as_object_mut()
                    .unwrap();
                if fields.insert(key.to_owned(), value.clone()).is_some() {
                    continue;
                }
                let names: Vec<&str> = place.split('/').filter(|name| !name.is_empty()).collect();
                let pattern = names
                    .iter()
                    .chain([&key])
                    .fold(String::new(), |before, name| match name.parse::<usize>() {
                        Ok(_) => format!("{before}[]"),
                        Err(_) if before.is_empty() => (*name).to_owned(),
                        Err(_) => format!("{before}.{name}"),
                    });
                assert_eq!(
                    differences(&content, &changed).is_empty(),
                    is_default(&pattern, &value),
                    "{part} {pattern}"
                );
            }
        }
    }

    #[test]
    fn a_number_is_the_same_however_it_is_written() {
        assert!(differences(&json!({"minimum": 1.0}), &json!({"minimum": 1})).is_empty());
        assert_eq!(
            differences(&json!({"minimum": 1.0}), &json!({"minimum": 2})),
            ["minimum"]
        );
    }

    #[test]
    fn the_digest_is_of_the_content_alone_whatever_its_order() {
        let kind = PartKind::ValidatingWebhookConfiguration;
        let one = json!({"metadata": {"generation": 1}, "webhooks": [{"name": "a", "rules": []}]});
        let same = json!({"webhooks": [{"rules": [], "name": "a", "timeoutSeconds": 3}], "metadata": {"generation": 2}});
        let other = json!({"webhooks": [{"name": "b", "rules": []}]});
        assert_eq!(digest(&content(kind, &one)), digest(&content(kind, &same)));
        assert_ne!(digest(&content(kind, &one)), digest(&content(kind, &other)));
    }
}
