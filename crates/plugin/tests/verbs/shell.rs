//! `kubectl request shell`.

use serde_json::json;

use crate::fake::REQUESTS;
use crate::pods::{filed, refused, web_0, world};

#[tokio::test(start_paused = true)]
async fn a_shell_is_any_command_with_a_terminal() {
    let fake = world();
    let outcome = fake
        .run(
            &[
                "shell",
                "web-0",
                "-c",
                "web",
                "--valid-for",
                "30m",
                "--reason",
                "INC-42",
            ],
            "",
        )
        .await;
    assert_eq!(
        outcome.out,
        "created accessrequest access-shell-jane-x4k2z (please wait for an admin to grant the permission)\n"
    );
    let options = json!({
        "kind": "PodExecOptions", "apiVersion": "v1", "stdin": true, "stdout": true, "tty": true, "container": "web",
    });
    let expected = json!({
        "forObject": web_0("exec"), "execOptions": options, "anyCommand": true, "validFor": "30m", "reason": "INC-42",
    });
    assert_eq!(filed(&fake), expected);
}

#[tokio::test]
async fn who_approves_reads_it_in_capitals() {
    let fake = world();
    fake.run(&["shell", "deploy/web"], "").await;
    let mut request = fake.posted(REQUESTS)[0].clone();
    request["metadata"]["name"] = json!("shell");
    request["spec"]["userInfo"] = json!({"username": "jane"});
    let shown = fake
        .with(&format!("{REQUESTS}/shell"), request)
        .run(&["show", "shell"], "")
        .await
        .out;
    assert!(
        shown.contains("Command      ANY command\nInteractive  STDIN AND TTY\n"),
        "{shown}"
    );
    assert!(
        shown.replace("\n  ", " ").ends_with(
            "jane can run ANY command once, in container web of deployment web, in namespace default. What is typed \
             into it is not limited.\n"
        ),
        "{shown}"
    );
}

#[tokio::test]
async fn a_pod_that_is_over_is_refused() {
    let failure = "error: cannot exec into a container in a completed pod; current phase is Failed";
    refused(&world(), &["shell", "done"], failure).await;
}
