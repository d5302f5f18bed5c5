//! Who may answer which request.

use serde_json::{Value, json};

use kra_tests::{
    scene::Scene,
    world::{self, eventually},
};

fn grant(scene: &Scene, request: &str, change: impl FnOnce(&mut Value)) -> String {
    let mut grant = json!({
        "apiVersion": "spreadgroup.com/v1", "kind": "AccessGrant",
        "metadata": {"name": format!("by-hand-{request}"), "namespace": scene.namespace},
        "spec": {"grantFor": request, "requestUID": scene.uid_of(request)}, "status": "granted",
    });
    change(&mut grant);
    grant.to_string()
}

// H5
#[test]
fn nobody_grants_her_own_request() {
    let scene = Scene::new(world::standing());
    let both = scene.person("jane", &["devs", "approvers"]);
    let request = both.ask(&[], &["date"]);
    both.kubectl(["request", "grant", &both.exactly(&request), "--yes"])
        .is_refused_with("is your own: you cannot answer your own request");
    both.exec(&["date"]).is_refused_with("waits for a grant");
}

// H7, H10
#[test]
fn a_service_account_grants_nothing() {
    let scene = Scene::new(world::standing());
    let jane = scene.developer("jane");
    let request = jane.ask(&[], &["date"]);
    let by = format!("system:serviceaccount:{}:default", scene.namespace);
    scene
        .admin([
            "create",
            "clusterrolebinding",
            &scene.namespace,
            "--clusterrole=kube-request-access-approver",
            &format!("--serviceaccount={}:default", scene.namespace),
        ])
        .works_with("created");
    scene
        .root()
        .kubectl_with(
            &grant(&scene, &request, |_| {}),
            ["create", "--as", &by, "-f", "-"],
        )
        .is_refused_with("a ServiceAccount answers no requests");
}

// D12, D14, D22
#[test]
fn a_grant_names_a_live_request_as_it_was_read() {
    let scene = Scene::new(world::standing());
    let elsewhere = Scene::new(world::standing());
    let (jane, amy) = (scene.developer("jane"), scene.approver("amy"));
    let create = |grant: String| amy.kubectl_with(&grant, ["create", "-f", "-"]);
    create(grant(&scene, "nothing", |_| {}))
        .is_refused_with("there is no accessrequest \"nothing\"");

    let foreign = elsewhere.developer("bob").ask(&[], &["date"]);
    create(grant(&scene, &foreign, |_| {})).is_refused_with("there is no accessrequest");

    let request = jane.ask(&[], &["date"]);
    let stale = grant(&scene, &request, |grant| {
        grant["spec"]["requestUID"] = json!("another");
    });
    create(stale).is_refused_with("no longer the request you read");
    let longer = grant(&scene, &request, |grant| {
        grant["spec"]["validFor"] = json!("13h");
    });
    create(longer).is_refused_with("longer than the 12h");
    let owned = grant(&scene, &request, |grant| {
        grant["metadata"]["ownerReferences"] =
            json!([{"apiVersion": "v1", "kind": "Pod", "name": "box", "uid": "x"}]);
    });
    create(owned).is_refused_with("its own request only");

    amy.grant(&request);
    jane.exec(&["date"]).works_with("UTC");
    jane.awaits(&request, "Used");
    create(grant(&scene, &request, |_| {})).is_refused_with("was used already");
}

// D29
#[test]
fn a_request_filed_again_under_the_same_name_inherits_nothing() {
    let scene = Scene::new(world::standing());
    let (jane, amy) = (scene.developer("jane"), scene.approver("amy"));
    let first = jane.ask(&["--valid-for", "1h"], &["date"]);
    let old_uid = scene.get("accessrequest", &first)["metadata"]["uid"].clone();
    let mut object = scene.get("accessrequest", &first);
    // Granted without an ownerReference, the grant outlives the request.
    amy.kubectl_with(&grant(&scene, &first, |_| {}), ["create", "-f", "-"])
        .works_with("created");
    jane.awaits(&first, "Granted");
    jane.kubectl(["delete", "acr", &first])
        .works_with("deleted");
    object["metadata"] = json!({"name": first, "namespace": scene.namespace});
    object["spec"]["forObject"]["uid"] = Value::Null;
    jane.kubectl_with(&object.to_string(), ["create", "-f", "-"])
        .works_with("created");
    assert!(
        scene.exists("accessgrant", &format!("by-hand-{first}")),
        "the old grant is still there"
    );
    jane.exec(&["date"]).is_refused_with("waits for a grant");
    let stale = grant(&scene, &first, |grant| {
        grant["metadata"]["name"] = json!("stale");
        grant["spec"]["requestUID"] = old_uid;
    });
    amy.kubectl_with(&stale, ["create", "-f", "-"])
        .is_refused_with("no longer the request you read");
}

// K8
#[test]
fn an_approval_says_which_request_was_read_and_a_denial_need_not() {
    let scene = Scene::new(world::standing());
    let (jane, amy) = (scene.developer("jane"), scene.approver("amy"));
    let read = jane.ask(&[], &["date"]);
    let mut object = scene.get("accessrequest", &read);
    let first = scene.uid_of(&read);
    let answer = |name: &str, status: &str, uid: Value| {
        let written = grant(&scene, &read, |grant| {
            grant["metadata"]["name"] = json!(name);
            grant["spec"]["requestUID"] = uid;
            grant["status"] = json!(status);
        });
        amy.kubectl_with(&written, ["create", "-f", "-"])
    };
    // While amy reads, another one takes its name.
    jane.kubectl(["delete", "acr", &read]).works_with("deleted");
    object["metadata"] = json!({"name": read, "namespace": scene.namespace});
    object["spec"]["execOptions"]["command"] = json!(["sh"]);
    object["spec"]["forObject"]["uid"] = Value::Null;
    jane.kubectl_with(&object.to_string(), ["create", "-f", "-"])
        .works_with("created");
    answer("unsaid", "granted", Value::Null)
        .is_refused_with("spec.requestUID is missing: say which request you have read");
    answer("empty", "granted", json!("")).is_refused_with("spec.requestUID is missing");
    answer("unread", "reviewed", Value::Null).is_refused_with("spec.requestUID is missing");
    answer("stale", "granted", first).is_refused_with("no longer the request you read");
    jane.exec(&["sh"]).is_refused_with("waits for a grant");
    answer("no", "denied", Value::Null).works_with("created");
    jane.awaits(&read, "Denied");
}

#[test]
fn a_later_grant_counts_beside_an_earlier_request_without_one() {
    let scene = Scene::new(world::standing());
    let (jane, amy) = (scene.developer("jane"), scene.approver("amy"));
    let _first = jane.ask(&[], &["date"]);
    let second = jane.ask(&["--new"], &["date"]);
    amy.grant(&second);
    jane.exec(&["date"]).works_with("UTC");
}

// D9, D19, D25, D26
#[test]
fn requests_and_grants_never_change() {
    let scene = Scene::new(world::standing());
    let (jane, amy, root) = (scene.developer("jane"), scene.approver("amy"), scene.root());
    let request = jane.ask(&["--valid-for", "1h"], &["date"]);
    amy.grant(&request);
    let (acr, acg) = (format!("acr/{request}"), format!("acg/grant-{request}"));
    let patch =
        |object: &str, patch: &str| root.kubectl(["patch", object, "--type=merge", "-p", patch]);
    patch(&acr, r#"{"spec":{"execOptions":{"command":["sh"]}}}"#).is_refused_with("never changes");
    patch(&acr, r#"{"spec":{"anyCommand":true}}"#).is_refused_with("never changes");
    patch(&acr, r#"{"metadata":{"finalizers":["keep/me"]}}"#)
        .is_refused_with("may be changed by the cluster's own controllers only");
    patch(&acg, r#"{"status":"denied"}"#).is_refused_with("never changes");
    patch(&acg, r#"{"spec":{"grantedBy":{"username":"ann"}}}"#).is_refused_with("never changes");
    patch(&acr, r#"{"metadata":{"labels":{"team":"sre"}}}"#).works_with("patched");
    jane.exec(&["date"]).works_with("UTC");
}

#[test]
fn events_tell_what_became_of_a_request_once_each_and_no_command() {
    let scene = Scene::new(world::standing());
    let (jane, amy) = (scene.developer("jane"), scene.approver("amy"));
    let request = jane.ask(&["--reason=a secret"], &["echo", "secret"]);
    amy.grant(&request);
    jane.exec(&["echo", "secret"]).works_with("secret");
    amy.awaits(&request, "Used");
    let events = || {
        let selector = format!("involvedObject.kind=AccessRequest,involvedObject.name={request}");
        let path = r#"jsonpath={range .items[*]}{.reason}: {.message}{"\n"}{end}"#;
        scene
            .admin([
                "get",
                "events",
                "-n",
                &scene.namespace,
                "--field-selector",
                &selector,
                "-o",
                path,
            ])
            .text
    };
    eventually("the last event", || events().contains("Used: "));
    let said = events();
    let filed = format!(
        "Filed: {} asks for exec of pods/box; to answer: kubectl request approve",
        jane.name
    );
    assert!(
        said.contains(&filed) && said.contains(&format!("Granted: granted by {}", amy.name)),
        "{said}"
    );
    assert!(
        ["Filed", "Granted", "Used"]
            .iter()
            .all(|reason| said.matches(&format!("{reason}: ")).count() == 1),
        "{said}"
    );
    assert!(!said.contains("secret"), "{said}");
}

// D6, D7
#[test]
fn only_the_server_writes_a_status() {
    let scene = Scene::new(world::standing());
    let (jane, amy, root) = (scene.developer("jane"), scene.approver("amy"), scene.root());
    let request = jane.ask(&[], &["date"]);
    amy.grant(&request);
    jane.exec(&["date"]).works_with("UTC");
    let reset = [
        "patch",
        &format!("acr/{request}"),
        "--subresource=status",
        "--type=merge",
        "-p",
        r#"{"status":{"uses":[]}}"#,
    ];
    jane.kubectl(reset).is_refused_with("forbidden");
    // The definition's own rule comes first.
    root.kubectl(reset)
        .is_refused_with("a use of a request is never taken back");
    let phase = [&reset[..5], &[r#"{"status":{"phase":"Granted"}}"#]].concat();
    root.kubectl(phase)
        .is_refused_with("only the server of kube-request-access writes the status");
    root.kubectl([
        "patch",
        &format!("acr/{request}"),
        "--type=merge",
        "-p",
        r#"{"status":{"uses":[]}}"#,
    ])
    .works_with("no change");
    assert_eq!(scene.uses(&request), 1);
}
