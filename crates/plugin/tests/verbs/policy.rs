//! `kubectl request policy test`: files in, verdicts out, no cluster.

use std::fs;

use rstest::rstest;
use tempfile::TempDir;

use crate::fake::{Fake, Outcome};

const POLICIES: &str = r#"
apiVersion: spreadgroup.com/v1
kind: AccessPolicy
metadata: {name: low-risk}
spec:
  effect: Allow
  subjects: [{kind: Group, name: devs}]
  namespaces: ["staging-*"]
  subresources: [exec]
  commands: [{program: ls}]
---
apiVersion: spreadgroup.com/v1
kind: AccessPolicy
metadata: {name: ticket}
spec:
  effect: Allow
  subjects: [{kind: User, name: jane}]
  namespaces: [prod]
  subresources: [exec]
  validFor: 1h
  reason: {pattern: "OPS-[0-9]+", prompt: the ticket}
---
apiVersion: spreadgroup.com/v1
kind: AccessPolicy
metadata: {name: night}
spec:
  effect: Allow
  subjects: [{kind: Group, name: on-call}]
  namespaces: [prod]
  subresources: [exec]
  reason: {}
  emergency: {reviewWithin: 24h}
---
apiVersion: spreadgroup.com/v1
kind: AccessPolicy
metadata: {name: four-eyes}
spec:
  effect: Require
  namespaces: [vault]
  approvals: 2
  approvers: [{name: security, subjects: [{kind: Group, name: security}]}]
---
apiVersion: spreadgroup.com/v1
kind: AccessPolicy
metadata: {name: nobody}
spec: {effect: Deny, namespaces: [vault], subresources: [portforward]}
"#;

/// Runs `policy test` with these arguments beside a file with the policies and one with a table.
async fn tested(table: &str, more: &[&str]) -> (Outcome, TempDir) {
    let dir = TempDir::new().unwrap();
    let (policies, cases) = (
        dir.path().join("policy.yaml"),
        dir.path().join("cases.yaml"),
    );
    fs::write(&policies, POLICIES).unwrap();
    fs::write(&cases, table).unwrap();
    let (policies, cases) = (policies.display().to_string(), cases.display().to_string());
    let mut line = vec!["policy", "test"];
    if table.is_empty() {
        line.extend(["-f", policies.as_str()]);
    } else {
        line.push(&cases);
    }
    line.extend(more);
    (Fake::new().run(&line, "").await, dir)
}

#[tokio::test]
async fn a_table_of_cases_is_told_line_by_line() {
    let table = "
policies: [policy.yaml]
cases:
- {name: looking around, user: jane, groups: [devs], namespace: staging-a, command: [ls, /], expect: Allow, policy: low-risk}
- {name: another program, user: jane, groups: [devs], namespace: staging-a, command: [sh], expect: Approve, approvals: 1}
- {name: with a ticket, user: jane, namespace: prod, command: [sh], reason: OPS-7, validFor: 1h, expect: Grant, policy: ticket}
- {name: without one, user: jane, namespace: prod, command: [sh], expect: Approve}
- {name: an emergency, user: ann, groups: [on-call], namespace: prod, command: [sh], reason: it is down, expect: Grant, policy: night}
- {name: four eyes, user: jane, namespace: vault, command: [sh], expect: Approve, approvals: 2, policy: four-eyes}
- {name: no ports, user: jane, namespace: vault, subresource: portforward, expect: Deny, policy: nobody}
- {name: a program is no group, serviceAccount: ci/bot, groups: [devs], namespace: staging-a, command: [ls], expect: Approve}
- {name: only told, user: jane, namespace: vault, subresource: attach, interactive: true}
";
    let (outcome, _dir) = tested(table, &[]).await;
    assert_eq!(outcome.failure, None, "{}", outcome.out);
    insta::assert_snapshot!(outcome.out);
}

#[rstest]
#[case::another_outcome("expect: Approve")]
#[case::another_policy("expect: Allow, policy: ticket")]
#[case::another_number("expect: Allow, approvals: 1")]
#[tokio::test]
async fn a_case_that_is_not_as_expected_fails(#[case] expected: &str) {
    let table = format!(
        "policies: [policy.yaml]\ncases:\n- {{user: jane, groups: [devs], namespace: staging-a, command: [ls], {expected}}}\n"
    );
    let (outcome, _dir) = tested(&table, &[]).await;
    assert!(outcome.out.starts_with("FAIL "), "{}", outcome.out);
    assert_eq!(
        outcome.failure.as_deref(),
        Some("error: 1 of 1 cases are not as expected")
    );
}

#[tokio::test]
async fn one_case_is_typed() {
    let line = [
        "--as",
        "jane",
        "--as-group",
        "devs",
        "-n",
        "staging-a",
        "--",
        "ls",
    ];
    let (outcome, _dir) = tested("", &line).await;
    assert_eq!(outcome.out, "     this: Allow, by policy low-risk\n");
    let line = ["--as", "jane", "-n", "vault", "--subresource=portforward"];
    let (outcome, _dir) = tested("", &line).await;
    assert_eq!(outcome.out, "     this: Deny: policy nobody forbids this\n");
}

#[rstest]
#[case::no_case("", &[], "name a table of cases")]
#[case::no_command("", &["--as", "jane"], "this: exec needs a command")]
#[case::a_door("", &["--as", "jane", "--subresource=log"], "this: \"log\" is no subresource of pods that is gated")]
#[case::a_duration("", &["--as", "jane", "-d", "soon", "--", "ls"], "this: validFor: ")]
#[case::a_key("cases: [{user: jane, namespace: a, comand: [ls]}]", &[], "comand")]
#[case::nobody("cases: [{namespace: a, command: [ls]}]", &[], "say either user or serviceAccount")]
#[case::an_account("cases: [{serviceAccount: bot, namespace: a, command: [ls]}]", &[], "write serviceAccount as NAMESPACE/NAME")]
#[case::a_missing_file("policies: [none.yaml]\ncases: []", &[], "none.yaml: ")]
#[case::no_table("- a", &[], "cases.yaml: ")]
#[tokio::test]
async fn what_makes_no_sense_is_named(
    #[case] table: &str,
    #[case] line: &[&str],
    #[case] text: &str,
) {
    let (outcome, _dir) = tested(table, line).await;
    let failure = outcome.failure.unwrap();
    assert!(failure.contains(text), "{failure}");
}

#[tokio::test]
async fn a_policy_that_makes_no_sense_is_named_with_the_place() {
    let dir = TempDir::new().unwrap();
    let path = dir.path().join("odd.yaml");
    let odd = "apiVersion: spreadgroup.com/v1\nkind: AccessPolicy\nmetadata: {name: odd}\nspec: {effect: Allow, subresources: [exec, logs]}\n";
    fs::write(&path, odd).unwrap();
    let path = path.display().to_string();
    let outcome = Fake::new()
        .run(
            &["policy", "test", "-f", &path, "--as", "jane", "--", "ls"],
            "",
        )
        .await;
    let failure = outcome.failure.unwrap();
    assert!(
        failure.ends_with(
            "odd.yaml: policy odd: spec.subresources[1]: \"logs\" is no subresource of pods that is gated: exec, attach, portforward, ephemeralcontainers"
        ),
        "{failure}"
    );
}
