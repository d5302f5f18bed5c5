//! Updates of a pod's ephemeral containers, as `kubectl debug` sends them, and with something
//! riding along.

use decide::{attempt::Action, debug::Profile};
use kra_api::{
    convert,
    pod_update::{self, PodUpdateError},
    review::decode,
};
use rstest::rstest;
use serde_json::{Value, json};

use crate::fixtures;

/// The recorded `kubectl debug`, changed.
fn debug(change: impl FnOnce(&mut Value)) -> Result<Action, PodUpdateError> {
    let mut review = fixtures::json("reviews/ephemeral-debug.json");
    change(&mut review["request"]);
    convert::debug(&decode(review.to_string().as_bytes()).unwrap().request)
}

#[test]
fn a_recorded_debug_container_is_understood() {
    let Ok(Action::Debug(addition)) = debug(|_| ()) else {
        panic!("not understood")
    };
    let container = addition.container;
    assert_eq!(addition.pod_uid, "004ebe2a-2504-4c84-8abe-9160dd3a0967");
    assert_eq!(
        (container.name.as_deref(), container.image.as_str()),
        (Some("dbg"), "busybox")
    );
    assert_eq!(
        (container.target.as_deref(), container.command.as_slice()),
        (Some("nginx"), &["sh".to_owned()][..])
    );
    assert_eq!(container.profile(), Some(Profile::General));
    assert_eq!(
        container.others.keys().collect::<Vec<_>>(),
        ["securityContext"]
    );
}

#[test]
fn in_a_recorded_update_the_new_container_is_found_by_name() {
    let review = fixtures::read("reviews/ephemeral-patch-dryrun.json");
    let request = decode(review.as_bytes()).unwrap().request;
    let Ok(Action::Debug(addition)) = convert::debug(&request) else {
        panic!("not understood")
    };
    let old: Value = serde_json::from_str(request.old_object.unwrap().get()).unwrap();
    let list = old["spec"]["ephemeralContainers"].to_string();
    let there = pod_update::stored(&serde_json::from_str::<Vec<_>>(&list).unwrap());
    assert_eq!(there.keys().collect::<Vec<_>>(), ["dbg"]);
    assert!(!there.contains_key(&addition.container.name.unwrap()));
}

#[rstest]
#[case::another_image("/object/spec/containers/0/image", json!("evil"), "spec")]
#[case::a_label("/object/metadata/labels/app", json!("other"), "metadata")]
#[case::an_annotation("/object/metadata/annotations", json!({}), "metadata")]
#[case::a_finalizer("/object/metadata/finalizers", json!(["a/b"]), "metadata")]
#[case::an_owner("/object/metadata/ownerReferences", json!([{"name": "x"}]), "metadata")]
#[case::the_status("/object/status/phase", json!("Succeeded"), "status")]
#[case::a_field_that_nobody_knows("/object/spec/privilegedByMagic", json!(true), "spec")]
#[case::a_field_beside_the_spec("/object/more", json!(1), "more")]
#[case::the_service_account("/object/spec/serviceAccountName", json!("admin"), "spec")]
fn nothing_rides_along(#[case] pointer: &str, #[case] value: Value, #[case] field: &str) {
    let changed = debug(|request| {
        let (parent, key) = pointer.rsplit_once('/').unwrap();
        request.pointer_mut(parent).unwrap()[key] = value;
    });
    assert_eq!(
        changed,
        Err(PodUpdateError::MoreChanges {
            field: field.to_owned()
        })
    );
}

// A13
#[test]
fn one_container_at_a_time_is_added() {
    let list = "/object/spec/ephemeralContainers";
    let none = debug(|request| *request.pointer_mut(list).unwrap() = json!([]));
    assert_eq!(none, Err(PodUpdateError::NotOne { count: 0 }));
    let two = debug(|request| {
        let containers = request.pointer_mut(list).unwrap().as_array_mut().unwrap();
        let mut second = containers[0].clone();
        second["name"] = json!("second");
        containers.push(second);
    });
    assert_eq!(two, Err(PodUpdateError::NotOne { count: 2 }));
}

#[test]
fn a_container_that_is_there_stays_as_it_is() {
    let there = |request: &mut Value| {
        let mut old = request["object"]["spec"]["ephemeralContainers"][0].clone();
        old["name"] = json!("old");
        request["oldObject"]["spec"]["ephemeralContainers"] = json!([old.clone()]);
        old["image"] = json!("evil");
        old
    };
    let changed = debug(|request| {
        let old = there(request);
        request["object"]["spec"]["ephemeralContainers"]
            .as_array_mut()
            .unwrap()
            .push(old);
    });
    assert_eq!(
        changed,
        Err(PodUpdateError::Changed {
            name: "old".to_owned()
        })
    );
    let gone = debug(|request| drop(there(request)));
    assert_eq!(
        gone,
        Err(PodUpdateError::Changed {
            name: "old".to_owned()
        })
    );
}

#[rstest]
#[case::a_twin("/object/spec/ephemeralContainers", json!([{"name": "a"}, {"name": "a"}]))]
#[case::without_a_name("/object/spec/ephemeralContainers", json!([{"image": "a"}]))]
#[case::no_list("/object/spec/ephemeralContainers", json!({}))]
#[case::a_number_for_a_command("/object/spec/ephemeralContainers/0/command", json!([1]))]
#[case::a_text_for_a_flag("/object/spec/ephemeralContainers/0/stdin", json!("true"))]
#[case::no_pod("/object", json!([]))]
#[case::no_old_pod("/oldObject", json!(null))]
#[case::another_pod("/object/metadata/uid", json!("other"))]
fn what_is_not_understood_is_refused(#[case] pointer: &str, #[case] value: Value) {
    let (parent, key) = pointer.rsplit_once('/').unwrap();
    let container = parent.ends_with("/0");
    let changed = debug(|request| {
        let parent = request.pointer_mut(parent).unwrap();
        assert!(container || parent.get(key).is_some(), "nothing is there");
        parent[key] = value;
    });
    assert!(changed.is_err(), "{changed:?}");
}

#[rstest]
#[case::privileged("securityContext", json!({"privileged": true}))]
#[case::root_where_the_pod_says_no_root("securityContext", json!({"runAsNonRoot": false}))]
#[case::a_volume("volumeMounts", json!([{"name": "x", "mountPath": "/x"}]))]
#[case::a_device("volumeDevices", json!([{"name": "x", "devicePath": "/x"}]))]
#[case::a_secret("envFrom", json!([{"secretRef": {"name": "x"}}]))]
#[case::a_hook("lifecycle", json!({"postStart": {"exec": {"command": ["sh"]}}}))]
#[case::only_what_is_on_the_node("imagePullPolicy", json!("Never"))]
#[case::something_to_come("magic", json!(false))]
fn every_field_of_a_container_is_compared(#[case] field: &str, #[case] value: Value) {
    let plain = debug(|_| ()).unwrap();
    let with = debug(|request| request["object"]["spec"]["ephemeralContainers"][0][field] = value)
        .unwrap();
    let (Action::Debug(plain), Action::Debug(with)) = (plain, with) else {
        panic!("no debug container")
    };
    assert_eq!(plain.container.differences(&with.container), [field]);
}

#[test]
fn what_the_api_server_fills_in_and_the_order_of_variables_make_no_difference() {
    let set = |request: &mut Value, more: Value| {
        let container = request["object"]["spec"]["ephemeralContainers"][0]
            .as_object_mut()
            .unwrap();
        container.extend(more.as_object().unwrap().clone());
    };
    let one = debug(|request| {
        set(
            request,
            json!({"env": [{"name": "A", "value": "1"}, {"name": "B"}]}),
        );
    })
    .unwrap();
    let filled = json!({
        "env": [{"name": "B", "value": ""}, {"value": "1", "name": "A"}], "imagePullPolicy": "IfNotPresent",
        "terminationMessagePath": "/dev/termination-log", "terminationMessagePolicy": "File", "resources": {},
        "stdinOnce": false, "tty": false, "args": [],
    });
    let other = debug(|request| set(request, filled)).unwrap();
    assert_eq!(one, other);
}

// K1
#[rstest]
#[case::of_empty_arguments(|container: &mut Value| container["args"] = json!(vec![""; 5000]))]
#[case::of_variables(|container: &mut Value| container["env"] = json!(vec![json!({"name": "a"}); 2000]))]
#[case::of_one_long_text(|container: &mut Value| container["workingDir"] = json!("/".repeat(200_000)))]
fn a_container_beyond_all_that_can_be_asked_for_is_not_built(#[case] grow: fn(&mut Value)) {
    let grown = debug(|request| grow(&mut request["object"]["spec"]["ephemeralContainers"][0]));
    let Err(PodUpdateError::Field { field }) = grown else {
        panic!("{grown:?}")
    };
    assert!(field.contains("too large"), "{field}");
}

#[test]
fn keys_in_another_order_and_other_whitespace_are_no_change() {
    let mut review = fixtures::json("reviews/ephemeral-debug.json");
    let spec = review["request"]["object"]["spec"].as_object().unwrap();
    let turned: serde_json::Map<String, Value> = spec
        .iter()
        .rev()
        .map(|(k, v)| (k.clone(), v.clone()))
        .collect();
    review["request"]["object"]["spec"] = Value::Object(turned);
    let pretty = serde_json::to_string_pretty(&review).unwrap();
    assert!(convert::debug(&decode(pretty.as_bytes()).unwrap().request).is_ok());
}
