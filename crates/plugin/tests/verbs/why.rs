//! `kubectl request why`.

use rstest::rstest;
use serde_json::{Value, json};

use crate::fake::REQUESTS;
use crate::pods::world;

#[rstest]
#[case(&["why", "exec", "web-0", "--", "ls"], "exec")]
#[case(&["why", "shell", "web-0"], "exec")]
#[case(&["why", "attach", "web-0"], "attach")]
#[case(&["why", "port-forward", "web-0", "80"], "portforward")]
#[case(&["why", "debug", "web-0", "--image=box"], "ephemeralcontainers")]
#[case(&["why", "cp", "web-0:/a", "b"], "exec")]
#[tokio::test]
async fn the_server_explains_a_dry_run_and_nothing_is_filed(
    #[case] line: &[&str],
    #[case] door: &str,
) {
    let fake = world().stamping(|object| {
        if object["metadata"]["annotations"]["spreadgroup.com/explain"] == "true" {
            let text =
                "you have not asked for this yet.\n  policy \u{1b}[2J low-risk: does not match\n";
            object["metadata"]["annotations"]["spreadgroup.com/explanation"] = json!(text);
        }
    });
    let outcome = fake.run(line, "").await;
    assert_eq!(
        (outcome.out.as_str(), outcome.failure),
        (
            "you have not asked for this yet.\n  policy \\u{1b}[2J low-risk: does not match\n",
            None
        )
    );
    let call = fake
        .calls()
        .into_iter()
        .find(|call| call.path == REQUESTS && call.method == http::Method::POST)
        .unwrap();
    assert!(call.query.contains("dryRun=All"), "{}", call.query);
    assert_eq!(call.body["spec"]["forObject"]["subResource"], door);
    assert_eq!(fake.posted(REQUESTS), Vec::<Value>::new());
}

#[tokio::test]
async fn a_server_that_explains_nothing_is_told() {
    let failure = world()
        .run(&["why", "exec", "web-0", "--", "ls"], "")
        .await
        .failure
        .unwrap();
    let expected = "error: this server cannot explain: it is older than this plugin. Try the command itself: a denial \
                    says what is missing";
    assert_eq!(failure, expected);
}
