//! The lock: who may change what the gate is made of, what happens to the doors when it was changed
//! all the same, and the way past it in an emergency.

use std::{
    fs,
    ops::Deref,
    sync::{Mutex, MutexGuard, OnceLock, PoisonError},
};

use serde_json::{Value, json};

use kra_tests::{
    scene::{Person, Said, Scene, said},
    world::{Wish, World, eventually},
};

mod changed;
mod forger;
mod mutators;
mod registered;
mod unasked;
mod watched;

const VALIDATING: &str = "validatingwebhookconfiguration/kube-request-access";
const MUTATING: &str = "mutatingwebhookconfiguration/kube-request-access";
const INTERLOCK: &str = "validatingadmissionpolicybinding/kube-request-access-interlock";
const GUARD: &str = "validatingadmissionpolicybinding/kube-request-access-guard";

/// What the guard says.
const GUARDED: &str = "only its installers may change it";
/// What the interlock says, whatever it misses.
const SHUT: &str = "kube-request-access-interlock";
/// What an API server says that reaches no server of ours.
const DOWN: &str = "failed calling webhook";
/// How whoever is on call acts in an emergency.
const BYPASS: [&str; 2] = [
    "--as=kube-request-access:on-call",
    "--as-group=kube-request-access:bypass",
];
/// The server itself.
const SERVER: &str = "--as=system:serviceaccount:kube-request-access:kube-request-access";

/// A scene in a cluster whose lock may be broken, for one test at a time; mended before the next.
struct Broken {
    scene: &'static Scene,
    whole: &'static [Value],
    _turn: MutexGuard<'static, ()>,
}

impl Broken {
    fn new() -> Self {
        static WORLD: OnceLock<World> = OnceLock::new();
        static SCENE: OnceLock<(Scene, Vec<Value>)> = OnceLock::new();
        static TURN: Mutex<()> = Mutex::new(());
        let turn = TURN.lock().unwrap_or_else(PoisonError::into_inner);
        let (scene, whole) = SCENE.get_or_init(|| {
            let world = WORLD.get_or_init(|| {
                World::start(Wish {
                    in_cluster: true,
                    ..Wish::default()
                })
            });
            let whole = [VALIDATING, MUTATING, INTERLOCK, GUARD]
                .map(|name| stored(world, name))
                .to_vec();
            (Scene::new(world), whole)
        });
        let broken = Self {
            scene,
            whole,
            _turn: turn,
        };
        broken.mend();
        broken
    }

    /// Puts all back as it was installed.
    fn mend(&self) {
        self.scale_the_server(2);
        for object in self.whole {
            // Not by `apply`: it leaves fields alone that it has not written.
            if !self.installer_with(object, "replace").success {
                self.installer_with(object, "create").works_with("created");
            }
        }
        eventually("the doors ask the server again", || {
            self.developer("jane")
                .exec(&["date"])
                .text
                .contains("you have not asked")
        });
        eventually("the guard is back", || {
            self.admin(["delete", "--dry-run=server", MUTATING])
                .text
                .contains(GUARDED)
        });
        // What another test has been granted and not used would answer what this one asks.
        self.admin([
            "delete",
            "accessrequests",
            "--all",
            "--namespace",
            &self.namespace,
        ])
        .works_with("");
    }

    /// No server answers any more.
    fn stop_the_server(&self) {
        self.scale_the_server(0);
        eventually("the server's end", || {
            self.developer("jane").exec(&["date"]).text.contains(DOWN)
        });
    }

    fn installer(&self, arguments: &[&str]) -> Said {
        let mut kubectl = run::kubectl::as_installer(self.world.cluster.kubectl_as_admin());
        kubectl.args(arguments);
        said(kubectl, "")
    }

    fn installer_with(&self, object: &Value, verb: &str) -> Said {
        let mut kubectl = run::kubectl::as_installer(self.world.cluster.kubectl_as_admin());
        kubectl.args([verb, "-f", "-"]);
        said(kubectl, &object.to_string())
    }

    /// Somebody who has the right to use the bypass, and no other.
    fn on_call(&self, name: &str) -> Person<'_> {
        let person = self.person(name, &[]);
        let (user, role) = (
            format!("--user={}", person.name),
            "--clusterrole=kube-request-access-on-call",
        );
        self.admin(["create", "clusterrolebinding", &person.name, role, &user])
            .works_with("created");
        person
    }

    /// Every door, tried by an administrator.
    fn doors(&self) -> Vec<Said> {
        let root = self.root();
        let pod = format!("/api/v1/namespaces/{}/pods/box/proxy/", self.namespace);
        let service = "/api/v1/namespaces/kube-request-access/services/https:kube-request-access:443/proxy/ready";
        vec![
            root.exec(&["date"]),
            root.exec_over_spdy(&["date"]),
            root.kubectl(["attach", "box", "-c", "main"]),
            root.kubectl(["port-forward", "pod/box", ":80"]),
            root.kubectl(["get", "--raw", &pod]),
            root.kubectl(["get", "--raw", service]),
            root.kubectl(["get", "--raw", "/api/v1/nodes/127.0.0.1/proxy/healthz"]),
            root.kubectl(["debug", "box", "--image=localhost/busybox:1", "--", "date"]),
        ]
    }
}

impl Deref for Broken {
    type Target = Scene;

    fn deref(&self) -> &Scene {
        self.scene
    }
}

/// An object as it can be created again.
fn stored(world: &World, name: &str) -> Value {
    let text = run::kubectl::output(
        world
            .cluster
            .kubectl_as_admin()
            .args(["get", name, "-o", "json"]),
        None,
    )
    .unwrap();
    let mut object: Value = serde_json::from_str(&text).unwrap();
    let metadata = &object["metadata"];
    object["metadata"] = json!({
        "name": metadata["name"], "labels": metadata["labels"], "annotations": metadata["annotations"],
    });
    object
}

fn json_patch(person: &Person<'_>, flags: &[&str], what: &str, patch: &Value) -> Said {
    let patch = patch.to_string();
    person.kubectl([flags, &["patch", what, "--type=json", "-p", &patch]].concat())
}

// C1, C2, C3, C14, C15
#[test]
fn an_administrator_who_does_not_say_that_she_installs_changes_nothing_of_the_gate() {
    let broken = Broken::new();
    let root = broken.root();
    let refused = |said: Said| said.is_refused_with(GUARDED);
    let patched = |what: &str, patch: Value| refused(json_patch(&root, &[], what, &patch));
    for what in [VALIDATING, MUTATING] {
        refused(root.kubectl(["delete", what]));
        patched(
            what,
            json!([{"op": "replace", "path": "/webhooks/0/failurePolicy", "value": "Ignore"}]),
        );
        patched(
            what,
            json!([{"op": "replace", "path": "/webhooks/0/clientConfig/caBundle", "value": ""}]),
        );
        let elsewhere = json!({"url": "https://127.0.0.1:1/validate"});
        patched(
            what,
            json!([{"op": "replace", "path": "/webhooks/0/clientConfig", "value": elsewhere}]),
        );
        patched(
            what,
            json!([{"op": "remove", "path": "/webhooks/0/rules/0"}]),
        );
        refused(root.kubectl(["label", what, "some=label"]));
    }
    // A deletecollection names nothing.
    let all = "/apis/admissionregistration.k8s.io/v1/validatingwebhookconfigurations";
    refused(root.kubectl(["delete", "--raw", all]));

    let definition = "crd/accessrequests.spreadgroup.com";
    patched(
        definition,
        json!([{"op": "remove", "path": "/spec/versions/0/subresources"}]),
    );
    // By this name the API server would ask nobody.
    let renamed = r#"{"status":{"acceptedNames":{"plural":"foos"}}}"#;
    refused(root.kubectl([
        "patch",
        definition,
        "--subresource=status",
        "--type=merge",
        "-p",
        renamed,
    ]));
    patched(
        definition,
        json!([{"op": "remove", "path": "/spec/versions/0/schema/openAPIV3Schema/required"}]),
    );
    let service = json!({"namespace": "default", "name": "converter", "path": "/"});
    let webhook = json!({"conversionReviewVersions": ["v1"], "clientConfig": {"service": service}});
    let conversion = json!({"strategy": "Webhook", "webhook": webhook});
    patched(
        definition,
        json!([{"op": "replace", "path": "/spec/conversion", "value": conversion}]),
    );
    refused(root.kubectl(["delete", "apiservice", "v1.spreadgroup.com"]));
    let elsewhere = json!({"namespace": "default", "name": "forger", "port": 443});
    patched(
        "apiservice/v1.spreadgroup.com",
        json!([{"op": "add", "path": "/spec/service", "value": elsewhere}]),
    );

    let installed = broken.installer(&["label", VALIDATING, "some=label"]);
    installed.works_with("labeled");
}

#[test]
fn nobody_wipes_the_grants_while_the_server_is_away() {
    let broken = Broken::new();
    broken.stop_the_server();
    for definition in [
        "accessrequests.spreadgroup.com",
        "accessgrants.spreadgroup.com",
    ] {
        broken
            .root()
            .kubectl(["delete", "crd", definition])
            .is_refused_with(GUARDED);
    }
}

// D6
#[test]
fn nobody_but_the_server_writes_the_status_of_a_request() {
    let broken = Broken::new();
    let request = broken.developer("bob").ask(&[], &["date"]);
    let patch = r#"{"status":{"uses":[]}}"#;
    let words = [
        "patch",
        "acr",
        &request,
        "--subresource=status",
        "--type=merge",
        "-p",
        patch,
    ];
    let text = "only the server of kube-request-access writes the status";
    broken.root().kubectl(words).is_refused_with(text);
    broken
        .root()
        .kubectl(
            BYPASS
                .iter()
                .chain(&["--as-group=system:masters"])
                .chain(&words),
        )
        .is_refused_with(text);
    broken.stop_the_server();
    broken.root().kubectl(words).is_refused_with(text);
}

// M7
#[test]
fn nobody_but_the_server_and_installers_writes_or_deletes_records() {
    let broken = Broken::new();
    let record = |name: &str| {
        let metadata = json!({"name": name, "namespace": "kube-request-access"});
        json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "data": {"record.json": "{}"}})
    };
    let (name, text) = (
        "kube-request-access-record-1",
        "written and deleted by the server of kube-request-access only",
    );
    let root = broken.root();
    let in_ours = |words: &[&str]| root.kubectl(words.iter().chain(&["-n", "kube-request-access"]));
    let create = |object: &Value, namespace: &str| {
        root.kubectl_with(&object.to_string(), ["create", "-f", "-", "-n", namespace])
    };
    create(&record(name), "kube-request-access").is_refused_with(text);
    broken
        .installer_with(&record(name), "create")
        .works_with("created");
    in_ours(&["delete", "configmap", name]).is_refused_with(text);
    let bypass = [
        &BYPASS[..],
        &["--as-group=system:masters", "delete", "configmap", name],
    ]
    .concat();
    in_ours(&bypass).is_refused_with(text);
    in_ours(&["delete", "configmaps", "--all", "--dry-run=server"]).is_refused_with(text);
    in_ours(&["patch", "configmap", name, "-p", r#"{"data":null}"#]).is_refused_with(text);
    in_ours(&[SERVER, "patch", "configmap", name, "-p", r#"{"data":null}"#])
        .is_refused_with("cannot get resource");
    in_ours(&[SERVER, "delete", "configmap", name]).works_with("deleted");
    // What is of others is theirs; of the same name elsewhere, too.
    create(&record("others"), "kube-request-access").works_with("created");
    in_ours(&["delete", "configmap", "others"]).works_with("deleted");
    let mut elsewhere = record(name);
    elsewhere["metadata"]["namespace"] = json!(broken.namespace);
    create(&elsewhere, &broken.namespace).works_with("created");
}

// M6
#[test]
fn nobody_but_an_installer_deletes_our_namespace() {
    let broken = Broken::new();
    let delete = [
        "delete",
        "namespace",
        "kube-request-access",
        "--dry-run=server",
    ];
    broken.root().kubectl(delete).is_refused_with(GUARDED);
    // M10: nor whoever says that it is an emergency.
    let words = BYPASS
        .iter()
        .chain(&["--as-group=system:masters"])
        .chain(&delete);
    broken.root().kubectl(words).is_refused_with(GUARDED);
    broken.installer(&delete).works_with("deleted");
    broken
        .root()
        .kubectl(["delete", "namespace", &broken.namespace, "--dry-run=server"])
        .works_with("deleted");
}

#[test]
fn the_server_may_renew_the_bundle_and_nothing_else() {
    let broken = Broken::new();
    let subject = "--serviceaccount=kube-request-access:kube-request-access";
    let resource = "--resource=validatingwebhookconfigurations,mutatingwebhookconfigurations,customresourcedefinitions";
    let name = broken.namespace.as_str();
    broken
        .admin([
            "create",
            "clusterrole",
            name,
            "--verb=get,patch,update,delete,create",
            resource,
        ])
        .works_with("created");
    broken
        .admin([
            "create",
            "clusterrolebinding",
            name,
            &format!("--clusterrole={name}"),
            subject,
        ])
        .works_with("created");
    let root = broken.root();
    let patched = |what: &str, patch: Value| json_patch(&root, &[SERVER], what, &patch);
    // A bundle of somebody else: what matters here is that it is taken.
    let bundle =
        json!([{"op": "replace", "path": "/webhooks/0/clientConfig/caBundle", "value": "Zm9v"}]);
    let none = json!([{"op": "remove", "path": "/webhooks/0/clientConfig/caBundle"}]);
    for what in [VALIDATING, MUTATING] {
        patched(what, bundle.clone()).works_with("patched");
        patched(what, none.clone()).is_refused_with(GUARDED);
        for (path, value) in [
            ("/webhooks/0/failurePolicy", json!("Ignore")),
            ("/webhooks/0/matchPolicy", json!("Exact")),
            ("/webhooks/0/timeoutSeconds", json!(1)),
            ("/webhooks/0/sideEffects", json!("None")),
            ("/webhooks/0/rules/0/scope", json!("Cluster")),
            (
                "/webhooks/0/objectSelector",
                json!({"matchLabels": {"a": "b"}}),
            ),
            (
                "/webhooks/0/namespaceSelector",
                json!({"matchLabels": {"a": "b"}}),
            ),
            (
                "/webhooks/0/matchConditions",
                json!([{"name": "never", "expression": "false"}]),
            ),
            (
                "/webhooks/0/clientConfig/service/path",
                json!("/validate/elsewhere"),
            ),
            (
                "/webhooks/0/clientConfig",
                json!({"url": "https://127.0.0.1:1/validate", "caBundle": "Zm9v"}),
            ),
            ("/webhooks/0/name", json!("another.spreadgroup.com")),
            ("/metadata/labels/some", json!("label")),
            ("/metadata/finalizers", json!(["keep/me"])),
        ] {
            patched(what, json!([{"op": "add", "path": path, "value": value}]))
                .is_refused_with(GUARDED);
        }
        patched(what, json!([{"op": "remove", "path": "/webhooks/0"}])).is_refused_with(GUARDED);
        root.kubectl([SERVER, "delete", what])
            .is_refused_with(GUARDED);
    }
    let definition = "crd/accessrequests.spreadgroup.com";
    let subresources = json!([{"op": "remove", "path": "/spec/versions/0/subresources"}]);
    patched(definition, subresources).is_refused_with(GUARDED);
    // Such are migrations of stored versions.
    patched(definition, json!([])).works_with("no change");
}

// I21
#[test]
fn a_configuration_that_is_gone_shuts_every_door_at_once_and_opens_them_when_it_is_back() {
    let broken = Broken::new();
    let jane = broken.developer("jane");
    broken
        .installer(&["delete", VALIDATING])
        .works_with("deleted");
    eventually("the interlock", || {
        let said = jane.exec(&["date"]);
        assert!(!said.success, "{}", said.text);
        said.text.contains(SHUT)
    });
    for door in broken.doors() {
        door.is_refused_with(SHUT);
    }
    // C1: nor does a configuration come back that only looks like ours.
    let forged = json!({
        "apiVersion": "admissionregistration.k8s.io/v1", "kind": "ValidatingWebhookConfiguration",
        "metadata": {"name": "kube-request-access"},
    });
    broken
        .root()
        .kubectl_with(&forged.to_string(), ["create", "-f", "-"])
        .is_refused_with(GUARDED);
    broken.mend();
}

// I10: whoever may change the Service still has no certificate of the server's name.
#[test]
fn a_service_that_leads_elsewhere_leads_to_no_open_door() {
    let broken = Broken::new();
    let service = ["-n", "kube-request-access", "service/kube-request-access"];
    // Another server of the same authority.
    let elsewhere = json!({"spec": {
        "selector": {"app.kubernetes.io/name": "audit-receiver"},
        "ports": [{"name": "https", "port": 443, "targetPort": 8443}],
    }});
    let patched = |patch: &Value| {
        broken
            .admin(
                ["patch"]
                    .iter()
                    .chain(&service)
                    .chain(&["-p", &patch.to_string()]),
            )
            .works_with("patched");
    };
    patched(&elsewhere);
    let root = broken.root();
    eventually("the other server", || {
        let said = root.exec(&["date"]);
        said.text.contains("failed calling webhook")
            && said
                .text
                .contains("certificate is valid for audit-receiver")
    });
    broken
        .developer("jane")
        .exec(&["date"])
        .is_refused_with("failed calling webhook");
    patched(&json!({"spec": {
        "selector": {"app.kubernetes.io/name": "kube-request-access"},
        "ports": [{"name": "https", "port": 443, "targetPort": "https"}],
    }}));
    broken.mend();
}

// K4: too many requests, and no server can start; a deletion asks the server.
#[test]
fn an_installer_opens_the_way_to_delete_requests_while_no_server_runs_and_nothing_else() {
    let broken = Broken::new();
    let (jane, root) = (broken.developer("jane"), broken.root());
    let request = jane.ask(&[], &["date"]);
    broken.stop_the_server();
    root.kubectl(["delete", "acr", &request])
        .is_refused_with(DOWN);
    root.kubectl(["delete", VALIDATING])
        .is_refused_with(GUARDED);

    broken
        .installer(&["delete", VALIDATING])
        .works_with("deleted");
    eventually("the deletion", || {
        root.kubectl(["delete", "acr", &request, "--ignore-not-found"])
            .success
    });
    assert!(!broken.exists("accessrequest", &request));
    // Nothing is asked for or granted meanwhile, and no door opens.
    jane.asks(&[], &["ls"]).is_refused_with(DOWN);
    for door in broken.doors() {
        door.is_refused_with(SHUT);
    }
    broken.mend();
}

// I16, I17, I18, C12
#[test]
fn on_call_passes_while_the_server_is_away_and_leaves_both_names() {
    let broken = Broken::new();
    let olga = broken.on_call("olga");
    broken.stop_the_server();
    broken.root().exec(&["date"]).is_refused_with(DOWN);
    for near in ["bypass2", "Bypass", "bypass ", "bypass\u{200b}", ""] {
        let group = format!("kube-request-access:{near}");
        broken
            .person("eve", &["devs", &group])
            .exec(&["date"])
            .is_refused_with(DOWN);
    }
    olga.exec(&["date"]).is_refused_with("cannot");
    olga.kubectl(
        BYPASS
            .iter()
            .chain(&["exec", "box", "-c", "main", "--", "date"]),
    )
    .works_with("UTC");
    let proxy = ["get", "--raw", "/api/v1/nodes/127.0.0.1/proxy/healthz"];
    // The API server of this cluster goes no further; a door that is shut says something else.
    olga.kubectl(BYPASS.iter().chain(&proxy))
        .is_refused_with("address not allowed");
    // The right is to be that group, and nobody else.
    for other in [
        ["--as=admin", BYPASS[1]],
        [BYPASS[0], "--as-group=system:masters"],
    ] {
        olga.kubectl(other.iter().chain(&["get", "pods"]))
            .is_refused_with("cannot impersonate");
    }
    let stamp = format!(
        "the bypass of kube-request-access was used: CONNECT pods/exec {}/box",
        broken.namespace
    );
    eventually("the stamp in the audit log", || {
        let log = fs::read_to_string(broken.world.cluster.audit_log()).unwrap();
        log.lines().any(|line| {
            let event: Value = serde_json::from_str(line).unwrap_or_default();
            let stamped =
                &event["annotations"]["validation.policy.admission.k8s.io/validation_failure"];
            event["user"]["username"] == olga.name.as_str()
                && event["impersonatedUser"]["username"] == "kube-request-access:on-call"
                && stamped
                    .as_str()
                    .is_some_and(|stamped| stamped.contains(&stamp))
        })
    });
    let metrics = broken.admin(["get", "--raw", "/metrics"]).text;
    let counted = |line: &str| {
        line.starts_with(
            "apiserver_validating_admission_policy_check_total{enforcement_action=\"audit\"",
        ) && line.contains("policy=\"kube-request-access-bypass\"")
    };
    assert!(metrics.lines().any(counted), "no use is counted");
}

// I24
#[test]
fn the_bypass_opens_doors_and_forges_no_grants() {
    let broken = Broken::new();
    let oscar = broken.person(
        "oscar",
        &["devs", "approvers", "kube-request-access:bypass"],
    );
    let request = oscar.ask(&[], &["date"]);
    oscar.exec(&["date"]).works_with("UTC");
    oscar
        .kubectl(["request", "grant", &oscar.exactly(&request), "--yes"])
        .is_refused_with("you cannot answer your own request");
    broken.stop_the_server();
    oscar.asks(&[], &["date"]).is_refused_with(DOWN);
    oscar
        .kubectl(["request", "grant", &oscar.exactly(&request), "--yes"])
        .is_refused_with(DOWN);
    oscar
        .kubectl(["delete", "acr", &request])
        .is_refused_with(DOWN);
}

#[test]
fn on_call_opens_the_doors_by_one_command_when_the_configuration_is_gone() {
    let broken = Broken::new();
    let otto = broken.on_call("otto");
    let bypass = |words: &[&str]| otto.kubectl(BYPASS.iter().chain(words));
    let exec = ["exec", "box", "-c", "main", "--", "date"];
    broken
        .installer(&["delete", VALIDATING])
        .works_with("deleted");
    // With nothing to compare, the interlock knows no exemption.
    eventually("the interlock", || bypass(&exec).text.contains(SHUT));
    bypass(&["delete", INTERLOCK]).works_with("deleted");
    eventually("an open door", || bypass(&exec).success);
    // The better way, where the configuration is at hand.
    let configuration = broken.whole[0].to_string();
    otto.kubectl_with(&configuration, BYPASS.iter().chain(&["apply", "-f", "-"]))
        .works_with("created");
    eventually("the gate", || {
        broken
            .developer("jane")
            .exec(&["date"])
            .text
            .contains("you have not asked")
    });
    bypass(&["delete", GUARD]).is_refused_with("cannot delete");
}

// C4: expected not stopped. The static policies stop it, see below.
#[test]
fn an_administrator_may_still_remove_the_policies_themselves() {
    let broken = Broken::new();
    let root = broken.root();
    root.kubectl(["delete", GUARD]).works_with("deleted");
    eventually("the guard is off", || {
        root.kubectl(["delete", "--dry-run=server", VALIDATING])
            .success
    });
    // What she then does to the configuration shuts the doors all the same.
    root.kubectl(["delete", VALIDATING]).works_with("deleted");
    eventually("the interlock", || root.exec(&["date"]).text.contains(SHUT));
}

#[test]
fn the_api_server_finds_no_fault_in_the_types_of_the_policies() {
    let broken = Broken::new();
    for name in ["guard", "status", "interlock", "bypass"] {
        let policy = format!("kube-request-access-{name}");
        let get = [
            "get",
            "validatingadmissionpolicy",
            &policy,
            "-o",
            "jsonpath={.status.typeChecking}",
        ];
        eventually("the check of types", || {
            broken.admin(get).text.contains('{')
        });
        assert_eq!(broken.admin(get).text, "{}");
    }
}

/// An API server that has read `deploy/static`, with `deploy` applied and no server running.
mod walled {
    use std::{path::PathBuf, process::Command, sync::OnceLock};

    use cluster::{Cluster, NodeChoice, Options, Progress, Running};
    use run::kubectl::as_installer;

    use super::{BYPASS, GUARDED, INTERLOCK, Said, VALIDATING, eventually, fs, json, said};

    /// As `deploy/static` has it, but for the place of the policies.
    fn admission_configuration() -> PathBuf {
        let deploy = run::checkout()
            .canonicalize()
            .unwrap()
            .join("deploy/static");
        let text = fs::read_to_string(deploy.join("admission-configuration.yaml")).unwrap();
        let text = text.replace(
            "/etc/kubernetes/admission/policies",
            &deploy.join("policies").display().to_string(),
        );
        let path = std::env::temp_dir().join(format!(
            "kube-request-access-admission-{}.yaml",
            std::process::id()
        ));
        fs::write(&path, text).unwrap();
        path
    }

    fn cluster() -> &'static Running {
        static CLUSTER: OnceLock<Running> = OnceLock::new();
        CLUSTER.get_or_init(|| {
            let configuration = admission_configuration();
            let options = Options {
                node: NodeChoice::Container,
                api_server_flags: vec![format!(
                    "--admission-control-config-file={}",
                    configuration.display()
                )],
                progress: Progress::Silent,
                ..Options::default()
            };
            let cluster = Cluster::start(&options).unwrap();
            fs::remove_file(configuration).unwrap();
            let deploy = run::checkout().join("deploy");
            let mut apply = as_installer(cluster.kubectl_as_admin());
            run::kubectl::output(apply.arg("apply").arg("-k").arg(deploy), None).unwrap();
            cluster
        })
    }

    fn kubectl(mut kubectl: Command, words: &[&str]) -> Said {
        kubectl.args(words);
        said(kubectl, "")
    }

    fn root(words: &[&str]) -> Said {
        kubectl(cluster().kubectl_as_admin(), words)
    }

    // C4
    #[test]
    fn nobody_removes_policies_that_policies_from_files_guard() {
        for kind in [
            "validatingadmissionpolicy",
            "validatingadmissionpolicybinding",
        ] {
            for name in ["guard", "status", "interlock", "bypass"] {
                let what = format!("{kind}/kube-request-access-{name}");
                root(&["delete", &what]).is_refused_with(GUARDED);
                root(&["label", &what, "some=label"]).is_refused_with(GUARDED);
            }
        }
        let all = "/apis/admissionregistration.k8s.io/v1/validatingadmissionpolicybindings";
        root(&["delete", "--raw", all]).is_refused_with(GUARDED);
        let patch =
            json!([{"op": "replace", "path": "/spec/validationActions", "value": ["Warn"]}])
                .to_string();
        root(&["patch", INTERLOCK, "--type=json", "-p", &patch]).is_refused_with(GUARDED);
        let words = [&BYPASS[..], &["delete", "--dry-run=server", INTERLOCK]].concat();
        root(&words).works_with("deleted");
        let installer = as_installer(cluster().kubectl_as_admin());
        kubectl(installer, &["label", INTERLOCK, "some=label"]).works_with("labeled");
    }

    #[test]
    fn what_the_policies_of_the_api_guard_is_guarded_by_those_from_files_too() {
        // Both deny; which is named first is of no importance.
        root(&["delete", VALIDATING]).is_refused_with(GUARDED);
        root(&["delete", "crd", "accessgrants.spreadgroup.com"]).is_refused_with(GUARDED);
        let name = "kube-request-access-guard.static.k8s.io";
        let words = [
            "delete",
            "validatingadmissionpolicy/kube-request-access-guard",
        ];
        root(&words).is_refused_with(name);
    }

    #[test]
    fn the_stamp_comes_from_files_too() {
        let proxy = ["get", "--raw", "/api/v1/nodes/127.0.0.1/proxy/healthz"];
        root(&[&BYPASS[..], &proxy[..]].concat()).is_refused_with("address not allowed");
        eventually("the stamp in the audit log", || {
            let log = fs::read_to_string(cluster().audit_log()).unwrap();
            log.lines().any(|line| {
                line.contains("CONNECT nodes/proxy 127.0.0.1")
                    && line.contains("kube-request-access-bypass.static.k8s.io")
            })
        });
    }
}
