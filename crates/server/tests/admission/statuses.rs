//! What controllers write into a status, and another admission webhook that takes some of it out
//! again.

use http::Method;
use rstest::rstest;
use serde_json::json;
use server::controllers::status::ReconcileError;

use crate::{
    fake_api::Effect,
    policies::policy,
    world::{REQUEST, Settings, World, grant, request},
};

/// A world whose next status is to say that jane's request is an emergency, to be reviewed within a
/// day.
pub(crate) fn emergency(settings: Settings) -> World {
    let world = World::new(settings);
    world.put_policy(&policy(
        "Allow",
        json!({"subjects": [{"kind": "User", "name": "jane"}], "namespaces": ["default"], "subresources": ["exec"],
            "reason": {}, "emergency": {"reviewWithin": "24h"}}),
    ));
    let mut request = request();
    request["spec"]["reason"] = json!("the shop is down");
    world.put_request(&request);
    world
}

/// How many events were published since somebody asked last. They are sent in the background.
async fn told(world: &World) -> usize {
    for _ in 0..100 {
        tokio::task::yield_now().await;
    }
    world
        .api
        .requests()
        .iter()
        .filter(|(method, path)| *method == Method::POST && path.ends_with("/events"))
        .count()
}

// K19
#[rstest]
#[case::emergency("emergency")]
#[case::denial("denied")]
#[case::review("reviewed")]
#[tokio::test]
async fn what_something_takes_out_of_the_status_is_written_again_and_told_only_then(
    #[case] field: &'static str,
) {
    let world = emergency(Settings::default());
    if field != "emergency" {
        world.reconcile().await;
        world.put_grant(&grant("denied"));
    }
    told(&world).await;
    world
        .api
        .next_fault(Method::PUT, "/ask/status", Effect::Forgets(field));
    let error = world.try_to_reconcile().await.unwrap_err();
    assert!(matches!(error, ReconcileError::NotStored), "{error}");
    assert!(world.api.get(REQUEST)["status"][field].is_null());
    assert_eq!(told(&world).await, 0, "it is not done");
    world.reconcile().await;
    assert!(world.api.get(REQUEST)["status"][field].is_object());
    assert_ne!(told(&world).await, 0);
}

/// How often the status was written since somebody asked last.
fn writes(world: &World) -> usize {
    let requests = world.api.requests();
    let of_status = |(method, path): &&(Method, String)| {
        *method == Method::PUT && path.ends_with("/ask/status")
    };
    requests.iter().filter(of_status).count()
}

// E12
#[rstest]
#[case::by_a_grant(Some("1h"), true)]
#[case::the_time_that_nobody_used(None, true)]
#[case::the_time_that_nobody_answered(None, false)]
#[tokio::test]
async fn replicas_whose_clocks_differ_do_not_write_in_turns(
    #[case] valid_for: Option<&str>,
    #[case] answered: bool,
    #[values(1, 5, 60, 3000)] ahead: i64,
) {
    let world = World::new(Settings::default());
    let mut asked = request();
    asked["spec"]["validFor"] = json!(valid_for);
    world.put_request(&asked);
    if answered {
        world.put_grant(&grant("granted"));
    }
    world.reconcile().await;
    // The clock of the one replica says that it is over.
    let lasts = if valid_for.is_some() { 3600 } else { 48 * 3600 };
    world.pass(lasts + 1);
    world.reconcile().await;
    let status = world.api.get(REQUEST)["status"].clone();
    assert_eq!(status["phase"], "Expired");
    writes(&world);
    // That of the other does not.
    world.pass(-ahead - 1);
    world.reconcile().await;
    assert_eq!(
        (writes(&world), &world.api.get(REQUEST)["status"]),
        (0, &status)
    );
    // Until it does too.
    world.pass(ahead + 1);
    world.reconcile().await;
    assert_eq!(writes(&world), 0);
}

// E12
#[tokio::test]
async fn what_is_overdue_stays_so_and_what_came_meanwhile_is_written_once() {
    let world = emergency(Settings::default());
    world.reconcile().await;
    world.pass(24 * 3600 + 1);
    world.reconcile().await;
    let overdue = |world: &World| {
        let status = world.api.get(REQUEST)["status"].clone();
        let mut conditions = status["conditions"].as_array().unwrap().iter();
        conditions.any(|condition| condition["reason"] == "Overdue")
    };
    assert!(overdue(&world));
    writes(&world);
    world.pass(-5);
    world.reconcile().await;
    assert!(overdue(&world));
    assert_eq!(writes(&world), 0);
    // A review counts whatever the time.
    let mut reviewed = grant("reviewed");
    reviewed["spec"]["reason"] = json!("well done");
    world.put_grant(&reviewed);
    world.reconcile().await;
    assert!(world.api.get(REQUEST)["status"]["reviewed"].is_object());
    assert_eq!(writes(&world), 1);
}

// E12
#[tokio::test]
async fn what_is_granted_anew_is_no_matter_of_clocks() {
    let world = World::new(Settings::default());
    let mut asked = request();
    asked["spec"]["validFor"] = json!("1h");
    world.put_request(&asked);
    world.put_grant(&grant("granted"));
    world.pass(3601);
    world.reconcile().await;
    assert_eq!(world.api.get(REQUEST)["status"]["phase"], "Expired");
    // One more approval, later.
    let mut again = grant("granted");
    again["metadata"]["creationTimestamp"] = json!("2026-11-23T15:30:00Z");
    world.put_grant(&again);
    world.reconcile().await;
    assert_eq!(world.api.get(REQUEST)["status"]["phase"], "Granted");
}

// K19
#[tokio::test]
async fn a_use_that_something_takes_out_while_the_status_is_written_is_an_error() {
    let world = World::granted();
    assert!(world.exec("r1", |_| {}).await.allowed());
    world.until_answered().await;
    world
        .api
        .next_fault(Method::PUT, "/ask/status", Effect::Forgets("uses"));
    assert!(matches!(
        world.try_to_reconcile().await,
        Err(ReconcileError::NotStored)
    ));
}
