//! What may be asked for, and what becomes of it.

use rstest::rstest;
use serde_json::json;

use kra_tests::{
    scene::Scene,
    world::{self, eventually},
};

// E13
#[rstest]
#[case::negative("-1h", "is not a duration")]
#[case::zero("0s", "must be greater than zero")]
#[case::twice("1h1h", "is not a duration")]
#[case::over_the_limit("13h", "longer than the 12h")]
fn a_validity_that_makes_no_sense_is_refused_by_client_and_server(
    #[case] valid_for: &str,
    #[case] text: &str,
) {
    let scene = Scene::shared();
    let jane = scene.developer("jane");
    jane.asks(&[&format!("--valid-for={valid_for}")], &["date"])
        .is_refused_with(text);
    let mut object = original(scene, &jane.name);
    object["spec"]["validFor"] = json!(valid_for);
    jane.kubectl_with(&object.to_string(), ["create", "-f", "-"])
        .is_refused_with(text);
}

#[test]
fn twelve_hours_can_be_asked_for_and_an_empty_validity_means_once() {
    let scene = Scene::new(world::standing());
    let (jane, amy) = (scene.developer("jane"), scene.approver("amy"));
    jane.ask(&["--valid-for=12h"], &["ls"]);
    let mut object = original(&scene, &jane.name);
    object["metadata"] = json!({"name": "once"});
    object["spec"]["validFor"] = json!("");
    jane.kubectl_with(&object.to_string(), ["create", "-f", "-"])
        .works_with("created");
    amy.grant("once");
    jane.exec(&["date"]).works_with("UTC");
    jane.exec(&["date"]).is_refused_with("was for one use");
}

/// A request as the original client writes it.
pub(crate) fn original(scene: &Scene, user: &str) -> serde_json::Value {
    json!({
        "apiVersion": "spreadgroup.com/v1", "kind": "AccessRequest",
        "metadata": {
            "generateName": "access-exec-jane-", "namespace": scene.namespace, "labels": {"username": "jane"},
            "creationTimestamp": null,
        },
        "spec": {
            "userInfo": {"username": user},
            "forObject": {"resource": {"group": "", "version": "v1", "resource": "pods"}, "subResource": "exec",
                "name": "box", "namespace": scene.namespace},
            "execOptions": {"kind": "PodExecOptions", "apiVersion": "v1", "stdout": true, "stderr": true,
                "container": "main", "command": ["date"]},
            "customKeys": null,
        },
    })
}

// D2
#[test]
fn what_the_original_client_writes_is_taken_completed_and_works() {
    let scene = Scene::new(world::standing());
    let (jane, amy) = (scene.developer("jane"), scene.approver("amy"));
    let object = original(&scene, &jane.name);
    let name = jane.kubectl_with(&object.to_string(), ["create", "-f", "-", "-o", "name"]);
    name.works_with("accessrequest.spreadgroup.com/access-exec-jane-");
    let name = name.text.trim().rsplit('/').next().unwrap().to_owned();
    let stored = scene.get("accessrequest", &name);
    assert_eq!(
        stored["spec"]["userInfo"]["groups"],
        json!(["devs", "system:authenticated"])
    );
    assert_eq!(
        stored["spec"]["forObject"]["uid"],
        scene.get("pod", "box")["metadata"]["uid"]
    );
    let grant = json!({
        "apiVersion": "spreadgroup.com/v1", "kind": "AccessGrant",
        "metadata": {"name": format!("grant-{name}"), "namespace": scene.namespace, "ownerReferences": [{
            "apiVersion": "spreadgroup.com/v1", "kind": "AccessRequest", "name": name, "uid": stored["metadata"]["uid"],
        }]},
        "spec": {"grantFor": name, "grantedBy": {"username": "what the kubeconfig says"}},
        "status": "granted",
    });
    amy.kubectl_with(&grant.to_string(), ["create", "-f", "-"])
        .works_with("created");
    let stored = scene.get("accessgrant", &format!("grant-{name}"));
    assert_eq!(
        stored["spec"]["grantedBy"]["username"],
        json!(amy.name),
        "the truth is stamped"
    );
    jane.awaits(&name, "Granted");
    jane.exec(&["date"]).works_with("UTC");
}

// D1
#[test]
fn nobody_asks_in_the_name_of_another() {
    let scene = Scene::new(world::standing());
    let (jane, bob) = (scene.developer("jane"), scene.developer("bob"));
    let said = bob.kubectl_with(
        &original(&scene, &jane.name).to_string(),
        ["create", "-f", "-"],
    );
    said.is_refused_with(&format!(
        "the request is for \"{}\", but you are \"{}\"",
        jane.name, bob.name
    ));
    bob.asks(&["--on-behalf-of", &jane.name], &["date"])
        .is_refused_with("only always-allowed users");
}

#[test]
fn an_always_allowed_user_asks_for_another_who_then_may() {
    let scene = Scene::new(world::standing());
    let (jane, amy, root) = (scene.developer("jane"), scene.approver("amy"), scene.root());
    let request = root.ask(&["--on-behalf-of", &jane.name], &["date"]);
    root.kubectl(["request", "grant", &root.exactly(&request), "--yes"])
        .is_refused_with("you filed accessrequest");
    amy.grant(&request);
    root.exec(&["date"]).works_with("UTC");
    jane.exec(&["date"]).works_with("UTC");
}

// F3, F5
#[test]
fn no_command_is_no_request_and_any_command_is_said_aloud() {
    let scene = Scene::new(world::standing());
    let (jane, amy) = (scene.developer("jane"), scene.approver("amy"));
    let mut object = original(&scene, &jane.name);
    object["spec"]["execOptions"]["command"] = json!([]);
    jane.kubectl_with(&object.to_string(), ["create", "-f", "-"])
        .is_refused_with("name a command, or say anyCommand: true");
    let asked = jane.kubectl([
        "request",
        "exec",
        "--any-command",
        "--valid-for",
        "1h",
        "box",
        "-c",
        "main",
    ]);
    let request = asked.request();
    amy.kubectl_with("", ["request", "grant", &request])
        .is_refused_with("ANY command");
    amy.grant(&request);
    jane.exec(&["date"]).works_with("UTC");
    jane.exec(&["ls", "/"]).works_with("etc");
}

// F4
#[test]
fn an_exec_without_a_command_is_refused() {
    let scene = Scene::new(world::standing());
    let (jane, amy) = (scene.developer("jane"), scene.approver("amy"));
    amy.grant(&jane.ask(&["--valid-for", "1h"], &["date"]));
    let path = format!(
        "/api/v1/namespaces/{}/pods/box/exec?container=main&stdout=true",
        scene.namespace
    );
    jane.kubectl(["create", "--raw", &path, "-f", "/dev/null"])
        .is_refused_with("denied the request");
}

// C19
#[test]
fn a_dry_run_leaves_nothing() {
    let scene = Scene::new(world::standing());
    let jane = scene.developer("jane");
    jane.asks(&["--dry-run=server"], &["date"]).works_with("");
    scene
        .admin(["get", "acr", "-n", &scene.namespace])
        .works_with("No resources found");
    // An event that is told in order after it shows that the log is complete.
    jane.exec(&["date"]).is_refused_with("you have not asked");
    let log = scene.world.log_of("audit-receiver");
    let about: Vec<&str> = log
        .lines()
        .filter(|line| line.contains(&scene.namespace))
        .collect();
    assert!(
        !about.is_empty() && about.iter().all(|line| line.contains("audit-exec")),
        "{about:?}"
    );
}

// C19
#[test]
fn a_dry_run_of_an_answer_or_a_deletion_changes_nothing() {
    let scene = Scene::new(world::standing());
    let (jane, amy) = (scene.developer("jane"), scene.approver("amy"));
    let request = jane.ask(&["--valid-for=1h"], &["date"]);
    let dry = |status: &str| {
        let grant = json!({
            "apiVersion": "spreadgroup.com/v1", "kind": "AccessGrant", "metadata": {"name": "dry"},
            "spec": {"grantFor": request, "requestUID": scene.uid_of(&request)}, "status": status,
        });
        let said = amy.kubectl_with(
            &grant.to_string(),
            ["create", "--dry-run=server", "-f", "-"],
        );
        said.works_with("server dry run");
    };
    dry("granted");
    jane.exec(&["date"]).is_refused_with("waits for a grant");
    amy.grant(&request);
    dry("denied");
    jane.kubectl(["delete", "acr", &request, "--dry-run=server"])
        .works_with("server dry run");
    jane.exec(&["date"]).works_with("UTC");
    let log = scene.world.log_of("audit-receiver");
    let granted = log
        .lines()
        .filter(|line| line.contains(&request) && line.contains("audit-granted"));
    assert_eq!(granted.count(), 1, "the dry runs are not told");
}

// F21, G1, G2, G3
#[rstest]
#[case::escape_sequence(&["echo", "\u{1b}[2J"], "U+001B")]
#[case::right_to_left(&["echo", "\u{202e}x"], "U+202E")]
#[case::lookalike(&["\u{0455}h"], "beyond ASCII")]
#[case::too_many_arguments(&["x"; 257], "256")]
fn a_command_that_hides_something_is_refused(#[case] command: &[&str], #[case] text: &str) {
    let scene = Scene::shared();
    scene
        .developer("jane")
        .asks(&[], command)
        .is_refused_with(text);
}

#[test]
fn a_long_command_is_not_repeated_in_the_denial() {
    let scene = Scene::new(world::standing());
    let long = "x".repeat(2000);
    let said = scene.developer("jane").exec(&["echo", &long]);
    said.is_refused_with(
        "type your line again with `kubectl request exec` in place of `kubectl exec`",
    );
    assert!(!said.text.contains(&long));
}

// F12, F13
#[test]
fn standard_input_and_terminals_need_a_server_and_a_request_that_allow_them() {
    let scene = Scene::new(world::standing());
    let jane = scene.developer("jane");
    jane.kubectl_with("hello\n", ["exec", "-i", "box", "-c", "main", "--", "cat"])
        .is_refused_with("--allow-interactive");
    jane.asks(&["-i"], &["cat"])
        .is_refused_with("--allow-interactive");
    scene
        .root()
        .kubectl_with("hello\n", ["exec", "-i", "box", "-c", "main", "--", "cat"])
        .works_with("hello");

    let scene = Scene::new(world::prefixed());
    let (jane, amy) = (
        scene.person("oidc:jane", &["devs"]),
        scene.approver("oidc:amy"),
    );
    amy.grant(&jane.ask(&["-i", "--valid-for", "1h"], &["cat"]));
    jane.kubectl_with("hello\n", ["exec", "-i", "box", "-c", "main", "--", "cat"])
        .works_with("hello");
    // kubectl itself leaves out -t where there is no terminal.
    let path = format!("/api/v1/namespaces/{}/pods/box/exec", scene.namespace);
    let path = format!("{path}?command=cat&container=main&stdin=true&stdout=true&tty=true");
    jane.kubectl(["create", "--raw", &path, "-f", "/dev/null"])
        .is_refused_with("a terminal (-t) was not asked for");
}

#[test]
fn the_example_objects_are_taken() {
    let scene = Scene::new(world::standing());
    let jane = scene.developer("jane");
    scene.create_deployment("nginx");
    let (mut requests, amy) = (0, scene.approver("amy"));
    let dir = run::checkout().join("examples/objects");
    for file in std::fs::read_dir(dir)
        .unwrap()
        .map(|entry| entry.unwrap().path())
    {
        let yaml = std::fs::read_to_string(&file).unwrap();
        let yaml = yaml.replace(
            "namespace: default",
            &format!("namespace: {}", scene.namespace),
        );
        if yaml.contains("kind: AccessRequest\nmetadata") {
            let yaml = yaml.replace("container: nginx", "container: main");
            jane.kubectl_with(&yaml, ["create", "-f", "-"])
                .works_with("created");
            requests += 1;
        } else {
            // Its request has another name here: it is understood, and that is missed.
            amy.kubectl_with(&yaml, ["create", "-f", "-"])
                .is_refused_with("there is no accessrequest");
        }
    }
    assert!(requests >= 3, "{requests}");
}

#[test]
fn the_columns_are_those_of_the_original() {
    let scene = Scene::new(world::standing());
    let jane = scene.developer("jane");
    jane.ask(&["--valid-for", "1h"], &["date"]);
    eventually("the controller's first word", || {
        jane.kubectl(["get", "acr"]).text.contains("Pending")
    });
    let said = jane.kubectl(["get", "acr"]);
    for column in [
        "USER",
        "FOR",
        "COMMAND",
        "DURATION",
        "STATUS",
        "box",
        "[\"date\"]",
        "1h",
        "Pending",
    ] {
        said.works_with(column);
    }
    let amy = scene.approver("amy");
    amy.grant(&jane.ask(&[], &["ls"]));
    let said = amy.kubectl(["get", "acg"]);
    for column in [
        "REQUEST",
        "GRANTED BY",
        "STATUS",
        "AGE",
        &amy.name,
        "granted",
    ] {
        said.works_with(column);
    }
    jane.kubectl(["explain", "accessrequest.spec.anyCommand"])
        .works_with("any command may be run");
}

#[test]
fn what_the_denial_says_can_be_pasted() {
    let scene = Scene::new(world::standing());
    let (jane, amy) = (scene.developer("jane"), scene.approver("amy"));
    let command = ["sh", "-c", "echo 'it is' \"$0\"", "a b*"];
    let denied = jane.exec(&command);
    let line = denied
        .text
        .lines()
        .find_map(|line| line.strip_prefix("  kubectl "))
        .unwrap();
    let asked = jane.shell(&format!("kubectl {line}"));
    amy.grant(&asked.request());
    jane.exec(&command).works_with("it is a b*\n");
}
