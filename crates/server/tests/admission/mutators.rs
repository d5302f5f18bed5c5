//! Somebody may change objects on their way: nothing that gives access is taken until they are
//! gone, or named.

use decide::mutators::Kind;
use http::{Method, StatusCode};
use kube::runtime::watcher::Event;
use rstest::rstest;
use serde_json::{Value, json};

use crate::{
    fake_api::Effect,
    objects::{deleting, file, granting, stamp},
    policies::{policy, writing},
    world::{REQUEST, Said, Settings, World, grant, request},
};

const TRUSTED: &str =
    "/api/v1/namespaces/kube-request-access/configmaps/kube-request-access-trusted-mutators";

fn at(plural: &str, version: &str, name: &str) -> String {
    format!("/apis/admissionregistration.k8s.io/{version}/{plural}/{name}")
}

fn rule(group: &str, resource: &str) -> Value {
    json!({"apiGroups": [group], "apiVersions": ["*"], "resources": [resource], "operations": ["CREATE"], "scope": "*"})
}

fn webhook(name: &str, group: &str) -> Value {
    json!({
        "apiVersion": "admissionregistration.k8s.io/v1", "kind": "MutatingWebhookConfiguration",
        "metadata": {"name": name, "uid": "w", "generation": 1},
        "webhooks": [{"name": "a.b.c", "rules": [rule("apps", "*")]}, {"name": "d.e.f", "rules": [rule(group, "*")],
            "namespaceSelector": {"matchLabels": {"never": "there"}}}],
    })
}

fn our_own() -> Value {
    let mut ours = webhook("kube-request-access", "spreadgroup.com");
    ours["webhooks"].as_array_mut().unwrap().remove(0);
    ours
}

/// It could have itself named as trusted, the next time that an installer writes whom to trust.
fn for_config_maps() -> Value {
    let mut webhook = webhook("other", "apps");
    webhook["webhooks"][1]["rules"] = json!([rule("", "configmaps")]);
    webhook
}

fn mutating_policy(group: &str) -> Value {
    json!({
        "apiVersion": "admissionregistration.k8s.io/v1", "kind": "MutatingAdmissionPolicy",
        "metadata": {"name": "turns", "uid": "m", "generation": 2},
        "spec": {"matchConstraints": {"resourceRules": [rule(group, "accessgrants")]},
            "matchConditions": [{"name": "never", "expression": "false"}]},
    })
}

fn world() -> World {
    let world = World::new(Settings {
        sealed: true,
        ..Settings::default()
    });
    world.put_request(&request());
    world
}

async fn granted(world: &World, status: &str) -> Said {
    let mut review = granting("amy");
    review["request"]["object"] = grant(status);
    file(world, &review).await
}

fn store(world: &World, plural: &str, version: &str, object: &Value) {
    world.api.store(
        &at(
            plural,
            version,
            object["metadata"]["name"].as_str().unwrap(),
        ),
        object,
    );
}

// K3
#[rstest]
#[case::a_webhook(
    "mutatingwebhookconfigurations",
    "v1",
    webhook("other", "spreadgroup.com")
)]
#[case::a_webhook_for_all("mutatingwebhookconfigurations", "v1", webhook("other", "*"))]
#[case::a_webhook_beside_ours(
    "mutatingwebhookconfigurations",
    "v1",
    webhook("kube-request-access", "spreadgroup.com")
)]
#[case::a_webhook_for_config_maps("mutatingwebhookconfigurations", "v1", for_config_maps())]
#[case::a_policy("mutatingadmissionpolicies", "v1", mutating_policy("spreadgroup.com"))]
#[case::a_policy_of_an_older_server("mutatingadmissionpolicies", "v1beta1", mutating_policy("*"))]
#[case::a_policy_without_rules("mutatingadmissionpolicies", "v1alpha1", json!({"metadata": {"name": "turns"}, "spec": {}}))]
#[tokio::test]
async fn while_somebody_may_change_it_nothing_is_granted_and_no_policy_written(
    #[case] plural: &str,
    #[case] version: &str,
    #[case] object: Value,
) {
    let world = world();
    store(&world, plural, version, &object);
    let said = granted(&world, "granted").await;
    let name = object["metadata"]["name"].as_str().unwrap();
    assert!(
        said.denial()
            .contains(&format!("{name:?} may change a grant on its way here")),
        "{}",
        said.denial()
    );
    let mut allow = policy("Require", json!({"approvals": 2}));
    allow["metadata"] =
        json!({"name": "low-risk", "generation": 1, "creationTimestamp": "2026-11-23T15:00:00Z"});
    let said = file(&world, &writing(&allow)).await;
    assert!(
        said.denial()
            .contains("may change a policy on its way here"),
        "{}",
        said.denial()
    );
    assert!(
        granted(&world, "denied").await.allowed(),
        "a denial gives nothing"
    );
    // Nothing is sealed of what is refused: a webhook that is shown it could keep it.
    assert!(
        stamp(&world, &granting("amy"))
            .await
            .unwrap_err()
            .contains("may change a grant")
    );
    assert!(
        stamp(&world, &writing(&allow))
            .await
            .unwrap_err()
            .contains("may change a policy")
    );
}

#[rstest]
#[case::nobody(&[])]
#[case::ours(&[("mutatingwebhookconfigurations", our_own())])]
#[case::of_others(&[("mutatingwebhookconfigurations", webhook("m", "apps")), ("mutatingadmissionpolicies", mutating_policy("apps"))])]
#[tokio::test]
async fn whoever_reaches_other_objects_stops_nothing(#[case] objects: &[(&str, Value)]) {
    let world = world();
    for (plural, object) in objects {
        store(&world, plural, "v1", object);
    }
    assert!(granted(&world, "granted").await.allowed());
}

// K3
#[tokio::test]
async fn whom_installers_have_named_is_trusted_and_a_policy_only_as_it_is() {
    let world = world();
    store(
        &world,
        "mutatingwebhookconfigurations",
        "v1",
        &webhook("gatekeeper", "*"),
    );
    store(
        &world,
        "mutatingadmissionpolicies",
        "v1",
        &mutating_policy("*"),
    );
    let name = |data: Value| {
        world
            .api
            .store(TRUSTED, &json!({"metadata": {"name": "t"}, "data": data}));
    };
    name(
        json!({"MutatingWebhookConfiguration.gatekeeper": "system:serviceaccount:gatekeeper-system:gatekeeper-admin"}),
    );
    assert!(
        granted(&world, "granted")
            .await
            .denial()
            .contains("the MutatingAdmissionPolicy \"turns\"")
    );
    name(
        json!({"MutatingWebhookConfiguration.gatekeeper": "", "MutatingAdmissionPolicy.turns": "m 1"}),
    );
    assert!(
        !granted(&world, "granted").await.allowed(),
        "it was changed since"
    );
    name(
        json!({"MutatingWebhookConfiguration.gatekeeper": "", "MutatingAdmissionPolicy.turns": "m 2"}),
    );
    assert!(granted(&world, "granted").await.allowed());
}

// K3
#[tokio::test(start_paused = true)]
async fn what_is_gone_may_act_for_ten_seconds_more() {
    let world = world();
    let passing: kube::api::DynamicObject = serde_json::from_value(mutating_policy("*")).unwrap();
    world.mutators.apply(Kind::Policy, Event::Delete(passing));
    assert!(
        granted(&world, "granted")
            .await
            .denial()
            .contains("or could a moment ago")
    );
    tokio::time::advance(std::time::Duration::from_secs(9)).await;
    assert!(!granted(&world, "granted").await.allowed());
    tokio::time::advance(std::time::Duration::from_secs(1)).await;
    assert!(granted(&world, "granted").await.allowed());
}

// K3
#[rstest]
#[case::the_webhooks("mutatingwebhookconfigurations", StatusCode::FORBIDDEN)]
#[case::no_webhooks_at_all("mutatingwebhookconfigurations", StatusCode::NOT_FOUND)]
#[case::the_policies("mutatingadmissionpolicies", StatusCode::INTERNAL_SERVER_ERROR)]
#[case::whom_to_trust("configmaps", StatusCode::FORBIDDEN)]
#[tokio::test]
async fn where_nobody_can_tell_who_changes_it_nothing_is_granted(
    #[case] path: &'static str,
    #[case] code: StatusCode,
) {
    let world = world();
    world.api.next_fault(Method::GET, path, Effect::Fails(code));
    assert!(
        granted(&world, "granted")
            .await
            .denial()
            .contains("the cluster could not be asked")
    );
    assert!(granted(&world, "granted").await.allowed());
}

// K3
#[tokio::test]
async fn where_what_comes_and_goes_is_not_seen_nothing_is_granted() {
    let world = world();
    world.mutators.watches(Kind::Policy, false);
    assert!(
        granted(&world, "granted")
            .await
            .denial()
            .contains("the cluster could not be asked")
    );
}

// K18
#[rstest]
#[case::group("amy", "in none of the groups that answer requests here")]
#[case::program("system:serviceaccount:ci:bot", "a ServiceAccount answers no requests")]
#[tokio::test]
async fn who_may_not_answer_learns_nothing_of_which_requests_there_are_and_nothing_is_read(
    #[case] by: &str,
    #[case] text: &str,
) {
    let approvers = decide::identity::Approvers {
        groups: Some(vec!["sre".to_owned()]),
        programs: Vec::new(),
    };
    let world = World::new(Settings {
        approvers,
        ..Settings::default()
    });
    let review = granting(by);
    let missing = stamp(&world, &review).await.unwrap_err();
    world.put_request(&request());
    assert_eq!(stamp(&world, &review).await.unwrap_err(), missing);
    assert!(missing.contains(text), "{missing}");
    assert!(
        world.api.requests().is_empty(),
        "{:?}",
        world.api.requests()
    );
    // Nor does it help to leave out what stamps.
    assert!(
        world
            .post("/validate", review.to_string())
            .await
            .denial()
            .contains(text)
    );
}

// K3
#[tokio::test]
async fn nobody_deletes_others_requests_by_an_answer_that_may_not_be_of_rbac() {
    let world = world();
    let delete = || async {
        let review = deleting("amy", &world.api.get(REQUEST), "accessrequests");
        world.post("/validate", review.to_string()).await
    };
    assert!(delete().await.allowed());
    let mut reviews = webhook("m", "apps");
    reviews["webhooks"][1]["rules"] = json!([rule("authorization.k8s.io", "subjectaccessreviews")]);
    store(&world, "mutatingwebhookconfigurations", "v1", &reviews);
    let said = delete().await;
    assert!(
        said.denial().contains("may change a review of rights"),
        "{}",
        said.body
    );
}
