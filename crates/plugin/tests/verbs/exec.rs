//! `kubectl request exec`.

use http::Method;
use rstest::rstest;
use serde_json::{Value, json};

use crate::fake::{Fake, Outcome, REQUESTS, status};

const POD: &str = "/api/v1/namespaces/default/pods";
const APPS: &str = "/apis/apps/v1/namespaces/default";

fn spec() -> Value {
    json!({"containers": [{"name": "nginx"}, {"name": "proxy"}]})
}

fn pod(name: &str) -> Value {
    json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name, "namespace": "default"}, "spec": spec()})
}

/// A pod of a workload: running, ready or not.
fn owned_pod(name: &str, owner: (&str, &str, &str), ready: bool) -> Value {
    let mut pod = pod(name);
    pod["metadata"]["ownerReferences"] = owned_by(owner);
    pod["status"] = json!({
        "phase": "Running",
        "conditions": [{"type": "Ready", "status": if ready { "True" } else { "False" }}],
    });
    pod
}

fn owned_by((kind, name, uid): (&str, &str, &str)) -> Value {
    json!([{"apiVersion": "apps/v1", "kind": kind, "name": name, "uid": uid, "controller": true}])
}

fn workload(kind: &str) -> Value {
    json!({
        "apiVersion": "apps/v1", "kind": kind,
        "metadata": {"name": "web", "namespace": "default", "uid": "uid-of-web"},
        "spec": {
            "replicas": 2,
            "selector": {"matchLabels": {"app": "web"}},
            "template": {
                "metadata": {"annotations": {"kubectl.kubernetes.io/default-container": "proxy"}},
                "spec": spec(),
            },
        },
        "status": {"readyReplicas": 2},
    })
}

fn with_pod() -> Fake {
    Fake::new().with(&format!("{POD}/nginx"), pod("nginx"))
}

fn with_deployment() -> Fake {
    Fake::new().with(&format!("{APPS}/deployments/web"), workload("Deployment")).with(
        &format!("{APPS}/replicasets/web-1"),
        json!({"apiVersion": "apps/v1", "kind": "ReplicaSet", "metadata": {
            "name": "web-1", "uid": "uid-of-web-1", "ownerReferences": owned_by(("Deployment", "web", "uid-of-web")),
        }}),
    )
}

fn ended(outcome: &Outcome, failure: &str) {
    assert_eq!(outcome.failure.as_deref(), Some(failure), "{outcome:?}");
}

#[tokio::test]
async fn a_request_for_a_pod_is_stored_as_the_original_stores_it() {
    let fake = with_pod();
    let outcome = fake.run(&["exec", "nginx", "--", "ls", "-l"], "").await;
    assert_eq!(
        outcome.out,
        "created accessrequest access-exec-jane-x4k2z (please wait for an admin to grant the permission)\n"
    );
    assert_eq!(
        outcome.err,
        "Defaulted container \"nginx\" out of: nginx, proxy\n"
    );
    let expected = json!({
        "apiVersion": "spreadgroup.com/v1",
        "kind": "AccessRequest",
        "metadata": {"generateName": "access-exec-jane-", "labels": {"username": "jane"}, "namespace": "default"},
        "spec": {
            "forObject": {
                "resource": {"group": "", "version": "v1", "resource": "pods"},
                "subResource": "exec", "name": "nginx", "namespace": "default",
            },
            "execOptions": {
                "kind": "PodExecOptions", "apiVersion": "v1", "stdout": true, "stderr": true,
                "container": "nginx", "command": ["ls", "-l"],
            },
        },
    });
    assert_eq!(fake.posted(REQUESTS), [expected]);
}

#[tokio::test]
async fn a_request_for_a_deployment_is_stored_as_the_deployment() {
    let fake = with_deployment();
    let outcome = fake.run(&["exec", "deploy/web", "ls"], "").await;
    assert_eq!(outcome.failure, None);
    assert_eq!(outcome.err, "");
    let spec = &fake.posted(REQUESTS)[0]["spec"];
    let resource = json!({"group": "apps", "version": "v1", "resource": "deployments"});
    let expected =
        json!({"resource": resource, "subResource": "exec", "name": "web", "namespace": "default"});
    assert_eq!(spec["forObject"], expected);
    assert_eq!(spec["execOptions"]["container"], "proxy");
}

#[tokio::test(start_paused = true)]
async fn every_flag_reaches_the_request() {
    let fake = with_pod();
    let line = [
        "exec",
        "nginx",
        "-it",
        "-c",
        "proxy",
        "--valid-for",
        "1h30m",
        "-k",
        "ticket=1,env=dev",
        "--reason",
        "INC-42",
        "--on-behalf-of",
        "Amy",
        "--",
        "sh",
    ];
    assert_eq!(fake.run(&line, "").await.failure, None);
    let request = &fake.posted(REQUESTS)[0];
    assert_eq!(
        request["metadata"]["labels"]["username"]
            .as_str()
            .unwrap()
            .len(),
        "amy-12345678".len()
    );
    assert_eq!(request["spec"]["userInfo"], json!({"username": "Amy"}));
    assert_eq!(request["spec"]["validFor"], "1h30m");
    assert_eq!(
        request["spec"]["customKeys"],
        json!({"ticket": "1", "env": "dev"})
    );
    assert_eq!(request["spec"]["reason"], "INC-42");
    let options = json!({
        "kind": "PodExecOptions", "apiVersion": "v1", "stdin": true, "stdout": true, "tty": true,
        "container": "proxy", "command": ["sh"],
    });
    assert_eq!(request["spec"]["execOptions"], options);
}

// F5
#[tokio::test]
async fn any_command_is_said_aloud_and_leaves_the_command_out() {
    let fake = with_pod();
    assert_eq!(
        fake.run(&["exec", "nginx", "--any-command"], "")
            .await
            .failure,
        None
    );
    let spec = &fake.posted(REQUESTS)[0]["spec"];
    assert_eq!(spec["anyCommand"], true);
    assert_eq!(spec["execOptions"].get("command"), None);
}

#[tokio::test]
async fn a_name_that_fits_no_label_still_gives_a_valid_request() {
    let fake = with_pod().known_as("system:serviceaccount:ns:robot");
    assert_eq!(fake.run(&["exec", "nginx", "ls"], "").await.failure, None);
    let metadata = &fake.posted(REQUESTS)[0]["metadata"];
    let slug = metadata["labels"]["username"].as_str().unwrap();
    assert!(
        slug.starts_with("system-serviceaccount-ns-robot-"),
        "{slug}"
    );
    assert_eq!(metadata["generateName"], format!("access-exec-{slug}-"));
}

#[tokio::test]
async fn where_the_server_does_not_say_who_we_are_the_request_is_filed_all_the_same() {
    let path = "/apis/authentication.k8s.io/v1/selfsubjectreviews";
    let fake = with_pod().answering(Method::POST, path, 403, &status(403, "Forbidden", "no", ""));
    assert_eq!(fake.run(&["exec", "nginx", "ls"], "").await.failure, None);
    assert_eq!(
        fake.posted(REQUESTS)[0]["metadata"]["generateName"],
        "access-exec-user-"
    );
}

#[tokio::test]
async fn pinning_chooses_a_ready_pod_by_its_owners() {
    let set = ("ReplicaSet", "web-1", "uid-of-web-1");
    let mut leaving = owned_pod("web-0", set, true);
    leaving["metadata"]["deletionTimestamp"] = json!("2026-01-01T00:00:00Z");
    let mut pending = owned_pod("web-1", set, true);
    pending["status"]["phase"] = json!("Pending");
    let fake = with_deployment()
        .with(&format!("{POD}/web-0"), leaving)
        .with(&format!("{POD}/web-1"), pending)
        // The same labels, but another's pods.
        .with(
            &format!("{POD}/web-2"),
            owned_pod(
                "web-2",
                ("ReplicaSet", "web-1", "uid-of-an-older-web-1"),
                true,
            ),
        )
        .with(
            &format!("{POD}/web-3"),
            owned_pod("web-3", ("StatefulSet", "other", "uid-of-other"), true),
        )
        .with(&format!("{POD}/web-4"), owned_pod("web-4", set, false))
        .with(&format!("{POD}/web-5"), owned_pod("web-5", set, true));
    let outcome = fake
        .run(
            &["exec", "deploy/web", "--pin-pod", "-c", "nginx", "--", "ls"],
            "",
        )
        .await;
    assert_eq!(outcome.failure, None);
    let object = &fake.posted(REQUESTS)[0]["spec"]["forObject"];
    assert_eq!(
        object["resource"],
        json!({"group": "", "version": "v1", "resource": "pods"})
    );
    assert_eq!(object["name"], "web-5");
    let list = fake
        .calls()
        .into_iter()
        .find(|call| call.path == POD)
        .unwrap();
    assert!(
        list.query.contains("labelSelector=app%3Dweb"),
        "{}",
        list.query
    );
}

#[tokio::test]
async fn pinning_where_nothing_runs_says_what_to_do() {
    let outcome = with_deployment()
        .run(&["exec", "deploy/web", "--pin-pod", "--", "ls"], "")
        .await;
    let failure = "error: no pod of deployment web is running: leave out --pin-pod to ask for whichever pod it runs";
    ended(&outcome, failure);
}

#[tokio::test]
async fn pinning_a_pod_is_refused() {
    let outcome = with_pod()
        .run(&["exec", "nginx", "--pin-pod", "--", "ls"], "")
        .await;
    ended(
        &outcome,
        "error: --pin-pod chooses a pod of a workload, and nginx is a pod already: leave it out",
    );
}

#[rstest]
#[case(&["exec", "gone", "ls"], "Error from server (NotFound): pods \"gone\" not found")]
#[case(&["exec", "deploy/gone", "ls"], "Error from server (NotFound): deployments \"gone\" not found")]
#[case(&["exec", "nginx", "-c", "ngnix", "ls"], "error: container ngnix not found in pod nginx: it has nginx, proxy")]
#[case(
    &["exec", "done", "ls"],
    "error: cannot exec into a container in a completed pod; current phase is Succeeded"
)]
#[case(&["exec", "empty", "ls"], "error: pod empty has no containers")]
#[case(
    &["exec", "svc/nginx", "ls"],
    "error: access cannot be requested for svc/nginx: name a pod (POD or pod/NAME), or a workload (deployment/NAME, \
     statefulset/NAME, daemonset/NAME, job/NAME)"
)]
#[case(
    &["exec", "nginx"],
    "error: say which command to run: … -- COMMAND [ARGUMENTS…], or ask for any command with --any-command"
)]
#[case(
    &["exec", "nginx", "--", ""],
    "error: say which command to run: … -- COMMAND [ARGUMENTS…], or ask for any command with --any-command"
)]
#[case(
    &["exec", "nginx", "-d", "-1h", "ls"],
    "error: --valid-for: \"-1h\" is not a duration: write it like 90m, 1h30m or 45s"
)]
#[case(
    &["exec", "nginx", "-d", "1h1h", "ls"],
    "error: --valid-for: \"1h1h\" is not a duration: write it like 90m, 1h30m or 45s"
)]
#[case(
    &["exec", "nginx", "-d", "0s", "ls"],
    "error: --valid-for: \"0s\" is not a valid duration: it must be greater than zero"
)]
#[case(
    &["exec", "nginx", "-d", "13h", "ls"],
    "error: --valid-for: \"13h\" is longer than the 12h that an access may last"
)]
#[case(&["exec", "nginx", "-k", "ticket", "ls"], "error: --custom-key ticket: write it as KEY=VALUE")]
#[tokio::test]
async fn bad_input_is_refused_and_nothing_is_stored(#[case] line: &[&str], #[case] failure: &str) {
    let mut empty = pod("empty");
    empty["spec"]["containers"] = json!([]);
    let mut done = pod("done");
    done["status"] = json!({"phase": "Succeeded"});
    let fake = with_pod()
        .with(&format!("{POD}/empty"), empty)
        .with(&format!("{POD}/done"), done);
    let outcome = fake.run(line, "").await;
    ended(&outcome, failure);
    assert_eq!(outcome.out, "");
    assert_eq!(fake.posted(REQUESTS), Vec::<Value>::new());
}

#[tokio::test]
async fn what_the_server_refuses_is_told_in_its_words() {
    let message = "admission webhook \"access\" denied the request: anyCommand is not allowed here\nask \u{1b}[2Jamy";
    let fake = with_pod().answering(
        Method::POST,
        REQUESTS,
        403,
        &status(403, "Forbidden", message, ""),
    );
    let failure = "Error from server (Forbidden): admission webhook \"access\" denied the request: anyCommand is not \
                   allowed here\nask \\u{1b}[2Jamy";
    ended(&fake.run(&["exec", "nginx", "ls"], "").await, failure);
}

#[rstest]
#[case("404 page not found\n".to_owned())]
#[case(status(404, "NotFound", "the server could not find the requested resource", "").to_string())]
#[tokio::test]
async fn a_cluster_without_our_resources_is_told_apart(#[case] body: String) {
    let fake = with_pod().answering(Method::POST, REQUESTS, 404, &body);
    let failure = "error: kube-request-access is not installed in this cluster (context dev): ask who runs the \
                   cluster to install it, or choose another with --context";
    ended(&fake.run(&["exec", "nginx", "ls"], "").await, failure);
}

#[tokio::test]
async fn a_namespace_that_is_missing_is_not_a_missing_installation() {
    let missing = status(
        404,
        "NotFound",
        "namespaces \"default\" not found",
        "default",
    );
    let fake = with_pod().answering(Method::POST, REQUESTS, 404, &missing);
    let outcome = fake.run(&["exec", "nginx", "ls"], "").await;
    ended(
        &outcome,
        "Error from server (NotFound): namespaces \"default\" not found",
    );
}

#[tokio::test]
async fn who_is_not_logged_in_is_told_so() {
    let path = format!("{POD}/nginx");
    let fake = with_pod().answering(
        Method::GET,
        &path,
        401,
        &status(401, "Unauthorized", "Unauthorized", ""),
    );
    let outcome = fake.run(&["exec", "nginx", "ls"], "").await;
    ended(
        &outcome,
        "error: You must be logged in to the server (Unauthorized)",
    );
}

#[tokio::test]
async fn a_dry_run_on_the_client_sends_nothing() {
    let fake = with_pod();
    let outcome = fake
        .run(
            &[
                "exec",
                "nginx",
                "--dry-run=client",
                "-o",
                "yaml",
                "-c",
                "nginx",
                "--",
                "ls",
            ],
            "",
        )
        .await;
    assert!(
        outcome
            .out
            .starts_with("apiVersion: spreadgroup.com/v1\nkind: AccessRequest\n"),
        "{}",
        outcome.out
    );
    assert_eq!(fake.posted(REQUESTS), Vec::<Value>::new());
}

#[tokio::test]
async fn a_dry_run_on_the_server_stores_nothing() {
    let fake = with_pod();
    let outcome = fake
        .run(&["exec", "nginx", "--dry-run=server", "ls"], "")
        .await;
    assert_eq!(
        outcome.out,
        "created accessrequest access-exec-jane-x4k2z (server dry run)\n"
    );
    assert!(
        fake.calls()
            .iter()
            .any(|call| call.path == REQUESTS && call.query.contains("dryRun=All"))
    );
}

#[rstest]
#[case("name", "accessrequest.spreadgroup.com/access-exec-jane-x4k2z\n")]
#[case("json", "{\n    \"apiVersion\": \"spreadgroup.com/v1\",\n")]
#[tokio::test]
async fn the_stored_request_is_printed_as_asked(#[case] format: &str, #[case] start: &str) {
    let outcome = with_pod()
        .run(&["exec", "nginx", "-o", format, "ls"], "")
        .await;
    assert!(outcome.out.starts_with(start), "{}", outcome.out);
}
