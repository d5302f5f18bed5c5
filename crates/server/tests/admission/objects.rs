//! Writes to requests and grants.

use base64::Engine as _;
use rstest::rstest;
use serde_json::{Value, json};

use crate::world::{REQUEST, Said, Settings, World, grant, recorded, request};

pub(crate) fn filing() -> Value {
    let mut review = recorded("accessrequest-create");
    review["request"]["object"]["metadata"]["creationTimestamp"] = json!("2026-11-23T15:00:00Z");
    review
}

pub(crate) fn granting(by: &str) -> Value {
    let mut review = recorded("accessgrant-create");
    review["request"]["userInfo"] = json!({"username": by});
    review["request"]["object"] = grant("granted");
    review["request"]["object"]["spec"]["grantedBy"] = json!({"username": by});
    review
}

/// What `/mutate` makes of the object, put back into the review.
pub(crate) async fn stamp(world: &World, review: &Value) -> Result<Value, String> {
    stamped(world, review)
        .await
        .map_err(|said| said.denial().to_owned())
}

async fn stamped(world: &World, review: &Value) -> Result<Value, Said> {
    let said = world.post("/mutate", review.to_string()).await;
    if !said.allowed() {
        return Err(said);
    }
    assert_eq!(said.body["response"]["patchType"], "JSONPatch");
    let patch = said.body["response"]["patch"].as_str().unwrap();
    let patch = base64::engine::general_purpose::STANDARD
        .decode(patch)
        .unwrap();
    let mut review = review.clone();
    let patch: json_patch::Patch = serde_json::from_slice(&patch).unwrap();
    json_patch::patch(&mut review["request"]["object"], &patch).unwrap();
    Ok(review)
}

/// What the API server is told of a creation: by whichever of the two refuses it.
pub(crate) async fn file(world: &World, review: &Value) -> Said {
    match stamped(world, review).await {
        Ok(stamped) => world.post("/validate", stamped.to_string()).await,
        Err(refused) => refused,
    }
}

#[tokio::test]
async fn a_request_is_stamped_with_who_files_and_what_is_meant() {
    let world = World::new(Settings::default());
    let mut review = filing();
    review["request"]["object"]["spec"]["forObject"]["namespace"] = Value::Null;
    let stamped = stamp(&world, &review).await.unwrap();
    let spec = &stamped["request"]["object"]["spec"];
    let jane = json!({"username": "jane", "groups": ["devs", "system:authenticated"]});
    assert_eq!(spec["userInfo"], jane);
    assert_eq!(spec["createdBy"], jane);
    assert_eq!(spec["forObject"]["uid"], "pod-1");
    assert_eq!(spec["forObject"]["namespace"], "default");
    assert_eq!(spec["execOptions"]["container"], "nginx");
    assert_eq!(spec["execOptions"]["command"], json!(["date"]));
    assert!(world.post("/validate", stamped.to_string()).await.allowed());
}

#[tokio::test]
async fn a_request_that_was_not_stamped_is_refused() {
    let world = World::new(Settings::default());
    let said = world.post("/validate", filing().to_string()).await;
    assert!(
        said.denial().contains("MutatingWebhookConfiguration"),
        "{}",
        said.denial()
    );
}

// D1, D2
#[rstest]
#[case::user("/userInfo/username", json!("bob"), "\"bob\", but you are \"jane\"")]
#[case::groups("/userInfo/groups", json!(["admins"]), "userInfo is not what the server stamps")]
#[case::filer("/createdBy/username", json!("bob"), "createdBy is not what the server stamps")]
#[case::cluster("/clusterName", json!("staging"), "clusterName is not what the server stamps")]
#[case::no_uid("/forObject/uid", json!(""), "forObject.uid is not what the server stamps")]
#[case::no_container("/execOptions/container", json!(""), "execOptions.container is not what the server stamps")]
#[tokio::test]
async fn what_is_changed_after_the_stamp_is_refused(
    #[case] pointer: &str,
    #[case] value: Value,
    #[case] text: &str,
) {
    let world = World::new(Settings::default());
    let mut stamped = stamp(&world, &filing()).await.unwrap();
    *stamped["request"]["object"]["spec"]
        .pointer_mut(pointer)
        .unwrap() = value;
    let said = world.post("/validate", stamped.to_string()).await;
    assert!(said.denial().contains(text), "{}", said.denial());
}

#[rstest]
#[case::other_user("/userInfo/username", json!("bob"), "only always-allowed users may file requests for others")]
#[case::other_kind("/forObject/resource/resource", json!("services"), "cannot be asked for")]
#[case::missing_pod("/forObject/name", json!("nothing"), "pods \"nothing\" not found in namespace default")]
#[case::missing_container("/execOptions", json!({"container": "x"}), "container \"x\" not found in \"nginx\": it has nginx")]
#[case::stale_uid("/forObject", json!({
    "resource": {"group": "", "version": "v1", "resource": "pods"}, "subResource": "exec", "name": "nginx", "uid": "pod-0",
}), "re-created meanwhile")]
#[tokio::test]
async fn what_cannot_be_stamped_is_refused(
    #[case] pointer: &str,
    #[case] value: Value,
    #[case] text: &str,
) {
    let world = World::new(Settings::default());
    let mut review = filing();
    *review["request"]["object"]["spec"]
        .pointer_mut(pointer)
        .unwrap() = value;
    let refused = stamp(&world, &review).await.unwrap_err();
    assert!(refused.contains(text), "{refused}");
}

#[tokio::test]
async fn who_may_not_see_a_pod_cannot_tell_whether_it_exists() {
    let world = World::new(Settings::default());
    world.api.takes_all_rights_of("jane");
    let mut missing = filing();
    let there = stamp(&world, &missing).await.unwrap_err();
    world.api.remove(crate::world::POD);
    missing["request"]["uid"] = filing()["request"]["uid"].clone();
    assert_eq!(stamp(&world, &missing).await.unwrap_err(), there);
}

#[tokio::test]
async fn a_pod_without_containers_cannot_be_asked_for() {
    let world = World::new(Settings::default());
    world.api.change(crate::world::POD, |pod| {
        pod["spec"]["containers"] = json!([]);
    });
    assert!(
        stamp(&world, &filing())
            .await
            .unwrap_err()
            .contains("has no containers")
    );
}

// D28, E13, F3, F21, G1
#[rstest]
#[case::no_command("/execOptions/command", json!([]), "name a command, or say anyCommand: true")]
#[case::null_command("/execOptions/command", Value::Null, "name a command")]
#[case::empty_program("/execOptions/command", json!([""]), "the command is empty")]
#[case::escape("/execOptions/command", json!(["echo", "\u{1b}[2J"]), "U+001B")]
#[case::too_many("/execOptions/command", json!(vec!["x"; 257]), "257 arguments; the maximum is 256")]
#[case::negative("/validFor", json!("-1h"), "is not a duration")]
#[case::zero("/validFor", json!("0s"), "must be greater than zero")]
#[case::twice("/validFor", json!("1h1h"), "is not a duration")]
#[case::too_long("/validFor", json!("13h"), "longer than the 12h")]
#[case::elsewhere("/forObject/namespace", json!("kube-system"), "acts in its own namespace")]
#[case::other_door("/forObject/subResource", json!("proxy"), "cannot be asked for")]
#[case::options_of_another_door("/forObject/subResource", json!("attach"), "execOptions says nothing of \"attach\"")]
#[case::a_copy_of_another_command("/copy", json!({"direction": "from", "path": "/etc"}), "not what kubectl cp runs")]
#[tokio::test]
async fn a_request_that_says_what_it_must_not_is_refused(
    #[case] at: &str,
    #[case] value: Value,
    #[case] text: &str,
) {
    let world = World::new(Settings::default());
    let mut stamped = stamp(&world, &filing()).await.unwrap();
    let (parent, field) = at.rsplit_once('/').unwrap();
    stamped["request"]["object"]["spec"]
        .pointer_mut(parent)
        .unwrap()[field] = value;
    let said = world.post("/validate", stamped.to_string()).await;
    assert!(said.denial().contains(text), "{}", said.denial());
}

// D19, D22
#[rstest]
#[case::finalizers(json!({"finalizers": ["keep/me"]}), "finalizers are not taken")]
#[case::owners(json!({"ownerReferences": [{"apiVersion": "v1", "kind": "Pod", "name": "x", "uid": "y"}]}), "ownerReferences are not taken")]
#[tokio::test]
async fn metadata_with_a_life_of_its_own_is_refused(#[case] more: Value, #[case] text: &str) {
    let world = World::new(Settings::default());
    let mut stamped = stamp(&world, &filing()).await.unwrap();
    let metadata = stamped["request"]["object"]["metadata"]
        .as_object_mut()
        .unwrap();
    metadata.extend(more.as_object().unwrap().clone());
    let said = world.post("/validate", stamped.to_string()).await;
    assert!(said.denial().contains(text), "{}", said.denial());
}

// G2
#[tokio::test]
async fn hidden_characters_in_a_reason_or_key_are_refused() {
    let world = World::new(Settings::default());
    for (field, value) in [
        ("reason", json!("\u{202e}evil")),
        ("customKeys", json!({"ticket": "a\u{200b}b"})),
    ] {
        let mut review = filing();
        review["request"]["object"]["spec"][field] = value;
        let said = file(&world, &review).await;
        assert!(said.denial().contains("does not show"), "{}", said.denial());
    }
}

#[tokio::test]
async fn an_always_allowed_caller_files_for_others_by_name_only() {
    let world = World::new(Settings::default());
    let mut review = filing();
    review["request"]["userInfo"] = json!({"username": "root", "groups": ["system:masters"]});
    review["request"]["object"]["spec"]["userInfo"] =
        json!({"username": "jane", "groups": ["made-up"], "uid": "7"});
    let stamped = stamp(&world, &review).await.unwrap();
    assert_eq!(
        stamped["request"]["object"]["spec"]["userInfo"],
        json!({"username": "jane"})
    );
    assert_eq!(
        stamped["request"]["object"]["spec"]["createdBy"]["username"],
        "root"
    );
    assert!(world.post("/validate", stamped.to_string()).await.allowed());
}

#[tokio::test]
async fn who_lacks_the_mandatory_prefix_files_nothing() {
    let world = World::new(Settings {
        prefix: "oidc:",
        ..Settings::default()
    });
    assert!(
        stamp(&world, &filing())
            .await
            .unwrap_err()
            .contains("does not begin with --username-prefix")
    );
    let mut review = filing();
    review["request"]["userInfo"]["username"] = json!("oidc:jane");
    let stamped = stamp(&world, &review).await.unwrap();
    assert_eq!(
        stamped["request"]["object"]["spec"]["userInfo"]["username"],
        "jane"
    );
    assert!(world.post("/validate", stamped.to_string()).await.allowed());
}

// F26
#[tokio::test]
async fn a_request_follows_only_one_of_the_same_user() {
    let world = World::new(Settings::default());
    world.put_request(&request());
    let follows = |name: &str| {
        let mut review = filing();
        review["request"]["object"]["spec"]["follows"] = json!(name);
        review
    };
    assert!(file(&world, &follows("ask")).await.allowed());
    assert!(
        file(&world, &follows("other"))
            .await
            .denial()
            .contains("has no accessrequest \"other\" here")
    );
    world.api.change(REQUEST, |request| {
        request["spec"]["userInfo"]["username"] = json!("tom");
    });
    assert!(
        file(&world, &follows("ask"))
            .await
            .denial()
            .contains("has no accessrequest \"ask\" here")
    );
}

#[tokio::test]
async fn labels_and_annotations_are_bounded() {
    let world = World::new(Settings::default());
    world.put_request(&request());
    let large = json!({"note": "x".repeat(70_000)});
    let (mut filed, mut granted) = (filing(), granting("amy"));
    filed["request"]["object"]["metadata"]["annotations"] = large.clone();
    granted["request"]["object"]["metadata"]["annotations"] = large.clone();
    for review in [filed, granted] {
        assert!(
            file(&world, &review)
                .await
                .denial()
                .contains("the maximum is 65536")
        );
    }
    let mut grows = recorded("accessrequest-update");
    grows["request"]["object"]["metadata"]["annotations"] = large;
    assert!(
        world
            .post("/validate", grows.to_string())
            .await
            .denial()
            .contains("labels and annotations have")
    );
}

#[tokio::test]
async fn a_request_for_a_program_is_refused() {
    let world = World::new(Settings::default());
    let mut review = filing();
    review["request"]["userInfo"] = json!({"username": "system:serviceaccount:dev:default"});
    let spec = review["request"]["object"]["spec"].as_object_mut().unwrap();
    spec.remove("userInfo");
    assert!(
        file(&world, &review)
            .await
            .denial()
            .contains("--requester-service-account")
    );
}

#[tokio::test]
async fn a_request_has_so_many_answers_at_the_most() {
    let world = World::new(Settings::default());
    world.put_request(&request());
    for number in 0..16 {
        let mut other = grant("granted");
        other["metadata"]["name"] = json!(format!("grant-{number}"));
        world.api.store(
            &format!("/apis/spreadgroup.com/v1/namespaces/default/accessgrants/grant-{number}"),
            &other,
        );
    }
    assert!(
        file(&world, &granting("amy"))
            .await
            .denial()
            .contains("has 16 answers already")
    );
    let mut denial = granting("amy");
    denial["request"]["object"]["status"] = json!("denied");
    assert!(file(&world, &denial).await.allowed());
}

#[tokio::test]
async fn a_denial_is_not_deleted_before_it_stands_in_the_status() {
    let world = World::new(Settings::default());
    world.put_request(&request());
    let review = deleting("ann", &grant("denied"), "accessgrants");
    assert!(
        world
            .post("/validate", review.to_string())
            .await
            .denial()
            .contains("try again in a moment")
    );
    world.api.change(REQUEST, |request| {
        request["status"]["denied"] = json!({"by": "amy", "at": "2026-11-23T15:00:00Z"});
    });
    assert!(world.post("/validate", review.to_string()).await.allowed());
}

#[tokio::test]
async fn the_patch_is_one_operation_however_long_the_lists_are() {
    let world = World::new(Settings::default());
    let mut review = filing();
    review["request"]["object"]["spec"]["userInfo"]["groups"] = json!(vec![""; 10_000]);
    let said = world.post("/mutate", review.to_string()).await;
    let patch = said.body["response"]["patch"].as_str().unwrap();
    let patch: Value = serde_json::from_slice(
        &base64::engine::general_purpose::STANDARD
            .decode(patch)
            .unwrap(),
    )
    .unwrap();
    assert_eq!(patch.as_array().unwrap().len(), 1);
    assert_eq!(
        patch[0]["value"]["userInfo"]["groups"],
        json!(["devs", "system:authenticated"])
    );
}

#[tokio::test]
async fn a_target_that_was_swapped_after_the_stamp_is_refused() {
    let world = World::new(Settings::default());
    let mut stamped = stamp(&world, &filing()).await.unwrap();
    stamped["request"]["object"]["spec"]["forObject"]["uid"] = json!("another");
    assert!(
        world
            .post("/validate", stamped.to_string())
            .await
            .denial()
            .contains("forObject.uid is not what")
    );
}

// D30
#[tokio::test]
async fn who_asked_or_filed_cannot_delete_a_denial_by_her_right_to_grant() {
    let world = World::granted();
    world.put_grant(&grant("denied"));
    for by in ["jane", "system:serviceaccount:ci:bot"] {
        for review in [
            deleting(by, &request(), "accessrequests"),
            deleting(by, &grant("denied"), "accessgrants"),
        ] {
            assert!(
                world
                    .post("/validate", review.to_string())
                    .await
                    .denial()
                    .contains("not yours to delete")
            );
        }
    }
    let by_another = deleting("ann", &request(), "accessrequests");
    assert!(
        world
            .post("/validate", by_another.to_string())
            .await
            .allowed()
    );
}

// E14
#[tokio::test]
async fn a_refusal_that_repeats_what_was_sent_steers_no_terminal() {
    let world = World::new(Settings::default());
    let mut review = filing();
    review["request"]["object"]["spec"]["copy"] =
        json!({"direction": "\u{1b}[2J\u{202e}", "path": "/x"});
    let said = world.post("/mutate", review.to_string()).await;
    assert!(
        said.denial()
            .contains("unknown variant `\\u{1b}[2J\\u{202e}`"),
        "{}",
        said.denial()
    );
}

#[tokio::test]
async fn the_answers_to_an_earlier_request_of_the_same_name_are_nobodys_own() {
    let world = World::granted();
    let mut later = request();
    later["metadata"]["uid"] = json!("ask-2");
    world.put_request(&later);
    world.api.takes_all_rights_of("jane");
    let by_jane = deleting("jane", &grant("granted"), "accessgrants");
    assert!(
        world
            .post("/validate", by_jane.to_string())
            .await
            .denial()
            .contains("not yours to delete")
    );
    // Whom the earlier denial concerned nobody knows any more.
    for by in ["jane", "ann"] {
        let said = world
            .post(
                "/validate",
                deleting(by, &grant("denied"), "accessgrants").to_string(),
            )
            .await;
        assert!(said.denial().contains("not yours to delete"), "{by}");
    }
}

#[rstest]
#[case::a_fragment("ask#x")]
#[case::a_query("ask?x=1")]
#[case::another_path("ask/status")]
#[case::encoded("%61sk")]
#[tokio::test]
async fn a_name_that_the_api_server_would_read_as_another_is_refused(#[case] name: &str) {
    let world = World::granted();
    let mut answer = granting("amy");
    answer["request"]["object"]["spec"]["grantFor"] = json!(name);
    for path in ["/mutate", "/validate"] {
        let said = world.post(path, answer.to_string()).await;
        assert!(
            said.denial()
                .contains("grantFor is not the name of an object"),
            "{}",
            said.denial()
        );
    }
    let mut review = filing();
    review["request"]["object"]["spec"]["forObject"]["name"] = json!(name.replace("ask", "nginx"));
    let said = world.post("/mutate", review.to_string()).await;
    assert!(
        said.denial()
            .contains("forObject.name is not the name of an object"),
        "{}",
        said.denial()
    );
    let mut stamped = stamp(&world, &filing()).await.unwrap();
    stamped["request"]["object"]["spec"]["follows"] = json!(name);
    let said = world.post("/validate", stamped.to_string()).await;
    assert!(
        said.denial()
            .contains("follows is not the name of an object"),
        "{}",
        said.denial()
    );
}

#[tokio::test]
async fn of_what_cannot_be_read_a_right_to_grant_deletes_nothing() {
    let world = World::granted();
    let mut unreadable = (request(), grant("denied"));
    for object in [&mut unreadable.0, &mut unreadable.1] {
        object["metadata"]["creationTimestamp"] = json!("yesterday");
    }
    for (object, plural) in [
        (unreadable.0, "accessrequests"),
        (unreadable.1, "accessgrants"),
    ] {
        for by in ["jane", "ann"] {
            let said = world
                .post("/validate", deleting(by, &object, plural).to_string())
                .await;
            assert!(said.denial().contains("not yours to delete"), "{by}");
        }
        let mut by_admin = deleting("admin", &object, plural);
        by_admin["request"]["userInfo"]["groups"] = json!(["system:masters"]);
        assert!(
            world
                .post("/validate", by_admin.to_string())
                .await
                .allowed()
        );
    }
}

#[tokio::test]
async fn a_request_from_the_future_is_refused() {
    let world = World::new(Settings::default());
    let mut review = filing();
    review["request"]["object"]["metadata"]["creationTimestamp"] = json!("2026-11-23T15:00:06Z");
    assert!(
        file(&world, &review)
            .await
            .denial()
            .contains("in the future")
    );
}

// D2
#[tokio::test]
async fn a_grant_is_stamped_with_who_grants_and_which_request() {
    let world = World::new(Settings::default());
    world.put_request(&request());
    let mut review = granting("amy");
    review["request"]["object"]["spec"] =
        json!({"grantFor": "ask", "grantedBy": {"username": "somebody else"}, "requestUID": null});
    review["request"]["object"]["metadata"]["ownerReferences"] = json!([{"apiVersion": "spreadgroup.com/v1", "kind": "AccessRequest", "name": "ask", "uid": "ask-1"}]);
    let stamped = stamp(&world, &review).await.unwrap();
    let spec = &stamped["request"]["object"]["spec"];
    assert_eq!(
        *spec,
        json!({"grantFor": "ask", "grantedBy": {"username": "amy"}, "requestUID": "ask-1"})
    );
    assert!(world.post("/validate", stamped.to_string()).await.allowed());
}

// K8
#[rstest]
#[case::granted("granted", None)]
#[case::reviewed("reviewed", None)]
#[case::denied("denied", Some("ask-1"))]
#[tokio::test]
async fn which_request_was_read_is_guessed_of_a_denial_only(
    #[case] status: &str,
    #[case] guessed: Option<&str>,
) {
    let world = World::new(Settings::default());
    world.put_request(&request());
    let mut review = granting("amy");
    review["request"]["object"]["status"] = json!(status);
    for unsaid in [Value::Null, json!("")] {
        review["request"]["object"]["spec"]["requestUID"] = unsaid;
        match stamp(&world, &review).await {
            Ok(stamped) => assert_eq!(
                stamped["request"]["object"]["spec"]["requestUID"].as_str(),
                guessed
            ),
            Err(refused) => {
                assert!(
                    refused.contains("spec.requestUID is missing") && guessed.is_none(),
                    "{refused}"
                );
                assert!(
                    world.api.requests().is_empty(),
                    "nothing was read: {:?}",
                    world.api.requests()
                );
            }
        }
    }
}

// D2, D12, D19, D22, D29
#[rstest]
#[case::forged(|grant: &mut Value| grant["spec"]["grantedBy"]["username"] = json!("ann"), "grantedBy is not what the server stamps")]
#[case::missing(|grant: &mut Value| grant["spec"]["grantFor"] = json!("other"), "there is no accessrequest \"other\"")]
#[case::another(|grant: &mut Value| grant["spec"]["requestUID"] = json!("ask-0"), "no longer the request you read")]
#[case::unread(|grant: &mut Value| grant["spec"]["requestUID"] = Value::Null, "no longer the request you read")]
#[case::longer(|grant: &mut Value| grant["spec"]["validFor"] = json!("13h"), "longer than the 12h")]
#[case::no_answer(|grant: &mut Value| grant["status"] = Value::Null, "status is missing")]
#[case::owner(|grant: &mut Value| grant["metadata"]["ownerReferences"] = json!([{"apiVersion": "v1", "kind": "Pod", "name": "x", "uid": "y"}]), "its own request only")]
#[case::finalizer(|grant: &mut Value| grant["metadata"]["finalizers"] = json!(["keep/me"]), "finalizers are not taken")]
#[tokio::test]
async fn a_grant_that_does_not_fit_is_refused(#[case] change: fn(&mut Value), #[case] text: &str) {
    let world = World::new(Settings::default());
    world.put_request(&request());
    let mut review = granting("amy");
    change(&mut review["request"]["object"]);
    let said = world.post("/validate", review.to_string()).await;
    assert!(said.denial().contains(text), "{}", said.denial());
}

// H5, H7, H10
#[rstest]
#[case::requester("jane", "is your own")]
#[case::filer("bob", "you filed")]
#[case::service_account(
    "system:serviceaccount:argocd:argocd",
    "a ServiceAccount answers no requests"
)]
#[tokio::test]
async fn not_everybody_may_answer(#[case] by: &str, #[case] text: &str) {
    let world = World::new(Settings::default());
    let mut object = request();
    object["spec"]["createdBy"]["username"] = json!("bob");
    world.put_request(&object);
    let said = world.post("/validate", granting(by).to_string()).await;
    assert!(said.denial().contains(text), "{}", said.denial());
}

#[rstest]
#[case::used(json!({"uses": [{"reviewUID": "r", "at": "2026-11-23T15:00:00Z", "pod": "nginx", "podUID": "pod-1"}]}), "was used already")]
#[case::denied(json!({"denied": {"by": "ann", "at": "2026-11-23T15:00:00Z"}}), "was denied by ann: a denial is final")]
#[tokio::test]
async fn a_request_that_is_over_cannot_be_granted(#[case] status: Value, #[case] text: &str) {
    let world = World::new(Settings::default());
    let mut object = request();
    object["status"] = status;
    world.put_request(&object);
    let said = world.post("/validate", granting("amy").to_string()).await;
    assert!(said.denial().contains(text), "{}", said.denial());
}

// D9, D19, D25, D26
#[tokio::test]
async fn an_update_may_change_labels_and_nothing_else() {
    let world = World::new(Settings::default());
    let review = recorded("accessrequest-update");
    assert!(world.post("/validate", review.to_string()).await.allowed());
    let changes: [fn(&mut Value); 3] = [
        |object| object["spec"]["execOptions"]["command"] = json!(["id"]),
        |object| object["metadata"]["finalizers"] = json!(["keep/me"]),
        |object| {
            object["metadata"]["ownerReferences"] =
                json!([{"apiVersion": "v1", "kind": "Pod", "name": "x", "uid": "y"}]);
        },
    ];
    for change in changes {
        let mut review = review.clone();
        change(&mut review["request"]["object"]);
        assert!(
            !world
                .post("/validate", review.to_string())
                .await
                .denial()
                .is_empty()
        );
    }
    let mut grant = recorded("accessgrant-update");
    grant["request"]["oldObject"]["status"] = json!("denied");
    grant["request"]["object"]["status"] = json!("granted");
    assert!(
        world
            .post("/validate", grant.to_string())
            .await
            .denial()
            .contains("never changes")
    );
}

#[tokio::test]
async fn the_clusters_controllers_may_take_finalizers_and_owners_away() {
    let world = World::new(Settings::default());
    let mut review = recorded("accessrequest-update");
    review["request"]["oldObject"]["metadata"]["finalizers"] = json!(["foregroundDeletion"]);
    assert!(!world.post("/validate", review.to_string()).await.allowed());
    review["request"]["userInfo"]["username"] =
        json!("system:serviceaccount:kube-system:generic-garbage-collector");
    assert!(world.post("/validate", review.to_string()).await.allowed());
}

pub(crate) fn deleting(by: &str, object: &Value, kind: &str) -> Value {
    let mut review = recorded("accessrequest-deletecollection-one");
    review["request"]["userInfo"] = json!({"username": by});
    review["request"]["resource"]["resource"] = json!(kind);
    review["request"]["oldObject"] = object.clone();
    review
}

#[rstest]
#[case::requester("jane", true)]
#[case::approver("amy", true)]
#[case::third_person("bob", false)]
#[case::ourselves("system:serviceaccount:kube-request-access:kube-request-access", true)]
#[case::namespace_controller("system:serviceaccount:kube-system:namespace-controller", true)]
#[case::garbage_collector("system:serviceaccount:kube-system:generic-garbage-collector", true)]
#[tokio::test]
async fn a_request_is_deleted_by_whom_it_concerns(#[case] by: &str, #[case] may: bool) {
    let world = World::granted();
    for without in [
        "bob",
        "jane",
        "system:serviceaccount:kube-system:namespace-controller",
    ] {
        world.api.takes_all_rights_of(without);
    }
    let request = deleting(by, &request(), "accessrequests");
    assert_eq!(
        world.post("/validate", request.to_string()).await.allowed(),
        may
    );
    let grant = deleting(by, &grant("granted"), "accessgrants");
    assert_eq!(
        world.post("/validate", grant.to_string()).await.allowed(),
        may
    );
}

// D30
#[tokio::test]
async fn a_requester_cannot_delete_what_was_denied_to_her() {
    let world = World::granted();
    world.api.takes_all_rights_of("jane");
    world.put_grant(&grant("denied"));
    let request = deleting("jane", &request(), "accessrequests");
    assert!(
        world
            .post("/validate", request.to_string())
            .await
            .denial()
            .contains("not yours to delete")
    );
    let denial = deleting("jane", &grant("denied"), "accessgrants");
    assert!(
        world
            .post("/validate", denial.to_string())
            .await
            .denial()
            .contains("not yours to delete")
    );
    assert!(!world.api.get(REQUEST).is_null());
}
