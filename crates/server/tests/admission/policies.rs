//! Policies at the door, at filing and at answering, and how they are written.

use api::contract::annotations::SEAL;
use http::Method;
use rstest::rstest;
use serde_json::{Value, json};

use crate::{
    fake_api::Effect,
    objects::{file, filing, granting, stamp},
    world::{GRANT, OWNERS, Said, Settings, World, grant, recorded, request},
};

const POLICIES: &str = "/accesspolicies";

#[expect(
    clippy::needless_pass_by_value,
    reason = "json!(…) is written in place"
)]
pub(crate) fn policy(effect: &str, more: Value) -> Value {
    let mut spec = json!({"effect": effect});
    spec.as_object_mut()
        .unwrap()
        .extend(more.as_object().unwrap().clone());
    json!({
        "apiVersion": "spreadgroup.com/v1", "kind": "AccessPolicy",
        "metadata": {
            "name": "low-risk", "uid": "policy-1", "generation": 3, "creationTimestamp": "2026-11-23T15:00:00Z",
        },
        "spec": spec,
    })
}

pub(crate) fn allow() -> Value {
    policy(
        "Allow",
        json!({"subjects": [{"kind": "User", "name": "jane"}], "namespaces": ["default"], "subresources": ["exec"],
            "commands": [{"exactly": ["date"]}]}),
    )
}

#[tokio::test]
async fn what_a_policy_allows_passes_and_is_annotated_with_it() {
    let world = World::new(Settings::default());
    world.put_policy(&allow());
    let said = world.exec("r1", |_| {}).await;
    assert!(said.allowed());
    let annotations = &said.body["response"]["auditAnnotations"];
    assert_eq!(annotations["decision"], "allowed-by-policy");
    assert_eq!(annotations["policy"], "low-risk policy-1 3");
    assert!(
        world
            .api
            .requests()
            .iter()
            .all(|(method, _)| *method == Method::GET),
        "nothing is written"
    );
    let other = world
        .exec("r2", |request| request["object"]["command"] = json!(["id"]))
        .await;
    assert!(other.denial().contains("you have not asked"));
}

#[tokio::test]
async fn a_policy_that_was_deleted_a_moment_ago_allows_nothing() {
    let world = World::new(Settings::default());
    world.put_policy(&allow());
    world
        .api
        .remove("/apis/spreadgroup.com/v1/accesspolicies/low-risk");
    assert!(
        world
            .exec("r1", |_| {})
            .await
            .denial()
            .contains("you have not asked")
    );
}

#[rstest]
#[case::being_deleted(|policy: &mut Value| policy["metadata"]["deletionTimestamp"] = json!("2026-11-23T15:00:00Z"))]
#[case::of_a_later_version(|policy: &mut Value| policy["spec"]["onlyOn"] = json!("mondays"))]
#[tokio::test]
async fn an_allow_that_goes_or_says_more_than_is_understood_allows_nothing(
    #[case] change: fn(&mut Value),
) {
    let world = World::new(Settings::default());
    let mut policy = allow();
    change(&mut policy);
    world.put_policy(&policy);
    assert!(
        world
            .exec("r1", |_| {})
            .await
            .denial()
            .contains("you have not asked")
    );
}

#[tokio::test]
async fn a_name_without_the_mandatory_prefix_is_no_approver_of_a_set() {
    let world = World::new(Settings {
        prefix: "oidc:",
        ..Settings::default()
    });
    world.put_request(&request());
    let sets = json!([{"name": "security", "subjects": [{"kind": "User", "name": "oidc:amy"}]}]);
    world.put_policy(&policy("Require", json!({"approvers": sets})));
    let said = file(&world, &granting("amy")).await;
    assert!(
        said.denial().contains("your approval would not count"),
        "{}",
        said.denial()
    );
    assert!(file(&world, &granting("oidc:amy")).await.allowed());
}

// H12
#[rstest]
#[case::with_the_prefix("oidc:amy", true)]
#[case::by_a_certificate("amy", false)]
#[tokio::test]
async fn an_approval_from_before_a_set_counts_for_it_only_with_the_mandatory_prefix(
    #[case] approver: &str,
    #[case] counts: bool,
) {
    let world = World::new(Settings {
        prefix: "oidc:",
        ..Settings::default()
    });
    world.put_request(&request());
    let stamped = stamp(&world, &granting(approver)).await.unwrap();
    assert!(world.post("/validate", stamped.to_string()).await.allowed());
    let granted = stamped["request"]["object"].clone();
    assert_eq!(granted["spec"]["grantedBy"]["username"], "amy");
    world.put_grant(&granted);
    let sets = json!([{"name": "security", "subjects": [{"kind": "User", "name": "oidc:amy"}]}]);
    world.put_policy(&policy("Require", json!({"approvers": sets})));
    let said = world
        .exec("r1", |request| {
            request["userInfo"]["username"] = json!("oidc:jane");
        })
        .await;
    assert_eq!(said.allowed(), counts, "{}", said.body);
}

#[tokio::test]
async fn a_denial_that_the_watch_has_not_shown_yet_denies_what_is_granted_and_what_is_allowed() {
    let world = World::granted();
    world.store_policy(&policy("Deny", json!({"contact": "#platform"})));
    let denial = world.exec("r1", |_| {}).await;
    assert!(
        denial.denial().contains("policy low-risk forbids this"),
        "{}",
        denial.denial()
    );
    assert!(denial.denial().contains("Ask #platform."));
    assert_eq!(world.uses(), 0);
    let world = World::new(Settings::default());
    world.put_policy(&allow());
    let mut deny = policy("Deny", json!({}));
    deny["metadata"]["name"] = json!("no");
    world.store_policy(&deny);
    assert!(!world.exec("r1", |_| {}).await.allowed());
}

#[tokio::test]
async fn policies_that_cannot_be_read_allow_nothing() {
    for granted in [true, false] {
        let world = if granted {
            World::granted()
        } else {
            World::new(Settings::default())
        };
        world.put_policy(&if granted {
            policy("Require", json!({}))
        } else {
            allow()
        });
        world.api.next_fault(
            Method::GET,
            POLICIES,
            Effect::Fails(http::StatusCode::INTERNAL_SERVER_ERROR),
        );
        assert!(
            world
                .exec("r1", |_| {})
                .await
                .denial()
                .contains("the cluster could not be asked")
        );
        assert_eq!(world.uses(), 0);
    }
}

#[rstest]
#[case::a_restriction(|spec: &mut Value| *spec = json!({"effect": "Require", "subresources": ["exec", "logs"]}), true)]
#[case::an_unknown_effect(|spec: &mut Value| *spec = json!({"effect": "Shrug"}), true)]
#[case::no_spec(|spec: &mut Value| *spec = Value::Null, true)]
#[case::another_type(|spec: &mut Value| *spec = json!({"effect": "Deny", "subresources": "exec"}), true)]
#[case::a_permission(|spec: &mut Value| *spec = json!({"effect": "Allow", "subresources": ["exec"]}), false)]
#[case::a_field_of_a_later_version(|spec: &mut Value| *spec = json!({"effect": "Require", "moons": 2}), true)]
#[case::an_emergency_that_requires(|spec: &mut Value| *spec = json!({"effect": "Require", "emergency": {"reviewWithin": "1h"}}), true)]
#[tokio::test]
async fn a_policy_that_is_not_understood_refuses_all_or_permits_nothing(
    #[case] change: fn(&mut Value),
    #[case] refuses: bool,
) {
    for shown in [true, false] {
        let world = World::granted();
        let mut odd = policy("Deny", json!({}));
        change(&mut odd["spec"]);
        if shown {
            world.put_policy(&odd);
        } else {
            world.store_policy(&odd);
        }
        let said = world.exec("r1", |_| {}).await;
        assert_eq!(said.allowed(), !refuses);
        assert!(!refuses || said.denial().contains("policy low-risk is not understood"));
    }
}

#[tokio::test]
async fn two_approvals_are_two_people() {
    let world = World::granted();
    world.put_policy(&policy("Require", json!({"approvals": 2})));
    let denial = world.exec("r1", |_| {}).await;
    assert!(
        denial
            .denial()
            .contains("has 1 of 2 approvals (by amy), and waits for more"),
        "{}",
        denial.denial()
    );
    let mut second = grant("granted");
    second["metadata"]["name"] = json!("grant-ask-2");
    let stored = |by_second: &Value| {
        world.put_grant(by_second);
        world.api.store(GRANT, &grant("granted"));
        world
            .api
            .store(&GRANT.replace("grant-ask", "grant-ask-2"), by_second);
    };
    stored(&second);
    assert!(!world.exec("r2", |_| {}).await.allowed(), "amy twice");
    second["spec"]["grantedBy"] = json!({"username": "bob"});
    stored(&second);
    assert!(world.exec("r3", |_| {}).await.allowed());
}

#[rstest]
#[case::forbidden(policy("Deny", json!({})), "policy low-risk forbids this")]
#[case::no_reason(policy("Require", json!({"reason": {"prompt": "the ticket"}})), "policy low-risk requires a reason (--reason): the ticket")]
#[case::no_key(policy("Require", json!({"keys": [{"name": "ticket", "pattern": "OPS-[0-9]+"}]})), "requires the key ticket (--custom-key ticket=…) that matches OPS-[0-9]+")]
#[tokio::test]
async fn what_could_never_be_granted_is_refused_when_it_is_filed(
    #[case] policy: Value,
    #[case] text: &str,
) {
    let world = World::new(Settings::default());
    world.put_policy(&policy);
    let said = file(&world, &filing()).await;
    assert!(said.denial().contains(text), "{}", said.denial());
}

#[tokio::test]
async fn an_approval_that_would_not_count_is_refused() {
    let world = World::new(Settings::default());
    world.put_request(&request());
    let sets = json!([{"name": "security", "subjects": [{"kind": "Group", "name": "security"}]}]);
    world.put_policy(&policy("Require", json!({"approvers": sets})));
    let said = file(&world, &granting("amy")).await;
    assert!(
        said.denial()
            .contains("your approval would not count: one of security must approve"),
        "{}",
        said.denial()
    );
    let mut member = granting("amy");
    member["request"]["userInfo"]["groups"] = json!(["security"]);
    assert!(file(&world, &member).await.allowed());
    let mut denial = granting("amy");
    denial["request"]["object"]["status"] = json!("denied");
    assert!(
        file(&world, &denial).await.allowed(),
        "anybody who may answer may deny"
    );
}

pub(crate) fn writing(policy: &Value) -> Value {
    let mut review = recorded("accessrequest-create");
    review["request"]["resource"]["resource"] = json!("accesspolicies");
    review["request"]["kind"]["kind"] = json!("AccessPolicy");
    review["request"]["object"] = policy.clone();
    review["request"]["userInfo"] =
        json!({"username": "olga", "groups": [OWNERS, "system:authenticated"]});
    review["request"]
        .as_object_mut()
        .unwrap()
        .remove("namespace");
    review
}

// M2
#[rstest]
#[case::an_administrator(json!({"username": "root", "groups": ["system:masters"]}), false)]
#[case::nobody_in_particular(json!({"username": "eve"}), false)]
#[case::an_owner(json!({"username": "olga", "groups": [OWNERS]}), true)]
#[case::a_program_that_is_listed(json!({"username": "argocd"}), true)]
#[case::the_server_itself(json!({"username": "server"}), false)]
#[tokio::test]
async fn who_does_not_own_the_policies_writes_and_deletes_none_and_has_none_stamped(
    #[case] user: Value,
    #[case] may: bool,
    #[values("CREATE", "UPDATE", "DELETE")] operation: &str,
) {
    let world = World::new(Settings::default());
    let mut review = writing(&allow());
    let mut wider = allow();
    wider["spec"]["subjects"][0]["name"] = json!("eve");
    let object = match operation {
        "CREATE" => json!({"userInfo": user, "operation": operation}),
        "UPDATE" => {
            json!({"userInfo": user, "operation": operation, "oldObject": allow(), "object": wider})
        }
        _ => {
            json!({"userInfo": user, "operation": operation, "oldObject": allow(), "object": null})
        }
    };
    review["request"]
        .as_object_mut()
        .unwrap()
        .extend(object.as_object().unwrap().clone());
    let none = "access policies are written by their owners only";
    if operation != "DELETE" {
        let stamped = stamp(&world, &review).await;
        assert_eq!(stamped.is_ok(), may, "{stamped:?}");
        match stamped {
            Ok(stamped) => review = stamped,
            Err(refused) => assert!(refused.contains(none), "{refused}"),
        }
    }
    let said = world.post("/validate", review.to_string()).await;
    assert_eq!(said.allowed(), may);
    assert!(may || said.denial().contains(none));
}

#[tokio::test]
async fn the_server_itself_changes_nothing_that_a_policy_says() {
    let world = World::new(Settings {
        sealed: true,
        ..Settings::default()
    });
    let mut review = writing(&allow());
    let own = "system:serviceaccount:kube-request-access:kube-request-access";
    (
        review["request"]["userInfo"],
        review["request"]["operation"],
    ) = (json!({"username": own}), json!("UPDATE"));
    // M2: not even the first seal of one that nobody who owns policies wrote.
    review["request"]["oldObject"] = allow();
    assert!(
        stamp(&world, &review)
            .await
            .unwrap_err()
            .contains("by their owners only")
    );
    let created = "2026-11-23T15:00:00Z".parse().unwrap();
    let sealer = &world.controllers.sealer;
    let seal = sealer
        .seal_policy(&serde_json::from_value(allow()).unwrap(), 3, created)
        .unwrap();
    review["request"]["oldObject"]["metadata"]["annotations"] = json!({SEAL: seal});
    review["request"]["object"]["metadata"]["annotations"] = json!({SEAL: seal});
    assert!(world.post("/validate", review.to_string()).await.allowed());
    review["request"]["object"]["spec"]["subjects"][0]["name"] = json!("eve");
    assert!(
        stamp(&world, &review)
            .await
            .unwrap_err()
            .contains("by their owners only")
    );
}

#[rstest]
#[case::for_nobody(json!({"subjects": []}), "spec.subjects: an empty list is nobody")]
#[case::for_everybody(json!({"subjects": null}), "spec.subjects: an Allow must say for whom")]
#[case::everywhere(json!({"namespaces": null}), "spec.namespaces: an Allow must say where")]
#[case::every_door(json!({"subresources": null, "commands": null}), "spec.subresources: an Allow must say which")]
#[case::by_its_old_name(json!({"doors": ["exec"]}), "spec.doors: it is called subresources now")]
#[case::an_unknown_door(json!({"subresources": ["exec", "logs"], "commands": null}), "spec.subresources[1]: \"logs\" is no subresource of pods")]
#[case::commands_of_another_door(json!({"subresources": ["attach"]}), "spec.commands: only exec has a command")]
#[case::both(json!({"commands": [{"exactly": ["ls"], "program": "ls"}]}), "spec.commands[0]: say either exactly or program")]
#[case::a_namespace(json!({"namespaces": ["Default"]}), "spec.namespaces[0]: \"Default\" is no name")]
#[case::a_duration(json!({"validFor": "1 hour"}), "spec.validFor: ")]
#[case::a_pattern(json!({"reason": {"pattern": "("}}), "spec.reason.pattern: it is not a regular expression")]
#[case::a_group_that_closes_ours(json!({"reason": {"pattern": "a)|(b"}}), "spec.reason.pattern: it is not a regular")]
#[case::a_large_pattern(json!({"reason": {"pattern": "(a{99}){99}{99}"}}), "spec.reason.pattern: it takes too much room")]
#[case::approvals(json!({"approvals": 2}), "spec.approvals: only a Require has approvals")]
#[case::a_program_by_group(json!({"subjects": [{"kind": "ServiceAccount", "name": "*", "namespace": "ci"}]}), "spec.subjects[0]: name and namespace of a ServiceAccount")]
#[case::a_program_as_user(json!({"subjects": [{"kind": "User", "name": "system:serviceaccount:ci:bot"}]}), "spec.subjects[0]: write a ServiceAccount by its kind")]
#[case::a_program_with_any_command(json!({"subjects": [{"kind": "ServiceAccount", "name": "bot", "namespace": "ci"}], "commands": [{"program": "ls"}]}), "must name its commands exactly")]
#[case::a_program_everywhere(json!({"subjects": [{"kind": "ServiceAccount", "name": "bot", "namespace": "ci"}], "namespaces": ["*"]}), "must name its namespaces")]
#[case::no_keys(json!({"keys": []}), "spec.keys: an empty list wants nothing")]
#[case::ports_of_a_node(json!({"proxies": [{"resource": "nodes", "ports": ["80"], "paths": ["/metrics"]}]}), "spec.proxies[0].ports: of a node")]
#[case::one_for_two_sets(json!({"effect": "Require", "approvals": 1, "approvers": [{"name": "a", "subjects": [{"kind": "Group", "name": "a"}]}, {"name": "b", "subjects": [{"kind": "Group", "name": "b"}]}]}), "spec.approvals: with 2 sets of approvers at least 2")]
#[case::every_path(json!({"proxies": [{"resource": "pods", "paths": ["/*"]}]}), "spec.proxies[0].paths[0]: it is every path")]
#[case::the_kubelet(json!({"proxies": [{"resource": "nodes", "paths": ["/metrics", "/run/*"]}]}), "spec.proxies[0].paths[1]: of a node only /metrics")]
#[case::another_proxy(json!({"proxies": [{"resource": "jobs", "paths": ["/a"]}]}), "spec.proxies[0].resource: \"jobs\" is none of")]
#[case::a_reason_for_a_proxy(json!({"reason": {}, "proxies": [{"resource": "pods", "paths": ["/a"]}]}), "spec.proxies: nobody can ask for them")]
#[case::hidden(json!({"contact": "\u{202e}x"}), "does not show")]
#[case::an_emergency_without_a_reason(json!({"emergency": {"reviewWithin": "24h"}}), "spec.reason: an emergency must give a reason")]
#[case::a_denial_in_an_emergency(json!({"effect": "Deny", "reason": {}, "emergency": {"reviewWithin": "24h"}}), "spec.emergency: only an Allow")]
#[case::an_emergency_behind_a_proxy(json!({"proxies": [], "reason": null, "emergency": {"reviewWithin": "24h"}}), "spec.emergency: an emergency is a request")]
#[case::an_emergency_for_a_program(json!({"subjects": [{"kind": "ServiceAccount", "name": "bot", "namespace": "ci"}], "reason": {}, "emergency": {"reviewWithin": "24h"}}), "spec.subjects: emergencies are for people")]
#[case::a_review_whenever(json!({"reason": {}, "emergency": {"reviewWithin": "721h"}}), "spec.emergency.reviewWithin: at most 720h")]
#[case::a_review_at_once(json!({"reason": {}, "emergency": {"reviewWithin": "0s"}}), "spec.emergency.reviewWithin: \"0s\" is not a valid duration")]
#[case::a_review_some_day(json!({"reason": {}, "emergency": {"reviewWithin": "soon"}}), "spec.emergency.reviewWithin: \"soon\" is not a duration")]
#[tokio::test]
async fn an_invalid_policy_is_refused_with_the_place_of_the_fault(
    #[case] change: Value,
    #[case] text: &str,
) {
    let world = World::new(Settings::default());
    let mut object = allow();
    assert!(
        world
            .post("/validate", writing(&object).to_string())
            .await
            .allowed()
    );
    for (key, value) in change.as_object().unwrap() {
        object["spec"][key] = value.clone();
    }
    let said = world.post("/validate", writing(&object).to_string()).await;
    assert!(said.denial().contains(text), "{}", said.denial());
}

fn scraper() -> Value {
    policy(
        "Allow",
        json!({"subjects": [{"kind": "ServiceAccount", "name": "prometheus", "namespace": "monitoring"}],
            "namespaces": ["default"],
            "proxies": [{"resource": "pods", "ports": ["80"], "paths": ["/x"]}, {"resource": "nodes", "paths": ["/metrics"]}]}),
    )
}

async fn proxies(world: &World, review: &str, user: &str) -> Said {
    let mut review = recorded(review);
    review["request"]["userInfo"] =
        json!({"username": user, "groups": ["system:serviceaccounts:monitoring"]});
    world.post("/validate", review.to_string()).await
}

#[rstest]
#[case("podproxy-get", true)]
#[case("nodeproxy-get", true)]
#[case("podproxy-root", false)]
#[case("serviceproxy-get", false)]
#[case("nodeproxy-exec-get", false)]
#[case("nodeproxy-exec-post", false)]
#[tokio::test]
async fn a_policy_lets_a_program_through_to_exactly_its_paths(
    #[case] review: &str,
    #[case] passes: bool,
) {
    let world = World::new(Settings::default());
    world.put_policy(&scraper());
    let said = proxies(
        &world,
        review,
        "system:serviceaccount:monitoring:prometheus",
    )
    .await;
    assert_eq!(said.allowed(), passes);
    assert!(
        !passes || said.body["response"]["auditAnnotations"]["policy"] == "low-risk policy-1 3"
    );
    assert!(
        !proxies(&world, review, "system:serviceaccount:monitoring:grafana")
            .await
            .allowed()
    );
    world
        .api
        .remove("/apis/spreadgroup.com/v1/accesspolicies/low-risk");
    assert!(
        !proxies(
            &world,
            review,
            "system:serviceaccount:monitoring:prometheus"
        )
        .await
        .allowed()
    );
}

#[rstest]
#[case::a_denial(policy("Deny", json!({})), false)]
#[case::what_requires(policy("Require", json!({"namespaces": ["def*"]})), false)]
#[case::a_denial_elsewhere(policy("Deny", json!({"namespaces": ["prod"]})), true)]
#[case::a_denial_of_a_door(policy("Deny", json!({"subresources": ["exec"]})), true)]
#[tokio::test]
async fn what_refuses_everything_refuses_proxies_too(
    #[case] mut other: Value,
    #[case] passes: bool,
) {
    let world = World::new(Settings::default());
    world.put_policy(&scraper());
    other["metadata"]["name"] = json!("other");
    world.store_policy(&other);
    let said = proxies(
        &world,
        "podproxy-get",
        "system:serviceaccount:monitoring:prometheus",
    )
    .await;
    assert_eq!(said.allowed(), passes);
}

#[tokio::test]
async fn what_policies_require_of_an_access_is_recorded_with_it() {
    let world = World::granted();
    world.put_policy(&policy("Require", json!({})));
    let mut second = policy("Require", json!({"subresources": ["exec"]}));
    second["metadata"] = json!({"name": "second", "uid": "policy-2", "generation": 1});
    world.put_policy(&second);
    let annotations = world.exec("r1", |_| {}).await.body["response"]["auditAnnotations"].take();
    assert_eq!(annotations["decision"], "granted");
    assert_eq!(
        annotations["policy"],
        "low-risk policy-1 3, second policy-2 1"
    );
}

#[tokio::test]
async fn whoever_asks_why_reads_what_would_happen() {
    let world = World::new(Settings::default());
    let mut review = filing();
    review["request"]["dryRun"] = json!(true);
    // As it comes here before the API server has completed it.
    review["request"]["object"]["metadata"] = json!({
        "generateName": "ask-", "namespace": "default", "annotations": {"spreadgroup.com/explain": "true"},
    });
    let explained = |stamped: Value| {
        stamped["request"]["object"]["metadata"]["annotations"]["spreadgroup.com/explanation"]
            .as_str()
            .unwrap_or("-")
            .to_owned()
    };
    let said = explained(stamp(&world, &review).await.unwrap());
    assert!(
        said.contains("somebody who may answer must grant it"),
        "{said}"
    );
    world.put_policy(&allow());
    let said = explained(stamp(&world, &review).await.unwrap());
    assert!(said.contains("policy low-risk allows it"), "{said}");
    world.put_policy(&policy("Require", json!({"approvals": 2})));
    let said = explained(stamp(&world, &review).await.unwrap());
    assert!(said.contains("2 approvals"), "{said}");
    review["request"]["dryRun"] = json!(false);
    assert_eq!(
        explained(stamp(&world, &review).await.unwrap()),
        "-",
        "what is stored is what was sent"
    );
}
