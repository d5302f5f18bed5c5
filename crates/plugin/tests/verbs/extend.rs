//! `kubectl request extend`.

use serde_json::json;

use crate::fake::{Fake, REQUESTS};
use crate::pods::refused;

fn earlier(user: &str) -> Fake {
    let request = json!({
        "apiVersion": "spreadgroup.com/v1", "kind": "AccessRequest",
        "metadata": {"name": "a", "namespace": "default", "uid": "uid-1"},
        "spec": {
            "userInfo": {"username": user}, "createdBy": {"username": user}, "validFor": "1h0m0s", "reason": "INC-42",
            "forObject": {
                "resource": {"group": "apps", "version": "v1", "resource": "deployments"}, "subResource": "exec",
                "name": "web", "namespace": "default", "uid": "u",
            },
            "execOptions": {"container": "web", "command": ["ls"]},
        },
        "status": {"phase": "Granted"},
    });
    Fake::new().with(&format!("{REQUESTS}/a"), request)
}

#[tokio::test(start_paused = true)]
async fn what_goes_on_is_the_same_for_another_time_and_names_the_earlier_one() {
    let fake = earlier("jane");
    let outcome = fake.run(&["extend", "a", "--valid-for", "30m"], "").await;
    assert_eq!((outcome.failure, outcome.err.as_str()), (None, ""));
    let spec = &fake.posted(REQUESTS)[0]["spec"];
    assert_eq!(
        (&spec["follows"], &spec["validFor"], &spec["reason"]),
        (&json!("a"), &json!("30m"), &json!("INC-42"))
    );
    assert_eq!(spec["execOptions"]["command"], json!(["ls"]));
    assert!(spec.get("userInfo").is_none() && spec["forObject"].get("uid").is_none());
}

#[tokio::test(start_paused = true)]
async fn it_is_waited_for_and_run() {
    let fake = earlier("jane").stamping(|object| object["status"] = json!({"phase": "Granted"}));
    let outcome = fake
        .run(&["extend", "a", "-d", "30m", "--run", "--timeout=1m"], "")
        .await;
    assert_eq!(
        outcome.kubectl.unwrap().arguments(),
        [
            "--namespace=default",
            "exec",
            "deploy/web",
            "--container=web",
            "--",
            "ls"
        ]
    );
}

#[tokio::test(start_paused = true)]
async fn what_makes_no_sense_is_refused() {
    refused(
        &earlier("jane"),
        &["extend", "a", "-d", "13h"],
        "error: --valid-for: \"13h\" is longer than the 12h that an access may last",
    )
    .await;
    refused(
        &earlier("jane"),
        &["extend", "a/b", "-d", "1h"],
        "error: a/b is not the name of a request: see 'kubectl request list -n default'",
    )
    .await;
    let failure = "error: request a is bob's, and you are jane: nobody asks again for somebody else. To ask for the same \
                   yourself, read it with 'kubectl request show -n default a'";
    refused(&earlier("bob"), &["extend", "a", "-d", "1h"], failure).await;
}
