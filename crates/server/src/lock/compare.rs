//! Whether a part of the lock is as it is shipped.

use ring::digest::{SHA256, digest as hash};
use serde_json::{Map, Value, json};

use super::part::Kind;
use crate::cluster::seal::hex;

/// So many differences are named.
const MOST: usize = 8;

/// What counts of an object: neither metadata and status, nor what differs in each cluster (the CA bundle, which is renewed;
/// the secret end of the path; how long is waited). Its keys are in order.
pub fn content(kind: Kind, object: &Value) -> Value {
    let mut content = object.clone();
    if let Value::Object(fields) = &mut content {
        for key in ["apiVersion", "kind", "metadata", "status"] {
            fields.remove(key);
        }
    }
    if matches!(kind, Kind::ValidatingWebhookConfiguration | Kind::MutatingWebhookConfiguration) {
        for webhook in content.get_mut("webhooks").and_then(Value::as_array_mut).into_iter().flatten() {
            mask(webhook);
        }
    }
    content.sort_all_objects();
    content
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
    format!("sha256:{}", hex(hash(&SHA256, content.to_string().as_bytes()).as_ref()))
}

/// Where one content differs from another, as paths; empty: it does not. What the API server adds by default is no
/// difference.
pub fn differences(shipped: &Value, stored: &Value) -> Vec<String> {
    let mut found = Vec::new();
    compare(shipped, stored, "", &mut found);
    found.truncate(MOST);
    found
}

fn compare(shipped: &Value, stored: &Value, path: &str, found: &mut Vec<String>) {
    match (shipped, stored) {
        (Value::Object(shipped), Value::Object(stored)) => {
            let of_both = shipped.keys().chain(stored.keys().filter(|key| !shipped.contains_key(*key)));
            for key in of_both {
                compare_field(key, (shipped, stored), &format!("{path}.{key}"), found);
            }
        }
        (Value::Array(shipped), Value::Array(stored)) if shipped.len() == stored.len() => {
            for (index, (shipped, stored)) in shipped.iter().zip(stored).enumerate() {
                compare(shipped, stored, &format!("{path}[{index}]"), found);
            }
        }
        (shipped, stored) if shipped == stored => {}
        _ => found.push(path.trim_start_matches('.').to_owned()),
    }
}

fn compare_field(
    key: &str,
    (shipped, stored): (&Map<String, Value>, &Map<String, Value>),
    path: &str,
    found: &mut Vec<String>,
) {
    match (shipped.get(key), stored.get(key)) {
        (Some(shipped), Some(stored)) => compare(shipped, stored, path, found),
        (None, Some(stored)) if is_default(key, stored) => {}
        // One that is written out where it is the default anyway.
        (Some(shipped), None) if is_default(key, shipped) => {}
        _ => found.push(path.trim_start_matches('.').to_owned()),
    }
}

/// Whether it is what the API server writes where nothing is written.
fn is_default(key: &str, value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::Array(values) => values.is_empty(),
        Value::Object(fields) => fields.iter().all(|(key, value)| is_default(key, value)),
        Value::Bool(_) | Value::Number(_) | Value::String(_) => [
            ("matchPolicy", json!("Equivalent")),
            ("port", json!(443)),
            ("reinvocationPolicy", json!("Never")),
            ("scope", json!("*")),
        ]
        .contains(&(key, value.clone())),
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
        if let Some(webhooks) = object.get_mut("webhooks").and_then(Value::as_array_mut) {
            for webhook in webhooks {
                webhook["timeoutSeconds"] = json!(30);
                webhook["namespaceSelector"] = json!({});
                webhook["objectSelector"] = json!({});
                webhook["clientConfig"]["caBundle"] = json!("AAAA");
                webhook["clientConfig"]["service"]["port"] = json!(443);
                let path = webhook["clientConfig"]["service"]["path"].as_str().unwrap().to_owned();
                webhook["clientConfig"]["service"]["path"] = json!(format!("{path}/secret"));
            }
        }
        if object.pointer("/spec/matchConstraints").is_some() {
            object["spec"]["matchConstraints"]["namespaceSelector"] = json!({});
            object["spec"]["matchConstraints"]["objectSelector"] = json!({});
        }
        object
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
            assert_eq!(compared(&part, &stored(&part)), Vec::<String>::new(), "{part}");
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

    #[test]
    fn the_digest_is_of_the_content_alone_whatever_its_order() {
        let kind = Kind::ValidatingWebhookConfiguration;
        let one = json!({"metadata": {"generation": 1}, "webhooks": [{"name": "a", "rules": []}]});
        let same =
            json!({"webhooks": [{"rules": [], "name": "a", "timeoutSeconds": 3}], "metadata": {"generation": 2}});
        let other = json!({"webhooks": [{"name": "b", "rules": []}]});
        assert_eq!(digest(&content(kind, &one)), digest(&content(kind, &same)));
        assert_ne!(digest(&content(kind, &one)), digest(&content(kind, &other)));
    }
}
