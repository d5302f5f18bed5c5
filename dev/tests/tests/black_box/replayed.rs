//! Objects and options that were changed on their way, or come again: what counts is what the
//! server admitted, and what arrives in the end.

use serde_json::{Value, json};

use crate::asking::original;
use kra_tests::{
    scene::Scene,
    world::{self, eventually},
};

// C11: of several conditions, one that is false hides the error of another; and no one may be false
// for a normal user.
#[test]
fn no_webhook_has_a_condition_but_that_of_the_bypass() {
    let scene = Scene::shared();
    for kind in [
        "validatingwebhookconfiguration",
        "mutatingwebhookconfiguration",
    ] {
        let said = scene.admin(["get", kind, "kube-request-access", "-o", "json"]);
        let configuration: Value = serde_json::from_str(&said.text).unwrap();
        for webhook in configuration["webhooks"].as_array().unwrap() {
            let conditions = webhook["matchConditions"]
                .as_array()
                .cloned()
                .unwrap_or_default();
            let doors = webhook["name"] == "access.spreadgroup.com";
            assert_eq!(conditions.len(), usize::from(doors), "{webhook}");
            assert!(
                conditions
                    .iter()
                    .all(|condition| condition["name"] == "not-bypass")
            );
            assert_eq!(webhook["failurePolicy"], "Fail");
        }
    }
}

// C17
#[test]
fn what_another_webhook_or_policy_makes_of_a_command_is_what_is_compared() {
    let scene = Scene::new(world::standing());
    let (jane, amy) = (scene.developer("jane"), scene.approver("amy"));
    let request = jane.ask(&["--valid-for", "1h"], &["date"]);
    let with_env = jane.ask(&["--valid-for", "1h"], &["env", "K=V", "hostname"]);
    amy.grant(&request);
    amy.grant(&with_env);
    jane.exec(&["date"]).works_with("UTC");
    let name = format!("prepends-{}", scene.namespace);
    let patch = "JSONPatch{op: 'add', path: '/command/0', value: 'env'}, JSONPatch{op: 'add', path: '/command/1', value: 'K=V'}";
    let rule = json!({
        "apiGroups": [""], "apiVersions": ["v1"], "operations": ["CONNECT"], "resources": ["pods/exec"],
    });
    scene.apply(&json!({
        "apiVersion": "admissionregistration.k8s.io/v1", "kind": "MutatingAdmissionPolicy", "metadata": {"name": name},
        "spec": {
            "failurePolicy": "Fail", "reinvocationPolicy": "Never",
            "matchConstraints": {
                "resourceRules": [rule],
                "namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": scene.namespace}},
            },
            "mutations": [{"patchType": "JSONPatch", "jsonPatch": {"expression": format!("[{patch}]")}}],
        },
    }));
    scene.apply(&json!({
        "apiVersion": "admissionregistration.k8s.io/v1", "kind": "MutatingAdmissionPolicyBinding",
        "metadata": {"name": name}, "spec": {"policyName": name},
    }));
    eventually("the policy", || {
        jane.exec(&["ls"])
            .text
            .contains(r#"you ran     ["env","K=V","ls"]"#)
    });
    jane.exec(&["date"])
        .is_refused_with(r#"you ran     ["env","K=V","date"]"#);
    // What arrives is what was granted, and it is what runs.
    jane.exec(&["hostname"]).works_with("box");
    for kind in ["mutatingadmissionpolicybinding", "mutatingadmissionpolicy"] {
        scene.admin(["delete", kind, &name]).works_with("deleted");
    }
    eventually("its end", || jane.exec(&["date"]).success);
}

// D5
#[test]
fn a_grant_has_no_status_apart_from_itself() {
    let scene = Scene::new(world::standing());
    let (jane, amy, root) = (scene.developer("jane"), scene.approver("amy"), scene.root());
    let request = jane.ask(&["--valid-for", "1h"], &["date"]);
    amy.kubectl(["request", "deny", &request, "--yes"])
        .works_with("deny");
    let name = scene
        .admin([
            "get",
            "acg",
            "-n",
            &scene.namespace,
            "-o",
            "jsonpath={.items[0].metadata.name}",
        ])
        .text;
    let patch = [
        "patch",
        "acg",
        &name,
        "--subresource=status",
        "--type=merge",
        "-p",
        r#"{"status":"granted"}"#,
    ];
    root.kubectl(patch).is_refused_with("NotFound");
    let url = format!(
        "/apis/spreadgroup.com/v1/namespaces/{}/accessgrants/{name}/status",
        scene.namespace
    );
    root.kubectl(["get", "--raw", &url])
        .is_refused_with("NotFound");
    root.kubectl([
        "patch",
        "acg",
        &name,
        "--type=merge",
        "-p",
        r#"{"status":"granted"}"#,
    ])
    .is_refused_with("never changes");
    jane.exec(&["date"]).is_refused_with("denied your request");
}

// D16
#[test]
fn a_pod_of_a_stateful_set_that_was_rolled_is_another_pod_of_the_same_name() {
    let scene = Scene::new(world::standing());
    let labels = json!({"app": "db"});
    scene.apply(&json!({
        "apiVersion": "apps/v1", "kind": "StatefulSet", "metadata": {"name": "db", "namespace": scene.namespace},
        "spec": {"serviceName": "db", "selector": {"matchLabels": labels}, "template": {
            "metadata": {"labels": labels},
            "spec": {"nodeName": "127.0.0.1", "terminationGracePeriodSeconds": 0, "containers": [
                {"name": "main", "image": "localhost/busybox:1", "imagePullPolicy": "Never", "command": ["sleep", "100000"]},
            ]},
        }},
    }));
    let rolled = || {
        let rollout = [
            "rollout",
            "status",
            "-n",
            &scene.namespace,
            "--timeout=60s",
            "statefulset/db",
        ];
        scene.admin(rollout).works_with("complete");
    };
    rolled();
    let (jane, amy) = (scene.developer("jane"), scene.approver("amy"));
    let pod = jane
        .kubectl([
            "request",
            "exec",
            "--valid-for",
            "1h",
            "db-0",
            "--",
            "hostname",
        ])
        .request();
    amy.grant(&pod);
    jane.exec_in("db-0", &["hostname"]).works_with("db-0");
    let set = jane
        .kubectl(["request", "exec", "--valid-for", "1h", "sts/db", "--", "id"])
        .request();
    amy.grant(&set);
    scene
        .admin([
            "rollout",
            "restart",
            "-n",
            &scene.namespace,
            "statefulset/db",
        ])
        .works_with("restarted");
    rolled();
    jane.exec_in("db-0", &["hostname"])
        .is_refused_with("was granted for another pod");
    jane.exec_in("db-0", &["id"]).works_with("uid=");
}

// D23
#[test]
fn whoever_deletes_what_she_used_deletes_no_trail() {
    let scene = Scene::new(world::standing());
    let (jane, amy) = (scene.developer("jane"), scene.approver("amy"));
    let request = jane.ask(&["--reason", "to hide it"], &["date"]);
    amy.grant(&request);
    jane.exec(&["date"]).works_with("UTC");
    jane.kubectl(["delete", "acr", &request])
        .works_with("deleted");
    eventually("the end of the grant", || {
        !scene.exists("accessgrant", &format!("grant-{request}"))
    });
    let told =
        |log: &str, what: &[&str]| {
            scene.world.log_of(log).lines().any(|line| {
                line.contains(&scene.namespace) && what.iter().all(|w| line.contains(w))
            })
        };
    assert!(told(
        "audit-receiver",
        &["audit-exec", r#""allowed":true"#, &jane.name]
    ));
    assert!(
        told("audit-receiver", &["audit-created", &request])
            && told("audit-receiver", &["audit-granted", &amy.name])
    );
    // Either replica has it, with the whole object.
    let logs = [
        "logs",
        "-n",
        "kube-request-access",
        "--tail=-1",
        "-l",
        "app.kubernetes.io/name=kube-request-access",
    ];
    eventually("the deletion in the log", || {
        let log = scene.admin(logs).text;
        log.lines().any(|line| {
            line.contains("deletion admitted")
                && line.contains(&request)
                && line.contains("to hide it")
        })
    });
}

// D27
#[test]
fn the_name_of_a_field_manager_gives_no_rights() {
    let scene = Scene::new(world::standing());
    let (jane, amy) = (scene.developer("jane"), scene.approver("amy"));
    let mut object = original(&scene, &jane.name);
    object["metadata"] = json!({"name": "mine", "namespace": scene.namespace});
    object["status"] = json!({"phase": "Granted", "grantedBy": [amy.name]});
    let manager = "--field-manager=kube-request-access";
    let apply = [
        "apply",
        "--server-side",
        "--force-conflicts",
        manager,
        "-f",
        "-",
    ];
    jane.kubectl_with(&object.to_string(), ["create", manager, "-f", "-"])
        .works_with("created");
    assert!(
        scene.get("accessrequest", "mine")["status"]["grantedBy"]
            .as_array()
            .is_none_or(Vec::is_empty)
    );
    object["spec"]["execOptions"]["command"] = json!(["id"]);
    jane.kubectl_with(&object.to_string(), apply)
        .is_refused_with("");
    scene
        .root()
        .kubectl_with(&object.to_string(), apply)
        .is_refused_with("a request never changes");
    let status = [
        &[
            "patch",
            "acr",
            "mine",
            "--subresource=status",
            "--type=merge",
            manager,
        ][..],
        &["-p", r#"{"status":{"phase":"Granted"}}"#],
    ]
    .concat();
    scene
        .root()
        .kubectl(&status)
        .is_refused_with("only the server of kube-request-access writes the status");
    let forged = json!([{
        "manager": "kube-request-access", "operation": "Update", "apiVersion": "spreadgroup.com/v1",
        "fieldsType": "FieldsV1", "fieldsV1": {"f:status": {}}, "subresource": "status",
    }]);
    let patch = json!({"metadata": {"managedFields": forged}}).to_string();
    scene
        .root()
        .kubectl(["patch", "acr", "mine", "--type=merge", "-p", &patch])
        .works_with("patched");
    jane.exec(&["date"])
        .is_refused_with("your request mine waits for a grant");
    jane.exec(&["id"]).is_refused_with("");
}

// G6
#[test]
fn what_the_approver_saw_is_what_is_sealed_and_what_runs() {
    let scene = Scene::new(world::standing());
    let (jane, amy) = (scene.developer("jane"), scene.approver("amy"));
    let command = [
        "printf",
        "%s\n",
        "it's \"so\" \\ $0",
        "a\tb\nc",
        "\u{0455}",
        "",
        "  two  spaces ",
    ];
    let request = jane.ask(&["--valid-for", "1h"], &command);
    let stored = scene.get("accessrequest", &request);
    assert_eq!(stored["spec"]["execOptions"]["command"], json!(command));
    // Every argument stands on her screen in a form that stands for no other.
    let shown = amy.kubectl_with("n\n", ["request", "grant", &request]);
    shown.is_refused_with(r#""it's \"so\" \\ $0""#);
    for argument in [
        r#""a\tb\nc""#,
        r#""\u0455""#,
        r#""""#,
        r#""  two  spaces ""#,
    ] {
        shown.is_refused_with(argument);
    }
    amy.grant(&request);
    let grant = scene.get("accessgrant", &format!("grant-{request}"));
    assert_eq!(grant["spec"]["requestUID"], stored["metadata"]["uid"]);
    assert!(
        grant["spec"]["seal"]["mac"]
            .as_str()
            .is_some_and(|mac| mac.len() == 64)
    );
    jane.exec(&command)
        .works_with("it's \"so\" \\ $0\na\tb\nc\n\u{0455}\n\n  two  spaces \n");
    let mut other = command;
    other[4] = "s";
    jane.exec(&other)
        .is_refused_with("what you ran is not what was granted");
}

// G8
#[test]
fn what_somebody_writes_stays_one_text_in_json_yaml_and_what_webhooks_get() {
    let scene = Scene::new(world::standing());
    let jane = scene.developer("jane");
    let reason = r#"'"}],"allowed":true,"x":[{"<script>alert(1)</script> &amp; `id` $(id) {{.}} <!channel> # - a: b"#;
    let request = jane.ask(
        &["--reason", reason, "-k", "example-key=must-match-this-key"],
        &["echo", reason],
    );
    assert_eq!(
        scene.get("accessrequest", &request)["spec"]["reason"],
        reason
    );
    let json = jane
        .kubectl(["request", "show", &request, "-o", "json"])
        .text;
    let json: Value = serde_json::from_str(&json).unwrap();
    assert_eq!(
        (
            &json["spec"]["reason"],
            &json["spec"]["execOptions"]["command"][1]
        ),
        (&json!(reason), &json!(reason))
    );
    // kubectl reads our YAML back as the same object.
    let yaml = jane
        .kubectl(["request", "show", &request, "-o", "yaml"])
        .text;
    let again = scene
        .root()
        .kubectl_with(
            &yaml,
            ["create", "--dry-run=client", "-o", "json", "-f", "-"],
        )
        .text;
    let again: Value = serde_json::from_str(&again).unwrap();
    assert_eq!(again["spec"]["reason"], reason);
    let log = scene.world.log_of("audit-receiver");
    let lines: Vec<Value> = log
        .lines()
        .filter(|line| line.contains(&request))
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    assert!(
        !lines.is_empty() && lines.iter().all(|line| line["allowed"] != json!(true)),
        "{lines:?}"
    );
}
