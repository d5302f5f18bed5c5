//! The options of an exec: what is not understood in full is not allowed.

use kra_api::review::{StrictExecOptions, decode};
use proptest::{prelude::*, sample::Index};
use rstest::rstest;
use serde_json::{Value, json, value::RawValue};

use crate::fixtures;

fn options() -> Value {
    json!({
        "kind": "PodExecOptions", "apiVersion": "v1", "stdout": true, "stderr": true, "container": "main",
        "command": ["cat", "/etc/hostname"],
    })
}

fn read(options: &Value) -> Result<StrictExecOptions, serde_json::Error> {
    let raw: Box<RawValue> = serde_json::value::to_raw_value(options).unwrap();
    StrictExecOptions::decode(&raw)
}

#[test]
fn the_options_of_every_recorded_exec_are_understood() {
    let execs = fixtures::reviews()
        .into_iter()
        .filter(|(name, _)| name.starts_with("exec-") || name.starts_with("cp-"));
    let mut count = 0;
    for (name, text) in execs {
        let review = decode(text.as_bytes()).unwrap();
        let options = StrictExecOptions::decode(review.request.object.as_deref().unwrap());
        let options = options.unwrap_or_else(|error| panic!("{name}: {error}"));
        let recorded: Value = serde_json::from_str(&text).unwrap();
        let recorded = &recorded["request"]["object"];
        assert_eq!(recorded["command"], json!(options.command), "{name}");
        assert_eq!(recorded["stdin"] == true, options.stdin, "{name}");
        assert_eq!(recorded["tty"] == true, options.tty, "{name}");
        assert_eq!(
            recorded["container"].as_str(),
            options.container.as_deref(),
            "{name}"
        );
        count += 1;
    }
    assert!(count >= 10, "only {count}");
}

// F4
#[test]
fn a_raw_client_may_send_no_command_and_no_container() {
    let review = decode(fixtures::read("reviews/exec-raw-no-command.json").as_bytes()).unwrap();
    let options = StrictExecOptions::decode(review.request.object.as_deref().unwrap()).unwrap();
    assert_eq!((options.command, options.container), (None, None));
}

#[test]
fn the_options_of_no_other_door_are_taken_for_an_exec() {
    let doors = [
        "attach-stdin",
        "portforward-spdy",
        "podproxy-get",
        "nodeproxy-get",
        "ephemeral-debug",
    ];
    for door in doors {
        let review = decode(fixtures::read(&format!("reviews/{door}.json")).as_bytes()).unwrap();
        assert!(
            StrictExecOptions::decode(review.request.object.as_deref().unwrap()).is_err(),
            "{door}"
        );
    }
}

// F1
#[rstest]
#[case::the_coming_env("env", json!([{"name": "LD_PRELOAD", "value": "/tmp/x.so"}]))]
#[case::a_command_in_another_case("Command", json!(["id"]))]
#[case::a_script("args", json!(["-c", "id"]))]
#[case::metadata("metadata", json!({}))]
#[case::null("env", Value::Null)]
#[case::empty("", json!("x"))]
fn an_unknown_key_is_refused(#[case] key: &str, #[case] value: Value) {
    let mut options = options();
    options[key] = value;
    let error = read(&options).unwrap_err();
    assert!(error.to_string().contains("unknown field"), "{error}");
}

#[rstest]
#[case("command", json!("cat /etc/hostname"))]
#[case("command", json!(["cat", 1]))]
#[case("command", json!(["cat", null]))]
#[case("command", json!(["cat", ["/etc/hostname"]]))]
#[case("command", json!({"0": "cat"}))]
#[case("command", json!(true))]
#[case("container", json!(["main"]))]
#[case("container", json!(1))]
#[case("stdin", json!("true"))]
#[case("stdin", json!(1))]
#[case("stdin", Value::Null)]
#[case("tty", json!([]))]
#[case("stdout", json!("yes"))]
#[case("stderr", json!({}))]
#[case("kind", json!("PodAttachOptions"))]
#[case("kind", Value::Null)]
#[case("apiVersion", json!("v2"))]
fn a_value_of_another_type_or_kind_is_refused(#[case] key: &str, #[case] value: Value) {
    let mut options = options();
    options[key] = value;
    assert!(read(&options).is_err());
}

#[rstest]
#[case("kind")]
#[case("apiVersion")]
fn options_that_do_not_say_what_they_are_are_refused(#[case] key: &str) {
    let mut options = options();
    options.as_object_mut().unwrap().remove(key);
    assert!(read(&options).is_err());
}

#[rstest]
#[case(json!(null))]
#[case(json!([]))]
#[case(json!("PodExecOptions"))]
#[case(json!({}))]
fn what_is_no_object_is_refused(#[case] options: Value) {
    assert!(read(&options).is_err());
}

/// The options as a list of their fields: a struct is read from one too, where nobody looks.
#[test]
fn a_list_of_fields_is_refused() {
    let list = json!([
        "PodExecOptions",
        "v1",
        true,
        true,
        true,
        true,
        "main",
        ["id"]
    ]);
    assert!(read(&list).is_err());
}

proptest! {
    #[test]
    fn damaged_options_are_refused_or_mean_what_everybody_reads(
        damage in prop::collection::vec((any::<Index>(), any::<char>()), 1..5),
    ) {
        let mut text: Vec<char> = options().to_string().chars().collect();
        for (place, c) in damage {
            let place = place.index(text.len());
            text[place] = c;
        }
        let text: String = text.into_iter().collect();
        let read = RawValue::from_string(text.clone()).and_then(|raw| StrictExecOptions::decode(&raw));
        if let Ok(read) = read {
            let lenient: Value = serde_json::from_str(&text).unwrap();
            prop_assert_eq!(json!(read.command), lenient["command"].clone());
            prop_assert_eq!(read.stdin, lenient["stdin"] == true);
            prop_assert_eq!(lenient.as_object().unwrap().len(), 6, "{}", text);
        }
    }
}
