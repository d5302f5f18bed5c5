//! `kubectl request cp`.

use rstest::rstest;
use serde_json::json;

use crate::fake::REQUESTS;
use crate::pods::{filed, pod, refused, web_0, world};

#[tokio::test]
async fn out_of_a_pod_is_the_command_that_kubectl_runs() {
    let fake = world();
    let outcome = fake
        .run(&["cp", "web-0:/etc/hostname", "./here", "-c", "web"], "")
        .await;
    assert_eq!((outcome.failure, outcome.err.as_str()), (None, ""));
    let options = json!({
        "kind": "PodExecOptions", "apiVersion": "v1", "stdout": true, "stderr": true, "container": "web",
        "command": ["tar", "cf", "-", "/etc/hostname"],
    });
    let copy = json!({"direction": "from", "path": "/etc/hostname"});
    assert_eq!(
        filed(&fake),
        json!({"forObject": web_0("exec"), "execOptions": options, "copy": copy})
    );
    assert_eq!(
        fake.posted(REQUESTS)[0]["metadata"]["generateName"],
        "access-cp-jane-"
    );
}

#[tokio::test]
async fn into_a_pod_is_the_command_that_kubectl_runs() {
    let fake = world();
    let outcome = fake
        .run(
            &[
                "cp",
                "./notes.txt",
                "web-0:/srv/app/n.txt",
                "-c",
                "web",
                "--no-preserve",
            ],
            "",
        )
        .await;
    assert_eq!(outcome.failure, None);
    let options = json!({
        "kind": "PodExecOptions", "apiVersion": "v1", "stdin": true, "stdout": true, "stderr": true, "container": "web",
        "command": ["tar", "--no-same-permissions", "--no-same-owner", "-xmf", "-", "-C", "/srv/app"],
    });
    let copy = json!({"direction": "to", "path": "/srv/app/n.txt", "directory": "/srv/app", "noPreserve": true});
    assert_eq!(
        filed(&fake),
        json!({"forObject": web_0("exec"), "execOptions": options, "copy": copy})
    );
    assert_eq!(
        outcome.err,
        "files are unpacked in /srv/app, /srv/app/n.txt being no directory there: if it is one, end it with '/' or say \
         --into-directory\n"
    );
}

const IF_NOT: &str = "being a directory there: if it is not, name it without '/' at its end";

#[rstest]
#[case::beside(&["notes", "web-0:/srv/app"], "/srv/app", "/srv", "being no directory there")]
#[case::a_slash_at_the_end(&["notes", "web-0:/srv/app/"], "/srv/app", "/srv/app", IF_NOT)]
#[case::said_so(&["notes", "web-0:/srv/app", "--into-directory"], "/srv/app", "/srv/app", IF_NOT)]
#[case::cleaned_as_kubectl_does(&["notes", "web-0:/srv//app/../x/"], "/srv//app/../x", "/srv/x", IF_NOT)]
#[case::the_root(&["notes", "web-0:/"], "/", "/", IF_NOT)]
#[case::where_commands_start(&["notes", "web-0:."], ".", ".", IF_NOT)]
#[case::above_that(&["notes", "web-0:.."], "..", "..", IF_NOT)]
#[case::without_any_directory(&["notes", "web-0:n.txt"], "n.txt", ".", "being no directory there")]
#[case::separators_of_windows(&["notes", "web-0:srv\\app"], "srv/app", "srv", "being no directory there")]
#[case::here_adds_no_name(&[".", "web-0:/srv/app/"], "/srv/app", "/srv", "as kubectl does for .")]
#[case::nor_does_a_dot_behind_a_slash(&["a/./", "web-0:/srv/app"], "/srv/app", "/srv", "as kubectl does for a/./")]
#[tokio::test]
async fn the_directory_is_the_one_that_kubectl_unpacks_in(
    #[case] sides: &[&str],
    #[case] path: &str,
    #[case] directory: &str,
    #[case] why: &str,
) {
    let fake = world();
    let outcome = fake.run(&[&["cp", "-c", "web"], sides].concat(), "").await;
    assert_eq!(outcome.failure, None);
    let spec = filed(&fake);
    assert_eq!(
        spec["copy"],
        json!({"direction": "to", "path": path, "directory": directory})
    );
    assert_eq!(
        spec["execOptions"]["command"],
        json!(["tar", "-xmf", "-", "-C", directory])
    );
    assert!(
        outcome
            .err
            .starts_with(&format!("files are unpacked in {directory}, ")),
        "{}",
        outcome.err
    );
    assert!(outcome.err.contains(why), "{}", outcome.err);
}

#[tokio::test]
async fn a_namespace_before_the_pod_wins() {
    let elsewhere = "/apis/spreadgroup.com/v1/namespaces/shop/accessrequests";
    let fake = world().with("/api/v1/namespaces/shop/pods/web-0", pod("web-0", "shop"));
    let outcome = fake
        .run(
            &["cp", "-n", "default", "shop/web-0:/tmp/x", ".", "-c", "web"],
            "",
        )
        .await;
    assert_eq!(outcome.failure, None);
    assert_eq!(
        outcome.err,
        "the request is in namespace shop, where the pod is\n"
    );
    let request = &fake.posted(elsewhere)[0];
    assert_eq!(request["metadata"]["namespace"], "shop");
    assert_eq!(request["spec"]["forObject"]["namespace"], "shop");
}

#[rstest]
#[case(&["cp", "web-0:/a", "web-0:/b"], "one of src or dest must be a local file specification")]
#[case(&["cp", "web-0:", "web-0:/b"], "one of src or dest must be a local file specification")]
#[case(&["cp", "a", "b"], "one of src or dest must be a remote file specification")]
#[case(&["cp", "web-0:", "b"], "filepath can not be empty")]
#[case(&["cp", "", "web-0:/b"], "filepath can not be empty")]
#[case(&["cp", ":/a", "b"], "filespec must match the canonical format: [[namespace/]pod:]file/path")]
#[case(&["cp", "a/b/c:/a", "b"], "filespec must match the canonical format: [[namespace/]pod:]file/path")]
#[case(
    &["cp", "../x:/a", "b"],
    "../x is not the name of an object: a name has lower-case letters, digits, '-' and '.'"
)]
#[case(&["cp", "a", "web-0:/srv//"], "/srv//: end the path in the pod with one '/' at most")]
#[case(
    &["cp", "a/..", "web-0:/srv"],
    "a/..: name the directory itself, for kubectl unpacks '..' elsewhere than it says"
)]
#[case(
    &["cp", "web-0:/a", "b", "--into-directory"],
    "--into-directory says where files are unpacked in a pod: leave it out"
)]
#[case(
    &["cp", "web-0:/a", "b", "--retries=-1"],
    "--retries makes kubectl run another command, with sh -c, which a request to copy is not for: leave it out, here \
     and with kubectl cp"
)]
#[case(
    &["cp", "web-0:/a", "b", "--pin-pod"],
    "--pin-pod chooses a pod of a workload, and web-0 is a pod already: leave it out"
)]
#[case(&["cp", "done:/a", "b"], "cannot exec into a container in a completed pod; current phase is Failed")]
#[tokio::test]
async fn bad_input_is_refused_and_nothing_is_stored(#[case] line: &[&str], #[case] failure: &str) {
    refused(&world(), line, &format!("error: {failure}")).await;
}
