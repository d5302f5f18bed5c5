//! `kubectl request list` and `completion`.

use http::Method;
use rstest::rstest;
use serde_json::{Value, json};

use crate::fake::{Fake, REQUESTS};

const EVERYWHERE: &str = "/apis/spreadgroup.com/v1/accessrequests";

fn request(name: &str, created: &str, spec: &Value, status: &Value) -> Value {
    json!({
        "apiVersion": "spreadgroup.com/v1", "kind": "AccessRequest",
        "metadata": {"name": name, "namespace": "default", "creationTimestamp": created},
        "spec": spec, "status": status,
    })
}

fn spec(kind: (&str, &str), command: &[&str]) -> Value {
    json!({
        "userInfo": {"username": "jane"},
        "forObject": {
            "resource": {"group": kind.0, "version": "v1", "resource": kind.1},
            "subResource": "exec", "name": "nginx",
        },
        "execOptions": {"container": "web", "command": command},
    })
}

fn two() -> Fake {
    let mut long = spec(
        ("apps", "deployments"),
        &["sh", "-c", "echo one; echo two; echo three; echo four"],
    );
    long["validFor"] = json!("1h0m0s");
    let short = spec(("", "pods"), &["ls"]);
    Fake::new()
        .with(
            &format!("{REQUESTS}/a"),
            request(
                "a",
                "2026-01-01T00:00:00Z",
                &long,
                &json!({"phase": "Granted"}),
            ),
        )
        .with(
            &format!("{REQUESTS}/b"),
            request("b", "2026-01-01T00:59:30Z", &short, &Value::Null),
        )
}

#[tokio::test]
async fn requests_are_listed_in_a_table() {
    let outcome = two().run(&["list"], "").await;
    let expected = r#"NAME   USER   TARGET         CONTAINER   COMMAND                                    FOR    STATUS    AGE
a      jane   deploy/nginx   web         ["sh","-c","echo one; echo two; echo th…   1h     Granted   60m
b      jane   nginx          web         ["ls"]                                     once   Pending   30s
"#;
    assert_eq!(outcome.out, expected);
    assert_eq!(outcome.err, "");
}

#[tokio::test]
async fn every_door_has_its_line() {
    let with = |door: &str, more: Value| {
        let mut spec = spec(("", "pods"), &[]);
        spec["forObject"]["subResource"] = json!(door);
        spec["execOptions"] = json!({});
        spec.as_object_mut()
            .unwrap()
            .extend(more.as_object().unwrap().clone());
        request("x", "2026-01-01T00:59:30Z", &spec, &Value::Null)
    };
    let fake = Fake::new()
        .with(
            &format!("{REQUESTS}/a"),
            with(
                "attach",
                json!({"attachOptions": {"container": "web", "stdin": true}}),
            ),
        )
        .with(
            &format!("{REQUESTS}/b"),
            with(
                "portforward",
                json!({"portForwardOptions": {"ports": [80]}}),
            ),
        )
        .with(
            &format!("{REQUESTS}/c"),
            with(
                "ephemeralcontainers",
                json!({"ephemeralContainer": {"image": "box"}}),
            ),
        )
        .with(
            &format!("{REQUESTS}/d"),
            with("exec", json!({"copy": {"direction": "from", "path": "/a"}})),
        );
    let expected = r#"NAME   USER   TARGET   CONTAINER           COMMAND                         FOR    STATUS    AGE
x      jane   nginx    web                 attach, STDIN                   once   Pending   30s
x      jane   nginx    -                   port-forward ANY (wanted: 80)   once   Pending   30s
x      jane   nginx    -                   debug "box"                     once   Pending   30s
x      jane   nginx    (the default one)   cp from "/a"                    once   Pending   30s
"#;
    assert_eq!(fake.run(&["list"], "").await.out, expected);
}

// F22: one user's nonsense must not hide what others wait for.
#[tokio::test]
async fn a_request_that_is_not_understood_is_named_beside_the_list_of_the_others() {
    let poison = request(
        "poison\u{1b}[2J",
        "2026-01-01T00:00:00Z",
        &json!("a text"),
        &Value::Null,
    );
    let fake = two().with(&format!("{REQUESTS}/c"), poison);
    for format in ["table", "wide", "json", "yaml", "name"] {
        let (alone, outcome) = (
            two().run(&["list", "-o", format], "").await,
            fake.run(&["list", "-o", format], "").await,
        );
        assert_eq!(outcome.out, alone.out);
        assert_eq!(
            outcome.err,
            "accessrequest \"poison\\u001b[2J\" of namespace default is not understood, and not listed\n"
        );
    }
}

#[tokio::test]
async fn wide_cuts_nothing_and_all_namespaces_are_named() {
    let fake = two();
    let outcome = fake.run(&["list", "-A", "-o", "wide"], "").await;
    assert!(
        outcome
            .out
            .starts_with("cluster dev, all namespaces\nNAMESPACE   NAME   USER"),
        "{}",
        outcome.out
    );
    assert!(
        outcome
            .out
            .contains(r#"["sh","-c","echo one; echo two; echo three; echo four"]"#),
        "{}",
        outcome.out
    );
    assert!(fake.calls().iter().all(|call| call.path == EVERYWHERE));
}

#[rstest]
#[case("json", "{\n    \"apiVersion\": \"v1\",\n    \"kind\": \"List\",\n")]
#[case(
    "yaml",
    "apiVersion: v1\nkind: List\nmetadata:\n  resourceVersion: \"\"\nitems:\n- apiVersion: spreadgroup.com/v1\n"
)]
#[case(
    "name",
    "accessrequest.spreadgroup.com/a\naccessrequest.spreadgroup.com/b\n"
)]
#[tokio::test]
async fn requests_are_printed_as_asked(#[case] format: &str, #[case] start: &str) {
    let outcome = two().run(&["list", "-o", format], "").await;
    assert!(outcome.out.starts_with(start), "{}", outcome.out);
}

#[rstest]
#[case(&["list"], "", "no requests in namespace default\n")]
#[case(&["list", "-A"], "", "no requests in any namespace\n")]
#[case(&["list", "-o", "yaml"], "apiVersion: v1\nkind: List\nmetadata:\n  resourceVersion: \"\"\nitems: []\n", "")]
#[tokio::test]
async fn that_there_are_none_is_said_beside_the_output(
    #[case] line: &[&str],
    #[case] out: &str,
    #[case] err: &str,
) {
    let outcome = Fake::new().run(line, "").await;
    assert_eq!((outcome.out.as_str(), outcome.err.as_str()), (out, err));
    assert_eq!(outcome.failure, None);
}

#[tokio::test]
async fn many_requests_are_fetched_piece_by_piece() {
    let first = json!({
        "apiVersion": "spreadgroup.com/v1", "kind": "AccessRequestList", "metadata": {"continue": "next"},
        "items": [request("a", "2026-01-01T00:00:00Z", &spec(("", "pods"), &["ls"]), &Value::Null)],
    });
    let fake = Fake::new().answering_in_turn(
        REQUESTS,
        &[first.clone(), {
            let mut last = first;
            last["metadata"]["continue"] = json!("");
            last["items"][0]["metadata"]["name"] = json!("b");
            last
        }],
    );
    let outcome = fake.run(&["list", "-o", "name"], "").await;
    assert_eq!(
        outcome.out,
        "accessrequest.spreadgroup.com/a\naccessrequest.spreadgroup.com/b\n"
    );
    let queries: Vec<String> = fake.calls().into_iter().map(|call| call.query).collect();
    assert!(queries[1].contains("continue=next"), "{queries:?}");
}

#[tokio::test]
async fn a_cluster_without_our_resources_is_told_apart() {
    let fake = Fake::new().answering(Method::GET, REQUESTS, 404, &"404 page not found");
    let failure = fake.run(&["list"], "").await.failure.unwrap();
    assert!(
        failure.starts_with(
            "error: kube-request-access is not installed in this cluster (context dev)"
        ),
        "{failure}"
    );
}

#[tokio::test]
async fn an_answer_that_is_none_is_told_apart() {
    let fake = Fake::new().answering(Method::GET, REQUESTS, 200, &"<html>");
    let failure = fake.run(&["list"], "").await.failure.unwrap();
    assert!(
        failure
            .starts_with("error: cannot understand the answer of the server https://fake:6443: "),
        "{failure}"
    );
}

#[rstest]
#[tokio::test]
async fn completions_are_written_for_every_shell(
    #[values("bash", "zsh", "fish", "powershell", "elvish")] shell: &str,
) {
    let outcome = Fake::new().run(&["completion", shell], "").await;
    assert!(outcome.out.contains("kubectl-request"), "{}", outcome.out);
    assert!(outcome.out.contains("valid-for"), "{}", outcome.out);
}

#[tokio::test]
async fn bash_finds_the_verbs_that_it_is_told_of() {
    let script = Fake::new().run(&["completion", "bash"], "").await.out;
    for verb in [
        "exec",
        "attach",
        "debug",
        "cp",
        "shell",
        "again",
        "list",
        "show",
        "grant",
        "deny",
        "completion",
    ] {
        let state = format!("kubectl__request__subcmd__{verb}");
        assert!(script.contains(&format!("cmd=\"{state}\"")), "{script}");
        assert!(script.contains(&format!("        {state})\n")), "{script}");
    }
}

fn waiting(name: &str, user: &str, more: &Value) -> Value {
    let mut spec = spec(("", "pods"), &["psql", "--password=hunter2"]);
    spec["userInfo"]["username"] = json!(user);
    let mut request = request(name, "2026-01-01T00:59:30Z", &spec, &Value::Null);
    request["metadata"]["uid"] = json!(format!("uid-of-{name}"));
    request["metadata"]["resourceVersion"] = json!("1");
    for (key, value) in more.as_object().unwrap() {
        request[key] = value.clone();
    }
    request
}

/// Two identical requests of jane's, one that is granted, and one of bob's.
fn several() -> Fake {
    Fake::new()
        .with(&format!("{REQUESTS}/a"), waiting("a", "jane", &json!({})))
        .with(&format!("{REQUESTS}/b"), waiting("b", "jane", &json!({})))
        .with(
            &format!("{REQUESTS}/c"),
            waiting("c", "jane", &json!({"status": {"phase": "Granted"}})),
        )
        .with(&format!("{REQUESTS}/d"), {
            let mut bobs = waiting("d", "bob", &json!({}));
            bobs["spec"]["usernamePrefix"] = json!("oidc:");
            bobs
        })
}

/// Requests of these names of one letter, as `-o name` prints them.
pub(crate) fn named(names: &str) -> String {
    let lines: Vec<String> = names
        .chars()
        .map(|name| format!("accessrequest.spreadgroup.com/{name}\n"))
        .collect();
    lines.concat()
}

#[tokio::test]
async fn identical_requests_are_one_row_and_passwords_are_masked() {
    let outcome = several().run(&["list"], "").await;
    insta::assert_snapshot!(outcome.out);
}

#[tokio::test]
async fn at_a_terminal_the_cluster_is_named_first() {
    let outcome = several().run_at_terminal(&["list"], "").await;
    assert!(
        outcome
            .out
            .starts_with("cluster dev, namespace default\nNAME "),
        "{}",
        outcome.out
    );
}

#[tokio::test]
async fn only_tables_mask_passwords() {
    assert!(
        !several()
            .run(&["list", "-o", "wide"], "")
            .await
            .out
            .contains("hunter2")
    );
    assert!(
        several()
            .run(&["list", "-o", "yaml"], "")
            .await
            .out
            .contains("hunter2")
    );
    assert!(
        several()
            .run(&["show", "a"], "")
            .await
            .out
            .contains("hunter2")
    );
}

#[rstest]
#[case(&["--mine"], "jane", "abc")]
#[case(&["--mine"], "oidc:bob", "d")]
#[case(&["--pending"], "jane", "abd")]
#[case(&["--pending", "--mine"], "jane", "ab")]
#[case(&["--requester", "bob"], "jane", "d")]
#[case(&["--requester", "ob"], "jane", "")]
#[tokio::test]
async fn requests_are_filtered(#[case] flags: &[&str], #[case] me: &str, #[case] names: &str) {
    let line = [&["list", "-o", "name"], flags].concat();
    let outcome = several().known_as(me).run(&line, "").await;
    assert_eq!(outcome.out, named(names));
    let nothing = if names.is_empty() {
        "no such requests in namespace default\n"
    } else {
        ""
    };
    assert_eq!(outcome.err, nothing);
}

#[tokio::test]
async fn labels_are_selected_by_the_api_server() {
    let fake = several();
    fake.run(&["list", "-l", "username in (jane)"], "").await;
    let call = fake
        .calls()
        .into_iter()
        .find(|call| call.path == REQUESTS)
        .unwrap();
    assert!(
        call.query.contains("labelSelector=username+in+%28jane%29"),
        "{}",
        call.query
    );
}

#[tokio::test(start_paused = true)]
async fn a_watch_prints_what_changes_below_the_table() {
    let fake = several();
    let change = |fake: &Fake, more: Value| {
        let mut request = waiting("d", "bob", &more);
        request["metadata"]["resourceVersion"] = json!("2");
        fake.put(&format!("{REQUESTS}/d"), Some(request));
    };
    fake.later(40, move |fake| {
        change(fake, json!({"status": {"phase": "Granted"}}));
    });
    fake.later(50, |fake| fake.put(&format!("{REQUESTS}/a"), None));
    fake.later(60, |fake| {
        fake.put(
            &format!("{REQUESTS}/e"),
            Some(waiting("e", "jane", &json!({}))),
        );
    });
    // Then the API server is gone, and the watch is given up.
    fake.later(70, |fake| {
        fake.clone().refusing(Method::GET, REQUESTS, 500, "gone");
        fake.hang_up();
    });
    let outcome = fake.run(&["list", "--watch"], "").await;
    insta::assert_snapshot!(outcome.out);
    assert_eq!(
        outcome.failure.as_deref(),
        Some("Error from server (InternalError): gone")
    );
}

#[tokio::test(start_paused = true)]
async fn a_watch_of_names_prints_names() {
    let fake = several();
    fake.later(40, |fake| {
        fake.put(
            &format!("{REQUESTS}/e"),
            Some(waiting("e", "jane", &json!({}))),
        );
    });
    fake.later(70, |fake| {
        fake.clone().refusing(Method::GET, REQUESTS, 403, "no more");
        fake.hang_up();
    });
    let outcome = fake
        .run(&["list", "--watch", "--mine", "-o", "name"], "")
        .await;
    assert_eq!(outcome.out, named("abce"));
}

// P17
#[tokio::test]
async fn a_list_that_never_ends_is_given_up() {
    let page = json!({
        "apiVersion": "spreadgroup.com/v1", "kind": "AccessRequestList", "metadata": {"continue": "again"},
        "items": [waiting("a", "jane", &json!({}))],
    });
    let fake = Fake::new()
        .answering(http::Method::GET, REQUESTS, 200, &page)
        .answering_too(http::Method::GET, REQUESTS, 200, &page);
    let outcome = fake.run(&["list"], "").await;
    assert!(
        outcome
            .failure
            .as_deref()
            .is_some_and(|failure| failure.contains("or the same ones again and again")),
        "{outcome:?}"
    );
}
