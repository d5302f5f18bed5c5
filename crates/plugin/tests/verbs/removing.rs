//! `kubectl request revoke` and `withdraw`.

use http::Method;
use rstest::rstest;
use serde_json::{Value, json};

use crate::fake::{Fake, GRANTS, REQUESTS};

fn with(user: &str, phase: &str) -> Fake {
    let request = json!({
        "apiVersion": "spreadgroup.com/v1", "kind": "AccessRequest",
        "metadata": {"name": "a", "namespace": "default", "uid": "uid-1"},
        "spec": {
            "userInfo": {"username": user},
            "forObject": {"resource": {"group": "", "version": "v1", "resource": "pods"}, "subResource": "exec", "name": "p"},
            "execOptions": {"command": ["ls"]},
        },
        "status": {"phase": phase},
    });
    Fake::new().with(&format!("{REQUESTS}/a"), request)
}

fn grant(name: &str, by: &str, uid: &str, status: &str) -> Value {
    json!({
        "apiVersion": "spreadgroup.com/v1", "kind": "AccessGrant",
        "metadata": {"name": name, "namespace": "default", "uid": format!("uid-of-{name}")},
        "spec": {"grantFor": "a", "requestUID": uid, "grantedBy": {"username": by}}, "status": status,
    })
}

/// Granted by amy and ann; an older request of that name was granted too.
fn granted() -> Fake {
    with("jane", "Granted")
        .with(
            &format!("{GRANTS}/one"),
            grant("one", "amy", "uid-1", "granted"),
        )
        .with(
            &format!("{GRANTS}/two"),
            grant("two", "ann", "uid-1", "granted"),
        )
        .with(
            &format!("{GRANTS}/old"),
            grant("old", "amy", "uid-0", "granted"),
        )
}

#[tokio::test]
async fn an_approver_takes_back_exactly_the_grants_of_the_request() {
    let fake = granted();
    let outcome = fake.run(&["revoke", "a"], "").await;
    assert_eq!(outcome.failure, None);
    assert_eq!(
        outcome.out,
        "revoked accessrequest a: the grants by amy, ann are deleted, and it waits again. To end it for good: kubectl \
         request deny -n default a\n"
    );
    let left = |name: &str| fake.stored(&format!("{GRANTS}/{name}")).is_some();
    assert_eq!(
        (left("one"), left("two"), left("old")),
        (false, false, true)
    );
    assert!(fake.stored(&format!("{REQUESTS}/a")).is_some());
    let deletions = fake
        .calls()
        .into_iter()
        .filter(|call| call.method == Method::DELETE);
    assert!(
        deletions
            .into_iter()
            .all(|call| call.body["preconditions"]["uid"].is_string())
    );
}

// P8
#[tokio::test]
async fn the_grants_say_who_gives_access_and_not_the_phase() {
    let fake = with("jane", "Pending").with(
        &format!("{GRANTS}/one"),
        grant("one", "amy", "uid-1", "granted"),
    );
    let outcome = fake.run(&["revoke", "a"], "").await;
    assert_eq!(outcome.failure, None);
    assert!(
        outcome
            .out
            .starts_with("revoked accessrequest a: the grants by amy are deleted"),
        "{}",
        outcome.out
    );
    assert!(fake.stored(&format!("{GRANTS}/one")).is_none());
}

// P10
#[rstest]
#[case("revoke", "Granted")]
#[case("withdraw", "Pending")]
#[tokio::test]
async fn a_later_request_of_the_same_name_is_left_alone(#[case] verb: &str, #[case] phase: &str) {
    let fake = with("jane", phase);
    let outcome = fake.run(&[verb, "a@uid-0"], "").await;
    assert_eq!(
        outcome.failure.as_deref(),
        Some(
            "error: request a is not the one with UID uid-0: that one was deleted, and its name was taken again. \
             Nothing was changed"
        )
    );
    assert!(fake.stored(&format!("{REQUESTS}/a")).is_some());
}

#[rstest]
#[case::who_may_delete_no_grants(granted().refusing(Method::DELETE, &format!("{GRANTS}/one"), 403, "no"))]
#[case::a_policy_grants_it(with("jane", "Granted"))]
#[tokio::test]
async fn where_no_grant_can_be_deleted_the_request_is(#[case] fake: Fake) {
    let outcome = fake.run(&["revoke", "a"], "").await;
    assert_eq!(
        (outcome.out.as_str(), outcome.failure),
        ("revoked accessrequest a: it is deleted\n", None)
    );
    assert!(fake.stored(&format!("{REQUESTS}/a")).is_none());
}

// P8
#[tokio::test]
async fn of_several_grants_it_is_told_which_are_gone_where_one_cannot_be_deleted() {
    let fake = granted().refusing(Method::DELETE, &format!("{GRANTS}/two"), 403, "no");
    let fake = fake.refusing(Method::DELETE, &format!("{REQUESTS}/a"), 403, "not yours");
    let outcome = fake.run(&["revoke", "a"], "").await;
    assert_eq!(
        outcome.err,
        "accessrequest a: the grants by amy are deleted, and the one by ann could not be\n"
    );
    assert_eq!(
        outcome.failure.as_deref(),
        Some("Error from server (Forbidden): not yours")
    );
    assert!(fake.stored(&format!("{GRANTS}/one")).is_none());
}

#[rstest]
#[case(
    "revoke",
    "Pending",
    "request a gives no access: it is pending. Nothing was deleted. To take it back: kubectl request withdraw -n default a; to refuse it: kubectl request deny -n default a"
)]
#[case(
    "revoke",
    "Expired",
    "request a gives no access: it is expired. Nothing was deleted"
)]
#[case(
    "withdraw",
    "Granted",
    "request a is granted already. Nothing was deleted. To end the access: kubectl request revoke -n default a"
)]
#[case(
    "withdraw",
    "Denied",
    "request a is denied already. Nothing was deleted"
)]
#[tokio::test]
async fn what_stands_otherwise_is_left_alone(
    #[case] verb: &str,
    #[case] phase: &str,
    #[case] failure: &str,
) {
    let fake = with("jane", phase);
    assert_eq!(
        fake.run(&[verb, "a"], "").await.failure,
        Some(format!("error: {failure}"))
    );
    assert!(
        fake.calls()
            .iter()
            .all(|call| call.method != Method::DELETE)
    );
}

#[tokio::test]
async fn a_request_of_ones_own_is_withdrawn() {
    let fake = with("jane", "Pending");
    let outcome = fake.run(&["withdraw", "a"], "").await;
    assert_eq!(
        (outcome.out.as_str(), outcome.failure),
        ("withdrew accessrequest a\n", None)
    );
    assert!(fake.stored(&format!("{REQUESTS}/a")).is_none());
}

#[tokio::test]
async fn nobody_withdraws_for_somebody_else() {
    let fake = with("bob", "Pending");
    let failure = "error: request a is bob's, and you are jane: only who asked withdraws it. To refuse it: kubectl \
                   request deny -n default a";
    assert_eq!(
        fake.run(&["withdraw", "a"], "").await.failure.as_deref(),
        Some(failure)
    );
    assert!(fake.stored(&format!("{REQUESTS}/a")).is_some());
}

#[tokio::test]
async fn another_request_that_took_the_name_is_not_deleted() {
    let mut another = with("jane", "Pending")
        .stored(&format!("{REQUESTS}/a"))
        .unwrap();
    another["metadata"]["uid"] = json!("uid-2");
    let read = with("jane", "Pending")
        .stored(&format!("{REQUESTS}/a"))
        .unwrap();
    let fake = Fake::new()
        .with(&format!("{REQUESTS}/a"), another)
        .answering_in_turn(&format!("{REQUESTS}/a"), &[read]);
    let failure = "error: request a changed while it was read; nothing was deleted. See 'kubectl request list -n default'";
    assert_eq!(
        fake.run(&["withdraw", "a"], "").await.failure.as_deref(),
        Some(failure)
    );
    assert!(fake.stored(&format!("{REQUESTS}/a")).is_some());
}

#[rstest]
#[tokio::test]
async fn one_that_fails_does_not_keep_the_others(#[values("withdraw", "revoke")] verb: &str) {
    let phase = if verb == "revoke" {
        "Granted"
    } else {
        "Pending"
    };
    let fake = with("jane", phase);
    let outcome = fake.run(&[verb, "gone", "a", "gone-too"], "").await;
    assert_eq!(
        outcome.err,
        "Error from server (NotFound): accessrequests \"gone\" not found\n"
    );
    assert_eq!(
        outcome.failure.as_deref(),
        Some("Error from server (NotFound): accessrequests \"gone-too\" not found")
    );
    assert!(fake.stored(&format!("{REQUESTS}/a")).is_none());
}

#[rstest]
#[tokio::test]
async fn what_is_no_name_never_reaches_the_server(
    #[values("withdraw", "revoke", "deny")] verb: &str,
) {
    let fake = Fake::new();
    let failure =
        "error: a/b/c is not the name of a request: see 'kubectl request list -n default'";
    assert_eq!(
        fake.run(&[verb, "a", "a/b/c"], "").await.failure.as_deref(),
        Some(failure)
    );
    assert!(fake.calls().is_empty());
}
