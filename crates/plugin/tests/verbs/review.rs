//! `kubectl request review`, and what other verbs say of emergencies.

use http::Method;
use rstest::rstest;
use serde_json::{Value, json};

use crate::fake::{Fake, GRANTS, Outcome, REQUESTS};
use crate::pods::world;

/// It is one o'clock: one emergency can still be reviewed in time, one cannot.
const LATER: &str = "2026-01-01T23:00:00Z";
const EARLIER: &str = "2026-01-01T00:30:00Z";

fn emergency(review_by: &str) -> Value {
    json!({
        "phase": "Used", "grantedBy": ["policy night"],
        "grantedByPolicy": {"name": "night", "uid": "policy-1", "generation": 2},
        "emergency": {
            "policy": {"name": "night", "uid": "policy-1", "generation": 2},
            "since": "2025-12-31T23:00:00Z", "reviewBy": review_by,
        },
        "uses": [{"reviewUID": "r", "at": "2025-12-31T23:01:00Z", "pod": "web-0", "podUID": "p"}],
    })
}

fn reviewed() -> Value {
    let mut status = emergency(LATER);
    status["reviewed"] =
        json!({"by": "amy", "at": "2026-01-01T00:50:00Z", "reason": "as she\u{1b} says"});
    status
}

fn request(name: &str, status: Value) -> Value {
    let mut request = json!({
        "apiVersion": "spreadgroup.com/v1", "kind": "AccessRequest",
        "metadata": {"name": name, "namespace": "default", "uid": format!("uid-{name}"), "creationTimestamp": "2025-12-31T23:00:00Z"},
        "spec": {
            "userInfo": {"username": "jane"}, "createdBy": {"username": "jane"}, "reason": "the shop is down",
            "forObject": {
                "resource": {"group": "", "version": "v1", "resource": "pods"}, "subResource": "exec",
                "name": "web-0", "namespace": "default",
            },
            "execOptions": {"container": "web", "command": ["ls"]},
        },
    });
    request["status"] = status;
    request
}

fn with(status: Value) -> Fake {
    Fake::new().with(&format!("{REQUESTS}/a"), request("a", status))
}

fn granted() -> Value {
    let mut status = emergency(LATER);
    status["phase"] = json!("Granted");
    status["uses"] = json!([]);
    status
}

fn four() -> Fake {
    Fake::new()
        .with(&format!("{REQUESTS}/a"), request("a", emergency(LATER)))
        .with(&format!("{REQUESTS}/b"), request("b", emergency(EARLIER)))
        .with(&format!("{REQUESTS}/c"), request("c", reviewed()))
        .with(
            &format!("{REQUESTS}/d"),
            request("d", json!({"phase": "Granted", "grantedBy": ["amy"]})),
        )
}

async fn shown(fake: &Fake) -> String {
    let outcome = fake.run(&["show", "a"], "").await;
    outcome.out.split_once("\n\n").unwrap().0.to_owned()
}

#[tokio::test]
async fn an_emergency_is_shown_with_what_became_of_it_and_asked_about_and_reviewed() {
    let fake = with(emergency(LATER));
    let outcome = fake.run(&["review", "a", "--reason", "fine"], "y\n").await;
    assert_eq!(outcome.failure, None);
    insta::assert_snapshot!(outcome.out);
    let stored = &fake.posted(GRANTS)[0];
    assert_eq!(stored["status"], "reviewed");
    assert_eq!(
        stored["spec"],
        json!({"grantFor": "a", "requestUID": "uid-a", "reason": "fine"})
    );
    assert_eq!(stored["metadata"]["ownerReferences"][0]["uid"], "uid-a");
}

#[rstest]
#[case::used(emergency(LATER))]
#[case::overdue(emergency(EARLIER))]
#[case::granted(granted())]
#[case::expired({ let mut status = emergency(LATER); status["phase"] = json!("Expired"); status })]
#[tokio::test]
async fn it_is_reviewed_in_whatever_phase_it_is(#[case] status: Value) {
    let fake = with(status);
    let outcome = fake.run(&["review", "a@uid-a", "-y"], "").await;
    assert_eq!((outcome.failure, fake.posted(GRANTS).len()), (None, 1));
    assert!(!outcome.out.contains("([yN])?"), "{}", outcome.out);
}

fn nothing_was_stored(fake: &Fake, outcome: &Outcome, failure: &str) {
    assert_eq!(outcome.failure.as_deref(), Some(failure), "{outcome:?}");
    assert!(
        !fake
            .calls()
            .iter()
            .any(|call| call.method == Method::POST && call.path == GRANTS)
    );
}

#[tokio::test]
async fn without_a_yes_nothing_is_stored() {
    let fake = with(emergency(LATER));
    let outcome = fake.run(&["review", "a"], "yes\n").await;
    nothing_was_stored(
        &fake,
        &outcome,
        "error: nothing was stored: only y or Y, typed after the question, is a yes",
    );
}

#[rstest]
#[case(json!({"phase": "Used"}), "error: request a was not granted by a policy for emergencies: there is nothing to review")]
#[case(
    reviewed(),
    "error: request a was reviewed already, by amy at 00:50 +00:00 (10m ago): as she\\u{1b} says"
)]
#[tokio::test]
async fn what_needs_no_review_is_told_before_anybody_is_asked(
    #[case] status: Value,
    #[case] failure: &str,
) {
    let fake = with(status);
    let outcome = fake.run(&["review", "a"], "y\n").await;
    nothing_was_stored(&fake, &outcome, failure);
    assert_eq!(outcome.out, "");
}

#[tokio::test]
async fn what_nobody_has_reviewed_is_listed_and_what_is_overdue_says_so() {
    let outcome = four().run(&["list", "--unreviewed"], "").await;
    insta::assert_snapshot!(outcome.out);
    let names = four()
        .run(&["list", "--unreviewed", "-o", "name"], "")
        .await;
    assert_eq!(
        names.out,
        "accessrequest.spreadgroup.com/a\naccessrequest.spreadgroup.com/b\n"
    );
    let nothing = with(reviewed()).run(&["list", "--unreviewed"], "").await;
    assert_eq!(
        (nothing.out.as_str(), nothing.err.as_str()),
        ("", "no such requests in namespace default\n")
    );
}

#[tokio::test]
async fn show_tells_of_the_emergency_and_of_its_review() {
    insta::assert_snapshot!(shown(&with(emergency(EARLIER))).await);
    insta::assert_snapshot!(shown(&with(reviewed())).await);
    let review = json!({
        "apiVersion": "spreadgroup.com/v1", "kind": "AccessGrant", "status": "reviewed",
        "metadata": {"name": "review-a", "namespace": "default", "creationTimestamp": "2026-01-01T00:50:00Z"},
        "spec": {"grantFor": "a", "requestUID": "uid-a", "grantedBy": {"username": "amy"}, "reason": "as she\u{1b} says"},
    });
    let seen = with(reviewed()).with(&format!("{GRANTS}/review-a"), review);
    assert_eq!(
        shown(&seen).await,
        shown(&with(reviewed())).await,
        "told once, whoever looks"
    );
}

#[rstest]
#[tokio::test]
async fn what_must_be_reviewed_is_not_deleted(#[values("revoke", "withdraw")] verb: &str) {
    let fake = with(granted());
    let failure = "error: request a is an emergency that nobody has reviewed, and stays until then. Nothing was deleted. \
                   To end the access, whoever may answer requests types: kubectl request deny -n default a";
    assert_eq!(
        fake.run(&[verb, "a"], "").await.failure.as_deref(),
        Some(failure)
    );
    assert!(
        fake.calls()
            .iter()
            .all(|call| call.method != Method::DELETE)
    );
    let denied = fake.run(&["deny", "a"], "y\n").await;
    assert_eq!(denied.failure, None);
}

#[tokio::test(start_paused = true)]
async fn whoever_asks_reads_at_once_that_it_is_an_emergency() {
    let fake = world();
    fake.later(1, |fake| {
        let path = format!("{REQUESTS}/access-exec-jane-x4k2z");
        let mut request = fake.stored(&path).unwrap();
        request["status"] = granted();
        fake.put(&path, Some(request));
    });
    let line = [
        "exec",
        "web-0",
        "-c",
        "web",
        "--reason=down",
        "--timeout=1m",
        "--wait",
        "--",
        "ls",
    ];
    let outcome = fake.run(&line, "").await;
    let said = "request access-exec-jane-x4k2z is granted at once by policy night, for one use, as an emergency: somebody \
                must review it until 23:00 +00:00 (in 21h)";
    assert!(outcome.err.contains(said), "{}", outcome.err);
}

#[rstest]
#[case::a_reason(&["--reason=down"], true)]
#[case::keys(&["-k", "ticket=1"], true)]
#[case::nothing_that_a_policy_could_want(&[], false)]
#[case::for_a_script(&["--reason=down", "-o", "name"], false)]
#[tokio::test(start_paused = true)]
async fn whoever_does_not_wait_reads_it_too(#[case] flags: &[&str], #[case] told: bool) {
    let fake = world();
    fake.later(1, |fake| {
        let path = format!("{REQUESTS}/access-exec-jane-x4k2z");
        if let Some(mut request) = fake.stored(&path) {
            request["status"] = granted();
            fake.put(&path, Some(request));
        }
    });
    let line = [&["exec", "web-0", "-c", "web"], flags, &["--", "ls"]].concat();
    let outcome = fake.run(&line, "").await;
    assert_eq!(
        outcome
            .err
            .contains("is granted at once by policy night, for one use, as an emergency"),
        told
    );
}

#[tokio::test(start_paused = true)]
async fn what_waits_for_an_approver_is_not_looked_at_for_long() {
    let outcome = world()
        .run(
            &["exec", "web-0", "-c", "web", "--reason=down", "--", "ls"],
            "",
        )
        .await;
    assert_eq!((outcome.failure, outcome.err.as_str()), (None, ""));
}

#[tokio::test]
async fn what_can_be_reviewed_is_completed() {
    assert_eq!(
        four()
            .complete(&["review", ""])
            .await
            .lines()
            .filter(|line| !line.starts_with(':'))
            .count(),
        2
    );
}
