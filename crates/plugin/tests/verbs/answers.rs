//! `kubectl request grant`, `deny` and `show`.

use http::Method;
use rstest::rstest;
use serde_json::{Value, json};

use crate::fake::{Fake, GRANTS, Meanwhile, Outcome, REQUESTS, status};

const NAME: &str = "access-exec-jane-x4k2z";

fn exactly() -> String {
    format!("{NAME}@uid-1")
}
const SUMMARY: &str = r#"Reason     | INC-42

Who          jane (groups: developers)
Deployment   nginx
Container    nginx
Namespace    default
Cluster      dev (https://fake:6443)
How long     for 1h
Command      ["cat","/etc/hostname"]

jane can run ["cat","/etc/hostname"] again and again for 1h, in container
  nginx of deployment nginx, in namespace default.
"#;

fn path() -> String {
    format!("{REQUESTS}/{NAME}")
}

fn request() -> Value {
    json!({
        "apiVersion": "spreadgroup.com/v1",
        "kind": "AccessRequest",
        "metadata": {
            "name": NAME, "namespace": "default", "uid": "uid-1", "creationTimestamp": "2026-01-01T00:00:00Z",
            "managedFields": [{"manager": "kubectl-request"}],
        },
        "spec": {
            "userInfo": {"username": "jane", "groups": ["developers"]},
            "forObject": {
                "resource": {"group": "apps", "version": "v1", "resource": "deployments"},
                "subResource": "exec", "name": "nginx", "namespace": "default",
            },
            "validFor": "1h0m0s",
            "execOptions": {
                "kind": "PodExecOptions", "apiVersion": "v1", "stdout": true, "stderr": true,
                "container": "nginx", "command": ["cat", "/etc/hostname"],
            },
            "reason": "INC-42",
        },
    })
}

fn with_request() -> Fake {
    Fake::new().with(&path(), request())
}

fn with_phase(phase: &str, more: &Value) -> Fake {
    let mut request = request();
    request["status"] = json!({"phase": phase});
    for (key, value) in more.as_object().unwrap() {
        request["status"][key] = value.clone();
    }
    Fake::new().with(&path(), request)
}

fn ended(fake: &Fake, outcome: &Outcome, failure: &str) {
    assert_eq!(outcome.failure.as_deref(), Some(failure), "{outcome:?}");
    assert!(!outcome.out.contains("created grant"), "{outcome:?}");
    assert!(
        !fake.calls().iter().any(|call| call.method == Method::POST),
        "{outcome:?}"
    );
}

#[tokio::test]
async fn a_request_is_shown_and_asked_about_and_granted() {
    let fake = with_request();
    let outcome = fake.run(&["grant", NAME], "y\n").await;
    assert_eq!(outcome.failure, None);
    let (yaml, rest) = outcome.out.split_once("---\n").unwrap();
    assert!(
        yaml.starts_with("apiVersion: spreadgroup.com/v1\nkind: AccessRequest\nmetadata:\n"),
        "{yaml}"
    );
    assert!(!yaml.contains("managedFields"), "{yaml}");
    let end = format!(
        "Grant access to the request above, in cluster dev, namespace default ([yN])? created grant grant-{NAME}\n"
    );
    assert_eq!(rest, format!("{SUMMARY}{end}"));
    let expected = json!({
        "apiVersion": "spreadgroup.com/v1",
        "kind": "AccessGrant",
        "metadata": {
            "name": format!("grant-{NAME}"),
            "namespace": "default",
            "ownerReferences": [
                {"apiVersion": "spreadgroup.com/v1", "kind": "AccessRequest", "name": NAME, "uid": "uid-1"},
            ],
        },
        "spec": {"grantFor": NAME, "requestUID": "uid-1"},
        "status": "granted",
    });
    assert_eq!(fake.posted(GRANTS), [expected]);
}

#[tokio::test]
async fn a_request_is_denied_for_a_reason() {
    let fake = with_request();
    let outcome = fake
        .run(&["deny", NAME, "--reason", "use the dashboard"], "Y\n")
        .await;
    assert_eq!(
        outcome.out,
        format!(
            "{SUMMARY}Deny the request above, in cluster dev, namespace default ([yN])? created grant deny-{NAME}\n"
        )
    );
    let grant = &fake.posted(GRANTS)[0];
    assert_eq!(grant["status"], "denied");
    assert_eq!(
        grant["spec"],
        json!({"grantFor": NAME, "requestUID": "uid-1", "reason": "use the dashboard"})
    );
}

#[tokio::test]
async fn yes_skips_the_question_but_not_the_summary() {
    let fake = with_request();
    let outcome = fake
        .run(&["grant", &exactly(), "-y", "--valid-for", "15m"], "")
        .await;
    assert_eq!(outcome.failure, None);
    assert!(!outcome.out.contains("([yN])?"), "{}", outcome.out);
    assert!(
        outcome.out.contains("again and again for 15m"),
        "{}",
        outcome.out
    );
    assert_eq!(fake.posted(GRANTS)[0]["spec"]["validFor"], "15m");
}

#[rstest]
#[case("")]
#[case("n\n")]
#[case("\n")]
#[case("yes\n")]
#[tokio::test]
async fn without_a_yes_nothing_is_stored(
    #[case] typed: &str,
    #[values("grant", "deny")] verb: &str,
) {
    let fake = with_request();
    let outcome = fake.run(&[verb, NAME], typed).await;
    ended(
        &fake,
        &outcome,
        "error: nothing was stored: only y or Y, typed after the question, is a yes",
    );
}

// D29
#[rstest]
#[case(None)]
#[case(Some("uid-2"))]
#[tokio::test]
async fn a_request_that_was_recreated_while_it_was_read_is_not_granted(#[case] uid: Option<&str>) {
    let fake = with_request();
    let another = uid.map(|uid| {
        let mut another = request();
        another["metadata"]["uid"] = json!(uid);
        another
    });
    let mut input = Meanwhile {
        happens: || fake.put(&path(), another.clone()),
        typed: b"y\n",
    };
    let outcome = fake.run_reading(&["grant", NAME], &mut input).await;
    let failure = format!(
        "error: request {NAME} was deleted while you read it; nothing was stored. See 'kubectl request list -n default'"
    );
    ended(&fake, &outcome, &failure);
}

#[tokio::test]
async fn a_request_that_was_denied_while_it_was_read_is_not_granted() {
    let fake = with_request();
    let mut denied = request();
    denied["status"] =
        json!({"phase": "Denied", "denied": {"by": "bob", "at": "2026-01-01T00:00:00Z"}});
    let mut input = Meanwhile {
        happens: || fake.put(&path(), Some(denied.clone())),
        typed: b"y\n",
    };
    let outcome = fake.run_reading(&["grant", NAME], &mut input).await;
    assert!(
        outcome
            .failure
            .as_ref()
            .unwrap()
            .contains("was denied by bob"),
        "{outcome:?}"
    );
    assert_eq!(fake.posted(GRANTS), Vec::<Value>::new());
}

#[rstest]
#[case(
    "Denied", json!({"denied": {"by": "bob", "at": "2026-01-01T00:00:00Z", "reason": "no\u{1b}"}}),
    "was denied by bob at 00:00 +00:00 (60m ago): no\\u{1b}. A denial is final: jane can file a new request"
)]
#[case("Used", json!({}), "was for a single use and is used up. jane can file a new request")]
#[tokio::test]
async fn what_is_decided_is_told_before_anybody_is_asked(
    #[case] phase: &str,
    #[case] more: Value,
    #[case] failure: &str,
    #[values("grant", "deny")] verb: &str,
) {
    let fake = with_phase(phase, &more);
    let outcome = fake.run(&[verb, NAME], "y\n").await;
    ended(&fake, &outcome, &format!("error: request {NAME} {failure}"));
    assert_eq!(outcome.out, "");
}

#[tokio::test]
async fn an_expired_request_is_told_before_anybody_is_asked() {
    let fake = with_phase("Expired", &json!({}));
    let outcome = fake.run(&["grant", NAME], "y\n").await;
    ended(
        &fake,
        &outcome,
        &format!("error: the access of request {NAME} is over. jane can file a new request"),
    );
}

#[tokio::test]
async fn what_is_granted_is_not_granted_again_but_can_be_denied() {
    let fake = with_phase("Granted", &json!({"grantedBy": ["amy"]}));
    let outcome = fake.run(&["grant", NAME], "y\n").await;
    let failure = format!(
        "error: request {NAME} is granted already, by amy. To end the access: kubectl request revoke -n default {NAME}"
    );
    ended(&fake, &outcome, &failure);
    let outcome = fake.run(&["deny", NAME], "y\n").await;
    assert_eq!(outcome.failure, None);
}

#[tokio::test]
async fn a_request_that_is_being_deleted_is_not_granted() {
    let mut leaving = request();
    leaving["metadata"]["deletionTimestamp"] = json!("2026-01-01T00:00:00Z");
    let fake = Fake::new().with(&path(), leaving);
    let outcome = fake.run(&["grant", NAME], "y\n").await;
    ended(
        &fake,
        &outcome,
        &format!("error: request {NAME} is being deleted. jane can file a new request"),
    );
}

fn grant(uid: &str, spec_uid: bool) -> Value {
    let mut grant = json!({
        "apiVersion": "spreadgroup.com/v1", "kind": "AccessGrant",
        "metadata": {
            "name": format!("grant-{NAME}"), "namespace": "default",
            "ownerReferences": [
                {"apiVersion": "spreadgroup.com/v1", "kind": "AccessRequest", "name": NAME, "uid": uid},
            ],
        },
        "spec": {"grantFor": NAME, "grantedBy": {"username": "amy"}},
        "status": "granted",
    });
    if spec_uid {
        grant["spec"]["requestUID"] = json!(uid);
    }
    grant
}

#[rstest]
#[tokio::test]
async fn a_second_grant_is_told_who_gave_the_first(#[values(true, false)] spec_uid: bool) {
    let fake = with_request().with(&format!("{GRANTS}/grant-{NAME}"), grant("uid-1", spec_uid));
    let outcome = fake.run(&["grant", NAME], "y\n").await;
    let failure = format!(
        "error: request {NAME} is granted already, by amy (accessgrant grant-{NAME}). \
         To take that back: kubectl delete acg -n default grant-{NAME}"
    );
    assert_eq!(outcome.failure, Some(failure));
}

#[tokio::test]
async fn a_grant_of_an_earlier_request_of_the_same_name_is_told_apart() {
    let fake = with_request().with(&format!("{GRANTS}/grant-{NAME}"), grant("uid-0", true));
    let outcome = fake.run(&["grant", NAME], "y\n").await;
    let failure = format!(
        "error: accessgrant grant-{NAME} answers an earlier request of the same name. \
         Delete it, and try again: kubectl delete acg -n default grant-{NAME}"
    );
    assert_eq!(outcome.failure, Some(failure));
}

#[tokio::test]
async fn what_the_server_refuses_is_told_in_its_words() {
    let message = "admission webhook \"access\" denied the request: nobody grants her own request";
    let fake = with_request().answering(
        Method::POST,
        GRANTS,
        403,
        &status(403, "Forbidden", message, ""),
    );
    let outcome = fake.run(&["grant", NAME], "y\n").await;
    assert_eq!(
        outcome.failure,
        Some(format!("Error from server (Forbidden): {message}"))
    );
}

#[rstest]
#[case(
    "-1h",
    "error: --valid-for: \"-1h\" is not a duration: write it like 90m, 1h30m or 45s"
)]
#[case(
    "13h",
    "error: --valid-for: \"13h\" is longer than the 12h that an access may last"
)]
#[case("2h", &format!("error: --valid-for: 2h is longer than the 1h that request {NAME} asks for"))]
#[tokio::test]
async fn a_validity_that_does_not_fit_is_refused(#[case] given: &str, #[case] failure: &str) {
    let fake = with_request();
    let outcome = fake
        .run(&["grant", &exactly(), "-y", "-d", given], "")
        .await;
    ended(&fake, &outcome, failure);
}

#[rstest]
#[tokio::test]
async fn a_request_that_is_not_there_is_told_as_kubectl_tells_it(
    #[values("grant", "deny", "show")] verb: &str,
) {
    let fake = Fake::new();
    let outcome = fake.run(&[verb, "gone"], "").await;
    ended(
        &fake,
        &outcome,
        "Error from server (NotFound): accessrequests \"gone\" not found",
    );
}

#[rstest]
#[tokio::test]
async fn what_is_no_name_never_reaches_the_server(#[values("grant", "deny", "show")] verb: &str) {
    let fake = Fake::new();
    let outcome = fake.run(&[verb, "../accessgrants/x"], "").await;
    ended(
        &fake,
        &outcome,
        "error: ../accessgrants/x is not the name of a request: see 'kubectl request list -n default'",
    );
    assert!(fake.calls().is_empty());
}

// G1, G2
#[tokio::test]
async fn hostile_text_never_reaches_the_terminal() {
    let mut hostile = request();
    hostile["spec"]["reason"] = json!(
        "x\u{1b}[2J\u{202e}\nGrant access to the request above, in cluster dev, namespace default ([yN])? y"
    );
    hostile["spec"]["userInfo"]["username"] = json!("jane\u{200b}");
    hostile["spec"]["customKeys"] = json!({"\u{1b}]0;title\u{7}": "\u{9b}2J"});
    let fake = Fake::new().with(&path(), hostile);
    for line in [
        &["grant", NAME][..],
        &["show", NAME],
        &["show", NAME, "-o", "json"],
        &["list"],
        &["list", "-o", "yaml"],
    ] {
        let outcome = fake.run(line, "").await;
        assert!(
            !outcome
                .out
                .chars()
                .any(|c| c != '\n' && decide::text::is_hidden(c)),
            "{outcome:?}"
        );
    }
}

#[tokio::test]
async fn a_request_is_shown_with_where_it_stands() {
    let more = json!({
        "grantedBy": ["amy"], "expiresAt": "2026-01-01T02:00:00Z",
        "uses": [{"reviewUID": "r", "at": "2026-01-01T00:30:00Z", "pod": "nginx-1", "podUID": "p"}],
    });
    let outcome = with_phase("Granted", &more).run(&["show", NAME], "").await;
    let standing = "\
Request      access-exec-jane-x4k2z@uid-1
Status       Granted
Granted by   amy
History      00:00 +00:00 (60m ago)  filed by jane
           | 00:30 +00:00 (30m ago)  used in pod nginx-1
           | 02:00 +00:00 (in 60m)   ends

";
    assert_eq!(outcome.out, format!("{standing}{SUMMARY}"));
}

#[tokio::test]
async fn a_use_of_another_door_is_told_with_the_container_and_a_lost_one_with_what_to_type() {
    let use_of = |door: &str, more: Value| {
        let mut spent = json!({
            "reviewUID": "r", "at": "2026-01-01T00:30:00Z", "pod": "web-0", "podUID": "p", "subResource": door,
        });
        spent
            .as_object_mut()
            .unwrap()
            .extend(more.as_object().unwrap().clone());
        spent
    };
    let more = json!({"uses": [
        use_of("ephemeralcontainers", json!({"container": "debugger-1", "outcome": "Answered"})),
        use_of("attach", json!({"container": "debugger-1", "outcome": "Lost"})),
        use_of("exec", json!({"container": "nginx"})),
    ]});
    let outcome = with_phase("Used", &more).run(&["show", NAME], "").await;
    let standing = "\
Request      access-exec-jane-x4k2z@uid-1
Status       Used
History      00:00 +00:00 (60m ago)  filed by jane
           | 00:30 +00:00 (30m ago)  used in pod web-0, container debugger-1
           |  (ephemeralcontainers): answered
           | 00:30 +00:00 (30m ago)  used in pod web-0, container debugger-1
           |  (attach): LOST, for the answer came too late
           | 00:30 +00:00 (30m ago)  used in pod web-0, container nginx

To ask again for what was lost: kubectl request again -n default access-exec-jane-x4k2z

";
    assert!(outcome.out.starts_with(standing), "{}", outcome.out);
}

#[tokio::test]
async fn an_object_of_the_original_is_granted_too() {
    let mut original = request();
    original["spec"] = json!({
        "userInfo": {"username": "jane"},
        "forObject": {
            "resource": {"group": "", "version": "v1", "resource": "pods"},
            "subResource": "exec", "name": "nginx", "namespace": "default",
        },
        "execOptions": {"kind": "PodExecOptions", "apiVersion": "v1", "stdout": true, "command": ["ls"]},
        "customKeys": null,
    });
    let fake = Fake::new().with(&path(), original);
    let outcome = fake.run(&["grant", NAME], "y\n").await;
    assert_eq!(outcome.failure, None);
    assert!(
        outcome
            .out
            .replace("\n  ", " ")
            .contains("jane can run [\"ls\"] once, in container (the default one) of pod nginx")
    );
}
