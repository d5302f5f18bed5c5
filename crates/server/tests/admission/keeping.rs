//! What stays of a request that opened something, when it is deleted.

use http::{Method, StatusCode};
use rstest::rstest;
use serde_json::{Value, json};
use server::cluster::records::Records;

use crate::{
    fake_api::Effect,
    objects::deleting,
    policies::policy,
    records::Log,
    world::{GRANT, REQUEST, Said, Settings, World, grant, keep, request},
};

const RECORDS: &str = "/api/v1/namespaces/kube-request-access/configmaps/";
const NAMESPACE_CONTROLLER: &str = "system:serviceaccount:kube-system:namespace-controller";
const OURSELVES: &str = "system:serviceaccount:kube-request-access:kube-request-access";

/// A world in which jane used what amy granted.
async fn used() -> World {
    let world = World::granted();
    assert!(world.exec("r1", |_| {}).await.allowed());
    world.until_answered().await;
    world
}

/// A world in which jane may run `date` for an hour, by amy's grant.
fn for_an_hour() -> World {
    World::granted_with(Settings::default(), |request| {
        request["spec"]["validFor"] = json!("1h");
    })
}

async fn deletes(world: &World, by: &str) -> Said {
    world
        .post(
            "/validate",
            deleting(by, &world.api.get(REQUEST), "accessrequests").to_string(),
        )
        .await
}

/// All records, each with its ConfigMap.
fn records(world: &World) -> Vec<(Value, Value)> {
    let text = |object: &Value| {
        serde_json::from_str(object["data"]["record.json"].as_str().unwrap()).unwrap()
    };
    world
        .api
        .below(RECORDS)
        .into_iter()
        .map(|object| (text(&object), object))
        .collect()
}

// K17
#[tokio::test]
async fn a_record_of_what_was_used_stays_and_says_who_granted_and_deleted_it() {
    let world = used().await;
    world.reconcile().await;
    assert!(deletes(&world, "jane").await.allowed());
    let [(record, object)] = records(&world).try_into().unwrap();
    assert_eq!(
        object["metadata"]["name"],
        "kube-request-access-record-ask-1"
    );
    let labels = &object["metadata"]["labels"];
    assert_eq!(labels["spreadgroup.com/record-namespace"], "default");
    assert_eq!(
        labels["spreadgroup.com/record-person"],
        "81f8f6dde88365f3928796ec7aa53f72"
    );
    assert_eq!(labels["spreadgroup.com/record-request"], "ask-1");
    assert_eq!(object["immutable"], true);
    assert_eq!(record["deleted"]["by"]["username"], "jane");
    assert_eq!(record["deleted"]["at"], "2026-11-23T15:00:00Z");
    assert_eq!(record["request"]["user"]["username"], "jane");
    assert_eq!(record["request"]["name"], "ask");
    assert_eq!(record["spec"]["execOptions"]["command"], json!(["date"]));
    assert_eq!(record["grants"][0]["by"]["username"], "amy");
    assert_eq!(record["uses"][0]["reviewUID"], "r1");
    assert_eq!(record["status"]["phase"], "Used");
}

// K17
#[rstest]
#[case::not_granted(|world: &World| world.api.remove(GRANT))]
#[case::granted_for_one_use_that_was_not_made(|_: &World| {})]
#[tokio::test]
async fn of_what_opened_nothing_nothing_is_kept(#[case] change: fn(&World)) {
    let world = World::granted();
    change(&world);
    assert!(deletes(&world, "jane").await.allowed());
    assert_eq!(records(&world), []);
}

// K17
#[rstest]
#[case::its_grant_says_so(|_: &World| {})]
#[case::its_status_says_so(|world: &World| {
    world.api.remove(GRANT);
    world.api.change(REQUEST, |request| request["status"] = json!({"phase": "Expired", "grantedBy": ["amy"]}));
})]
#[case::it_cannot_be_read(|world: &World| {
    world.api.next_fault(Method::GET, "/accessgrants", Effect::Fails(StatusCode::INTERNAL_SERVER_ERROR));
})]
#[case::a_policy_says_so(|world: &World| {
    world.api.remove(GRANT);
    world.put_policy(&policy("Allow", json!({"subjects": [{"kind": "User", "name": "jane"}], "namespaces": ["default"], "subresources": ["exec"], "reason": {}})));
    world.api.change(REQUEST, |request| request["spec"]["reason"] = json!("the shop is down"));
})]
#[case::a_policy_did_for_a_second_that_is_over(|world: &World| {
    world.api.remove(GRANT);
    world.put_policy(&policy("Allow", json!({"subjects": [{"kind": "User", "name": "jane"}], "namespaces": ["default"], "subresources": ["exec"], "reason": {}})));
    world.api.change(REQUEST, |request| {
        request["spec"]["reason"] = json!("the shop is down");
        request["spec"]["validFor"] = json!("1s");
        request["metadata"]["creationTimestamp"] = json!("2026-11-23T14:59:50Z");
    });
})]
#[tokio::test]
async fn of_access_for_a_time_nobody_counts_the_uses_and_a_record_is_kept(
    #[case] change: fn(&World),
) {
    let world = for_an_hour();
    change(&world);
    assert!(deletes(&world, "amy").await.allowed());
    assert_eq!(records(&world).len(), 1);
}

// K17
#[tokio::test]
async fn whoever_deletes_the_grant_first_leaves_a_record_of_it() {
    let world = for_an_hour();
    let by_jane = deleting("jane", &grant("granted"), "accessgrants");
    assert!(world.post("/validate", by_jane.to_string()).await.allowed());
    world.api.remove(GRANT);
    assert!(deletes(&world, "jane").await.allowed());
    let [(record, object)] = records(&world).try_into().unwrap();
    assert_eq!(
        object["metadata"]["name"],
        "kube-request-access-record-grant-1"
    );
    assert_eq!(
        (&record["deleted"]["kind"], &record["deleted"]["name"]),
        (&json!("AccessGrant"), &json!("grant-ask"))
    );
    assert_eq!(record["grants"][0]["by"]["username"], "amy");
}

// K17
#[rstest]
#[case::hers("jane")]
#[case::somebody_always_allowed("root")]
#[tokio::test]
async fn where_no_record_can_be_kept_people_delete_nothing(#[case] by: &str) {
    let world = used().await;
    let delete = || {
        let mut review = deleting(by, &world.api.get(REQUEST), "accessrequests");
        review["request"]["userInfo"]["groups"] = json!(if by == "root" {
            vec!["system:masters"]
        } else {
            vec![]
        });
        world.post("/validate?timeout=1s", review.to_string())
    };
    world.api.next_fault(
        Method::POST,
        "/configmaps",
        Effect::Fails(StatusCode::FORBIDDEN),
    );
    let said = delete().await;
    assert!(
        said.denial()
            .contains("could not be kept, so nothing was deleted"),
        "{}",
        said.denial()
    );
    world
        .api
        .next_fault(Method::POST, "/configmaps", Effect::Hangs);
    assert!(!delete().await.allowed());
    assert!(delete().await.allowed());
}

// K17
#[rstest]
#[case::refused(Effect::Fails(StatusCode::FORBIDDEN))]
#[case::never_answered(Effect::Hangs)]
#[tokio::test]
async fn where_no_record_can_be_kept_a_namespace_ends_and_the_record_stands_in_the_log(
    #[case] effect: Effect,
) {
    let world = used().await;
    tokio::time::pause();
    let began = tokio::time::Instant::now();
    world.api.next_fault(Method::POST, "/configmaps", effect);
    let (log, _guard) = Log::begin();
    assert!(deletes(&world, NAMESPACE_CONTROLLER).await.allowed());
    assert!(began.elapsed().as_secs() <= 2, "{:?}", began.elapsed());
    let lines = log.audit();
    let record = lines
        .iter()
        .find_map(|line| line["record"].as_str())
        .unwrap();
    let record: Value = serde_json::from_str(record).unwrap();
    assert_eq!(record["grants"][0]["by"]["username"], "amy");
    assert_eq!(record["uses"][0]["reviewUID"], "r1");
}

// K17
#[tokio::test]
async fn a_namespace_with_many_requests_waits_for_their_records_once() {
    let world = used().await;
    tokio::time::pause();
    let began = tokio::time::Instant::now();
    for _ in 0..100 {
        world
            .api
            .next_fault(Method::POST, "/configmaps", Effect::Hangs);
        assert!(deletes(&world, NAMESPACE_CONTROLLER).await.allowed());
    }
    assert!(began.elapsed().as_secs() < 30, "{:?}", began.elapsed());
    assert!(deletes(&world, NAMESPACE_CONTROLLER).await.allowed());
    assert_eq!(records(&world).len(), 1, "it is tried all the same");
}

// K17
#[tokio::test]
async fn a_namespace_ends_with_an_emergency_in_it_that_nobody_reviewed_and_its_record_stays() {
    let world = World::new(Settings::default());
    let more = json!({"subjects": [{"kind": "User", "name": "jane"}], "namespaces": ["default"], "subresources": ["exec"], "reason": {},
        "emergency": {"reviewWithin": "24h"}});
    world.put_policy(&policy("Allow", more));
    let mut request = request();
    request["spec"]["reason"] = json!("the shop is down");
    world.put_request(&request);
    world.reconcile().await;
    assert!(deletes(&world, NAMESPACE_CONTROLLER).await.allowed());
    let [(record, _)] = records(&world).try_into().unwrap();
    assert_eq!(record["emergency"]["since"], "2026-11-23T15:00:00Z");
    assert_eq!(
        (&record["reviewed"], &record["uses"]),
        (&Value::Null, &json!([]))
    );
    assert_eq!(record["spec"]["reason"], "the shop is down");
    assert_eq!(record["deleted"]["by"]["username"], NAMESPACE_CONTROLLER);
}

// K17
#[tokio::test]
async fn our_own_clean_up_and_a_dry_run_keep_nothing() {
    let world = used().await;
    assert!(deletes(&world, OURSELVES).await.allowed());
    let mut review = deleting("jane", &world.api.get(REQUEST), "accessrequests");
    review["request"]["dryRun"] = json!(true);
    assert!(world.post("/validate", review.to_string()).await.allowed());
    assert_eq!(records(&world), []);
}

// K17
#[tokio::test]
async fn a_deletion_that_was_not_carried_out_leaves_no_old_record() {
    let world = for_an_hour();
    assert!(deletes(&world, "amy").await.allowed());
    world.api.change(REQUEST, |request| {
        request["status"]["denied"] = json!({"by": "ann", "at": "2026-11-23T15:00:00Z"});
    });
    assert!(deletes(&world, NAMESPACE_CONTROLLER).await.allowed());
    let [(record, _)] = records(&world).try_into().unwrap();
    assert_eq!(
        (
            &record["denied"]["by"],
            &record["deleted"]["by"]["username"]
        ),
        (&json!("ann"), &json!(NAMESPACE_CONTROLLER))
    );
}

// K17
#[tokio::test]
async fn of_too_many_records_the_oldest_of_that_person_and_namespace_goes() {
    let world = used().await;
    let record = |name: String, namespace: &str, person: &str, at: &str| {
        let labels = json!({"spreadgroup.com/record-namespace": namespace, "spreadgroup.com/record-person": person});
        let metadata = json!({"name": name, "uid": "u", "creationTimestamp": at, "labels": labels});
        let object = json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata});
        world.api.store(&format!("{RECORDS}{name}"), &object);
    };
    let hers = "81f8f6dde88365f3928796ec7aa53f72";
    record(
        "kube-request-access-record-oldest".to_owned(),
        "default",
        hers,
        "2026-11-20T15:00:00Z",
    );
    for number in 0..49 {
        record(
            format!("kube-request-access-record-{number}"),
            "default",
            hers,
            "2026-11-21T15:00:00Z",
        );
    }
    record(
        "kube-request-access-record-amy".to_owned(),
        "default",
        "amy",
        "2026-11-19T15:00:00Z",
    );
    record(
        "kube-request-access-record-shop".to_owned(),
        "shop",
        hers,
        "2026-11-19T15:00:00Z",
    );
    record(
        "something-else".to_owned(),
        "default",
        hers,
        "2026-11-01T15:00:00Z",
    );
    assert!(deletes(&world, "jane").await.allowed());
    assert!(
        world
            .api
            .get(&format!("{RECORDS}kube-request-access-record-oldest"))
            .is_null()
    );
    assert_eq!(world.api.below(RECORDS).len(), 53);
    assert!(
        !world
            .api
            .get(&format!("{RECORDS}kube-request-access-record-ask-1"))
            .is_null()
    );
}

// K17
#[tokio::test]
async fn records_are_cleaned_up_after_the_time_of_finished_requests() {
    let world = used().await;
    assert!(deletes(&world, "jane").await.allowed());
    let records_of = Records::new(world.api.client(), "kube-request-access", keep());
    let clean_up = |at: &str| {
        let (records, at) = (records_of.clone(), at.parse().unwrap());
        async move { records.clean_up(at).await.unwrap() }
    };
    clean_up("2026-11-30T14:59:59Z").await;
    assert_eq!(records(&world).len(), 1);
    clean_up("2026-11-30T15:00:00Z").await;
    assert_eq!(records(&world), []);
}

// K17
#[tokio::test]
async fn the_longest_request_has_a_record_within_its_bound() {
    let world = used().await;
    world.api.change(REQUEST, |request| {
        request["spec"]["execOptions"]["command"] = json!(vec!["\u{1}".repeat(4096); 8]);
        request["spec"]["userInfo"]["groups"] = json!(vec!["g".repeat(512); 512]);
        request["spec"]["userInfo"]["username"] = json!("\"".repeat(512));
        let one = request["status"]["uses"][0].clone();
        request["status"]["uses"] = json!(vec![one; 16]);
    });
    assert!(deletes(&world, "amy").await.allowed());
    let [(record, object)] = records(&world).try_into().unwrap();
    let text = object["data"]["record.json"].as_str().unwrap();
    assert!((4096..=8192).contains(&text.len()), "{}", text.len());
    assert!(record["spec"]["sha256"].is_string());
    assert_eq!(
        record["grants"][0]["by"]["username"], "amy",
        "what is short stands whole"
    );
}
