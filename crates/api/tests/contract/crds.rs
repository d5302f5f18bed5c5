//! The CustomResourceDefinitions: what the API server must accept and enforce while the server is
//! down.

use kra_api::crd;
use serde_json::{Value, json};

fn definition(plural: &str) -> Value {
    let crds: Vec<Value> = crd::all()
        .iter()
        .map(|crd| serde_json::to_value(crd).unwrap())
        .collect();
    crds.into_iter()
        .find(|crd| crd["spec"]["names"]["plural"] == plural)
        .unwrap()
}

fn version(plural: &str) -> Value {
    definition(plural)["spec"]["versions"][0].clone()
}

fn root(plural: &str) -> Value {
    version(plural)["schema"]["openAPIV3Schema"].clone()
}

fn each(schema: &Value, path: &str, visit: &mut impl FnMut(&Value, &str)) {
    visit(schema, path);
    for (name, property) in schema["properties"].as_object().into_iter().flatten() {
        each(property, &format!("{path}.{name}"), visit);
    }
    for part in ["items", "additionalProperties"] {
        if schema[part].is_object() {
            each(&schema[part], &format!("{path}.{part}"), visit);
        }
    }
}

// C16: there is no second version to write through.
#[test]
fn the_definitions_are_those_of_the_original() {
    for (plural, kind, short) in [
        ("accessrequests", "AccessRequest", "acr"),
        ("accessgrants", "AccessGrant", "acg"),
    ] {
        let spec = definition(plural)["spec"].clone();
        assert_eq!(
            (&spec["group"], &spec["scope"]),
            (&json!("spreadgroup.com"), &json!("Namespaced"))
        );
        assert_eq!(
            (&spec["names"]["kind"], &spec["names"]["shortNames"]),
            (&json!(kind), &json!([short]))
        );
        assert_eq!(spec["versions"].as_array().unwrap().len(), 1);
        assert_eq!(version(plural)["name"], "v1");
    }
}

#[test]
fn the_schemas_are_structural() {
    for plural in ["accessrequests", "accessgrants"] {
        each(&root(plural), plural, &mut |schema, path| {
            assert!(schema["type"].is_string(), "{path} has no type");
            for part in [
                "anyOf",
                "oneOf",
                "allOf",
                "$ref",
                "x-kubernetes-preserve-unknown-fields",
            ] {
                assert!(schema[part].is_null(), "{path} has {part}");
            }
        });
    }
}

#[test]
fn what_is_required_is_not_nullable() {
    for plural in ["accessrequests", "accessgrants"] {
        each(&root(plural), plural, &mut |schema, path| {
            for name in schema["required"].as_array().into_iter().flatten() {
                let property = &schema["properties"][name.as_str().unwrap()];
                assert!(
                    property["type"].is_string() && property["nullable"] != true,
                    "{path}.{name}"
                );
            }
        });
    }
}

#[test]
fn every_text_and_list_that_people_write_is_bounded() {
    for plural in ["accessrequests", "accessgrants"] {
        each(
            &root(plural)["properties"]["spec"],
            plural,
            &mut |schema, path| match schema["type"].as_str() {
                // Values that are listed, and times, bound themselves.
                Some("string") if schema["enum"].is_array() || schema["format"] == "date-time" => {}
                Some("string") => assert!(schema["maxLength"].is_u64(), "{path} has no maxLength"),
                Some("array") => assert!(schema["maxItems"].is_u64(), "{path} has no maxItems"),
                Some("object") if schema["properties"].is_null() => {
                    assert!(
                        schema["maxProperties"].is_u64(),
                        "{path} has no maxProperties"
                    );
                }
                _ => {}
            },
        );
    }
}

#[test]
fn the_keys_of_custom_keys_are_bounded_by_a_rule() {
    let keys = root("accessrequests")["properties"]["spec"]["properties"]["customKeys"].clone();
    assert_eq!(
        keys["x-kubernetes-validations"][0]["rule"],
        "self.all(key, size(key) <= 253)"
    );
}

#[test]
fn a_spec_is_required_and_never_changes() {
    for plural in ["accessrequests", "accessgrants"] {
        let root = root(plural);
        assert!(
            root["required"]
                .as_array()
                .unwrap()
                .contains(&json!("spec")),
            "{plural}"
        );
        assert_eq!(
            root["properties"]["spec"]["x-kubernetes-validations"][0]["rule"], "self == oldSelf",
            "{plural}"
        );
    }
}

#[test]
fn the_status_of_a_grant_is_a_required_text_that_never_changes() {
    let (version, root) = (version("accessgrants"), root("accessgrants"));
    assert!(
        version["subresources"].is_null(),
        "with a status subresource the answer would be dropped"
    );
    assert_eq!(root["required"], json!(["spec", "status"]));
    let status = &root["properties"]["status"];
    assert_eq!(
        (&status["type"], &status["enum"]),
        (&json!("string"), &json!(["granted", "denied", "reviewed"]))
    );
    assert!(status["nullable"].is_null());
    let rule = &root["x-kubernetes-validations"][0]["rule"];
    assert_eq!(
        *rule,
        "has(self.status) && has(oldSelf.status) && self.status == oldSelf.status"
    );
}

#[test]
fn what_became_of_a_request_is_never_taken_back() {
    let rules = root("accessrequests")["x-kubernetes-validations"].clone();
    let rules: Vec<&str> = rules
        .as_array()
        .unwrap()
        .iter()
        .map(|rule| rule["rule"].as_str().unwrap())
        .collect();
    for field in ["denied", "emergency", "reviewed"] {
        let same =
            format!("has(self.status.{field}) && self.status.{field} == oldSelf.status.{field}");
        assert!(rules.iter().any(|rule| rule.contains(&same)), "{field}");
    }
}

#[test]
fn the_status_of_a_request_is_a_subresource() {
    assert_eq!(
        version("accessrequests")["subresources"],
        json!({"status": {}})
    );
}

#[test]
fn what_requests_and_grants_are_listed_by_can_be_selected() {
    assert_eq!(
        version("accessrequests")["selectableFields"],
        json!([
            {"jsonPath": ".status.phase"},
            {"jsonPath": ".spec.userInfo.username"},
            {"jsonPath": ".spec.usernamePrefix"},
        ])
    );
    assert_eq!(
        version("accessgrants")["selectableFields"],
        json!([{"jsonPath": ".spec.grantFor"}])
    );
}
