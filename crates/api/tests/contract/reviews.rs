//! Reviews: everything that an API server sent is read, and nothing else is believed.

use std::error::Error as _;

use kra_api::{
    objects::{AccessGrant, AccessRequest},
    review::{Answer, Operation, Review, ReviewError, decode},
};
use proptest::{prelude::*, sample::Index};
use rstest::rstest;
use serde_json::{Value, json};

use crate::fixtures;

/// The operations by the beginning of a recorded review's name.
const OPERATIONS: [(&str, Operation); 9] = [
    ("accessrequest-create", Operation::Create),
    ("accessrequest-apply-serverside", Operation::Update),
    ("accessrequest-delete", Operation::Delete),
    ("accessrequest-", Operation::Update),
    ("accessgrant-create", Operation::Create),
    ("accessgrant-delete", Operation::Delete),
    ("accessgrant-", Operation::Update),
    ("ephemeral-", Operation::Update),
    ("", Operation::Connect),
];

fn exec() -> Value {
    fixtures::json("reviews/exec-websocket.json")
}

fn decoded(review: &Value) -> Result<Review, ReviewError> {
    decode(review.to_string().as_bytes())
}

/// The error's text and its cause's.
fn told(error: &ReviewError) -> String {
    let cause = error.source().map(ToString::to_string).unwrap_or_default();
    format!("{error}: {cause}")
}

#[test]
fn every_recorded_review_is_read() {
    for (name, text) in fixtures::reviews() {
        let review =
            decode(text.as_bytes()).unwrap_or_else(|error| panic!("{name}: {}", told(&error)));
        let recorded: Value = serde_json::from_str(&text).unwrap();
        let recorded = &recorded["request"];
        let request = &review.request;
        assert_eq!(recorded["uid"], request.uid, "{name}");
        assert_eq!(
            recorded["userInfo"]["username"],
            request.user_info.name(),
            "{name}"
        );
        assert_eq!(
            recorded["resource"]["resource"], request.resource.resource,
            "{name}"
        );
        assert_eq!(
            recorded["subResource"].as_str(),
            request.sub_resource.as_deref(),
            "{name}"
        );
        assert_eq!(
            recorded["namespace"].as_str(),
            request.namespace.as_deref(),
            "{name}"
        );
        assert_eq!(recorded["dryRun"] == true, request.is_dry_run(), "{name}");
        assert_eq!(
            recorded["oldObject"].is_object(),
            request.old_object.is_some(),
            "{name}"
        );
        let operation = OPERATIONS
            .iter()
            .find(|(start, _)| name.starts_with(start))
            .unwrap()
            .1;
        assert_eq!(request.operation, operation, "{name}");
    }
}

#[test]
fn webhooks_get_the_request_as_it_came() {
    for (name, text) in fixtures::reviews() {
        let review = decode(text.as_bytes()).unwrap();
        let recorded: Value = serde_json::from_str(&text).unwrap();
        let raw: Value = serde_json::from_str(review.raw.get()).unwrap();
        assert_eq!(raw, recorded["request"], "{name}");
        assert!(text.contains(review.raw.get()), "{name}: not byte for byte");
    }
}

#[test]
fn the_objects_in_recorded_reviews_are_read() {
    for (name, text) in fixtures::reviews() {
        let request = decode(text.as_bytes()).unwrap().request;
        for object in [&request.object, &request.old_object].into_iter().flatten() {
            // Some were recorded with another status than ours.
            if object.get().contains(r#""phase": "Approved""#) {
                continue;
            }
            let read = match request.resource.resource.as_str() {
                "accessrequests" => serde_json::from_str::<AccessRequest>(object.get()).map(drop),
                "accessgrants" => serde_json::from_str::<AccessGrant>(object.get()).map(drop),
                _ => Ok(()),
            };
            read.unwrap_or_else(|error| panic!("{name}: {error}"));
        }
    }
}

/// The same JSON, but in the object of this number the first key stands twice; `seen` counts the
/// objects.
fn with_a_duplicate(value: &Value, number: usize, seen: &mut usize) -> String {
    match value {
        Value::Object(map) => {
            let mine = *seen == number;
            *seen += usize::from(!map.is_empty());
            let field = |(key, value): (&String, &Value)| {
                format!(
                    "{}:{}",
                    Value::from(key.as_str()),
                    with_a_duplicate(value, number, seen)
                )
            };
            let mut fields: Vec<String> = map.iter().map(field).collect();
            fields.extend(fields.first().cloned().filter(|_| mine));
            format!("{{{}}}", fields.join(","))
        }
        Value::Array(values) => {
            let values: Vec<String> = values
                .iter()
                .map(|value| with_a_duplicate(value, number, seen))
                .collect();
            format!("[{}]", values.join(","))
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => value.to_string(),
    }
}

// R2
#[rstest]
#[case("exec-websocket.json")]
#[case("exec-pod-bound-token.json")]
#[case("accessgrant-update.json")]
#[case("accessrequest-create.json")]
fn a_duplicate_key_at_any_depth_is_refused(#[case] name: &str) {
    let review = fixtures::json(&format!("reviews/{name}"));
    let mut objects = 0;
    with_a_duplicate(&review, usize::MAX, &mut objects);
    for number in 0..objects {
        let error = decode(with_a_duplicate(&review, number, &mut 0).as_bytes()).unwrap_err();
        assert!(told(&error).contains("duplicate key"), "{}", told(&error));
    }
    assert!(objects > 5, "only {objects} objects");
}

// R2
#[rstest]
#[case::of_the_command(r#""command":["#, r#""command":["id"],"command":["#)]
#[case::written_with_an_escape(r#""command":["#, r#""c\u006fmmand":["id"],"command":["#)]
#[case::of_the_options(r#""object":{"#, r#""object":null,"object":{"#)]
#[case::of_the_request(r#""request":{"#, r#""request":null,"request":{"#)]
#[case::of_the_user(r#""username":"#, r#""username":"admin","username":"#)]
fn a_second_meaning_is_refused(#[case] once: &str, #[case] twice: &str) {
    let text = exec().to_string();
    assert!(text.contains(once));
    let error = decode(text.replacen(once, twice, 1).as_bytes()).unwrap_err();
    assert!(told(&error).contains("duplicate key"), "{}", told(&error));
}

#[rstest]
#[case::empty(b"".to_vec())]
#[case::blank(b" \n".to_vec())]
#[case::half(exec().to_string().into_bytes()[..300].to_vec())]
#[case::two(exec().to_string().repeat(2).into_bytes())]
#[case::a_byte_order_mark([b"\xef\xbb\xbf".to_vec(), exec().to_string().into_bytes()].concat())]
#[case::text(b"hello".to_vec())]
#[case::a_list(b"[]".to_vec())]
#[case::a_number_too_large(b"{\"a\":1e999}".to_vec())]
#[case::invalid_utf8(exec().to_string().replace("jane", "j#ne").into_bytes().into_iter()
    .map(|byte| if byte == b'#' { 0xff } else { byte }).collect())]
#[case::half_a_surrogate(exec().to_string().replace("jane", r"\ud800").into_bytes())]
#[case::lists_without_end(b"[".repeat(100_000))]
#[case::objects_without_end(br#"{"a":"#.repeat(10_000))]
#[case::closed_depth([b"[".repeat(100_000), b"]".repeat(100_000)].concat())]
fn what_cannot_be_read_is_refused(#[case] body: Vec<u8>) {
    let error = decode(&body).unwrap_err();
    assert!(matches!(error, ReviewError::Malformed(_)), "{error:?}");
    assert_eq!(
        error.to_string(),
        "the body is not an AdmissionReview that can be read safely"
    );
}

#[test]
fn depth_inside_the_options_is_refused() {
    let deep = format!("{}{}", "[".repeat(100_000), "]".repeat(100_000));
    let text = exec().to_string().replace(r#"["date"]"#, &deep);
    assert!(text.len() > 200_000);
    assert!(matches!(
        decode(text.as_bytes()),
        Err(ReviewError::Malformed(_))
    ));
}

#[test]
fn a_large_review_is_read() {
    let mut review = fixtures::json("reviews/accessrequest-update.json");
    review["request"]["object"]["metadata"]["annotations"] =
        json!({ "large": "x".repeat(2_000_000) });
    review["request"]["oldObject"]["metadata"]["annotations"] =
        json!({ "large": "y".repeat(2_000_000) });
    assert!(decoded(&review).unwrap().raw.get().len() > 4_000_000);
}

// K1
#[rstest]
#[case::a_long_command("exec-websocket.json", "/object/command", json!(["x".repeat(300_000)]), "262144 bytes")]
#[case::a_million_empties("exec-websocket.json", "/object/command", json!(vec![0; 20_000]), "16384 values")]
#[case::a_request_of_empties("accessrequest-create.json", "/object/spec/execOptions/command", json!(vec![""; 17_000]), "16384 values")]
#[case::a_long_reason("accessrequest-create.json", "/object/spec/reason", json!("x".repeat(300_000)), "262144 bytes")]
#[case::a_pod_that_is_too_large("ephemeral-debug.json", "/object/spec/nodeName", json!("x".repeat(2_200_000)), "maximum is 2097152")]
#[case::a_pod_of_empties("ephemeral-debug.json", "/object/spec/ephemeralContainers/0/args", json!(vec![""; 250_000]), "200000 values")]
#[case::an_update_of_two("accessrequest-update.json", "/object/metadata/annotations", json!({"a": "x".repeat(2_200_000)}), "maximum is 2097152")]
fn a_review_beyond_the_bounds_of_its_kind_is_too_large(
    #[case] name: &str,
    #[case] pointer: &str,
    #[case] value: Value,
    #[case] text: &str,
) {
    let mut review = fixtures::json(&format!("reviews/{name}"));
    let (parent, key) = pointer.rsplit_once('/').unwrap();
    review["request"].pointer_mut(parent).unwrap()[key] = value;
    let error = decoded(&review).unwrap_err();
    assert!(matches!(error, ReviewError::TooLarge(_)), "{error:?}");
    assert!(error.to_string().contains(text), "{error}");
}

#[rstest]
#[case::an_old_version(json!({"kind": "AdmissionReview", "apiVersion": "admission.k8s.io/v1beta1", "request": {}}))]
#[case::another_kind(json!({"kind": "ConversionReview", "apiVersion": "admission.k8s.io/v1", "request": {}}))]
#[case::no_kind(json!({"apiVersion": "admission.k8s.io/v1", "request": {}}))]
#[case::nothing(json!({}))]
fn another_kind_is_refused(#[case] review: Value) {
    assert!(matches!(
        decoded(&review),
        Err(ReviewError::OtherKind { .. })
    ));
}

#[test]
fn the_refusal_of_another_kind_names_both() {
    let review = json!({"kind": "AdmissionReview", "apiVersion": "admission.k8s.io/v1beta1"});
    assert_eq!(
        decoded(&review).unwrap_err().to_string(),
        "expected AdmissionReview of admission.k8s.io/v1, got \"AdmissionReview\" of \"admission.k8s.io/v1beta1\""
    );
}

#[rstest]
#[case::missing(json!({"kind": "AdmissionReview", "apiVersion": "admission.k8s.io/v1"}))]
#[case::null(json!({"kind": "AdmissionReview", "apiVersion": "admission.k8s.io/v1", "request": null}))]
fn a_review_without_a_request_is_refused(#[case] review: Value) {
    assert!(matches!(decoded(&review), Err(ReviewError::NoRequest)));
}

#[test]
fn an_empty_uid_is_refused() {
    let mut review = exec();
    review["request"]["uid"] = json!("");
    assert!(matches!(decoded(&review), Err(ReviewError::NoUid)));
}

#[rstest]
#[case::no_uid("uid", Value::Null, "invalid type: null")]
#[case::a_uid_that_is_a_number("uid", json!(1), "invalid type")]
#[case::no_operation("operation", Value::Null, "expected value")]
#[case::an_unknown_operation("operation", json!("PROXY"), "unknown variant `PROXY`")]
#[case::an_operation_in_another_case("operation", json!("connect"), "unknown variant `connect`")]
#[case::no_user("userInfo", Value::Null, "invalid type")]
#[case::a_user_that_is_a_text("userInfo", json!("jane"), "invalid type")]
#[case::groups_that_are_a_text("userInfo", json!({"username": "jane", "groups": "devs"}), "invalid type")]
#[case::a_dry_run_that_is_a_text("dryRun", json!("false"), "invalid type")]
#[case::a_name_that_is_a_list("name", json!(["a"]), "invalid type")]
#[case::no_resource("resource", json!({"group": "", "version": "v1"}), "missing field `resource`")]
fn a_field_that_is_not_what_it_should_be_is_refused(
    #[case] field: &str,
    #[case] value: Value,
    #[case] cause: &str,
) {
    let mut review = exec();
    review["request"][field] = value;
    let error = decoded(&review).unwrap_err();
    assert!(told(&error).contains(cause), "{}", told(&error));
}

#[test]
fn a_missing_uid_or_operation_is_refused() {
    for (field, cause) in [
        ("uid", "missing field `uid`"),
        ("operation", "missing field `operation`"),
    ] {
        let mut review = exec();
        review["request"].as_object_mut().unwrap().remove(field);
        let error = decoded(&review).unwrap_err();
        assert!(told(&error).contains(cause), "{}", told(&error));
    }
}

#[test]
fn an_answer_has_the_shape_that_the_api_server_takes() {
    let allowed = serde_json::to_value(Answer::allow("u1")).unwrap();
    assert_eq!(
        allowed,
        json!({"apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview", "response": {"uid": "u1", "allowed": true}})
    );
    let denied =
        serde_json::to_value(Answer::deny("u1", "no").annotated("decision", "denied")).unwrap();
    assert_eq!(
        denied["response"],
        json!({
            "uid": "u1",
            "allowed": false,
            "status": {"code": 403, "reason": "Forbidden", "message": "no"},
            "auditAnnotations": {"decision": "denied"},
        })
    );
    let patched = serde_json::to_value(Answer::allow("u1").patched("W10=".to_owned())).unwrap();
    assert_eq!(patched["response"]["patchType"], "JSONPatch");
}

proptest! {
    #[test]
    fn no_bytes_make_it_panic(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
        prop_assert!(decode(&bytes).is_err());
    }

    #[test]
    fn no_json_like_text_makes_it_panic(text in r#"([\[\]{}:,"]|null|true|-?[0-9]{1,3}|"request"|"uid"|"[a-z]"){0,60}"#) {
        prop_assert!(decode(text.as_bytes()).is_err());
    }

    #[test]
    fn a_damaged_review_is_refused_or_means_what_everybody_reads(
        which in any::<Index>(),
        damage in prop::collection::vec((any::<Index>(), any::<u8>()), 1..4),
        cut in prop::option::weighted(0.1, any::<Index>()),
    ) {
        let reviews = fixtures::reviews();
        let mut bytes = reviews[which.index(reviews.len())].1.clone().into_bytes();
        for (place, byte) in damage {
            let place = place.index(bytes.len());
            bytes[place] = byte;
        }
        bytes.truncate(cut.map_or(bytes.len(), |cut| cut.index(bytes.len())));
        if let Ok(review) = decode(&bytes) {
            let lenient: Value = serde_json::from_slice(&bytes).unwrap();
            let request = &lenient["request"];
            prop_assert_eq!(request["uid"].as_str(), Some(review.request.uid.as_str()));
            prop_assert!(!review.request.uid.is_empty());
            prop_assert_eq!(request["userInfo"]["username"].as_str().unwrap_or_default(), review.request.user_info.name());
            prop_assert_eq!(request["name"].as_str(), review.request.name.as_deref());
            prop_assert_eq!(request["namespace"].as_str(), review.request.namespace.as_deref());
        }
    }
}
