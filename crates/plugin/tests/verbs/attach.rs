//! `kubectl request attach`.

use rstest::rstest;
use serde_json::{Value, json};

use crate::fake::REQUESTS;
use crate::pods::{filed, refused, web_0, world};

#[tokio::test(start_paused = true)]
async fn a_request_to_attach_says_what_kubectl_would_send() {
    let fake = world();
    let outcome = fake
        .run(
            &[
                "attach", "web-0", "-it", "-c", "console", "--reason", "INC-42",
            ],
            "",
        )
        .await;
    assert_eq!(
        outcome.out,
        "created accessrequest access-attach-jane-x4k2z (please wait for an admin to grant the permission)\n"
    );
    assert_eq!(outcome.err, "");
    let options = json!({"stdin": true, "stdout": true, "tty": true, "container": "console"});
    let expected = json!({"forObject": web_0("attach"), "execOptions": {}, "attachOptions": options, "reason": "INC-42"});
    assert_eq!(filed(&fake), expected);
    assert_eq!(
        fake.posted(REQUESTS)[0]["metadata"]["generateName"],
        "access-attach-jane-"
    );
}

const DEFAULTED: &str =
    "Defaulted container \"web\" out of: web, console, setup (init), debugger-1 (ephem)\n";

#[rstest]
#[case::output_only(&["attach", "web-0"], json!({"stdout": true, "stderr": true, "container": "web"}), DEFAULTED)]
#[case::input(
    &["attach", "web-0", "-i", "-c", "web"],
    json!({"stdin": true, "stdout": true, "stderr": true, "container": "web"}), ""
)]
#[case::the_terminal_of_the_container(
    &["attach", "web-0", "-i", "-c", "console"],
    json!({"stdin": true, "stdout": true, "tty": true, "container": "console"}),
    "container console has a terminal, which kubectl attach -i uses: it is asked for too\n"
)]
#[case::no_terminal_there(
    &["attach", "web-0", "-it", "-c", "web"],
    json!({"stdin": true, "stdout": true, "stderr": true, "container": "web"}),
    "Unable to use a TTY - container web did not allocate one: none is asked for\n"
)]
#[case::a_terminal_without_input(
    &["attach", "web-0", "-t", "-c", "console"],
    json!({"stdout": true, "stderr": true, "container": "console"}),
    "kubectl attach uses a terminal (-t) only with -i: none is asked for\n"
)]
#[case::what_kubectl_takes_too(
    &["attach", "web-0", "-q", "--detach-keys", "ctrl-a", "--pod-running-timeout=1m", "-c", "web"],
    json!({"stdout": true, "stderr": true, "container": "web"}), ""
)]
#[tokio::test]
async fn the_terminal_is_asked_for_as_kubectl_uses_it(
    #[case] line: &[&str],
    #[case] options: Value,
    #[case] err: &str,
) {
    let fake = world();
    let outcome = fake.run(line, "").await;
    assert_eq!(outcome.failure, None);
    assert_eq!(filed(&fake)["attachOptions"], options);
    assert_eq!(outcome.err, err);
}

#[tokio::test]
async fn a_workload_is_asked_for_as_such() {
    let fake = world();
    assert_eq!(
        fake.run(
            &["attach", "deploy/web", "-i", "-c", "console", "-d", "1h"],
            ""
        )
        .await
        .failure,
        None
    );
    let spec = filed(&fake);
    assert_eq!(spec["forObject"]["resource"]["resource"], "deployments");
    assert_eq!(spec["attachOptions"]["tty"], true);
    assert_eq!(spec["validFor"], "1h");
}

#[rstest]
#[case(&["attach", "gone"], "Error from server (NotFound): pods \"gone\" not found")]
#[case(&["attach", "done"], "error: cannot attach a container in a completed pod; current phase is Failed")]
#[case(
    &["attach", "web-0", "-c", "wbe"],
    "error: container wbe not found in pod web-0: it has web, console, setup (init), debugger-1 (ephem)"
)]
#[case(
    &["attach", "web-0", "-d", "0s"],
    "error: --valid-for: \"0s\" is not a valid duration: it must be greater than zero"
)]
#[tokio::test]
async fn bad_input_is_refused_and_nothing_is_stored(#[case] line: &[&str], #[case] failure: &str) {
    refused(&world(), line, failure).await;
}
