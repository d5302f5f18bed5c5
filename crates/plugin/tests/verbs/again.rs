//! `kubectl request again`.

use http::Method;
use rstest::rstest;
use serde_json::{Value, json};

use crate::fake::{Fake, REQUESTS, status};
use crate::pods::refused;

const NAME: &str = "access-debug-jane-x4k2y";

fn earlier(user: &str, filer: &str, phase: &str) -> Value {
    json!({
        "apiVersion": "spreadgroup.com/v1", "kind": "AccessRequest",
        "metadata": {
            "name": NAME, "namespace": "default", "uid": "uid-1", "resourceVersion": "7",
            "creationTimestamp": "2026-01-01T00:00:00Z", "annotations": {"old": "one"},
        },
        "spec": {
            "userInfo": {"username": user, "uid": "u", "groups": ["developers"]},
            "createdBy": {"username": filer},
            "forObject": {
                "resource": {"group": "", "version": "v1", "resource": "pods"}, "subResource": "ephemeralcontainers",
                "name": "web-0", "namespace": "default", "uid": "uid-of-web-0",
            },
            "execOptions": {}, "ephemeralContainer": {"image": "busybox", "stdin": true}, "attach": true,
            "reason": "INC-42", "customKeys": {"ticket": "42"}, "follows": "an-older-one",
        },
        "status": {"phase": phase},
    })
}

fn with(request: Value) -> Fake {
    Fake::new().with(&format!("{REQUESTS}/{NAME}"), request)
}

#[rstest]
#[case("Used", "")]
#[case("Expired", "")]
#[case("Denied", "")]
#[case(
    "Pending",
    "request access-debug-jane-x4k2y is still waiting for a grant\n"
)]
#[case("Granted", "request access-debug-jane-x4k2y still gives this access\n")]
#[tokio::test(start_paused = true)]
async fn the_same_is_filed_anew_and_names_the_earlier_one(#[case] phase: &str, #[case] err: &str) {
    let fake = with(earlier("jane", "jane", phase));
    let outcome = fake.run(&["again", NAME], "").await;
    assert_eq!(
        outcome.out,
        "created accessrequest access-debug-jane-x4k2z (please wait for an admin to grant the permission)\n"
    );
    assert_eq!(outcome.err, err);
    let expected = json!({
        "apiVersion": "spreadgroup.com/v1", "kind": "AccessRequest",
        "metadata": {"generateName": "access-debug-jane-", "labels": {"username": "jane"}, "namespace": "default"},
        "spec": {
            "forObject": {
                "resource": {"group": "", "version": "v1", "resource": "pods"}, "subResource": "ephemeralcontainers",
                "name": "web-0", "namespace": "default",
            },
            "execOptions": {}, "ephemeralContainer": {"image": "busybox", "stdin": true}, "attach": true,
            "reason": "INC-42", "customKeys": {"ticket": "42"}, "follows": NAME,
        },
    });
    assert_eq!(fake.posted(REQUESTS), [expected]);
}

#[rstest]
#[case::her_own("jane", "jane", "jane", None)]
#[case::with_the_prefix_of_the_authenticator("oidc:jane", "jane", "jane", None)]
#[case::filed_for_her("jane", "jane", "robot", None)]
#[case::filed_by_her("jane", "bob", "jane", Some("bob"))]
#[case::filed_by_her_for_whose_name_hers_ends_with("mary-jane", "jane", "mary-jane", Some("jane"))]
#[tokio::test(start_paused = true)]
async fn it_is_for_whom_it_was_the_first_time(
    #[case] me: &str,
    #[case] user: &str,
    #[case] filer: &str,
    #[case] expected: Option<&str>,
) {
    let mut request = earlier(user, filer, "Used");
    request["spec"]["usernamePrefix"] = json!(if me.starts_with("oidc:") { "oidc:" } else { "" });
    let fake = with(request).known_as(me);
    assert_eq!(fake.run(&["again", NAME], "").await.failure, None);
    let user_info = fake.posted(REQUESTS)[0]["spec"].get("userInfo").cloned();
    assert_eq!(user_info, expected.map(|user| json!({"username": user})));
}

// P9
#[tokio::test(start_paused = true)]
async fn a_name_that_ends_alike_is_another() {
    let fake = with(earlier("jane", "jane", "Used")).known_as("mary-jane");
    let failure = fake.run(&["again", NAME], "").await.failure.unwrap();
    assert!(
        failure.contains("is jane's, and you are mary-jane"),
        "{failure}"
    );
}

// P19
#[rstest]
#[case("web-0", true)]
#[case("--kubeconfig=/tmp/x", false)]
#[case("../x", false)]
#[tokio::test(start_paused = true)]
async fn what_is_run_again_names_a_pod_and_no_flag(#[case] name: &str, #[case] runs: bool) {
    let mut request = earlier("jane", "jane", "Used");
    request["spec"]["forObject"]["subResource"] = json!("attach");
    request["spec"]["forObject"]["name"] = json!(name);
    request["spec"]["attachOptions"] = json!({"container": "web", "stdout": true});
    for field in ["ephemeralContainer", "attach"] {
        request["spec"].as_object_mut().unwrap().remove(field);
    }
    let fake = with(request).stamping(|object| object["status"] = json!({"phase": "Granted"}));
    let outcome = fake
        .run(&["again", NAME, "--run", "--timeout=1m"], "")
        .await;
    let arguments = outcome.kubectl.map(|line| line.arguments());
    assert_eq!(
        arguments,
        runs.then(|| {
            [
                "--namespace=default",
                "attach",
                "pod/web-0",
                "--container=web",
            ]
            .map(str::to_owned)
            .to_vec()
        }),
        "{:?}",
        outcome.failure
    );
}

#[tokio::test(start_paused = true)]
async fn the_request_of_another_is_refused() {
    let failure = "error: request access-debug-jane-x4k2y is bob's, and you are jane: nobody asks again for somebody \
                   else. To ask for the same yourself, read it with 'kubectl request show -n default access-debug-jane-x4k2y'";
    refused(
        &with(earlier("bob", "bob", "Used")),
        &["again", NAME],
        failure,
    )
    .await;
}

#[tokio::test(start_paused = true)]
async fn what_the_server_refuses_is_told_in_its_words() {
    let message = "admission webhook \"access\" denied the request: pod web-0 is gone";
    let fake = with(earlier("jane", "jane", "Used")).answering(
        Method::POST,
        REQUESTS,
        403,
        &status(403, "Forbidden", message, ""),
    );
    let failure = fake.run(&["again", NAME], "").await.failure;
    assert_eq!(
        failure,
        Some(format!("Error from server (Forbidden): {message}"))
    );
}

#[rstest]
#[case(
    "gone",
    "Error from server (NotFound): accessrequests \"gone\" not found"
)]
#[case(
    "../x",
    "error: ../x is not the name of a request: see 'kubectl request list -n default'"
)]
#[tokio::test(start_paused = true)]
async fn what_is_no_request_is_refused(#[case] name: &str, #[case] failure: &str) {
    refused(&Fake::new(), &["again", name], failure).await;
}

#[tokio::test(start_paused = true)]
async fn a_dry_run_shows_what_would_be_filed() {
    let fake = with(earlier("jane", "jane", "Used"));
    let outcome = fake
        .run(&["again", NAME, "--dry-run", "-o", "yaml"], "")
        .await;
    assert!(
        outcome.out.contains(&format!("follows: {NAME}\n")),
        "{}",
        outcome.out
    );
    assert_eq!(fake.posted(REQUESTS), Vec::<Value>::new());
}
