//! The objects of the original's client, and our examples.

use std::{fs, path::Path};

use decide::access::{Answer, Ask, Command, ExecAsk, Seal, TargetKind, Validity};
use kra_api::{
    AccessGrant, AccessRequest,
    convert::{self, ConvertError},
};
use serde_json::{Value, json};

use crate::fixtures;

fn stored() -> Vec<Value> {
    let list: Value = serde_saphyr::from_str(&fixtures::read("recorded/objects.yaml")).unwrap();
    list["items"].as_array().unwrap().clone()
}

fn requests() -> Vec<AccessRequest> {
    let stored = stored();
    let requests = stored
        .iter()
        .filter(|object| object["kind"] == "AccessRequest");
    requests
        .map(|object| serde_json::from_value(object.clone()).unwrap())
        .collect()
}

#[test]
fn what_the_original_stored_is_written_back_unchanged() {
    for object in stored() {
        let back = match object["kind"].as_str().unwrap() {
            "AccessRequest" => serde_json::to_value(
                serde_json::from_value::<AccessRequest>(object.clone()).unwrap(),
            )
            .unwrap(),
            _ => {
                serde_json::to_value(serde_json::from_value::<AccessGrant>(object.clone()).unwrap())
                    .unwrap()
            }
        };
        assert_eq!(back, object);
    }
}

#[test]
fn a_single_use_request_of_the_original_means_what_it_meant() {
    let request = convert::request(&requests()[0], Seal::Good).unwrap();
    assert_eq!(
        (request.name.as_str(), request.namespace.as_str()),
        ("access-exec-jane-97b59", "default")
    );
    assert_eq!(
        (request.user.name.as_str(), request.user.uid),
        ("jane", None)
    );
    assert_eq!(
        (request.target.kind, request.target.name.as_str()),
        (TargetKind::Pod, "box")
    );
    let exec = ExecAsk {
        container: Some("main".to_owned()),
        command: Command::Exactly(vec!["ls".into(), "-l".into(), "/".into()]),
        stdin: false,
        tty: false,
    };
    assert_eq!(
        (request.ask, request.validity),
        (Ask::Exec(exec), Validity::Once)
    );
}

#[test]
fn nothing_is_granted_for_a_request_of_the_original_that_names_no_pod_by_uid() {
    assert_eq!(
        convert::request(&requests()[0], Seal::Good)
            .unwrap()
            .target
            .uid,
        None
    );
}

#[test]
fn a_timed_request_of_the_original_means_what_it_meant() {
    let request = convert::request(&requests()[1], Seal::Good).unwrap();
    assert_eq!(
        request.validity,
        Validity::For(std::time::Duration::from_mins(90))
    );
}

#[test]
fn a_request_of_the_original_without_a_command_means_nothing_any_more() {
    assert_eq!(
        convert::request(&requests()[2], Seal::Good),
        Err(ConvertError::NoCommand)
    );
}

#[test]
fn a_grant_of_the_original_names_its_request_by_its_owner() {
    let stored = stored();
    let object: AccessGrant = serde_json::from_value(stored[3].clone()).unwrap();
    let grant = convert::grant(&object, Seal::Good).unwrap();
    assert_eq!(grant.answer, Answer::Granted);
    assert_eq!(
        grant.request_uid.as_deref(),
        Some("f47af65d-7b5e-4188-ab74-75da55639cfc")
    );
    assert_eq!(grant.by.unwrap().name, "amy");
}

#[test]
fn nulls_that_go_writes_are_read() {
    let mut object = stored()[0].clone();
    object["spec"]["customKeys"] = Value::Null;
    object["spec"]["validFor"] = json!("");
    object["spec"]["userInfo"] =
        json!({"username": "jane", "groups": null, "extra": {"scopes": null}});
    object["metadata"]["creationTimestamp"] = Value::Null;
    let request: AccessRequest = serde_json::from_value(object).unwrap();
    assert_eq!(
        convert::request(&request, Seal::Good),
        Err(ConvertError::Missing {
            field: "metadata.creationTimestamp"
        })
    );
    assert_eq!(
        convert::valid_for(request.spec.valid_for.as_deref()),
        Ok(None)
    );
}

/// An example, with what the API server and `/mutate` would fill in.
fn admitted(mut object: Value) -> Value {
    object["metadata"]["uid"] = json!("d835c295-ef4c-4233-b15e-e0f72efb5c54");
    object["metadata"]["creationTimestamp"] = json!("2026-11-23T16:39:26Z");
    if object["kind"] == "AccessRequest" {
        object["metadata"]["name"] = json!("access-exec-jane-7f3k");
        object["spec"]["userInfo"] = json!({"username": "jane"});
    }
    object
}

#[test]
fn the_example_objects_say_what_they_should() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../examples/objects");
    let mut count = 0;
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let object: Value = serde_saphyr::from_str(&fs::read_to_string(&path).unwrap()).unwrap();
        let object = admitted(object);
        let written = object["spec"].clone();
        let (read, kept) = if object["kind"] == "AccessRequest" {
            let request: AccessRequest = serde_json::from_value(object).unwrap();
            (
                convert::request(&request, Seal::Good).map(drop),
                serde_json::to_value(request.spec).unwrap(),
            )
        } else {
            let grant: AccessGrant = serde_json::from_value(object).unwrap();
            (
                convert::grant(&grant, Seal::Good).map(drop),
                serde_json::to_value(grant.spec).unwrap(),
            )
        };
        assert_eq!(read, Ok(()), "{}", path.display());
        assert_eq!(kept, written, "{}: a field is not ours", path.display());
        count += 1;
    }
    assert_eq!(count, 6);
}
