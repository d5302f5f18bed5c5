//! `--wait`, `--timeout` and `--run` of the verbs that ask, and requests that are found instead of
//! filed.

use http::Method;
use plugin::terminal::exit::Exit;
use rstest::rstest;
use serde_json::{Value, json};

use crate::fake::{Fake, Outcome, REQUESTS};
use crate::pods::world;

const NAME: &str = "access-exec-jane-x4k2z";
const ASK: [&str; 10] = [
    "exec",
    "web-0",
    "-c",
    "web",
    "--timeout",
    "10m",
    "--wait",
    "--",
    "ls",
    "-l",
];
const RUN: [&str; 10] = [
    "exec",
    "web-0",
    "-c",
    "web",
    "--timeout",
    "10m",
    "--run",
    "--",
    "ls",
    "-l",
];
const OPEN: &str = "it stays open. To go on waiting, repeat the command with --wait; to take it back: kubectl request \
                    withdraw -n default access-exec-jane-x4k2z";

fn path() -> String {
    format!("{REQUESTS}/{NAME}")
}

fn with_status(fake: &Fake, status: &Value) {
    let mut request = fake.stored(&path()).unwrap();
    request["status"] = status.clone();
    fake.put(&path(), Some(request));
}

async fn waited(line: &[&str], seconds: u64, status: Value) -> Outcome {
    let fake = world();
    fake.later(seconds, move |fake| with_status(fake, &status));
    fake.run(line, "").await
}

#[tokio::test(start_paused = true)]
async fn a_grant_ends_the_wait_and_says_what_to_run() {
    let status =
        json!({"phase": "Granted", "grantedBy": ["amy"], "expiresAt": "2026-01-03T01:00:00Z"});
    let outcome = waited(&ASK, 90, status).await;
    assert_eq!(outcome.exit, Exit::Done);
    assert_eq!(outcome.out, format!("created accessrequest {NAME}\n"));
    insta::assert_snapshot!(outcome.err);
    assert!(outcome.kubectl.is_none());
}

#[tokio::test(start_paused = true)]
async fn at_a_terminal_one_line_is_rewritten_and_taken_away() {
    let fake = world();
    fake.later(2, |fake| {
        with_status(fake, &json!({"phase": "Granted", "grantedByPolicy": {"name": "p", "uid": "u", "generation": 1}}));
    });
    let outcome = fake
        .run_at_terminal(&["exec", "web-0", "-c", "web", "--wait", "--", "ls"], "")
        .await;
    let line = |seconds: &str| {
        format!("waiting for a grant of {NAME}: {seconds} of 10m (Ctrl-C leaves it open)")
    };
    let gone = " ".repeat(line("0s").len());
    let expected = format!(
        "\r{}\r{}\r{gone}\rrequest {NAME} is granted by policy p, for one use\n  kubectl exec -n default web-0 --container=web -- ls\n",
        line("0s"),
        line("1s")
    );
    assert_eq!(
        outcome.err.replace(&format!("\r{}", line("2s")), ""),
        expected
    );
}

#[tokio::test(start_paused = true)]
async fn run_hands_over_to_kubectl_with_what_was_typed_and_writes_nothing_to_its_output() {
    let fake = world();
    fake.later(5, |fake| {
        with_status(fake, &json!({"phase": "Granted", "grantedBy": ["amy"]}));
    });
    let line = [
        &["--context=dev", "--kubeconfig", "k", "--as-group", "a"],
        &RUN[..],
    ]
    .concat();
    let outcome = fake.run(&line, "").await;
    assert_eq!(outcome.out, "");
    let line = outcome.kubectl.unwrap().arguments();
    let flags = [
        "--namespace=default",
        "--context=dev",
        "--kubeconfig=k",
        "--as-group=a",
    ];
    assert_eq!(
        line,
        [
            &flags[..],
            &["exec", "web-0", "--container=web", "--", "ls", "-l"]
        ]
        .concat()
    );
}

#[rstest]
#[case(&["shell", "deploy/web"], &["exec", "--stdin", "--tty", "deploy/web", "--container=web", "--", "sh"])]
#[case(&["attach", "-i", "-q", "web-0"], &["attach", "--stdin", "--quiet", "web-0", "--container=web"])]
#[case(&["port-forward", "--address", "::1", "web-0", "8080:80", "90"], &["port-forward", "--address=::1", "web-0", "8080:80", "90"])]
#[case(
    &["debug", "-it", "web-0", "--image=box", "--target=web", "--env", "A=1", "--", "sh"],
    &["debug", "--stdin", "--tty", "--image=box", "--target=web", "--profile=general", "--env=A=1", "--attach=true", "web-0", "--", "sh"]
)]
#[case(&["cp", "./a", "web-0:/tmp/", "--no-preserve"], &["cp", "./a", "web-0:/tmp/", "--container=web", "--no-preserve"])]
#[tokio::test(start_paused = true)]
async fn every_door_has_its_command_of_kubectl(#[case] line: &[&str], #[case] expected: &[&str]) {
    let fake = world().stamping(|object| object["status"] = json!({"phase": "Granted"}));
    let at = line
        .iter()
        .position(|word| *word == "--")
        .unwrap_or(line.len());
    let line = [&line[..at], &["--run", "--timeout=1m"], &line[at..]].concat();
    let outcome = fake.run(&line, "").await;
    assert_eq!(
        outcome
            .kubectl
            .map(|line| line.arguments())
            .unwrap_or_default(),
        [&["--namespace=default"], expected].concat(),
        "{:?}",
        outcome.failure
    );
}

#[rstest]
#[case(
    json!({"phase": "Denied", "denied": {"by": "bob", "at": "2026-01-01T01:00:04Z", "reason": "no\u{1b}"}}),
    Exit::Denied,
    "request access-exec-jane-x4k2z was denied by bob at 01:00 +00:00 (1s ago): no\\u{1b}. A denial is final: you can \
     file a new request"
)]
#[case(
    json!({"phase": "Used"}), Exit::Over,
    "request access-exec-jane-x4k2z was for a single use and is used up. To ask for the same: kubectl request again -n default \
     access-exec-jane-x4k2z"
)]
#[case(
    json!({"phase": "Expired"}), Exit::Over,
    "request access-exec-jane-x4k2z expired. To ask for the same: kubectl request again -n default access-exec-jane-x4k2z"
)]
#[tokio::test(start_paused = true)]
async fn what_can_never_be_used_ends_the_wait_with_its_own_exit_code(
    #[case] status: Value,
    #[case] exit: Exit,
    #[case] failure: &str,
) {
    let outcome = waited(&RUN, 5, status).await;
    assert_eq!(
        (outcome.exit, outcome.failure),
        (exit, Some(format!("error: {failure}")))
    );
    assert!(outcome.kubectl.is_none());
}

#[rstest]
#[case::deleted(None)]
#[case::recreated(Some("uid-2"))]
#[tokio::test(start_paused = true)]
async fn a_request_that_is_deleted_ends_the_wait(#[case] uid: Option<&'static str>) {
    let fake = world();
    fake.later(5, move |fake| {
        let another = uid.map(|uid| {
            let mut request = fake.stored(&path()).unwrap();
            request["metadata"]["uid"] = json!(uid);
            request
        });
        fake.put(&path(), another);
    });
    let outcome = fake.run(&ASK, "").await;
    let failure =
        format!("error: request {NAME} was deleted: to ask for the same, repeat the command");
    assert_eq!((outcome.exit, outcome.failure), (Exit::Over, Some(failure)));
}

#[tokio::test(start_paused = true)]
async fn when_the_time_is_up_the_request_stays() {
    let fake = world();
    let outcome = fake.run(&ASK, "").await;
    let failure = format!("error: nobody granted request {NAME} within 10m: {OPEN}");
    assert_eq!(
        (outcome.exit, outcome.failure),
        (Exit::TimedOut, Some(failure))
    );
    assert!(fake.stored(&path()).is_some());
}

#[tokio::test(start_paused = true)]
async fn an_api_server_that_stumbles_is_asked_again_and_one_that_is_gone_is_given_up() {
    let stumbling = world().answering(Method::GET, REQUESTS, 500, &"{}");
    stumbling.later(20, |fake| with_status(fake, &json!({"phase": "Granted"})));
    let line = [&ASK[..5], &["10m", "--wait", "--new", "--", "ls"]].concat();
    assert_eq!(stumbling.run(&line, "").await.exit, Exit::Done);
    let gone = world().refusing(Method::GET, REQUESTS, 500, "etcd is gone");
    let outcome = gone.run(&line, "").await;
    let failure = format!(
        "error: Error from server (InternalError): etcd is gone\nrequest {NAME} cannot be watched: {OPEN}"
    );
    assert_eq!(
        (outcome.exit, outcome.failure),
        (Exit::Error, Some(failure))
    );
}

#[rstest]
#[case(&["exec", "web-0", "--wait", "ls"], "say how long to wait, such as --timeout 10m: only on a terminal is that the default")]
#[case(&["exec", "web-0", "--timeout=1m", "ls"], "--timeout says how long to wait: give --wait or --run too")]
#[case(&["exec", "web-0", "--wait", "--timeout=25h", "ls"], "--timeout: it is 24h at most")]
#[case(&["exec", "web-0", "--wait", "--timeout=-1h", "ls"], "--timeout: \"-1h\" is not a duration: write it like 90m, 1h30m or 45s")]
#[case(&["exec", "web-0", "--run", "--dry-run", "ls"], "--run cannot be combined with --dry-run: leave out one of them")]
#[case(&["exec", "web-0", "--run", "-o", "yaml", "ls"], "--run cannot be combined with --output: leave out one of them")]
#[case(&["exec", "web-0", "--run", "--on-behalf-of=bob", "ls"], "--run cannot be combined with --on-behalf-of: leave out one of them")]
#[case(
    &["exec", "web-0", "--run", "--timeout=1m", "--any-command"],
    "--run: nothing here says what kubectl would run (a command, a port, or the local side of a copy): leave it out"
)]
#[tokio::test]
async fn what_makes_no_sense_is_told_before_anything_is_filed(
    #[case] line: &[&str],
    #[case] failure: &str,
) {
    let fake = world();
    let outcome = fake.run(line, "").await;
    assert_eq!(
        (outcome.exit, outcome.failure),
        (Exit::Usage, Some(format!("error: {failure}")))
    );
    assert_eq!(fake.posted(REQUESTS), Vec::<Value>::new());
}

fn stamped(object: &mut Value) {
    object["spec"]["userInfo"] = json!({"username": "jane", "uid": "u", "groups": ["now-another"]});
    object["spec"]["createdBy"] = json!({"username": "jane"});
    object["spec"]["forObject"]["uid"] = json!("uid-of-web-0");
    // The controller's first word.
    object["status"] = json!({"phase": "Pending"});
}

/// A cluster in which jane has asked for `ls`, for this long, with another reason.
async fn asked(valid_for: Option<&str>, status: &Value) -> Fake {
    let fake = world().stamping(stamped);
    let flags: Vec<&str> = valid_for.iter().flat_map(|text| ["-d", *text]).collect();
    let line = [
        &["exec", "web-0", "-c", "web", "--reason", "INC-1"],
        &flags[..],
        &["--", "ls"],
    ]
    .concat();
    assert_eq!(fake.run(&line, "").await.failure, None);
    let mut request = fake.stored(&path()).unwrap();
    request["metadata"]["name"] = json!("earlier");
    request["metadata"]["creationTimestamp"] = json!("2026-01-01T00:56:00Z");
    request["spec"]["userInfo"]["groups"] = json!(["developers"]);
    request["status"] = status.clone();
    fake.put(&path(), None);
    fake.with(&format!("{REQUESTS}/earlier"), request)
}

#[rstest]
#[case::pending(None, json!({}), "request earlier for the same waits for a grant already, filed 4m ago: no other is filed (--new files one)\n")]
#[case::granted_once(None, json!({"phase": "Granted", "grantedBy": ["amy"]}), "request earlier for the same is already granted by amy, for one use\n")]
#[case::granted_for_an_hour(
    Some("1h"), json!({"phase": "Granted", "grantedBy": ["amy"], "expiresAt": "2026-01-01T01:42:00Z"}),
    "request earlier for the same is already granted by amy, until 01:42 +00:00 (in 42m)\n"
)]
#[case::granted_by_a_policy(
    Some("60m"), json!({"phase": "Granted", "grantedByPolicy": {"name": "low risk", "uid": "u", "generation": 1}, "expiresAt": "2026-01-01T01:42:00Z"}),
    "request earlier for the same is already granted by policy \"low risk\", until 01:42 +00:00 (in 42m)\n"
)]
#[tokio::test]
async fn the_same_is_found_instead_of_filed(
    #[case] valid_for: Option<&str>,
    #[case] status: Value,
    #[case] told: &str,
) {
    let fake = asked(valid_for, &status).await;
    let flags: Vec<&str> = if valid_for.is_some() {
        vec!["-d", "1h0m0s"]
    } else {
        vec![]
    };
    let line = [&["exec", "web-0", "-c", "web"], &flags[..], &["--", "ls"]].concat();
    let outcome = fake.run(&line, "").await;
    assert_eq!((outcome.out.as_str(), outcome.failure), (told, None));
    assert_eq!(fake.posted(REQUESTS).len(), 1);
    let named = fake
        .run(
            &[&line[..4], &flags[..], &["-o", "name", "--", "ls"]].concat(),
            "",
        )
        .await;
    assert_eq!(named.out, "accessrequest.spreadgroup.com/earlier\n");
    assert_eq!(
        fake.run(
            &[&line[..4], &flags[..], &["--new", "--", "ls"]].concat(),
            ""
        )
        .await
        .failure,
        None
    );
    assert_eq!(fake.posted(REQUESTS).len(), 2);
}

#[rstest]
#[case::used(json!({"phase": "Granted", "uses": [{"reviewUID": "r", "at": "2026-01-01T00:59:00Z", "pod": "p", "podUID": "u"}]}))]
#[case::denied(json!({"phase": "Denied", "denied": {"by": "bob", "at": "2026-01-01T00:00:00Z"}}))]
#[case::expired(json!({"phase": "Expired"}))]
#[case::over(json!({"phase": "Granted", "expiresAt": "2026-01-01T00:59:59Z"}))]
#[tokio::test]
async fn what_is_over_is_not_found(#[case] status: Value) {
    let fake = asked(None, &status).await;
    let outcome = fake
        .run(&["exec", "web-0", "-c", "web", "--", "ls"], "")
        .await;
    assert!(
        outcome.out.starts_with("created accessrequest "),
        "{outcome:?}"
    );
}

#[rstest]
#[case::command(&["exec", "web-0", "-c", "web", "--", "ls", "-l"])]
#[case::container(&["exec", "web-0", "-c", "console", "--", "ls"])]
#[case::validity(&["exec", "web-0", "-c", "web", "-d", "1h", "--", "ls"])]
#[case::terminal(&["exec", "web-0", "-c", "web", "-i", "--", "ls"])]
#[tokio::test]
async fn what_differs_is_filed(#[case] line: &[&str]) {
    let outcome = asked(None, &json!({})).await.run(line, "").await;
    assert!(
        outcome.out.starts_with("created accessrequest "),
        "{outcome:?}"
    );
}

#[tokio::test]
async fn a_pod_that_was_re_created_is_another_one() {
    let fake = asked(None, &json!({})).await;
    let fake = fake.stamping(|object| {
        stamped(object);
        object["spec"]["forObject"]["uid"] = json!("uid-of-another-web-0");
    });
    let outcome = fake
        .run(&["exec", "web-0", "-c", "web", "--", "ls"], "")
        .await;
    assert!(
        outcome.out.starts_with("created accessrequest "),
        "{outcome:?}"
    );
}

#[tokio::test]
async fn with_run_what_is_granted_already_runs_at_once() {
    let fake = asked(None, &json!({"phase": "Granted", "grantedBy": ["amy"]})).await;
    let outcome = fake
        .run(
            &[
                "exec",
                "web-0",
                "-c",
                "web",
                "--run",
                "--timeout=1m",
                "--",
                "ls",
            ],
            "",
        )
        .await;
    assert_eq!(
        outcome.kubectl.unwrap().arguments(),
        [
            "--namespace=default",
            "exec",
            "web-0",
            "--container=web",
            "--",
            "ls"
        ]
    );
    assert_eq!(fake.posted(REQUESTS).len(), 1);
}

const SECRET: [&str; 7] = [
    "exec",
    "web-0",
    "-c",
    "web",
    "--",
    "psql",
    "--password=hunter2",
];

// P11
#[rstest]
#[case::no(
    "n\n",
    "nothing was sent: only y or Y, typed after the question, is a yes"
)]
#[case::nothing(
    "",
    "nothing was sent: only y or Y, typed after the question, is a yes"
)]
#[tokio::test]
async fn a_password_is_asked_about_before_anything_is_sent(
    #[case] typed: &str,
    #[case] failure: &str,
) {
    let fake = world();
    let outcome = fake.run(&SECRET, typed).await;
    insta::assert_snapshot!("a_password_is_warned_of", outcome.err);
    assert_eq!(outcome.failure, Some(format!("error: {failure}")));
    assert!(fake.calls().iter().all(|call| call.method == Method::GET));
}

#[tokio::test]
async fn a_password_is_not_sent_where_nobody_can_be_asked() {
    let fake = world();
    let outcome = fake.run_in_pipe(&SECRET, "y\n").await;
    assert_eq!(
        outcome.failure.as_deref(),
        Some(
            "error: nothing was sent: if it is none, or everybody may read it, give --accept-secrets"
        )
    );
    assert!(fake.calls().iter().all(|call| call.method == Method::GET));
}

#[rstest]
#[case::a_yes(&[], "y\n")]
#[case::accepted(&["--accept-secrets"], "")]
#[tokio::test]
async fn a_password_that_is_accepted_is_asked_for(#[case] flags: &[&str], #[case] typed: &str) {
    let fake = world();
    let line = [flags, &SECRET[1..]].concat();
    let outcome = fake.run(&[&["exec"], &line[..]].concat(), typed).await;
    assert_eq!(outcome.failure, None);
    assert_eq!(
        fake.posted(REQUESTS)[0]["spec"]["execOptions"]["command"][1],
        "--password=hunter2"
    );
}

// P3
#[rstest]
#[case(
    &["--context=prod", "exec", "web-0", "-c", "web", "--wait", "--timeout=1m", "--", "ls"],
    "  kubectl exec -n default --context=prod web-0 --container=web -- ls\n"
)]
#[case(
    &["--context=prod", "--token=secret", "--as=amy", "exec", "web-0", "-c", "web", "--wait", "--timeout=1m", "--", "ls"],
    "  kubectl exec -n default --context=prod --as=amy web-0 --container=web -- ls (and your --token)\n"
)]
#[tokio::test(start_paused = true)]
async fn the_line_to_type_leads_where_the_request_was_filed(
    #[case] line: &[&str],
    #[case] told: &str,
) {
    let fake = world().stamping(|object| object["status"] = json!({"phase": "Granted"}));
    let outcome = fake.run(line, "").await;
    assert!(outcome.err.ends_with(told), "{}", outcome.err);
    assert!(!outcome.err.contains("secret"), "{}", outcome.err);
}

#[tokio::test(start_paused = true)]
async fn hints_lead_where_the_request_was_filed_too() {
    let outcome = world()
        .run(
            &[
                "--context=prod",
                "exec",
                "web-0",
                "-c",
                "web",
                "--wait",
                "--timeout=1m",
                "--",
                "ls",
            ],
            "",
        )
        .await;
    let failure = outcome.failure.unwrap();
    assert!(
        failure.ends_with(&format!(
            "to take it back: kubectl request withdraw -n default --context=prod {NAME}"
        )),
        "{failure}"
    );
}
