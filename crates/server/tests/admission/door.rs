//! The exec door: who gets through, and what the others read.

use http::Method;
use rstest::rstest;
use serde_json::{Value, json};

use crate::world::{GRANT, POD, REQUEST, Settings, World, grant, pod, request};

#[tokio::test]
async fn without_a_request_the_answer_says_how_to_ask_and_the_cluster_is_not_asked() {
    let world = World::new(Settings::default());
    let said = world.exec("r1", |_| {}).await;
    assert!(
        said.denial()
            .starts_with("you have not asked for this yet (cluster test, namespace default).")
    );
    assert!(
        said.denial()
            .contains("\n  kubectl request exec -n default nginx -c nginx -- date\n")
    );
    assert!(world.api.requests().is_empty());
}

#[tokio::test]
async fn a_granted_request_opens_the_door_once() {
    let world = World::granted();
    assert!(world.exec("r1", |_| {}).await.allowed());
    assert_eq!(world.uses(), 1);
    world.until_answered().await;
    let again = world.exec("r2", |_| {}).await;
    assert!(
        again
            .denial()
            .contains("was for one use, and was used at 2026-11-23 15:00:00 UTC"),
        "{}",
        again.denial()
    );
    assert_eq!(world.uses(), 1);
}

// E14
#[tokio::test]
async fn a_request_for_an_hour_opens_the_door_for_an_hour() {
    let world = World::granted_with(Settings::default(), |request| {
        request["spec"]["validFor"] = json!("1h0m0s");
    });
    for uid in ["r1", "r2"] {
        assert!(world.exec(uid, |_| {}).await.allowed());
    }
    world.pass(3599);
    assert!(world.exec("r3", |_| {}).await.allowed());
    world.pass(1);
    let over = world.exec("r4", |_| {}).await;
    assert!(
        over.denial().contains("(granted by amy) ended 0s ago"),
        "{}",
        over.denial()
    );
    assert_eq!(world.uses(), 0);
}

// F1, F12, F13
#[rstest]
#[case::command(|request: &mut Value| request["object"]["command"] = json!(["date", "-u"]), r#"you ran     ["date","-u"]"#)]
#[case::joined(|request: &mut Value| request["object"]["command"] = json!(["sh", "-c", "date"]), "granted is  [\"date\"]")]
#[case::container(|request: &mut Value| request["object"]["container"] = json!("sidecar"), "another container")]
#[case::other_pod(|request: &mut Value| request["name"] = json!("other"), "you have not asked")]
#[case::other_namespace(|request: &mut Value| request["namespace"] = json!("other"), "you have not asked")]
#[case::other_user(|request: &mut Value| request["userInfo"]["username"] = json!("bob"), "you have not asked")]
#[case::stdin(|request: &mut Value| request["object"]["stdin"] = json!(true), "--allow-interactive")]
#[case::tty(|request: &mut Value| request["object"]["tty"] = json!(true), "--allow-interactive")]
#[case::no_command(|request: &mut Value| request["object"]["command"] = Value::Null, "you ran     []")]
#[case::unknown_key(|request: &mut Value| request["object"]["env"] = json!(["A=B"]), "unknown field `env`")]
#[case::wrong_type(|request: &mut Value| request["object"]["stdin"] = json!("true"), "not understood in full")]
#[case::other_kind(|request: &mut Value| request["object"]["kind"] = json!("PodAttachOptions"), "not understood in full")]
#[case::no_options(|request: &mut Value| request["object"] = Value::Null, "no options")]
#[case::no_pod(|request: &mut Value| request["name"] = json!(""), "incomplete")]
#[tokio::test]
async fn an_attempt_that_differs_is_denied_and_spends_nothing(
    #[case] change: fn(&mut Value),
    #[case] text: &str,
) {
    let world = World::granted();
    let said = world.exec("r1", change).await;
    assert!(said.denial().contains(text), "{}", said.denial());
    assert_eq!(world.uses(), 0);
    assert!(
        world.exec("r2", |_| {}).await.allowed(),
        "nothing may be lost"
    );
}

// D15, D20, D29, E10
#[rstest]
#[case::denied_in_the_status(|world: &World| world.api.change(REQUEST, |request| {
    request["status"] = json!({"denied": {"by": "ann", "at": "2026-11-23T15:00:00Z"}});
}))]
#[case::request_being_deleted(|world: &World| world.api.change(REQUEST, |request| {
    request["metadata"]["deletionTimestamp"] = json!("2026-11-23T15:00:00Z");
}))]
#[case::grant_being_deleted(|world: &World| world.api.change(GRANT, |grant| {
    grant["metadata"]["deletionTimestamp"] = json!("2026-11-23T15:00:00Z");
}))]
#[case::request_gone(|world: &World| world.api.remove(REQUEST))]
#[case::grant_gone(|world: &World| world.api.remove(GRANT))]
#[case::request_re_created(|world: &World| world.api.change(REQUEST, |request| request["metadata"]["uid"] = json!("ask-2")))]
#[case::grant_is_for_another(|world: &World| world.api.change(GRANT, |grant| grant["spec"]["requestUID"] = json!("ask-0")))]
#[case::grant_names_another(|world: &World| world.api.change(GRANT, |grant| grant["spec"]["grantFor"] = json!("other")))]
#[case::grant_became_denied(|world: &World| world.api.change(GRANT, |grant| grant["status"] = json!("denied")))]
#[case::command_changed(|world: &World| world.api.change(REQUEST, |request| {
    request["spec"]["execOptions"]["command"] = json!(["id"]);
}))]
#[case::pod_gone(|world: &World| world.api.remove(POD))]
#[case::pod_re_created(|world: &World| world.api.store(POD, &pod("pod-2")))]
#[case::pod_being_deleted(|world: &World| world.api.change(POD, |pod| {
    pod["metadata"]["deletionTimestamp"] = json!("2026-11-23T15:00:00Z");
}))]
#[case::container_waits(|world: &World| world.api.change(POD, |pod| {
    pod["status"]["containerStatuses"][0]["state"] = json!({"waiting": {}});
}))]
#[case::no_right_to_exec(|world: &World| world.api.takes_all_rights_of("jane"))]
#[tokio::test]
async fn what_memory_does_not_know_yet_denies_and_spends_nothing(#[case] change: fn(&World)) {
    let world = World::granted();
    change(&world);
    let said = world.exec("r1", |_| {}).await;
    assert!(!said.denial().is_empty());
    assert_eq!(world.uses(), 0);
}

// R20
#[tokio::test]
async fn a_denied_attempt_reads_the_same_whether_the_pod_exists_or_not() {
    let there = World::new(Settings::default());
    let gone = World::new(Settings::default());
    gone.api.remove(POD);
    assert_eq!(
        there.exec("r1", |_| {}).await.body,
        gone.exec("r1", |_| {}).await.body
    );

    let replaced = World::granted();
    replaced.api.store(POD, &pod("pod-2"));
    let gone = World::granted();
    gone.api.remove(POD);
    assert_eq!(
        replaced.exec("r1", |_| {}).await.body,
        gone.exec("r1", |_| {}).await.body
    );
}

#[tokio::test]
async fn a_denial_that_this_replica_admitted_counts_before_its_watch_shows_it() {
    let world = World::granted();
    let mut denial = grant("denied");
    denial["metadata"]["name"] = json!("deny-ask");
    let mut review = crate::world::recorded("accessgrant-create");
    review["request"]["userInfo"] = json!({"username": "ann"});
    review["request"]["object"] = denial.clone();
    review["request"]["object"]["spec"]["grantedBy"] = json!({"username": "ann"});
    assert!(world.post("/validate", review.to_string()).await.allowed());
    world.api.store(
        "/apis/spreadgroup.com/v1/namespaces/default/accessgrants/deny-ask",
        &denial,
    );
    assert!(
        world
            .exec("r1", |_| {})
            .await
            .denial()
            .contains("denied your request ask")
    );
}

#[tokio::test(start_paused = true)]
async fn a_silent_watch_makes_every_allow_look_for_denials() {
    let world = World::granted();
    let mut denial = grant("denied");
    denial["metadata"]["name"] = json!("deny-ask");
    world.api.store(
        "/apis/spreadgroup.com/v1/namespaces/default/accessgrants/deny-ask",
        &denial,
    );
    tokio::time::advance(std::time::Duration::from_mins(1)).await;
    assert!(
        world
            .exec("r1", |_| {})
            .await
            .denial()
            .contains("denied your request ask")
    );
}

#[tokio::test]
async fn always_allowed_callers_need_no_request_and_may_be_interactive() {
    let world = World::new(Settings::default());
    let said = world
        .exec("r1", |request| {
            request["userInfo"]["groups"] = json!(["system:masters"]);
            request["object"]["stdin"] = json!(true);
            request["object"]["tty"] = json!(true);
        })
        .await;
    assert!(said.allowed());
    assert_eq!(
        said.body["response"]["auditAnnotations"]["decision"],
        "always-allowed"
    );
}

// F12
#[tokio::test]
async fn interactive_use_is_allowed_where_the_server_and_the_request_say_so() {
    let settings = Settings {
        allow_interactive: true,
        ..Settings::default()
    };
    let world = World::granted_with(settings, |request| {
        request["spec"]["execOptions"]["stdin"] = json!(true);
    });
    let tty = world
        .exec("r1", |request| request["object"]["tty"] = json!(true))
        .await;
    assert!(tty.denial().contains("a terminal (-t) was not asked for"));
    assert!(
        world
            .exec("r2", |request| request["object"]["stdin"] = json!(true))
            .await
            .allowed()
    );
}

#[tokio::test]
async fn with_a_prefix_only_prefixed_names_match() {
    let world = World::granted_with(
        Settings {
            prefix: "oidc:",
            ..Settings::default()
        },
        |_| {},
    );
    assert!(
        world
            .exec("r1", |_| {})
            .await
            .denial()
            .contains("you have not asked")
    );
    let prefixed = |request: &mut Value| request["userInfo"]["username"] = json!("oidc:jane");
    assert!(world.exec("r2", prefixed).await.allowed());
}

// D17: of a workload; a pod that was asked for by name is that pod, whatever its image is changed
// to.
#[tokio::test]
async fn a_pod_of_the_workload_matches_by_its_controllers_and_template() {
    let world = World::granted_with(Settings::default(), |request| {
        request["spec"]["forObject"] = json!({
            "resource": {"group": "apps", "version": "v1", "resource": "deployments"}, "subResource": "exec",
            "name": "web", "uid": "dep-1",
        });
        request["spec"]["validFor"] = json!("1h");
    });
    let name = "web-5b6d-x4k2z";
    let of_web = |request: &mut Value| request["name"] = json!(name);
    let mut of_pod = pod("pod-1");
    of_pod["metadata"]["name"] = json!(name);
    let path = POD.replace("nginx", name);
    world.api.store(&path, &of_pod);
    assert!(
        world
            .exec("r1", of_web)
            .await
            .denial()
            .contains("for another pod"),
        "no controller yet"
    );
    let owner = json!([{"apiVersion": "apps/v1", "kind": "ReplicaSet", "name": "web-5b6d", "uid": "rs-1", "controller": true}]);
    for path in [&path, POD] {
        world.api.change(path, |pod| {
            pod["metadata"]["ownerReferences"] = owner.clone();
            pod["metadata"]["creationTimestamp"] = json!("2026-11-23T15:00:00Z");
        });
    }
    let template = json!({"spec": {"containers": [{"name": "nginx", "image": "nginx"}]}});
    let replica_set = "/apis/apps/v1/namespaces/default/replicasets/web-5b6d";
    world.api.store(
        replica_set,
        &json!({
            "apiVersion": "apps/v1", "kind": "ReplicaSet",
            "metadata": {"name": "web-5b6d", "namespace": "default", "uid": "rs-1",
                "creationTimestamp": "2026-11-23T15:00:00Z", "ownerReferences": [
                {"apiVersion": "apps/v1", "kind": "Deployment", "name": "web", "uid": "dep-1", "controller": true}]},
            "spec": {"template": template},
        }),
    );
    let deployment = "/apis/apps/v1/namespaces/default/deployments/web";
    world.api.store(
        deployment,
        &json!({
            "apiVersion": "apps/v1", "kind": "Deployment",
            "metadata": {"name": "web", "namespace": "default", "uid": "dep-1"}, "spec": {"template": template},
        }),
    );
    assert!(world.exec("r2", of_web).await.allowed());
    // Whoever may patch a pod may write that owner into it: it has not the name of one that the
    // owner made.
    assert!(
        world
            .exec("r2b", |_| {})
            .await
            .denial()
            .contains("for another pod")
    );

    world.api.change(deployment, |web| {
        web["spec"]["template"]["spec"]["containers"][0]["image"] = json!("nginx:2");
    });
    assert!(
        world
            .exec("r3", of_web)
            .await
            .denial()
            .contains("does not run what its template says")
    );
    world
        .api
        .change(deployment, |web| web["metadata"]["uid"] = json!("dep-2"));
    assert!(
        world
            .exec("r4", of_web)
            .await
            .denial()
            .contains("for another pod")
    );
}

#[tokio::test]
async fn an_allow_of_a_lasting_grant_writes_nothing() {
    let world = World::granted_with(Settings::default(), |request| {
        request["spec"]["validFor"] = json!("1h");
    });
    assert!(world.exec("r1", |_| {}).await.allowed());
    assert!(
        world
            .api
            .requests()
            .iter()
            .all(|(method, _)| *method == Method::GET)
    );
}

#[tokio::test]
async fn an_original_request_that_was_stored_without_stamps_gives_no_access() {
    let world = World::new(Settings::default());
    let mut old = request();
    old["spec"]["forObject"]["uid"] = Value::Null;
    old["spec"]["createdBy"] = Value::Null;
    world.put_request(&old);
    world.put_grant(&grant("granted"));
    assert!(
        world
            .exec("r1", |_| {})
            .await
            .denial()
            .contains("for another pod")
    );
}
