//! Which requests the API server is asked for, and how a long list comes.

use http::Method;
use rstest::rstest;
use serde_json::{Value, json};

use crate::{
    fake::{Fake, REQUESTS, status},
    lists::named,
};

fn request(name: &str, user: &str, phase: Option<&str>) -> Value {
    json!({
        "apiVersion": "spreadgroup.com/v1", "kind": "AccessRequest",
        "metadata": {
            "name": name, "namespace": "default", "uid": format!("uid-of-{name}"),
            "creationTimestamp": "2026-01-01T00:59:30Z",
        },
        "spec": {
            "userInfo": {"username": user},
            "forObject": {
                "resource": {"group": "", "version": "v1", "resource": "pods"},
                "subResource": "exec", "name": "nginx",
            },
            "execOptions": {"container": "web", "command": ["echo", name]},
        },
        "status": phase.map(|phase| json!({"phase": phase})),
    })
}

/// Of jane's one that nobody looked at yet, one that waits and one that is over; of bob's one that waits.
fn several() -> Fake {
    let requests = [
        ("a", "jane", None),
        ("b", "jane", Some("Pending")),
        ("c", "jane", Some("Expired")),
        ("d", "bob", Some("Pending")),
    ];
    requests
        .into_iter()
        .fold(Fake::new(), |fake, (name, user, phase)| {
            fake.with(&format!("{REQUESTS}/{name}"), request(name, user, phase))
        })
}

fn page(names: &[&str], rest: &str) -> Value {
    let items: Vec<Value> = names
        .iter()
        .map(|name| request(name, "jane", None))
        .collect();
    json!({"apiVersion": "v1", "kind": "List", "metadata": {"continue": rest}, "items": items})
}

/// The queries of the lists that were asked for.
fn queries(fake: &Fake) -> Vec<String> {
    let calls = fake.calls().into_iter();
    calls
        .filter(|call| call.path == REQUESTS)
        .map(|call| call.query)
        .collect()
}

const WAITING: &str = "status.phase%21%3DGranted%2Cstatus.phase%21%3DDenied%2Cstatus.phase%21%3DUsed%2C\
    status.phase%21%3DExpired";

#[rstest]
#[case(&["--pending"], "abd", WAITING)]
#[case(&["--requester", "bob"], "d", "spec.userInfo.username%3Dbob")]
#[case(&["--mine"], "abc", "spec.userInfo.username%3Djane")]
#[tokio::test]
async fn the_api_server_chooses_requests_at_once_and_from_its_cache(
    #[case] flags: &[&str],
    #[case] names: &str,
    #[case] asked: &str,
) {
    let fake = several();
    let line = [&["list", "-o", "name"], flags].concat();
    assert_eq!(fake.run(&line, "").await.out, named(names));
    let mut queries = queries(&fake);
    let last = queries.pop().unwrap();
    assert!(last.contains(&format!("fieldSelector={asked}")), "{last}");
    assert!(!last.contains("limit="), "{last}");
    // Whether the server writes prefixes is asked of one request, before.
    let before: &[&str] = if flags == ["--mine"] {
        &["&fieldSelector=spec.usernamePrefix%21%3D&limit=1"]
    } else {
        &[]
    };
    assert_eq!(queries, before);
}

#[tokio::test]
async fn our_own_requests_are_chosen_by_each_prefix_that_was_ever_written() {
    let mut stripped = request("e", "jane", None);
    stripped["spec"]["usernamePrefix"] = json!("oidc:");
    let mut others = request("f", "jane", None);
    others["spec"]["usernamePrefix"] = json!("corp:");
    let fake = several()
        .with(&format!("{REQUESTS}/e"), stripped)
        .with(&format!("{REQUESTS}/f"), others)
        .with(
            &format!("{REQUESTS}/g"),
            request("g", "oidc:jane", Some("Used")),
        )
        .known_as("oidc:jane");
    let outcome = fake.run(&["list", "--mine", "-o", "name"], "").await;
    assert_eq!(outcome.out, named("ge"));
    let last = queries(&fake).pop().unwrap();
    assert!(
        last.contains("spec.userInfo.username%3Djane%2Cspec.usernamePrefix%3Doidc%3A"),
        "{last}"
    );
}

#[rstest]
#[case(&["--pending"], "abd")]
#[case(&["--mine"], "abc")]
#[case(&["--requester", "bob"], "d")]
#[tokio::test]
async fn where_the_definition_of_requests_is_older_all_are_looked_at(
    #[case] flags: &[&str],
    #[case] names: &str,
) {
    let fake = several().without_fields();
    let line = [&["list", "-o", "name"], flags].concat();
    let outcome = fake.run(&line, "").await;
    assert_eq!(outcome.out, named(names));
    assert_eq!(outcome.failure, None);
}

#[tokio::test]
async fn completion_asks_for_what_the_verb_can_do_something_with() {
    let fake = several();
    let text = fake.complete(&["approve", ""]).await;
    assert!(text.starts_with("a\t") && !text.contains("c\t"), "{text}");
    assert!(queries(&fake)[0].contains(WAITING));
}

fn too_old(rest: &str) -> String {
    let mut status = status(
        410,
        "Expired",
        "The provided continue parameter is too old",
        "",
    );
    status["metadata"] = json!({"continue": rest});
    status.to_string()
}

#[rstest]
#[case::the_rest_as_it_is_now("rest", page(&["c"], ""))]
#[case::all_of_it_and_nothing_twice("", page(&["a", "b", "c"], ""))]
#[tokio::test]
async fn a_list_that_becomes_too_old_goes_on(#[case] rest: &str, #[case] then: Value) {
    let fake = Fake::new()
        .answering(Method::GET, REQUESTS, 200, &page(&["a", "b"], "next"))
        .answering_too(Method::GET, REQUESTS, 410, &too_old(rest))
        .answering_too(Method::GET, REQUESTS, 200, &then);
    let outcome = fake.run(&["list", "-o", "name"], "").await;
    assert_eq!(outcome.out, named("abc"));
    assert_eq!(outcome.failure, None);
    let last = queries(&fake).pop().unwrap();
    assert_eq!(last.contains("continue=rest"), !rest.is_empty(), "{last}");
}

#[tokio::test(start_paused = true)]
async fn a_page_that_does_not_come_is_asked_for_again() {
    let error = status(500, "InternalError", "etcdserver: request timed out", "");
    let fake = Fake::new()
        .answering(Method::GET, REQUESTS, 200, &page(&["a"], "next"))
        .answering_too(Method::GET, REQUESTS, 500, &error)
        .answering_too(Method::GET, REQUESTS, 200, &page(&["b"], ""));
    let outcome = fake.run(&["list", "-o", "name"], "").await;
    assert_eq!(outcome.out, named("ab"));
    assert!(
        queries(&fake)[1..]
            .iter()
            .all(|query| query.contains("continue=next"))
    );
}

#[tokio::test(start_paused = true)]
async fn a_page_that_never_comes_is_an_error_below_what_came() {
    let fake = Fake::new()
        .answering(Method::GET, REQUESTS, 200, &page(&["a"], "next"))
        .refusing(Method::GET, REQUESTS, 500, "gone");
    let outcome = fake.run(&["list", "-o", "json"], "").await;
    assert_eq!(
        outcome.failure.as_deref(),
        Some("Error from server (InternalError): gone")
    );
    // Nobody takes it for the whole list.
    serde_json::from_str::<Value>(&outcome.out).unwrap_err();
    assert!(outcome.out.contains("uid-of-a"), "{}", outcome.out);
}

#[tokio::test(start_paused = true)]
async fn an_api_server_that_has_no_cache_yet_is_asked_for_pages() {
    let busy = status(429, "TooManyRequests", "storage is (re)initializing", "");
    let fake = several().answering(Method::GET, REQUESTS, 429, &busy);
    let outcome = fake.run(&["list", "-o", "name"], "").await;
    assert_eq!(outcome.out, named("abcd"));
    assert!(queries(&fake)[1].contains("limit=500"));
}

// P17
#[rstest]
#[case::new_ones(501)]
#[case::the_same_ones(1)]
#[tokio::test]
async fn a_list_that_goes_on_elsewhere_each_time_is_given_up(#[case] different: usize) {
    let names = (0..different).cycle().map(|at| format!("r-{at}"));
    let pages: Vec<Value> = (0..501)
        .zip(names)
        .map(|(at, name)| page(&[&name], &format!("next-{at}")))
        .collect();
    let fake = Fake::new().answering_in_turn(REQUESTS, &pages);
    let failure = fake.run(&["list"], "").await.failure.unwrap_or_default();
    assert!(
        failure.contains(
            "lists more than 200000 requests or 256 MiB, or the same ones again and again"
        ),
        "{failure}"
    );
    assert_eq!(queries(&fake).len(), 500);
}

#[tokio::test]
async fn a_long_table_comes_in_parts_whose_columns_grow() {
    let names: Vec<String> = (0..501).map(|at| format!("r-{at:03}")).collect();
    let long = "s-".to_owned() + &"n".repeat(20);
    let all = names.iter().chain([&long]);
    let fake = all.fold(Fake::new(), |fake, name| {
        fake.with(&format!("{REQUESTS}/{name}"), request(name, "jane", None))
    });
    let outcome = fake.run(&["list"], "").await;
    let lines: Vec<&str> = outcome.out.lines().collect();
    assert_eq!(lines.len(), 503);
    assert!(
        lines[0].starts_with("NAME    USER   TARGET"),
        "{}",
        lines[0]
    );
    assert!(lines[0].ends_with("AGE   COUNT"), "{}", lines[0]);
    assert!(lines[500].starts_with("r-499   jane   nginx"));
    assert!(lines[501].starts_with("r-500                    jane   nginx"));
    assert!(lines[502].starts_with(&format!("{long}   jane   nginx")));
    for format in ["json", "yaml"] {
        let text = fake.run(&["list", "-o", format], "").await.out;
        let list: Value = serde_saphyr::from_str(&text).unwrap();
        assert_eq!(list["items"].as_array().unwrap().len(), 502);
        assert_eq!(list["items"][501]["metadata"]["name"], long);
    }
}

// What kubectl's discovery asks for, each time its cache is ten minutes old.
#[rstest]
#[case(&["list"], "")]
#[case(&["list", "--mine", "-A"], "")]
#[case(&["show", "a"], "")]
#[case(&["whoami"], "")]
#[case(&["approve", "--pending"], "n\n")]
#[case(&["deny", "b", "--reason", "x"], "y\n")]
#[case(&["withdraw", "b"], "y\n")]
#[case(&["exec", "deploy/nginx", "--", "ls"], "y\n")]
#[tokio::test]
async fn nothing_is_discovered(#[case] line: &[&str], #[case] typed: &str) {
    let fake = several();
    fake.run(line, typed).await;
    let calls = fake.calls();
    assert!(!calls.is_empty());
    for call in calls {
        let parts = call.path.trim_matches('/').split('/').count();
        let is_object = match call.path.split('/').nth(1) {
            Some("api") => parts > 2,
            Some("apis") => parts > 3,
            _ => false,
        };
        assert!(is_object, "{}", call.path);
    }
}
