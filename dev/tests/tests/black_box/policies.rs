//! Policies on the real control plane: who may write them, what they allow, require and deny.

use kra_tests::{
    scene::{Person, Said, Scene, said},
    world::{self, eventually},
};
use rstest::rstest;
use serde_json::{Value, json};

const OWNER: [&str; 2] = [
    "--as=kube-request-access:policy-owner",
    "--as-group=kube-request-access:policy-owners",
];

/// A policy for the scene's namespace alone.
#[expect(
    clippy::needless_pass_by_value,
    reason = "json!(…) is written in place"
)]
pub(crate) fn policy(scene: &Scene, effect: &str, more: Value) -> Value {
    let mut spec = json!({"effect": effect, "namespaces": [scene.namespace]});
    spec.as_object_mut()
        .unwrap()
        .extend(more.as_object().unwrap().clone());
    json!({
        "apiVersion": "spreadgroup.com/v1", "kind": "AccessPolicy",
        "metadata": {"name": format!("{}-{}", effect.to_lowercase(), scene.namespace)}, "spec": spec,
    })
}

fn jane(jane: &Person<'_>) -> Value {
    json!([{"kind": "User", "name": jane.name}])
}

/// `kubectl apply` of a policy by somebody who says that she owns the policies.
pub(crate) fn owner_applies(scene: &Scene, policy: &Value) -> Said {
    let mut kubectl = scene.world.cluster.kubectl_as_admin();
    kubectl.args(OWNER).args(["apply", "-f", "-"]);
    said(kubectl, &policy.to_string())
}

pub(crate) fn owner_deletes(scene: &Scene, policy: &Value) {
    let name = format!(
        "accesspolicy/{}",
        policy["metadata"]["name"].as_str().unwrap()
    );
    let mut kubectl = scene.world.cluster.kubectl_as_admin();
    kubectl.args(OWNER).args(["delete", &name]);
    said(kubectl, "").works_with("deleted");
}

#[test]
fn what_a_policy_allows_runs_without_a_request_until_the_policy_is_gone() {
    let scene = Scene::new(world::standing());
    let (jane_, bob) = (scene.developer("jane"), scene.developer("bob"));
    let policy = policy(
        &scene,
        "Allow",
        json!({"subjects": jane(&jane_), "subresources": ["exec"], "commands": [{"exactly": ["date"]}, {"program": "ls"}]}),
    );
    jane_.exec(&["date"]).is_refused_with("you have not asked");
    owner_applies(&scene, &policy).works_with("created");
    eventually("the policy", || jane_.exec(&["date"]).success);
    jane_.exec_over_spdy(&["date"]).works_with("UTC");
    jane_.exec(&["ls", "/"]).works_with("bin");
    jane_
        .exec(&["date", "-u"])
        .is_refused_with("you have not asked");
    jane_
        .exec(&["sh", "-c", "date"])
        .is_refused_with("you have not asked");
    bob.exec(&["date"]).is_refused_with("you have not asked");
    owner_deletes(&scene, &policy);
    jane_.exec(&["date"]).is_refused_with("you have not asked");
}

#[test]
fn only_who_owns_the_policies_writes_them() {
    let scene = Scene::new(world::standing());
    let policy = policy(&scene, "Deny", json!({"subresources": ["attach"]}));
    let root = scene.root();
    let text = "access policies are written by their owners only";
    root.kubectl_with(&policy.to_string(), ["create", "-f", "-"])
        .is_refused_with(text);
    owner_applies(&scene, &policy).works_with("created");
    let name = format!(
        "accesspolicy/{}",
        policy["metadata"]["name"].as_str().unwrap()
    );
    root.kubectl(["label", &name, "a=b"]).is_refused_with(text);
    root.kubectl(["delete", &name]).is_refused_with(text);
    owner_deletes(&scene, &policy);
}

#[rstest]
#[case::an_unknown_door(json!({"effect": "Allow", "subjects": [{"kind": "User", "name": "jane"}], "subresources": ["exec", "logs"]}), "spec.subresources[1]: \"logs\" is no subresource of pods")]
#[case::everybody(json!({"effect": "Allow", "subresources": ["exec"]}), "spec.subjects: an Allow must say for whom")]
#[case::an_unknown_effect(json!({"effect": "Maybe"}), "spec.effect: Unsupported value")]
#[case::an_unknown_field(json!({"effect": "Deny", "users": ["jane"]}), "unknown field \"spec.users\"")]
#[test]
fn an_invalid_policy_is_refused_with_the_place_of_the_fault(
    #[case] spec: Value,
    #[case] text: &str,
) {
    let scene = Scene::shared();
    let mut policy = policy(scene, "Deny", json!({}));
    policy["spec"]
        .as_object_mut()
        .unwrap()
        .extend(spec.as_object().unwrap().clone());
    owner_applies(scene, &policy).is_refused_with(text);
}

#[test]
fn two_people_must_approve_where_a_policy_says_so() {
    let scene = Scene::new(world::standing());
    let (jane, amy, bob) = (
        scene.developer("jane"),
        scene.approver("amy"),
        scene.approver("bob"),
    );
    owner_applies(&scene, &policy(&scene, "Require", json!({"approvals": 2})))
        .works_with("created");
    let request = jane.ask(&[], &["date"]);
    amy.kubectl(["request", "grant", &amy.exactly(&request), "--yes"])
        .works_with("created grant");
    eventually("the first approval", || {
        jane.exec(&["date"])
            .text
            .contains(&format!("has 1 of 2 approvals (by {})", amy.name))
    });
    eventually("the number of approvals", || {
        scene.get("acr", &request)["status"]["approvals"] == 2
    });
    let second = json!({
        "apiVersion": "spreadgroup.com/v1", "kind": "AccessGrant", "status": "granted",
        "metadata": {"name": format!("grant-{request}-2"), "namespace": scene.namespace},
        "spec": {"grantFor": request, "requestUID": scene.uid_of(&request)},
    });
    bob.kubectl_with(&second.to_string(), ["create", "-f", "-"])
        .works_with("created");
    bob.awaits(&request, "Granted");
    jane.exec(&["date"]).works_with("UTC");
    jane.exec(&["date"]).is_refused_with("was for one use");
}

#[test]
fn a_policy_that_wants_a_reason_grants_requests_and_nothing_else() {
    for world in [world::standing(), world::role_per_grant()] {
        let scene = Scene::new(world);
        let jane_ = scene.developer("jane");
        let reason = json!({"pattern": "OPS-[0-9]+", "prompt": "the ticket, OPS-1234"});
        let policy = policy(
            &scene,
            "Allow",
            json!({"subjects": jane(&jane_), "subresources": ["exec"], "reason": reason}),
        );
        owner_applies(&scene, &policy).works_with("created");
        let waits = jane_.ask(&["--reason=why not"], &["hostname"]);
        let granted = jane_.ask(&["--reason=OPS-7"], &["date"]);
        jane_.awaits(&granted, "Granted");
        let status = &scene.get("acr", &granted)["status"];
        assert_eq!(
            status["grantedByPolicy"]["name"],
            policy["metadata"]["name"]
        );
        assert!(
            status["grantedByPolicy"]["uid"]
                .as_str()
                .is_some_and(|uid| uid.len() == 36),
            "{status}"
        );
        jane_.exec(&["date"]).works_with("UTC");
        assert_eq!(scene.uses(&granted), 1);
        assert_eq!(scene.get("acr", &waits)["status"]["phase"], "Pending");
        let again = jane_.exec(&["date"]);
        assert!(!again.success, "{}", again.text);
    }
}

#[test]
fn a_denial_by_policy_shuts_what_was_granted_for_as_long_as_it_stands() {
    let scene = Scene::new(world::standing());
    let (jane, amy) = (scene.developer("jane"), scene.approver("amy"));
    let request = jane.ask(&["--valid-for=1h"], &["date"]);
    amy.grant(&request);
    jane.exec(&["date"]).works_with("UTC");
    let policy = policy(
        &scene,
        "Deny",
        json!({"subresources": ["exec"], "contact": "#platform"}),
    );
    owner_applies(&scene, &policy).works_with("created");
    jane.exec(&["date"]).is_refused_with("forbids this");
    jane.asks(&[], &["id"]).is_refused_with("Ask #platform");
    amy.awaits(&request, "Denied");
    owner_deletes(&scene, &policy);
    amy.awaits(&request, "Granted");
    jane.exec(&["date"]).works_with("UTC");
}

#[test]
fn whoever_asks_why_reads_what_is_missing() {
    let scene = Scene::new(world::standing());
    let jane = scene.developer("jane");
    let sets = json!([{"name": "security", "subjects": [{"kind": "Group", "name": "security"}]}]);
    owner_applies(
        &scene,
        &policy(
            &scene,
            "Require",
            json!({"approvals": 2, "approvers": sets}),
        ),
    )
    .works_with("created");
    let mut request = crate::asking::original(&scene, &jane.name);
    request["metadata"]["annotations"] = json!({"spreadgroup.com/explain": "true"});
    let path = r"jsonpath={.metadata.annotations.spreadgroup\.com/explanation}";
    let why = || {
        jane.kubectl_with(
            &request.to_string(),
            ["create", "--dry-run=server", "-f", "-", "-o", path],
        )
    };
    why().works_with("2 approvals");
    why().works_with("it needs 2 approvals, by one of security");
    assert!(!jane.kubectl(["get", "acr"]).text.contains("access-exec"));
}
