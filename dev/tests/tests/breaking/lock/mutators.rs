//! What was read is what is granted: nobody changes it on its way, but whom installers trust.

use kra_tests::{scene::Said, world::eventually};
use serde_json::{Value, json};

use super::Broken;

const REFUSED: &str = "could turn an approval";
const TRUSTED: &str = "kube-request-access-trusted-mutators";
/// Somebody whose program writes its own configuration.
const GATEKEEPER: [&str; 2] = [
    "--as=system:serviceaccount:gatekeeper-system:gatekeeper-admin",
    "--as-group=system:masters",
];

fn create(broken: &Broken, identity: &[&str], object: &Value) -> Said {
    broken.root().kubectl_with(
        &object.to_string(),
        identity.iter().chain(&["create", "-f", "-"]),
    )
}

fn delete(broken: &Broken, kind: &str, name: &str) {
    broken
        .root()
        .kubectl(["delete", kind, name])
        .works_with("deleted");
}

/// It calls nobody: where it is asked, it is passed by.
fn webhook(name: &str, group: &str, resource: &str, operation: &str) -> Value {
    json!({
        "apiVersion": "admissionregistration.k8s.io/v1", "kind": "MutatingWebhookConfiguration", "metadata": {"name": name},
        "webhooks": [{
            "name": "nobody.example.com", "sideEffects": "None", "admissionReviewVersions": ["v1"], "failurePolicy": "Ignore",
            "timeoutSeconds": 1, "clientConfig": {"service": {"namespace": "default", "name": "nobody"}},
            "namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "there-is-none"}},
            "rules": [{"apiGroups": [group], "apiVersions": ["*"], "resources": [resource], "operations": [operation]}],
        }],
    })
}

fn trust(broken: &Broken, data: &Value) {
    let map = json!({
        "apiVersion": "v1", "kind": "ConfigMap", "data": data,
        "metadata": {"name": TRUSTED, "namespace": "kube-request-access"},
    });
    broken
        .installer_with(&map, "replace")
        .works_with("replaced");
}

// K3
#[test]
fn nobody_but_an_installer_registers_a_mutating_webhook_for_our_objects_or_for_the_doors() {
    let broken = Broken::new();
    let reaching = [
        ("spreadgroup.com", "accessgrants", "CREATE"),
        ("spreadgroup.com", "accessrequests/status", "UPDATE"),
        ("*", "*", "*"),
        ("*", "*/*", "CONNECT"),
        ("", "pods/exec", "CONNECT"),
        ("", "pods/*", "*"),
        // It could have itself named as trusted.
        ("", "configmaps", "UPDATE"),
        // It could change our definitions in an installer's own `apply`.
        (
            "apiextensions.k8s.io",
            "customresourcedefinitions",
            "UPDATE",
        ),
        // It could answer in the name of RBAC.
        ("authorization.k8s.io", "subjectaccessreviews", "CREATE"),
        ("authentication.k8s.io", "tokenreviews", "CREATE"),
        ("authentication.k8s.io", "*", "*"),
        ("", "*", "CREATE"),
    ];
    for (group, resource, operation) in reaching {
        create(
            &broken,
            &[],
            &webhook("foreign", group, resource, operation),
        )
        .is_refused_with(REFUSED);
    }
    for (group, resource, operation) in [
        ("", "pods", "CREATE"),
        ("apps", "*", "*"),
        ("*", "*/scale", "*"),
    ] {
        create(
            &broken,
            &[],
            &webhook("foreign", group, resource, operation),
        )
        .works_with("created");
        let wider = json!([{"op": "replace", "path": "/webhooks/0/rules/0/apiGroups", "value": ["spreadgroup.com"]},
            {"op": "replace", "path": "/webhooks/0/rules/0/resources", "value": ["*"]},
            {"op": "replace", "path": "/webhooks/0/rules/0/operations", "value": ["CREATE"]}]);
        let patch = [
            "patch",
            "mutatingwebhookconfiguration",
            "foreign",
            "--type=json",
            "-p",
            &wider.to_string(),
        ];
        broken.root().kubectl(patch).is_refused_with(REFUSED);
        delete(&broken, "mutatingwebhookconfiguration", "foreign");
    }
}

// K3
#[test]
fn whom_installers_trust_writes_its_own_webhooks_and_nobody_else_does() {
    let broken = Broken::new();
    let map = ["-n", "kube-request-access", "configmap", TRUSTED];
    broken
        .root()
        .kubectl(["delete"].iter().chain(&map))
        .is_refused_with("only its installers may say");
    let patch = r#"{"data":{"MutatingWebhookConfiguration.gatekeeper":"admin"}}"#;
    let patched = ["patch"]
        .iter()
        .chain(&map)
        .chain(&["--type=merge", "-p", patch])
        .copied()
        .collect::<Vec<_>>();
    broken
        .root()
        .kubectl(&patched)
        .is_refused_with("only its installers may say");
    // Others are nobody's concern.
    broken
        .root()
        .kubectl(["create", "configmap", TRUSTED])
        .works_with("created");
    broken
        .root()
        .kubectl(["delete", "configmap", TRUSTED])
        .works_with("deleted");

    let writer = "system:serviceaccount:gatekeeper-system:gatekeeper-admin";
    trust(
        &broken,
        &json!({"MutatingWebhookConfiguration.gatekeeper": format!("{writer}\n")}),
    );
    let wildcard = webhook("gatekeeper", "*", "*", "CREATE");
    let named = "only those may write it whom its installers name";
    eventually("the name", || {
        create(&broken, &[], &wildcard).text.contains(named)
    });
    create(&broken, &GATEKEEPER, &wildcard).works_with("created");
    let label = [
        "label",
        "mutatingwebhookconfiguration",
        "gatekeeper",
        "changed=yes",
    ];
    broken.root().kubectl(label).is_refused_with(named);
    broken
        .root()
        .kubectl(GATEKEEPER.iter().chain(&label))
        .works_with("labeled");
    let (mia, amy) = (broken.developer("mia"), broken.approver("amy"));
    let request = mia.ask(&[], &["date"]);
    amy.grant(&request);
    mia.exec(&["date"]).works_with("UTC");

    // The same one, and nobody has named it any more.
    trust(&broken, &json!({}));
    let another = mia.ask(&[], &["date"]);
    let refused = "may change a grant on its way here";
    amy.kubectl(["request", "grant", &amy.exactly(&another), "--yes"])
        .is_refused_with(refused);
    delete(&broken, "mutatingwebhookconfiguration", "gatekeeper");
    amy.kubectl(["request", "grant", &amy.exactly(&another), "--yes"])
        .is_refused_with(refused);
    eventually("ten seconds", || {
        amy.kubectl(["request", "grant", &amy.exactly(&another), "--yes"])
            .success
    });
}

/// What turns amy's approval of one request into one of another.
fn turns(theirs: &str, uid: &str) -> [Value; 2] {
    let patch = format!(
        "[JSONPatch{{op: 'replace', path: '/spec/grantFor', value: '{theirs}'}}, \
         JSONPatch{{op: 'add', path: '/spec/requestUID', value: '{uid}'}}, \
         JSONPatch{{op: 'remove', path: '/metadata/ownerReferences'}}]"
    );
    let rule = json!({
        "apiGroups": ["spreadgroup.com"], "apiVersions": ["v1"], "resources": ["accessgrants"], "operations": ["CREATE"],
    });
    [
        json!({
            "apiVersion": "admissionregistration.k8s.io/v1", "kind": "MutatingAdmissionPolicy", "metadata": {"name": "turns"},
            "spec": {
                "failurePolicy": "Ignore", "reinvocationPolicy": "Never", "matchConstraints": {"resourceRules": [rule]},
                "mutations": [{"patchType": "JSONPatch", "jsonPatch": {"expression": patch}}],
            },
        }),
        json!({
            "apiVersion": "admissionregistration.k8s.io/v1", "kind": "MutatingAdmissionPolicyBinding",
            "metadata": {"name": "turns"}, "spec": {"policyName": "turns"},
        }),
    ]
}

// K3
#[test]
fn no_mutating_policy_turns_an_approval_into_another_one() {
    let broken = Broken::new();
    let (mia, ben, amy) = (
        broken.developer("mia"),
        broken.developer("ben"),
        broken.approver("amy"),
    );
    let (hers, his) = (
        mia.ask(&[], &["date"]),
        ben.ask(&[], &["cat", "/etc/hostname"]),
    );
    let uid = broken.get("accessrequest", &his)["metadata"]["uid"]
        .as_str()
        .unwrap()
        .to_owned();
    for object in turns(&his, &uid) {
        create(&broken, &[], &object).works_with("created");
    }
    let refused = "the MutatingAdmissionPolicy \"turns\" may change a grant on its way here";
    amy.kubectl(["request", "grant", &amy.exactly(&hers), "--yes"])
        .is_refused_with(refused);
    ben.exec(&["cat", "/etc/hostname"])
        .is_refused_with("waits for a grant");
    // As it is, an installer may trust it all the same; and no longer once it was changed.
    let stored = broken.get("mutatingadmissionpolicy", "turns");
    let value = format!(
        "{} {}",
        stored["metadata"]["uid"].as_str().unwrap(),
        stored["metadata"]["generation"]
    );
    delete(&broken, "mutatingadmissionpolicybinding", "turns");
    trust(&broken, &json!({"MutatingAdmissionPolicy.turns": value}));
    eventually("the trust", || {
        amy.kubectl(["request", "grant", &amy.exactly(&hers), "--yes"])
            .success
    });
    let harmless = r#"{"spec":{"failurePolicy":"Fail"}}"#;
    let patch = [
        "patch",
        "mutatingadmissionpolicy",
        "turns",
        "--type=merge",
        "-p",
        harmless,
    ];
    broken.root().kubectl(patch).works_with("patched");
    amy.kubectl(["request", "grant", &amy.exactly(&his), "--yes"])
        .is_refused_with(refused);
    delete(&broken, "mutatingadmissionpolicy", "turns");
    trust(&broken, &json!({}));
    eventually("its end", || {
        amy.kubectl(["request", "grant", &amy.exactly(&his), "--yes"])
            .success
    });
    mia.exec(&["date"]).works_with("UTC");
    ben.exec(&["cat", "/etc/hostname"]).works_with("box");
}
