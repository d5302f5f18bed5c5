//! Grants are sealed: what was written while we were away grants nothing.

use decide::identity::Approvers;
use rstest::rstest;
use serde_json::{Value, json};

use crate::{
    objects::{file, granting, stamp},
    world::{GRANT, Settings, World, grant, request},
};

fn sealing() -> Settings {
    Settings { sealed: true, ..Settings::default() }
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
    assert!(world.exec("r1", |_| {}).await.denial().contains("waits for a grant"));
    assert_eq!(world.uses(), 0);
}

#[tokio::test]
async fn a_seal_is_always_the_servers_own() {
    let (world, sealed) = sealed().await;
    let mut copied = granting("amy");
    copied["request"]["object"] = sealed.clone();
    copied["request"]["object"]["spec"]["validFor"] = json!("1m");
    let said = world.post("/validate", copied.to_string()).await;
    assert!(said.denial().contains("spec.seal is not what the server stamps"), "{}", said.denial());
    let restamped = stamp(&world, &copied).await.unwrap();
    assert_ne!(restamped["request"]["object"]["spec"]["seal"], sealed["spec"]["seal"]);
}

#[tokio::test]
async fn a_grant_that_is_stored_again_later_ends_when_the_first_did() {
    let world = World::granted_with(sealing(), |request| request["spec"]["validFor"] = json!("1h"));
    let mut review = granting("amy");
    review["request"]["object"] = grant("granted");
    let mut again = stamp(&world, &review).await.unwrap()["request"]["object"].clone();
    world.pass(3599);
    again["metadata"]["creationTimestamp"] = json!("2026-11-23T15:59:59Z");
    world.put_grant(&again);
    assert!(world.exec("r1", |_| {}).await.allowed());
    world.pass(1);
    assert!(world.exec("r2", |_| {}).await.denial().contains("ended"), "not another hour");
}

#[tokio::test]
async fn a_denial_needs_no_seal() {
    let (world, sealed) = sealed().await;
    world.put_grant(&sealed);
    let mut denial = grant("denied");
    denial["metadata"]["name"] = json!("deny-ask");
    world.api.store(&GRANT.replace("grant-ask", "deny-ask"), &denial);
    let denial = serde_json::from_value(denial).unwrap();
    world.index.apply_grant(kube::runtime::watcher::Event::Apply(denial));
    assert!(world.exec("r1", |_| {}).await.denial().contains("denied your request"));
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
    assert!(world.post("/validate", stored.to_string()).await.denial().contains("spec.seal is not what"));
    world.put_grant(&stamped["request"]["object"]);
    assert!(world.exec("r1", |_| {}).await.denial().contains("waits for a grant"));
}

// H13
#[tokio::test]
async fn nothing_is_sealed_for_somebody_who_may_not_answer() {
    let approvers = Approvers { groups: Some(vec!["sre".to_owned()]), programs: Vec::new() };
    let world = World::new(Settings { approvers, ..sealing() });
    world.put_request(&request());
    let mut review = granting("bob");
    review["request"]["object"] = grant("granted");
    let stamped = stamp(&world, &review).await.unwrap();
    assert!(stamped["request"]["object"]["spec"]["seal"].is_null());
    world.put_grant(&stamped["request"]["object"]);
    assert!(world.exec("r1", |_| {}).await.denial().contains("waits for a grant"));
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
    let world = World::new(Settings { approvers, ..sealing() });
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
