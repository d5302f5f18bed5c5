//! `kubectl request debug`.

use rstest::rstest;
use serde_json::{Value, json};

use crate::fake::REQUESTS;
use crate::pods::{filed, refused, web_0, world};

const ANOTHER_POD: &str = "makes another pod, which is no access to this one: it is not gated, and there is nothing to \
                           ask for. Whether you may create pods is for RBAC to say";

#[tokio::test]
async fn one_request_is_for_the_container_and_for_attaching_to_it() {
    let fake = world();
    let line = [
        "debug",
        "-it",
        "web-0",
        "--image=busybox",
        "--target=web",
        "--",
        "sh",
        "-c",
        "id",
    ];
    let outcome = fake.run(&line, "").await;
    assert_eq!((outcome.failure, outcome.err.as_str()), (None, ""));
    let container = json!({
        "image": "busybox", "command": ["sh", "-c", "id"], "targetContainerName": "web",
        "securityContext": {"capabilities": {"add": ["SYS_PTRACE"]}}, "stdin": true, "tty": true,
    });
    let expected = json!({
        "forObject": web_0("ephemeralcontainers"), "execOptions": {}, "ephemeralContainer": container, "attach": true,
    });
    assert_eq!(filed(&fake), expected);
    assert_eq!(
        fake.posted(REQUESTS)[0]["metadata"]["generateName"],
        "access-debug-jane-"
    );
}

#[rstest]
#[case::general(&[], json!({"securityContext": {"capabilities": {"add": ["SYS_PTRACE"]}}}))]
#[case::baseline(&["--profile=baseline"], json!({}))]
#[case::legacy(&["--profile=legacy"], json!({}))]
#[case::netadmin(
    &["--profile", "netadmin"], json!({"securityContext": {"capabilities": {"add": ["NET_ADMIN", "NET_RAW"]}}})
)]
#[case::sysadmin(&["--profile=sysadmin"], json!({"securityContext": {"privileged": true}}))]
#[case::restricted(&["--profile=restricted"], json!({"securityContext": {
    "allowPrivilegeEscalation": false, "capabilities": {"drop": ["ALL"]}, "runAsNonRoot": true,
    "seccompProfile": {"type": "RuntimeDefault"},
}}))]
#[case::a_name(&["--profile=baseline", "-c", "mine"], json!({"name": "mine"}))]
#[case::variables(
    &["--profile=baseline", "--env", "A=1,B=2", "--env=C="],
    json!({"env": [{"name": "A", "value": "1"}, {"name": "B", "value": "2"}, {"name": "C"}]})
)]
#[case::a_pull_policy(&["--profile=baseline", "--image-pull-policy=Never"], json!({"imagePullPolicy": "Never"}))]
#[case::arguments(&["--profile=baseline", "--arguments-only", "-q", "--", "-v"], json!({"args": ["-v"]}))]
#[tokio::test]
async fn the_container_is_the_one_that_kubectl_builds(#[case] flags: &[&str], #[case] more: Value) {
    let fake = world();
    assert_eq!(
        fake.run(
            &[&["debug", "web-0", "--image=busybox"], flags].concat(),
            ""
        )
        .await
        .failure,
        None
    );
    let mut container = json!({"image": "busybox"});
    container
        .as_object_mut()
        .unwrap()
        .extend(more.as_object().unwrap().clone());
    let spec = filed(&fake);
    assert_eq!(spec["ephemeralContainer"], container);
    assert_eq!(spec.get("attach"), None);
}

#[rstest]
#[case(&["-i"], true)]
#[case(&["-it"], true)]
#[case(&["-i", "--attach=false"], false)]
#[case(&["--attach"], true)]
#[case(&["--attach=true"], true)]
#[case(&[], false)]
#[tokio::test]
async fn it_attaches_where_kubectl_would(#[case] flags: &[&str], #[case] attach: bool) {
    let fake = world();
    assert_eq!(
        fake.run(
            &[&["debug", "web-0", "--image=busybox"], flags].concat(),
            ""
        )
        .await
        .failure,
        None
    );
    assert_eq!(filed(&fake).get("attach").is_some(), attach);
}

#[tokio::test]
async fn a_workload_stands_for_whichever_pod_is_named_then() {
    let fake = world();
    let outcome = fake
        .run(
            &[
                "debug",
                "deploy/web",
                "--image=busybox",
                "--target",
                "console",
            ],
            "",
        )
        .await;
    assert_eq!(outcome.failure, None);
    assert_eq!(
        outcome.err,
        "kubectl debug takes a pod: once this is granted, name one that the workload runs\n"
    );
    assert_eq!(
        filed(&fake)["forObject"]["resource"]["resource"],
        "deployments"
    );
}

#[rstest]
#[case(&["--copy-to=copy"], "--copy-to")]
#[case(&["--copy-to", "copy", "--replace"], "--copy-to")]
#[case(&["--replace"], "--replace")]
#[case(&["--same-node"], "--same-node")]
#[case(&["--share-processes=false"], "--share-processes")]
#[case(&["--set-image=*=busybox"], "--set-image")]
#[case(&["--keep-labels"], "--keep-labels")]
#[tokio::test]
async fn what_makes_another_pod_cannot_be_asked_for(#[case] flags: &[&str], #[case] flag: &str) {
    let line = [&["debug", "web-0", "--image=busybox"], flags].concat();
    refused(&world(), &line, &format!("error: {flag} {ANOTHER_POD}")).await;
}

#[rstest]
#[case(
    &["debug", "node/worker", "--image=busybox"],
    "error: debug of node/worker makes another pod on that node, which is no access to a pod: it is not gated, and \
     there is nothing to ask for. Whether you may create pods is for RBAC to say"
)]
#[case(
    &["debug", "web-0", "--image=busybox", "--custom=profile.yaml"],
    "error: --custom is not understood here: see with --dry-run -o yaml what is asked for, write what the file adds into \
     spec.ephemeralContainer, and create that object with kubectl"
)]
#[case(
    &["debug", "web-0", "-f", "pod.yaml", "--image=busybox"],
    "error: name the pod, instead of the file that it is in (-f)"
)]
#[case(&["debug", "web-0"], "error: you must specify --image")]
#[case(&["debug", "web-0", "--image="], "error: you must specify --image")]
#[case(&["debug", "web-0", "--image=busy box"], "error: invalid image name \"busy box\": invalid reference format")]
#[case(
    &["debug", "web-0", "--image=busybox", "-t"],
    "error: -i/--stdin is required for containers with -t/--tty=true"
)]
#[case(
    &["debug", "web-0", "--image=busybox", "--image-pull-policy=never"],
    "error: invalid image pull policy: never: it is Always, IfNotPresent or Never"
)]
#[case(&["debug", "web-0", "--image=busybox", "--env", "A"], "error: --env A: write it as NAME=VALUE")]
#[case(
    &["debug", "web-0", "--image=busybox", "-c", "debugger-1"],
    "error: the pod has a container debugger-1 already: choose another name with -c"
)]
#[case(
    &["debug", "web-0", "--image=busybox", "--target=wbe"],
    "error: container wbe not found in pod web-0: it has web, console, setup (init), debugger-1 (ephem)"
)]
#[case(
    &["debug", "done", "--image=busybox"],
    "error: cannot add a debug container to a completed pod; current phase is Failed"
)]
#[case(&["debug", "gone", "--image=busybox"], "Error from server (NotFound): pods \"gone\" not found")]
#[tokio::test]
async fn bad_input_is_refused_and_nothing_is_stored(#[case] line: &[&str], #[case] failure: &str) {
    refused(&world(), line, failure).await;
}
