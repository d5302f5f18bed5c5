//! `kubectl request show`: what became of a request.

use http::Method;
use serde_json::{Value, json};

use crate::fake::{Fake, GRANTS, REQUESTS};

fn request(status: &Value) -> Value {
    json!({
        "apiVersion": "spreadgroup.com/v1", "kind": "AccessRequest",
        "metadata": {"name": "a", "namespace": "default", "uid": "uid-1", "creationTimestamp": "2025-12-31T23:00:00Z"},
        "spec": {
            "userInfo": {"username": "jane"}, "createdBy": {"username": "robot"}, "validFor": "1h", "attach": true,
            "forObject": {
                "resource": {"group": "", "version": "v1", "resource": "pods"}, "subResource": "ephemeralcontainers",
                "name": "web-0", "namespace": "default",
            },
            "execOptions": {}, "ephemeralContainer": {"image": "busybox", "stdin": true},
        },
        "status": status,
    })
}

fn answer(name: &str, by: &str, uid: &str, at: &str, more: &Value) -> Value {
    let mut answer = json!({
        "apiVersion": "spreadgroup.com/v1", "kind": "AccessGrant",
        "metadata": {"name": name, "namespace": "default", "creationTimestamp": at},
        "spec": {"grantFor": "a", "requestUID": uid, "grantedBy": {"username": by}, "seal": {"at": "2026-01-01T00:00:00Z", "mac": "00"}}, "status": "granted",
    });
    answer["spec"]
        .as_object_mut()
        .unwrap()
        .extend(more.as_object().unwrap().clone());
    answer
}

async fn history(fake: &Fake) -> String {
    let outcome = fake.run(&["show", "a"], "").await;
    assert_eq!(outcome.failure, None);
    outcome.out.split_once("\n\n").unwrap().0.to_owned()
}

#[tokio::test]
async fn what_happened_is_told_in_order_with_every_answer() {
    let uses = json!([
        {"reviewUID": "r", "at": "2026-01-01T00:40:00Z", "pod": "web-0", "podUID": "p", "subResource": "ephemeralcontainers",
         "container": "debugger-1", "outcome": "Answered"},
        {"reviewUID": "s", "at": "2026-01-01T00:41:00Z", "pod": "web-0", "podUID": "p", "subResource": "attach",
         "container": "debugger-1", "outcome": "Lost"},
    ]);
    let status = json!({
        "phase": "Granted", "approvals": 2, "grantedBy": ["amy", "ann"], "expiresAt": "2026-01-01T01:30:00Z", "uses": uses,
    });
    let ann = json!({"validFor": "50m", "reason": "short\u{1b}"});
    let fake = Fake::new()
        .with(&format!("{REQUESTS}/a"), request(&status))
        .with(
            &format!("{GRANTS}/2"),
            answer("2", "ann", "uid-1", "2026-01-01T00:40:00Z", &ann),
        )
        .with(
            &format!("{GRANTS}/1"),
            answer("1", "amy", "uid-1", "2026-01-01T00:30:00Z", &json!({})),
        )
        .with(
            &format!("{GRANTS}/0"),
            answer(
                "0",
                "bob",
                "uid-of-an-earlier-one",
                "2026-01-01T00:30:00Z",
                &json!({}),
            ),
        );
    insta::assert_snapshot!(history(&fake).await);
}

#[tokio::test]
async fn a_policy_that_grants_and_a_wait_for_approvals_are_told() {
    let policy = json!({"name": "low risk", "uid": "u", "generation": 1});
    let by_policy = Fake::new().with(
        &format!("{REQUESTS}/a"),
        request(&json!({"phase": "Expired", "grantedByPolicy": policy, "expiresAt": "2026-01-01T00:30:00Z"})),
    );
    insta::assert_snapshot!(history(&by_policy).await);
    let waiting = Fake::new()
        .with(
            &format!("{REQUESTS}/a"),
            request(&json!({"phase": "Pending", "approvals": 2})),
        )
        .with(
            &format!("{GRANTS}/1"),
            answer("1", "amy", "uid-1", "2026-01-01T00:30:00Z", &json!({})),
        );
    insta::assert_snapshot!(history(&waiting).await);
}

#[tokio::test]
async fn whoever_may_not_see_the_answers_reads_what_the_status_says() {
    let denied = json!({"phase": "Denied", "denied": {"by": "bob", "at": "2026-01-01T00:30:00Z", "reason": "no"}});
    let fake = Fake::new()
        .with(&format!("{REQUESTS}/a"), request(&denied))
        .refusing(Method::GET, GRANTS, 403, "you may not list accessgrants");
    insta::assert_snapshot!(history(&fake).await);
}

// P14
#[tokio::test]
async fn a_grant_without_a_seal_is_said_to_be_none() {
    let mut planted = answer(
        "planted",
        "amy",
        "uid-1",
        "2026-01-01T00:30:00Z",
        &json!({}),
    );
    planted["spec"].as_object_mut().unwrap().remove("seal");
    let fake = Fake::new()
        .with(
            &format!("{REQUESTS}/a"),
            request(&json!({"phase": "Pending", "approvals": 1})),
        )
        .with(&format!("{GRANTS}/planted"), planted);
    let shown = history(&fake).await;
    assert!(shown.contains("Approvals    0 of 1\n"), "{shown}");
    assert!(
        shown.contains(
            "NO GRANT: one in the name of\n           |  amy has no seal, and gives no access"
        ),
        "{shown}"
    );
}
