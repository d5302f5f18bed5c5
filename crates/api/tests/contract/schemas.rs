//! The schemas in `docs/schemas`, against the bodies that the original's receivers were sent.

use rstest::rstest;
use serde_json::{Value, json};

fn read(path: &str) -> Value {
    let path = format!("{}/{path}", env!("CARGO_MANIFEST_DIR"));
    serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap()
}

fn schema(name: &str) -> jsonschema::Validator {
    jsonschema::validator_for(&read(&format!("../../docs/schemas/{name}.json"))).unwrap()
}

fn body(recorded: &str) -> Value {
    read(&format!("tests/fixtures/recorded/{recorded}.json"))["body"].clone()
}

#[rstest]
#[case("audit-exec", "audit-exec-allowed")]
#[case("audit-exec", "audit-exec-denied")]
#[case("audit-exec", "audit-exec-admin")]
#[case("audit-created", "audit-created")]
#[case("audit-created", "audit-created-any-command")]
#[case("audit-granted", "audit-granted")]
#[case("validation", "validate")]
fn what_the_original_sent_fits_the_schema(#[case] name: &str, #[case] recorded: &str) {
    let errors: Vec<String> = schema(name)
        .iter_errors(&body(recorded))
        .map(|error| error.to_string())
        .collect();
    assert!(errors.is_empty(), "{errors:#?}");
}

#[rstest]
#[case("audit-exec", "audit-exec-allowed", "/isAllowed", json!("yes"))]
#[case("audit-exec", "audit-exec-allowed", "/execOptions/command", json!("ls"))]
#[case("audit-created", "audit-created", "/accessRequest/spec/forObject", json!(null))]
#[case("audit-granted", "audit-granted", "/accessGrant/status", json!({"phase": "granted"}))]
#[case("validation", "validate", "/AccessRequest", json!([]))]
fn another_type_does_not_fit(
    #[case] name: &str,
    #[case] recorded: &str,
    #[case] at: &str,
    #[case] value: Value,
) {
    let mut body = body(recorded);
    *body.pointer_mut(at).unwrap() = value;
    assert!(!schema(name).is_valid(&body));
}

#[test]
fn the_answer_of_a_validation_webhook_has_a_schema_too() {
    let answer = schema("validation-answer");
    assert!(answer.is_valid(&json!({"status": "invalid", "message": "no ticket"})));
    assert!(answer.is_valid(&json!({"status": "valid"})));
    assert!(!answer.is_valid(&json!({"status": "maybe"})) && !answer.is_valid(&json!({})));
}
