//! What each decision asks of the API server: a table, so that none grows unseen.

use rstest::rstest;
use serde_json::json;

use crate::{
    policies::allow,
    world::{GRANT, Grants, Settings, World, grant, request},
};

/// A world in which the request is for an hour.
fn for_an_hour() -> World {
    World::granted_with(Settings::default(), |request| {
        request["spec"]["validFor"] = json!("1h");
    })
}

/// A world in which policies allow what is tried.
fn by_policy() -> World {
    let world = World::new(Settings::default());
    world.put_policy(&allow());
    world
}

fn unanswered(settings: Settings) -> World {
    let world = World::new(settings);
    world.put_request(&request());
    world
}

/// A grant that is stored, and that the watch will show later.
fn not_listed_yet() -> World {
    let world = unanswered(Settings {
        grants: Grants::BeingListed,
        ..Settings::default()
    });
    world.api.store(GRANT, &grant("granted"));
    world
}

fn waits_while_grants_are_listed() -> World {
    unanswered(Settings {
        grants: Grants::BeingListed,
        ..Settings::default()
    })
}

const REQUEST: &str = "GET accessrequests/ask";
const POD: &str = "GET pods/nginx";
const POLICIES: &str = "GET accesspolicies";
const RIGHT: &str = "POST subjectaccessreviews";
const BY_NAME: &str = "GET accessgrants/grant-ask";
const ALL_GRANTS: &str = "GET accessgrants";

#[rstest]
#[case::no_request(World::new(Settings::default()), false, &[])]
#[case::nobody_answered(unanswered(Settings::default()), false, &[])]
#[case::for_a_time(for_an_hour(), true, &[REQUEST, BY_NAME, POD, POLICIES])]
#[case::once(World::granted(), true, &[REQUEST, BY_NAME, POD, POLICIES, RIGHT, "PUT accessrequests/ask/status"])]
#[case::by_policy(by_policy(), true, &[POLICIES])]
#[case::granted_before_grants_were_listed(
    not_listed_yet(), true, &[REQUEST, ALL_GRANTS, POD, POLICIES, RIGHT, "PUT accessrequests/ask/status"])]
#[case::waits_while_grants_are_listed(
    waits_while_grants_are_listed(), false, &[REQUEST, ALL_GRANTS, POD, POLICIES, RIGHT])]
#[tokio::test]
async fn a_decision_asks_the_api_server_for_no_more_than_this(
    #[case] world: World,
    #[case] allowed: bool,
    #[case] calls: &[&str],
) {
    world.api.requests();
    let said = world.exec("r1", |_| {}).await;
    assert_eq!(said.allowed(), allowed, "{}", said.body);
    // What is written down about the answer comes after it, and is no part of the decision.
    let mut asked: Vec<String> = world
        .api
        .requests()
        .into_iter()
        .map(|(method, path)| short(method.as_str(), &path))
        .collect();
    let mut calls: Vec<&str> = calls.to_vec();
    asked.sort();
    calls.sort_unstable();
    assert_eq!(asked, calls);
}

/// A call without group, version and namespace.
fn short(method: &str, path: &str) -> String {
    let path = path.split('?').next().unwrap_or_default();
    let parts: Vec<&str> = path.trim_matches('/').split('/').collect();
    let prefix = if parts[0] == "api" { 2 } else { 3 };
    let namespaced = parts.get(prefix) == Some(&"namespaces");
    let rest = &parts[if namespaced { prefix + 2 } else { prefix }..];
    format!("{method} {}", rest.join("/"))
}

#[test]
fn a_call_is_named_by_its_resource() {
    let path = "/apis/spreadgroup.com/v1/namespaces/default/accessgrants?fieldSelector=x";
    assert_eq!(short("GET", path), "GET accessgrants");
}
