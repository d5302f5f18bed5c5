//! Reviews that a forger, a clock or an API server of another time would send.

use axum::{
    body::Body,
    http::{Request, StatusCode},
};
use rstest::rstest;
use serde_json::{Value, json};

use crate::{
    objects::{deleting, file, filing, granting, stamp},
    world::{GRANT, REQUEST, Settings, World, grant, recorded, request},
};

// R1: whatever is not exactly a review of a door or of our objects is denied.
#[rstest]
#[case::of_another_group(|request: &mut Value| request["resource"]["group"] = json!("apps"))]
#[case::of_a_thing_that_only_ends_like_it(|request: &mut Value| request["resource"]["resource"] = json!("xpods"))]
#[case::in_another_case(|request: &mut Value| request["resource"]["resource"] = json!("Pods"))]
#[case::of_the_pod_itself(|request: &mut Value| drop(request.as_object_mut().unwrap().remove("subResource")))]
#[case::of_another_door(|request: &mut Value| request["subResource"] = json!("exec/"))]
#[case::of_a_door_in_another_case(|request: &mut Value| request["subResource"] = json!("EXEC"))]
#[case::as_a_creation(|request: &mut Value| request["operation"] = json!("CREATE"))]
#[case::as_an_update(|request: &mut Value| request["operation"] = json!("UPDATE"))]
#[case::as_a_deletion(|request: &mut Value| request["operation"] = json!("DELETE"))]
#[case::of_our_status(|request: &mut Value| {
    request["resource"] = json!({"group": "spreadgroup.com", "version": "v1", "resource": "accessrequests"});
    request["subResource"] = json!("status");
    request["operation"] = json!("UPDATE");
})]
#[case::of_a_connection_to_our_objects(|request: &mut Value| {
    request["resource"] = json!({"group": "spreadgroup.com", "version": "v1", "resource": "accessgrants"});
    request["subResource"] = Value::Null;
})]
#[case::in_no_namespace(|request: &mut Value| request["namespace"] = Value::Null)]
#[case::of_no_pod(|request: &mut Value| request["name"] = Value::Null)]
#[case::by_nobody(|request: &mut Value| request["userInfo"] = json!({}))]
#[case::by_an_empty_name(|request: &mut Value| request["userInfo"]["username"] = json!(""))]
#[case::by_almost_jane(|request: &mut Value| request["userInfo"]["username"] = json!("jane\u{200b}"))]
#[case::by_jane_in_capitals(|request: &mut Value| request["userInfo"]["username"] = json!("Jane"))]
#[case::by_almost_a_master(|request: &mut Value| {
    request["userInfo"] = json!({"username": "eve", "groups": ["system:masters ", "System:masters", "system:master"]});
})]
#[case::with_the_masters_elsewhere(|request: &mut Value| {
    request["userInfo"] = json!({"username": "eve", "extra": {"groups": ["system:masters"]}});
})]
#[case::with_a_list_for_options(|request: &mut Value| {
    request["object"] = json!(["PodExecOptions", "v1", false, true, true, false, "nginx", ["date"]]);
})]
#[case::with_the_options_as_text(|request: &mut Value| request["object"] = json!(request["object"].to_string()))]
#[case::with_the_options_where_the_old_object_stands(|request: &mut Value| {
    request["oldObject"] = request["object"].take();
})]
#[case::with_more_options_in_metadata(|request: &mut Value| request["object"]["metadata"] = json!({"name": "nginx"}))]
#[tokio::test]
async fn a_review_that_is_none_of_ours_is_denied_and_uses_nothing_up(
    #[case] change: fn(&mut Value),
) {
    let world = World::granted();
    assert!(!world.exec("r1", change).await.denial().is_empty());
    assert_eq!(world.uses(), 0);
    assert!(world.exec("r2", |_| {}).await.allowed());
}

// The requested kind is for conversions, of which there are none: what counts is what will be done.
#[tokio::test]
async fn what_was_requested_before_a_conversion_decides_nothing() {
    let world = World::granted();
    let decoy = |request: &mut Value| {
        request["requestResource"] =
            json!({"group": "", "version": "v1", "resource": "configmaps"});
        request["requestSubResource"] = json!("log");
        request["options"] = json!({"command": ["id"], "dryRun": ["All"]});
        request["name2"] = json!("other");
    };
    assert!(world.exec("r1", decoy).await.allowed());
    assert_eq!(world.uses(), 1);
    assert!(
        world
            .exec("r2", decoy)
            .await
            .denial()
            .contains("was for one use")
    );
}

#[rstest]
#[case::that_is_no_utf8(b"\xff\xfe{}".to_vec())]
#[case::with_no_utf8_in_the_command(recorded("exec-websocket").to_string().replace("date", "d#te").into_bytes()
    .into_iter().map(|byte| if byte == b'#' { 0xff } else { byte }).collect())]
#[case::with_half_a_surrogate_in_the_command(recorded("exec-websocket").to_string().replace("date", r"\ud800").into_bytes())]
#[case::nested_deeply([b"{\"kind\":".repeat(1500), b"1".to_vec(), b"}".repeat(1500)].concat())]
#[case::with_a_number_that_no_float_holds(b"{\"kind\":1e400}".to_vec())]
#[case::with_something_behind_it([recorded("exec-websocket").to_string().into_bytes(), b"{}".to_vec()].concat())]
#[tokio::test]
async fn a_body_is_turned_away(#[case] body: Vec<u8>) {
    let world = World::granted();
    for path in ["/", "/validate", "/mutate"] {
        assert_eq!(
            world.post(path, body.clone()).await.status,
            StatusCode::BAD_REQUEST
        );
    }
    assert_eq!(world.uses(), 0);
}

#[rstest]
#[case::longer_than_it_says("60000")]
#[case::of_no_number("a lot")]
#[case::negative("-1")]
#[case::beyond_all_numbers("99999999999999999999999")]
#[tokio::test]
async fn what_a_body_says_of_its_length_is_no_promise(#[case] length: &str) {
    let world = World::granted();
    let body = Body::from(vec![b' '; 9 * 1024 * 1024]);
    let request = Request::post("/validate")
        .header("content-length", length)
        .body(body)
        .unwrap();
    let said = world.send(request).await;
    assert!(said.status.is_client_error(), "{}", said.status);
    assert!(world.exec("r1", |_| {}).await.allowed());
}

#[rstest]
#[case::of_no_time("0s")]
#[case::negative("-5s")]
#[case::of_a_century("876000h")]
#[case::of_nonsense("%00")]
#[tokio::test]
async fn an_odd_timeout_never_allows_what_could_not_be_recorded(#[case] timeout: &str) {
    let world = World::granted();
    let review = recorded("exec-websocket").to_string();
    let said = world
        .post(&format!("/validate?timeout={timeout}&timeout=10s"), review)
        .await;
    assert_eq!(said.allowed(), world.uses() == 1);
}

// F1
#[tokio::test]
async fn an_attempt_that_is_not_understood_is_counted() {
    let world = World::granted();
    let env = |request: &mut Value| {
        request["object"]["env"] = json!([{"name": "LD_PRELOAD", "value": "/tmp/x.so"}]);
    };
    assert!(
        world
            .exec("r1", env)
            .await
            .denial()
            .contains("not understood in full")
    );
    let metrics = world
        .send(Request::get("/metrics").body(Body::empty()).unwrap())
        .await;
    let counted =
        r#"kube_request_access_reviews_total{path="validate",decision="denied-unclear"} 1"#;
    assert!(
        metrics.body.as_str().unwrap().contains(counted),
        "{}",
        metrics.body
    );
}

// F25
#[rstest]
#[case(json!({}))]
#[case(json!({"stdout": true}))]
#[case(json!({"stderr": true}))]
#[case(json!({"stdout": false, "stderr": false, "stdin": false, "tty": false}))]
#[tokio::test]
async fn which_output_a_client_wants_decides_nothing(#[case] streams: Value) {
    let world = World::granted();
    let said = world
        .exec("r1", |request| {
            let mut options =
                json!({"kind": "PodExecOptions", "apiVersion": "v1", "container": "nginx", "command": ["date"]});
            options.as_object_mut().unwrap().extend(streams.as_object().unwrap().clone());
            request["object"] = options;
        })
        .await;
    assert!(said.allowed());
}

// R9: the API server repeats admission when names collide or objects change meanwhile.
#[tokio::test]
async fn admission_that_is_run_again_answers_the_same() {
    let world = World::new(Settings {
        sealed: true,
        ..Settings::default()
    });
    let review = filing();
    let stamped = stamp(&world, &review).await.unwrap();
    assert_eq!(
        stamp(&world, &stamped).await.unwrap(),
        stamped,
        "a stamp on a stamp"
    );
    for _ in 0..3 {
        assert!(world.post("/validate", stamped.to_string()).await.allowed());
    }
    world.put_request(&request());
    let granted = stamp(&world, &granting("amy")).await.unwrap();
    assert_eq!(stamp(&world, &granted).await.unwrap(), granted);
    for _ in 0..3 {
        assert!(world.post("/validate", granted.to_string()).await.allowed());
    }
    let uid = &granted["request"]["uid"];
    let mut other = granted.clone();
    other["request"]["uid"] = json!(format!("{}-again", uid.as_str().unwrap()));
    assert!(world.post("/validate", other.to_string()).await.allowed());
}

// D22
#[rstest]
#[case::that_would_keep_the_request(|owner: &mut Value| owner["blockOwnerDeletion"] = json!(true))]
#[case::that_is_dead(|owner: &mut Value| owner["uid"] = json!("ask-0"))]
#[case::of_another_kind(|owner: &mut Value| owner["kind"] = json!("AccessGrant"))]
#[case::of_another_group(|owner: &mut Value| owner["apiVersion"] = json!("example.com/v1"))]
#[case::of_another_name(|owner: &mut Value| owner["name"] = json!("other"))]
#[tokio::test]
async fn a_grant_with_an_owner_is_refused(#[case] change: fn(&mut Value)) {
    let world = World::new(Settings::default());
    world.put_request(&request());
    let mut review = granting("amy");
    let mut owner = json!({"apiVersion": "spreadgroup.com/v1", "kind": "AccessRequest", "name": "ask", "uid": "ask-1"});
    let metadata = &mut review["request"]["object"]["metadata"];
    metadata["ownerReferences"] = json!([owner]);
    assert!(
        world.post("/validate", review.to_string()).await.allowed(),
        "its own request is taken"
    );
    change(&mut owner);
    review["request"]["object"]["metadata"]["ownerReferences"] = json!([owner]);
    assert!(
        !world
            .post("/validate", review.to_string())
            .await
            .denial()
            .is_empty()
    );
    let own = json!({"apiVersion": "spreadgroup.com/v1", "kind": "AccessRequest", "name": "ask", "uid": "ask-1"});
    review["request"]["object"]["metadata"]["ownerReferences"] = json!([own, owner]);
    assert!(
        !world
            .post("/validate", review.to_string())
            .await
            .denial()
            .is_empty()
    );
}

// E14: a clock that goes before the API server's, and one that goes after it.
#[rstest]
#[case::of_the_grant(GRANT)]
#[case::of_the_request(REQUEST)]
#[tokio::test]
async fn what_was_made_in_the_future_counts_when_that_has_come(#[case] path: &'static str) {
    let world = World::granted_with(Settings::default(), |request| {
        request["spec"]["validFor"] = json!("1h");
    });
    let later = json!("2026-11-23T15:00:30Z");
    let mut object = world.api.get(path);
    object["metadata"]["creationTimestamp"] = later;
    if path == GRANT {
        world.put_grant(&object);
    } else {
        world.put_request(&object);
    }
    assert!(!world.exec("r1", |_| {}).await.denial().is_empty());
    world.pass(24);
    assert!(!world.exec("r2", |_| {}).await.denial().is_empty());
    world.pass(1);
    assert!(
        world.exec("r3", |_| {}).await.allowed(),
        "clocks differ by five seconds at most"
    );
}

// D20, D30: of a denial, being deleted changes nothing.
#[tokio::test]
async fn a_denial_that_is_being_deleted_still_denies() {
    let world = World::granted();
    let mut denial = grant("denied");
    denial["metadata"]["deletionTimestamp"] = json!("2026-11-23T15:00:00Z");
    denial["metadata"]["finalizers"] = json!(["keep/me"]);
    world.put_grant(&denial);
    assert!(
        world
            .exec("r1", |_| {})
            .await
            .denial()
            .contains("denied your request")
    );
}

// R11: an answer that is none would stand in the way for ever, were a denial of it waited for.
#[tokio::test]
async fn what_is_no_answer_can_be_taken_away_by_whoever_may_take_away_anything() {
    let world = World::new(Settings::default());
    world.put_request(&request());
    let mut nothing = grant("granted");
    nothing.as_object_mut().unwrap().remove("status");
    for (answer, may) in [
        (nothing, true),
        (grant("maybe"), true),
        (grant("denied"), false),
    ] {
        let mut review = deleting("root", &answer, "accessgrants");
        review["request"]["userInfo"]["groups"] = json!(["system:masters"]);
        assert_eq!(
            world.post("/validate", review.to_string()).await.allowed(),
            may,
            "{answer}"
        );
    }
}

// C19
#[tokio::test]
async fn a_connection_is_never_a_dry_run_and_a_dry_run_of_a_request_writes_nothing() {
    let world = World::granted();
    assert!(
        world
            .exec("r1", |request| request["dryRun"] = json!(true))
            .await
            .allowed()
    );
    assert_eq!(world.uses(), 1);
    world.until_answered().await;
    let mut review = filing();
    review["request"]["dryRun"] = json!(true);
    let world = World::new(Settings::default());
    assert!(file(&world, &review).await.allowed());
    assert!(
        world
            .api
            .requests()
            .iter()
            .all(|(method, _)| *method != http::Method::PUT)
    );
}
