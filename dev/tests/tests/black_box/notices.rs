//! Notices: what the server of the real control plane tells somebody.

use kra_tests::{
    notices::{Notice, Told},
    scene::Scene,
    world::{self, eventually},
};

use serde_json::json;

use crate::{emergency::night, policies::owner_applies};

fn told(request: &str, count: usize) -> Vec<Notice> {
    let mut notices = Vec::new();
    eventually("the notices", || {
        notices = Told::here().of(request);
        notices.len() >= count
    });
    notices
}

fn kinds(notices: &[Notice]) -> Vec<&str> {
    notices
        .iter()
        .map(|(kind, _)| kind.trim_start_matches("com.spreadgroup.accessrequest."))
        .collect()
}

#[test]
fn what_becomes_of_a_request_is_told_in_order_and_once() {
    let scene = Scene::new(world::prefixed());
    let (jane, amy) = (scene.developer("oidc:jane"), scene.approver("oidc:amy"));
    let request = jane.ask(
        &["--reason=INC-42", "--accept-secrets"],
        &["date", "--password=hunter2"],
    );
    let (_, data) = told(&request, 1).remove(0);
    assert_eq!(data["user"], jane.name.trim_start_matches("oidc:"));
    assert_eq!(data["summary"], r#"["date","--password=***"]"#);
    assert_eq!(data["reason"], "INC-42");
    assert_eq!(
        data["url"],
        format!("https://requests.example/{}/{request}", scene.namespace)
    );
    // It alone suffices.
    let approve = data["approve"]
        .as_str()
        .unwrap()
        .trim_start_matches("kubectl ");
    amy.kubectl(
        approve
            .split(' ')
            .filter(|word| *word != "-n" && *word != scene.namespace)
            .chain(["--yes"]),
    )
    .works_with("created grant");
    amy.awaits(&request, "Granted");
    jane.exec(&["date", "--password=hunter2"])
        .is_refused_with("unrecognized option");
    let notices = told(&request, 3);
    assert_eq!(kinds(&notices), ["filed", "granted", "used"]);
    assert_eq!(
        notices[1].1["grantedBy"][0],
        amy.name.trim_start_matches("oidc:")
    );
}

#[test]
fn a_denial_is_told_with_its_reason() {
    let scene = Scene::new(world::prefixed());
    let (jane, amy) = (scene.developer("oidc:jane"), scene.approver("oidc:amy"));
    let request = jane.ask(&[], &["date"]);
    amy.kubectl([
        "request",
        "deny",
        &request,
        "--yes",
        "--reason",
        "not today",
    ])
    .works_with("created grant deny-");
    let notices = told(&request, 2);
    assert_eq!(kinds(&notices), ["filed", "denied"]);
    assert_eq!(notices[1].1["deniedBecause"], "not today");
}

// K10
#[test]
fn an_emergency_is_told_at_once_past_a_flood_of_requests_that_the_receiver_has_too_much_of() {
    let (scene, flood) = (Scene::new(world::prefixed()), Scene::new(world::prefixed()));
    let (jane, eve) = (scene.developer("oidc:jane"), flood.developer("oidc:eve"));
    Told::here().refuse("filed", &flood.namespace);
    let asked: Vec<String> = (0..8)
        .map(|number| eve.ask(&[], &["echo", &number.to_string()]))
        .collect();
    eventually("the flood", || {
        !Told::here().refused_of(&asked[0]).is_empty()
    });

    // Each of eve's is tried for a quarter of a minute: eight are two minutes.
    owner_applies(&scene, &night(&scene, &jane)).works_with("created");
    let waits = jane.ask(&[], &["hostname"]);
    let request = jane.ask(&["--reason=the shop is down"], &["date"]);
    assert!(kinds(&told(&request, 2)).contains(&"emergency"));
    assert_eq!(
        kinds(&told(&waits, 1)),
        ["filed"],
        "nor does she hold up what waits for an answer"
    );
    eventually("the note", || {
        scene.get("acr", &request)["status"]["notified"] == json!(["Emergency"])
    });
    assert!(
        asked
            .iter()
            .all(|request| Told::here().of(request).is_empty())
    );

    // What she withdraws is not told afterwards.
    let (kept, withdrawn) = asked.split_last().unwrap();
    let after_seven_seconds = || Told::here().refused_of(&asked[0]).len() > 3;
    eventually("what waits is no longer new", after_seven_seconds);
    eve.kubectl(
        ["request", "withdraw"]
            .into_iter()
            .chain(withdrawn.iter().map(String::as_str)),
    )
    .works_with("");
    Told::here().take("filed", &flood.namespace);
    assert_eq!(kinds(&told(kept, 1)), ["filed"]);
    assert!(
        withdrawn
            .iter()
            .all(|request| Told::here().of(request).is_empty())
    );
}
