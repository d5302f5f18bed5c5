//! Objects written by hand, by somebody who tries what the plugin would not.

use rstest::rstest;
use serde_json::{Value, json};

use crate::asking::original;
use kra_tests::{scene::Scene, world};

fn create(scene: &Scene, change: impl FnOnce(&mut Value)) -> kra_tests::scene::Said {
    let jane = scene.developer("jane");
    let mut object = original(scene, &jane.name);
    change(&mut object);
    jane.kubectl_with(&object.to_string(), ["create", "-f", "-"])
}

// D19, D22, D28, F3, F21, G1, G2
#[rstest]
#[case::another_namespace("/spec/forObject/namespace", json!("default"), "in its own namespace")]
#[case::no_door("/spec/forObject/subResource", json!("proxy"), "cannot be asked for")]
#[case::another_door("/spec/forObject/subResource", json!("attach"), "execOptions says nothing of")]
#[case::an_unknown_kind("/spec/forObject/resource", json!({"group": "", "version": "v1", "resource": "services"}), "services")]
#[case::a_pod_that_is_none("/spec/forObject/name", json!("nothing"), "not found")]
#[case::another_pods_uid("/spec/forObject/uid", json!("d835c295-ef4c-4233-b15e-e0f72efb5c54"), "it was re-created meanwhile")]
#[case::no_such_container("/spec/execOptions/container", json!("nothing"), "it has main, side")]
#[case::a_command_and_any("/spec/anyCommand", json!(true), "exclude each other")]
#[case::an_empty_word("/spec/execOptions/command", json!([""]), "command")]
#[case::no_command(
    "/spec/execOptions/command",
    Value::Null,
    "execOptions.command is missing"
)]
#[case::an_escape_sequence("/spec/execOptions/command", json!(["echo", "\u{1b}[2J"]), "U+001B")]
#[case::hidden_in_the_reason("/spec/reason", json!("\u{202e}evil"), "U+202E")]
#[case::hidden_in_a_key("/spec/customKeys", json!({"ticket": "a\u{200b}b"}), "U+200B")]
#[case::too_many_arguments("/spec/execOptions/command", json!(vec!["x"; 257]), "256")]
#[case::a_long_argument("/spec/execOptions/command", json!(["x".repeat(4097)]), "4096")]
#[case::finalizers("/metadata/finalizers", json!(["keep/me"]), "finalizers are not taken")]
#[case::owners("/metadata/ownerReferences", json!([{"apiVersion": "v1", "kind": "Pod", "name": "box", "uid": "x"}]), "ownerReferences are not taken")]
fn a_request_with_something_wrong_in_it_is_refused_by_the_server(
    #[case] path: &str,
    #[case] value: Value,
    #[case] text: &str,
) {
    let scene = Scene::shared();
    let said = create(scene, |object| {
        let (parent, field) = path.rsplit_once('/').unwrap();
        object.pointer_mut(parent).unwrap()[field] = value;
    });
    said.is_refused_with(text);
    scene
        .admin(["get", "acr", "-n", &scene.namespace])
        .works_with("No resources found");
}

// D1, D3
#[test]
fn a_status_or_stamp_that_comes_with_a_new_request_is_dropped() {
    let scene = Scene::new(world::standing());
    let amy = scene.approver("amy");
    let said = create(&scene, |object| {
        object["metadata"]["generateName"] = Value::Null;
        object["metadata"]["name"] = json!("forged");
        object["spec"]["createdBy"] = json!({"username": amy.name});
        object["spec"]["userInfo"]["groups"] = json!(["system:masters"]);
        object["status"] = json!({"phase": "Granted", "grantedBy": [amy.name]});
    });
    said.works_with("created");
    let (jane, stored) = (
        scene.developer("jane"),
        scene.get("accessrequest", "forged"),
    );
    assert_eq!(stored["spec"]["createdBy"]["username"], json!(jane.name));
    assert_eq!(
        stored["spec"]["userInfo"]["groups"],
        json!(["devs", "system:authenticated"])
    );
    assert_eq!(
        stored["status"]["grantedBy"].as_array().map_or(0, Vec::len),
        0,
        "{stored}"
    );
    jane.exec(&["date"])
        .is_refused_with("your request forged waits for a grant");
}

// D14
#[test]
fn a_grant_for_a_request_of_the_same_name_elsewhere_gives_nothing_here() {
    let (here, there) = (Scene::new(world::standing()), Scene::new(world::standing()));
    let named = |object: &mut Value| object["metadata"] = json!({"name": "same"});
    create(&here, named).works_with("created");
    create(&there, named).works_with("created");
    there.approver("amy").grant("same");
    here.developer("jane")
        .exec(&["date"])
        .is_refused_with("waits for a grant");
    there.developer("jane").exec(&["date"]).works_with("UTC");
}

// D9
#[test]
fn replacing_a_granted_request_by_force_loses_the_grant() {
    let scene = Scene::new(world::standing());
    let (jane, amy) = (scene.developer("jane"), scene.approver("amy"));
    let mut object = original(&scene, &jane.name);
    object["metadata"] = json!({"name": "mine", "namespace": scene.namespace});
    jane.kubectl_with(&object.to_string(), ["create", "-f", "-"])
        .works_with("created");
    amy.grant("mine");
    object["spec"]["execOptions"]["command"] = json!(["cat", "/etc/passwd"]);
    let apply = ["apply", "--server-side", "--force-conflicts", "-f", "-"];
    scene
        .root()
        .kubectl_with(&object.to_string(), apply)
        .is_refused_with("a request never changes");
    let json_patch = r#"[{"op":"replace","path":"/spec/execOptions/command","value":["sh"]}]"#;
    scene
        .root()
        .kubectl(["patch", "acr", "mine", "--type=json", "-p", json_patch])
        .is_refused_with("a request never changes");
    jane.kubectl_with(&object.to_string(), ["replace", "--force", "-f", "-"])
        .works_with("replaced");
    jane.exec(&["cat", "/etc/passwd"])
        .is_refused_with("waits for a grant");
}

// C5
#[test]
fn labels_on_a_namespace_open_no_door() {
    let scene = Scene::new(world::standing());
    let labels = [
        "control-plane=true",
        "admission.gatekeeper.sh/ignore=yes",
        "openpolicyagent.org/webhook=ignore",
        "config.linkerd.io/admission-webhooks=disabled",
        "pod-security.kubernetes.io/enforce=privileged",
        "kube-request-access=ignore",
    ];
    scene
        .admin(
            ["label", "namespace", &scene.namespace]
                .iter()
                .chain(&labels),
        )
        .works_with("labeled");
    scene
        .developer("jane")
        .exec(&["date"])
        .is_refused_with("you have not asked");
}

#[test]
fn an_edited_request_is_refused_in_the_editor_too() {
    let scene = Scene::new(world::standing());
    let (jane, amy) = (scene.developer("jane"), scene.approver("amy"));
    let request = jane.ask(&[], &["date"]);
    amy.grant(&request);
    // kubectl tells the reason in the editor, and gives up when nothing is changed there any more.
    let dir = scene.world.cluster.dir().display().to_string();
    let editor = format!("TMPDIR={dir} KUBE_EDITOR=\"sed -i 's/- date/- sh/'\"");
    let edit = format!("{editor} kubectl edit -n {} acr {request}", scene.namespace);
    scene.root().shell(&edit).is_refused_with("is invalid");
    jane.exec(&["date"]).works_with("UTC");
}
