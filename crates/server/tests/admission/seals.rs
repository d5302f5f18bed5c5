//! Grants are sealed: what was written while we were away grants nothing.

use std::sync::Arc;

use api::{AccessRequest, contract::annotations::SEAL};
use decide::identity::Approvers;
use rstest::rstest;
use serde_json::{Value, json};
use server::{cluster::seal::Sealer, controllers::sealing};

use crate::{
    fake_api::Effect,
    objects::{file, filing, granting, stamp},
    policies::{policy, writing},
    world::{GRANT, REQUEST, Settings, World, grant, recorded, request},
};

fn sealing() -> Settings {
    Settings {
        sealed: true,
        ..Settings::default()
    }
}

/// A world with jane's request, and amy's grant as it was admitted.
async fn sealed() -> (World, Value) {
    let world = World::new(sealing());
    world.put_request(&request());
    let mut review = granting("amy");
    review["request"]["object"] = grant("granted");
    let stamped = stamp(&world, &review).await.unwrap();
    assert!(world.post("/validate", stamped.to_string()).await.allowed());
    (world, stamped["request"]["object"].clone())
}

#[tokio::test]
async fn a_grant_that_was_admitted_opens_the_door() {
    let (world, sealed) = sealed().await;
    assert_eq!(sealed["spec"]["seal"]["at"], "2026-11-23T15:00:00Z");
    world.put_grant(&sealed);
    assert!(world.exec("r1", |_| {}).await.allowed());
}

// B5
#[rstest]
#[case::without_a_seal(|grant: &mut Value| drop(grant["spec"].as_object_mut().unwrap().remove("seal")))]
#[case::by_somebody_else(|grant: &mut Value| grant["spec"]["grantedBy"] = json!({"username": "eve"}))]
#[case::a_made_up_seal(|grant: &mut Value| grant["spec"]["seal"]["mac"] = json!("00".repeat(32)))]
#[tokio::test]
async fn a_grant_that_was_forged_grants_nothing(#[case] forge: fn(&mut Value)) {
    let (world, mut forged) = sealed().await;
    forge(&mut forged);
    world.put_grant(&forged);
    assert!(
        world
            .exec("r1", |_| {})
            .await
            .denial()
            .contains("waits for a grant")
    );
    assert_eq!(world.uses(), 0);
}

#[tokio::test]
async fn a_seal_is_always_the_servers_own() {
    let (world, sealed) = sealed().await;
    let mut copied = granting("amy");
    copied["request"]["object"] = sealed.clone();
    copied["request"]["object"]["spec"]["validFor"] = json!("1m");
    let said = world.post("/validate", copied.to_string()).await;
    assert!(
        said.denial()
            .contains("spec.seal is not what the server stamps"),
        "{}",
        said.denial()
    );
    let restamped = stamp(&world, &copied).await.unwrap();
    assert_ne!(
        restamped["request"]["object"]["spec"]["seal"],
        sealed["spec"]["seal"]
    );
}

#[tokio::test]
async fn a_grant_that_is_stored_again_later_ends_when_the_first_did() {
    let world = World::granted_with(sealing(), |request| {
        request["spec"]["validFor"] = json!("1h");
    });
    let mut review = granting("amy");
    review["request"]["object"] = grant("granted");
    let mut again = stamp(&world, &review).await.unwrap()["request"]["object"].clone();
    world.pass(3599);
    again["metadata"]["creationTimestamp"] = json!("2026-11-23T15:59:59Z");
    world.put_grant(&again);
    assert!(world.exec("r1", |_| {}).await.allowed());
    world.pass(1);
    assert!(
        world.exec("r2", |_| {}).await.denial().contains("ended"),
        "not another hour"
    );
}

#[tokio::test]
async fn a_denial_needs_no_seal() {
    let (world, sealed) = sealed().await;
    world.put_grant(&sealed);
    let mut denial = grant("denied");
    denial["metadata"]["name"] = json!("deny-ask");
    world
        .api
        .store(&GRANT.replace("grant-ask", "deny-ask"), &denial);
    let denial = serde_json::from_value(denial).unwrap();
    world
        .index
        .apply_grant(kube::runtime::watcher::Event::Apply(denial));
    assert!(
        world
            .exec("r1", |_| {})
            .await
            .denial()
            .contains("denied your request")
    );
}

#[tokio::test]
async fn a_dry_run_is_valid_and_leaves_nothing_that_would_count() {
    let world = World::new(sealing());
    world.put_request(&request());
    let mut review = granting("amy");
    review["request"]["dryRun"] = json!(true);
    review["request"]["object"] = grant("granted");
    let stamped = stamp(&world, &review).await.unwrap();
    assert!(stamped["request"]["object"]["spec"]["seal"].is_null());
    assert!(world.post("/validate", stamped.to_string()).await.allowed());
    let mut stored = stamped.clone();
    stored["request"]["dryRun"] = json!(false);
    assert!(
        world
            .post("/validate", stored.to_string())
            .await
            .denial()
            .contains("spec.seal is not what")
    );
    world.put_grant(&stamped["request"]["object"]);
    assert!(
        world
            .exec("r1", |_| {})
            .await
            .denial()
            .contains("waits for a grant")
    );
}

// H13
#[tokio::test]
async fn nothing_is_sealed_for_somebody_who_may_not_answer() {
    let approvers = Approvers {
        groups: Some(vec!["sre".to_owned()]),
        programs: Vec::new(),
    };
    let world = World::new(Settings {
        approvers,
        ..sealing()
    });
    world.put_request(&request());
    let mut review = granting("bob");
    review["request"]["object"] = grant("granted");
    assert!(
        stamp(&world, &review)
            .await
            .unwrap_err()
            .contains("in none of the groups")
    );
}

// H7, H8, H9, H10
#[rstest]
#[case::a_member(Some(&["sre"][..]), "amy", &["sre"], None)]
#[case::no_member(Some(&["sre"][..]), "amy", &["devs"], Some("in none of the groups that answer"))]
#[case::another_case(Some(&["sre"][..]), "amy", &["SRE"], Some("in none of the groups"))]
#[case::nobody_is_an_approver(Some(&[""][..]), "amy", &["sre"], Some("in none of the groups"))]
#[case::a_program(None, "system:serviceaccount:argocd:app", &[], Some("--approver-service-account"))]
#[case::a_listed_program(None, "system:serviceaccount:ci:bot", &[], None)]
#[tokio::test]
async fn only_approvers_answer(
    #[case] groups: Option<&[&str]>,
    #[case] by: &str,
    #[case] hers: &[&str],
    #[case] refusal: Option<&str>,
) {
    let approvers = Approvers {
        groups: groups.map(|groups| groups.iter().map(|&group| group.to_owned()).collect()),
        programs: vec!["system:serviceaccount:ci:bot".to_owned()],
    };
    let world = World::new(Settings {
        approvers,
        ..sealing()
    });
    world.put_request(&request());
    for status in ["granted", "denied"] {
        let mut review = granting(by);
        review["request"]["userInfo"]["groups"] = json!(hers);
        review["request"]["object"] = grant(status);
        let said = file(&world, &review).await;
        match refusal {
            None => assert!(said.allowed()),
            Some(text) => assert!(said.denial().contains(text), "{}", said.denial()),
        }
    }
}

/// What grants jane's requests with a reason at once.
fn at_once() -> Value {
    let rules = json!({"subjects": [{"kind": "User", "name": "jane"}], "namespaces": ["default"], "subresources": ["exec"], "reason": {}});
    policy("Allow", rules)
}

fn with_a_reason() -> Value {
    let mut request = request();
    request["spec"]["reason"] = json!("OPS-1");
    request
}

// K6
#[tokio::test]
async fn no_policy_grants_a_request_that_was_written_past_the_server() {
    let world = World::new(sealing());
    world.put_policy(&at_once());
    world.plant_request(&with_a_reason());
    assert!(
        world
            .exec("r1", |_| {})
            .await
            .denial()
            .contains("waits for a grant")
    );
    world.put_request(&with_a_reason());
    assert!(world.exec("r2", |_| {}).await.allowed());
}

// K6
#[tokio::test]
async fn a_request_that_was_written_past_the_server_can_be_denied_and_not_granted() {
    let world = World::new(sealing());
    world.plant_request(&request());
    let mut review = granting("amy");
    review["request"]["object"] = grant("granted");
    let said = file(&world, &review).await;
    assert!(
        said.denial().contains("it was filed past this server"),
        "{}",
        said.denial()
    );
    review["request"]["object"] = grant("denied");
    assert!(file(&world, &review).await.allowed());
}

// K6
#[tokio::test]
async fn a_request_is_sealed_when_it_is_filed_and_not_by_a_dry_run() {
    let world = World::new(sealing());
    let stamped = stamp(&world, &filing()).await.unwrap();
    assert!(stamped["request"]["object"]["metadata"]["annotations"][SEAL].is_string());
    assert!(world.post("/validate", stamped.to_string()).await.allowed());
    let mut other = stamped.clone();
    other["request"]["object"]["spec"]["reason"] = json!("another");
    let said = world.post("/validate", other.to_string()).await;
    assert!(
        said.denial()
            .contains("the request is not sealed as the server does it"),
        "{}",
        said.denial()
    );
    let mut dry = filing();
    dry["request"]["dryRun"] = json!(true);
    let dry = stamp(&world, &dry).await.unwrap();
    assert!(dry["request"]["object"]["metadata"]["annotations"][SEAL].is_null());
    assert!(world.post("/validate", dry.to_string()).await.allowed());
}

fn plain() -> Value {
    let rules = json!({"subjects": [{"kind": "User", "name": "jane"}], "namespaces": ["default"], "subresources": ["exec"]});
    policy("Allow", rules)
}

// K6
#[tokio::test]
async fn a_policy_that_was_written_past_the_server_permits_nothing_and_forbids_what_it_forbids() {
    let world = World::new(sealing());
    world.plant_policy(&plain());
    assert!(
        world
            .exec("r1", |_| {})
            .await
            .denial()
            .contains("you have not asked")
    );
    world.put_policy(&plain());
    assert!(world.exec("r2", |_| {}).await.allowed());
    world.store_policy(&plain());
    assert!(
        !world.exec("r3", |_| {}).await.allowed(),
        "what was read decides, not memory"
    );
    world.plant_policy(&policy("Deny", json!({})));
    assert!(
        world
            .exec("r4", |_| {})
            .await
            .denial()
            .contains("forbids this")
    );
}

/// The review of a policy that is changed from one into another.
fn changing(old: &Value, new: &Value) -> Value {
    let mut review = writing(new);
    review["request"]["operation"] = json!("UPDATE");
    review["request"]["oldObject"] = old.clone();
    review
}

// K6
#[tokio::test]
async fn a_policy_is_sealed_when_it_is_written_and_with_every_change() {
    let world = World::new(sealing());
    let mut new = plain();
    new["metadata"] = json!({"name": "low-risk"});
    let mut stamped = stamp(&world, &writing(&new)).await.unwrap();
    let object = &mut stamped["request"]["object"];
    // What the API server writes after that.
    object["metadata"]["generation"] = json!(1);
    object["metadata"]["creationTimestamp"] = json!("2026-11-23T15:00:00Z");
    let stored = object.clone();
    assert!(world.post("/validate", stamped.to_string()).await.allowed());
    let mut wider = stored.clone();
    wider["spec"]["namespaces"] = json!(["*"]);
    wider["metadata"]["generation"] = json!(2);
    let bare = changing(&stored, &wider);
    let said = world.post("/validate", bare.to_string()).await;
    assert!(
        said.denial()
            .contains("the policy is not sealed as the server does it"),
        "{}",
        said.denial()
    );
    let stamped = stamp(&world, &bare).await.unwrap();
    assert_ne!(
        stamped["request"]["object"]["metadata"]["annotations"][SEAL],
        stored["metadata"]["annotations"][SEAL]
    );
    assert!(world.post("/validate", stamped.to_string()).await.allowed());
}

// K6
#[tokio::test]
async fn a_program_that_touches_a_planted_policy_does_not_seal_it() {
    let world = World::new(sealing());
    let mut planted = plain();
    planted["metadata"]["resourceVersion"] = json!("7");
    for prepared in ["", "7", "8", "0011"] {
        planted["metadata"]["annotations"] = json!({SEAL: prepared});
        let mut touched = planted.clone();
        touched["metadata"]["labels"] = json!({"app": "gitops"});
        touched["spec"]["namespaces"] = json!(["*"]);
        touched["metadata"]["generation"] = json!(4);
        let stamped = stamp(&world, &changing(&planted, &touched)).await.unwrap();
        assert_eq!(
            stamped["request"]["object"]["metadata"]["annotations"][SEAL],
            prepared
        );
        assert!(world.post("/validate", stamped.to_string()).await.allowed());
    }
}

// K6
#[tokio::test]
async fn an_owner_has_a_policy_sealed_by_the_version_that_they_read() {
    let world = World::new(sealing());
    let mut planted = plain();
    planted["metadata"]["resourceVersion"] = json!("7");
    let mut read = planted.clone();
    read["metadata"]["annotations"] = json!({SEAL: "6"});
    let said = file(&world, &changing(&planted, &read)).await;
    assert!(
        said.denial()
            .contains("must be the resourceVersion of the policy that you have read"),
        "{}",
        said.denial()
    );
    read["metadata"]["annotations"] = json!({SEAL: "7"});
    let stamped = stamp(&world, &changing(&planted, &read)).await.unwrap();
    assert!(world.post("/validate", stamped.to_string()).await.allowed());
    world.plant_policy(&stamped["request"]["object"]);
    assert!(world.exec("r1", |_| {}).await.allowed());
}

/// A request that was sealed by these keys, and shows in the index.
fn waits(world: &World, sealer: &Sealer, number: usize) -> String {
    let mut waits = request();
    waits["metadata"]["name"] = json!(format!("ask-{number}"));
    waits["metadata"]["uid"] = json!(format!("uid-{number}"));
    let typed: AccessRequest = serde_json::from_value(waits.clone()).unwrap();
    let seal = sealer.seal_request(&typed, "2026-11-23T15:00:00Z".parse().unwrap());
    waits["metadata"]["annotations"][SEAL] = json!(seal.unwrap());
    let path = REQUEST.replace("/ask", &format!("/ask-{number}"));
    world.api.store(&path, &waits);
    let shown = serde_json::from_value(waits).unwrap();
    world
        .index
        .apply_request(kube::runtime::watcher::Event::Apply(shown));
    path
}

#[tokio::test]
async fn one_object_that_cannot_be_sealed_anew_keeps_no_other_from_it_and_is_named() {
    let world = World::new(Settings::default());
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("key");
    std::fs::write(&file, "0123456789abcdef0123456789abcdef").unwrap();
    let sealer = Arc::new(Sealer::load(file.clone()).unwrap());
    let paths: Vec<String> = (0..5)
        .map(|number| waits(&world, &sealer, number))
        .collect();
    // One of the grants cannot even be decoded.
    let mut broken = grant("granted");
    broken["spec"]["grantFor"] = json!("ask-0");
    broken["status"] = json!({"of": "another version"});
    world.api.store(GRANT, &broken);
    let before: Vec<Value> = paths.iter().map(|path| world.api.get(path)).collect();
    std::fs::write(&file, "fedcba9876543210fedcba9876543210").unwrap();
    sealer.reload().unwrap();
    let context = world.controllers_with(&sealer);
    world.api.next_fault(
        http::Method::PATCH,
        "/ask-2",
        Effect::Fails(http::StatusCode::FORBIDDEN),
    );
    let error = sealing::look(&context, &world.index).await.unwrap_err();
    assert!(
        error.to_string().ends_with("accessrequest default/ask-2"),
        "{error}"
    );
    let renewed = || {
        let seals = paths.iter().zip(&before);
        seals
            .filter(|(path, before)| {
                world.api.get(path)["metadata"]["annotations"] != before["metadata"]["annotations"]
            })
            .count()
    };
    assert_eq!(renewed(), 4);
    assert!(sealer.renewal().is_some(), "the older key stays");
    sealing::look(&context, &world.index).await.unwrap();
    assert_eq!(renewed(), 5);
    assert!(sealer.renewal().is_none(), "it is gone");
}

#[tokio::test]
async fn nobody_keeps_us_from_sealing_anew_by_filling_an_object() {
    let (world, mut full) = sealed().await;
    full["metadata"]["annotations"]["note"] = json!("x".repeat(64 * 1024 - 4));
    let mut review = granting("amy");
    review["request"]["object"] = full.clone();
    assert!(world.post("/validate", review.to_string()).await.allowed());
    let mut renewal = recorded("accessgrant-update");
    renewal["request"]["oldObject"] = full.clone();
    full["metadata"]["annotations"][SEAL] =
        json!(format!("2026-11-23T15:00:00Z {}", "0".repeat(64)));
    renewal["request"]["object"] = full.clone();
    let said = world.post("/validate", renewal.to_string()).await;
    assert!(said.allowed(), "{}", said.body);
    // That leaves nobody more room than a seal takes.
    full["metadata"]["annotations"][SEAL] = json!("x".repeat(1000));
    renewal["request"]["object"] = full;
    let said = world.post("/validate", renewal.to_string()).await;
    assert!(
        said.denial().contains("the maximum is 65536"),
        "{}",
        said.body
    );
}
