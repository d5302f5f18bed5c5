//! What kubectl asks `kubectl_complete-request`.

use http::Method;
use rstest::rstest;
use serde_json::{Value, json};

use crate::fake::{Fake, REQUESTS};
use crate::pods::{PODS, world};

fn request(name: &str, user: &str, phase: &str) -> Value {
    json!({
        "apiVersion": "spreadgroup.com/v1", "kind": "AccessRequest", "metadata": {"name": name, "namespace": "default"},
        "spec": {
            "userInfo": {"username": user},
            "forObject": {"resource": {"group": "", "version": "v1", "resource": "pods"}, "subResource": "exec", "name": "web-0"},
            "execOptions": {"command": ["ls"]},
        },
        "status": {"phase": phase},
    })
}

fn with_requests() -> Fake {
    let namespace =
        |name: &str| json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}});
    world()
        .with(
            &format!("{REQUESTS}/a-1"),
            request("a-1", "jane", "Pending"),
        )
        .with(&format!("{REQUESTS}/a-2"), request("a-2", "bob", "Pending"))
        .with(
            &format!("{REQUESTS}/a-3"),
            request("a-3", "jane", "Granted"),
        )
        .with(&format!("{REQUESTS}/a-4"), request("a-4", "bob", "Used"))
        .with("/api/v1/namespaces/shop", namespace("shop"))
        .with("/api/v1/namespaces/default", namespace("default"))
}

/// The candidates, without what explains them.
async fn candidates(fake: &Fake, words: &[&str]) -> String {
    let text = fake.complete(words).await;
    text.lines()
        .map(|line| line.split('\t').next().unwrap().to_owned() + " ")
        .collect::<String>()
        .trim_end()
        .to_owned()
}

#[rstest]
#[case::verbs(&["wi"], "withdraw :4")]
#[case::doors(&["why", "e"], "exec :4")]
#[case::flags(&["exec", "web-0", "--valid"], "--valid-for :4")]
#[case::connection_flags(&["--names"], "--namespace :4")]
#[case::values(&["debug", "--profile", "net"], "netadmin :4")]
#[case::joined_values(&["list", "--output=ya"], "yaml :4")]
#[case::shells(&["completion", "z"], "zsh :4")]
#[case::pods(&["exec", "web"], "web-0 :4")]
#[case::pods_behind_flags(&["exec", "-n", "default", "-it", "web"], "web-0 :4")]
#[case::containers_behind_joined_flags(&["exec", "-ndefault", "web-0", "-itc", "we"], "web :4")]
#[case::kinds(&["exec", "dep"], "deployment/ :6")]
#[case::workloads(&["exec", "deploy/"], "deploy/web :4")]
#[case::no_services(&["exec", "svc/"], ":4")]
#[case::containers(&["exec", "web-0", "-c", ""], "web console :4")]
#[case::containers_of_a_workload(&["attach", "deploy/web", "-c", "c"], "console :4")]
#[case::a_command(&["exec", "web-0", "--", "l"], ":0")]
#[case::a_command_without_dashes(&["exec", "web-0", "ls", "-"], ":0")]
#[case::pods_to_copy_from(&["cp", "we"], "web-0: :2")]
#[case::namespaces(&["list", "-n", "s"], "shop :4")]
#[case::files(&["list", "--kubeconfig", ""], ":0")]
#[case::free_text(&["exec", "--reason", ""], ":4")]
#[case::what_can_be_approved(&["approve", ""], "a-1 a-2 :4")]
#[case::but_what_stands_there(&["approve", "a-1", ""], "a-2 :4")]
#[case::one_alone(&["grant", "a-1", ""], ":4")]
#[case::what_can_be_denied(&["deny", ""], "a-1 a-2 a-3 :4")]
#[case::what_can_be_withdrawn(&["withdraw", ""], "a-1 :4")]
#[case::what_can_be_revoked(&["revoke", ""], "a-3 :4")]
#[case::what_can_be_shown(&["show", "a"], "a-1 a-2 a-3 a-4 :4")]
#[case::what_can_be_repeated(&["again", ""], "a-1 a-3 :4")]
#[case::what_can_go_on(&["extend", ""], "a-3 :4")]
#[case::an_unknown_flag(&["exec", "--nonsense", ""], "web-0 done :4")]
#[tokio::test]
async fn each_place_has_its_candidates(#[case] words: &[&str], #[case] expected: &str) {
    let candidates = candidates(&with_requests(), words).await;
    let mut got: Vec<&str> = candidates
        .split(' ')
        .filter(|word| !word.ends_with('/') || expected.contains('/'))
        .collect();
    let mut expected: Vec<&str> = expected.split(' ').collect();
    got.sort_unstable();
    expected.sort_unstable();
    assert_eq!(got, expected);
}

#[tokio::test]
async fn a_request_is_explained_in_a_few_words() {
    let text = with_requests().complete(&["show", "a-4"]).await;
    assert_eq!(text, "a-4\tbob, web-0, Used\n:4\n");
}

#[tokio::test]
async fn names_that_a_shell_could_misread_are_no_candidates() {
    let evil = request("a;$(reboot)", "jane\n\u{1b}[2J", "Pending");
    let fake = with_requests().with(&format!("{REQUESTS}/x"), evil);
    assert_eq!(candidates(&fake, &["withdraw", ""]).await, "a-1 :4");
}

#[tokio::test]
async fn what_cannot_be_found_out_is_quiet() {
    let fake = world().refusing(Method::GET, PODS, 403, "no");
    assert_eq!(fake.complete(&["exec", "w"]).await, ":4\n");
    assert_eq!(
        Fake::new().complete(&["exec", "gone", "-c", ""]).await,
        ":4\n"
    );
    assert_eq!(Fake::new().complete(&[]).await.lines().last(), Some(":4"));
}
