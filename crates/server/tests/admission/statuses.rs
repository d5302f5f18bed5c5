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
