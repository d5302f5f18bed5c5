//! `--in-band-wait`: one plain `kubectl exec` that waits for its grant. Time is paused: it passes
//! when all wait.

use std::time::Duration;

use api::{AccessGrant, AccessRequest};
use axum::body::Body;
use futures::future::join_all;
use http::{Request, StatusCode};
use kube::runtime::watcher::Event;
use rstest::rstest;
use serde_json::{Value, json};
use server::admission::room::Room;
use tokio::time::{Instant, advance};

use crate::{
    fake_api::{Effect, FakeApi},
    world::{POD, Said, Settings, World, recorded, request},
};

const SOME_TIME: Duration = Duration::from_secs(5);

fn waits() -> World {
    World::new(Settings {
        in_band_wait: true,
        ..Settings::default()
    })
}

async fn exec(world: &World, uid: &str, change: impl FnOnce(&mut Value)) -> Said {
    let mut review = recorded("exec-websocket");
    review["request"]["uid"] = json!(uid);
    change(&mut review["request"]);
    world
        .post("/validate?timeout=30s", review.to_string())
        .await
}

/// The path of the only request that is stored, once one is, and whoever waits knows.
async fn filed(world: &World) -> String {
    let only = |api: &FakeApi| <[String; 1]>::try_from(api.requests_stored()).ok();
    let [path] = world.api.until(only).await;
    until_all_wait().await;
    path
}

/// Paused time passes only where nothing else can happen: after this all that could be done was,
/// and somebody waits for time or for the test.
async fn until_all_wait() {
    tokio::time::sleep(Duration::from_millis(1)).await;
}

fn show(world: &World, path: &str) {
    let request: AccessRequest = serde_json::from_value(world.api.get(path)).unwrap();
    world.index.apply_request(Event::Apply(request));
}

fn answer(world: &World, path: &str, status: &str) {
    let object = answer_to(world, path, status);
    let name = object["metadata"]["name"].as_str().unwrap();
    world.api.store(
        &format!("/apis/spreadgroup.com/v1/namespaces/default/accessgrants/{name}"),
        &object,
    );
    show_answer(world, &object);
}

fn show_answer(world: &World, object: &Value) {
    let grant: AccessGrant = serde_json::from_value(object.clone()).unwrap();
    world.index.apply_grant(Event::Apply(grant));
}

fn answer_to(world: &World, path: &str, status: &str) -> Value {
    let request = world.api.get(path);
    let name = request["metadata"]["name"].as_str().unwrap();
    json!({
        "apiVersion": "spreadgroup.com/v1", "kind": "AccessGrant",
        "metadata": {"name": format!("grant-{name}"), "namespace": "default", "uid": "grant-1",
            "creationTimestamp": "2026-11-23T15:00:00Z"},
        "spec": {"grantFor": name, "requestUID": request["metadata"]["uid"], "grantedBy": {"username": "amy"}},
        "status": status,
    })
}

#[tokio::test(start_paused = true)]
async fn an_attempt_that_is_granted_in_time_is_let_through_once() {
    let world = waits();
    let approver = async {
        let path = filed(&world).await;
        show(&world, &path);
        advance(SOME_TIME).await;
        answer(&world, &path, "granted");
        path
    };
    let (said, path) = tokio::join!(exec(&world, "r1", |_| {}), approver);
    assert!(said.allowed());
    assert_eq!(said.body["response"]["auditAnnotations"]["waited"], "true");
    // Its time is people's, not ours.
    let metrics = world
        .send(Request::get("/metrics").body(Body::empty()).unwrap())
        .await
        .body
        .to_string();
    assert!(
        metrics
            .contains(r#"wait_duration_seconds_count{path=\"validate\",decision=\"granted\"} 1"#),
        "{metrics}"
    );
    assert!(
        !metrics.contains("review_duration_seconds_count"),
        "{metrics}"
    );
    let stored = world.api.get(&path);
    assert_eq!(stored["spec"]["userInfo"]["username"], "jane");
    assert_eq!(stored["spec"]["execOptions"]["command"], json!(["date"]));
    assert_eq!(stored["spec"]["forObject"]["uid"], "pod-1");
    assert_eq!(stored["spec"].get("validFor"), None, "once");
    assert_eq!(stored["status"]["uses"].as_array().unwrap().len(), 1);
    show(&world, &path);
    assert!(
        exec(&world, "r2", |_| {})
            .await
            .denial()
            .contains("was for one use")
    );
    assert_eq!(
        world.api.requests_stored().len(),
        1,
        "what was used a moment ago is not asked for again"
    );
}

#[tokio::test(start_paused = true)]
async fn five_tries_file_one_request() {
    let world = waits();
    let tries = join_all((0..5).map(|n| exec(&world, ["a", "b", "c", "d", "e"][n], |_| {})));
    let (said, path) = tokio::join!(tries, async {
        let path = filed(&world).await;
        show(&world, &path);
        path
    });
    assert_eq!(world.api.requests_stored(), std::slice::from_ref(&path));
    let name = path.rsplit('/').next().unwrap();
    for said in said {
        let text = said.denial();
        assert!(
            text.contains(name) || text.starts_with("you have not asked"),
            "{text}"
        );
    }
}

#[tokio::test(start_paused = true)]
async fn whoever_is_not_answered_in_time_learns_the_name_of_her_request() {
    let world = waits();
    let began = Instant::now();
    let (said, path) = tokio::join!(exec(&world, "r1", |_| {}), async {
        let path = filed(&world).await;
        show(&world, &path);
        path
    });
    let waited = began.elapsed();
    assert!(
        Duration::from_secs(26) < waited && waited < Duration::from_secs(28),
        "{waited:?}"
    );
    let name = path.rsplit('/').next().unwrap();
    assert!(
        said.denial()
            .starts_with(&format!("your request {name} waits for a grant")),
        "{}",
        said.denial()
    );
}

#[tokio::test(start_paused = true)]
async fn the_same_attempt_over_spdy_is_answered_at_once() {
    let world = waits();
    let began = Instant::now();
    tokio::join!(exec(&world, "websocket", |_| {}), async {
        let path = filed(&world).await;
        show(&world, &path);
    });
    world.pass(i64::try_from(began.elapsed().as_secs()).unwrap() + 1);
    let began = Instant::now();
    assert!(
        exec(&world, "spdy", |_| {})
            .await
            .denial()
            .contains("waits for a grant")
    );
    assert_eq!(began.elapsed(), Duration::ZERO);
    assert_eq!(world.api.requests_stored().len(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_denial_ends_the_wait() {
    let world = waits();
    let began = Instant::now();
    let (said, ()) = tokio::join!(exec(&world, "r1", |_| {}), async {
        let path = filed(&world).await;
        show(&world, &path);
        advance(SOME_TIME).await;
        answer(&world, &path, "denied");
    });
    assert!(
        said.denial().starts_with("amy denied your request"),
        "{}",
        said.denial()
    );
    assert!(began.elapsed() < SOME_TIME * 2);
    assert!(
        exec(&world, "r2", |_| {})
            .await
            .denial()
            .starts_with("amy denied"),
        "and nothing is asked for again"
    );
    assert_eq!(world.api.requests_stored().len(), 1);
}

#[tokio::test(start_paused = true)]
async fn what_memory_promises_and_nobody_granted_lets_nobody_through() {
    let world = waits();
    let (said, ()) = tokio::join!(exec(&world, "r1", |_| {}), async {
        let path = filed(&world).await;
        show(&world, &path);
        let forged = answer_to(&world, &path, "granted");
        for _ in 0..10 {
            show_answer(&world, &forged);
            until_all_wait().await;
        }
    });
    assert!(
        said.denial().contains("waits for a grant"),
        "{}",
        said.denial()
    );
    assert_eq!(
        world
            .api
            .requests()
            .iter()
            .filter(|(method, _)| method == http::Method::PUT)
            .count(),
        0
    );
}

#[tokio::test(start_paused = true)]
async fn whoever_hangs_up_is_not_let_through_later() {
    let world = waits();
    let path = tokio::select! {
        said = exec(&world, "r1", |_| {}) => panic!("answered: {}", said.body),
        path = filed(&world) => path,
    };
    show(&world, &path);
    answer(&world, &path, "granted");
    advance(Duration::from_mins(1)).await;
    until_all_wait().await;
    assert_eq!(
        world.api.get(&path)["status"]["uses"],
        Value::Null,
        "nobody was there to use it"
    );
    assert!(
        exec(&world, "r2", |_| {}).await.allowed(),
        "it is hers still"
    );
}

#[tokio::test(start_paused = true)]
async fn whoever_may_not_see_the_pod_cannot_tell_whether_it_is_there() {
    let blind = waits();
    blind.api.takes_all_rights_of("jane");
    let gone = waits();
    gone.api.remove(POD);
    let (blind_said, gone_said) = (
        exec(&blind, "r1", |_| {}).await,
        exec(&gone, "r1", |_| {}).await,
    );
    assert_eq!(blind_said.body, gone_said.body);
    assert!(
        blind_said
            .denial()
            .starts_with("you have not asked for this yet")
    );
    assert!(blind.api.requests_stored().is_empty() && gone.api.requests_stored().is_empty());
}

#[tokio::test(start_paused = true)]
async fn one_person_takes_four_places_and_all_of_them_thirty_two() {
    let world = waits();
    let users: Vec<String> = (0..9)
        .flat_map(|user| vec![format!("user-{user}"); 5])
        .collect();
    let began = Instant::now();
    let tries = users.iter().enumerate().map(|(n, user)| {
        let world = &world;
        async move {
            let uid = format!("r{n}");
            let said = exec(world, &uid, |review| {
                review["userInfo"]["username"] = json!(user);
                review["object"]["command"] = json!(["echo", n.to_string()]);
            });
            said.await.denial();
            began.elapsed() < Duration::from_secs(1)
        }
    });
    let at_once: Vec<bool> = join_all(tries).await;
    let fifths = at_once.iter().skip(4).step_by(5).take(8);
    assert!(
        fifths.into_iter().all(|at_once| *at_once),
        "nobody has a fifth place"
    );
    assert_eq!(at_once.iter().filter(|at_once| !**at_once).count(), 32);
    assert!(
        at_once[40..].iter().all(|at_once| *at_once),
        "a ninth person has none"
    );
    let began = Instant::now();
    exec(&world, "again", |_| {}).await.denial();
    assert!(began.elapsed() > SOME_TIME, "the places are free again");
}

#[tokio::test(start_paused = true)]
async fn those_who_wait_take_no_place_from_those_who_answer() {
    let world = World::new(Settings {
        in_band_wait: true,
        room: Some(Room::new(1, 1)),
        ..Settings::default()
    });
    let answering = async {
        filed(&world).await;
        let mut review = recorded("exec-websocket");
        review["request"]["userInfo"]["groups"] = json!(["system:masters"]);
        world
            .post("/validate?timeout=10s", review.to_string())
            .await
            .allowed()
    };
    let (waited, answered) = tokio::join!(exec(&world, "r1", |_| {}), answering);
    assert!(
        answered,
        "there is room for one review, and whoever waits does not have it"
    );
    waited.denial();
}

#[tokio::test(start_paused = true)]
async fn a_name_that_somebody_took_before_is_no_obstacle() {
    let world = waits();
    let path = tokio::select! {
        said = exec(&world, "r1", |_| {}) => panic!("answered: {}", said.body),
        path = filed(&world) => path,
    };
    world.api.change(&path, |request| {
        request["spec"]["userInfo"]["username"] = json!("mallory");
    });
    let (said, own) = tokio::join!(exec(&world, "r2", |_| {}), async {
        let another = |api: &FakeApi| {
            api.requests_stored()
                .into_iter()
                .find(|other| *other != path)
        };
        let own = world.api.until(another).await;
        show(&world, &own);
        answer(&world, &own, "granted");
        own
    });
    assert!(said.allowed());
    assert_ne!(own, path);
}

#[tokio::test(start_paused = true)]
async fn where_nothing_can_be_filed_the_answer_comes_at_once_and_says_how_to_ask() {
    let world = waits();
    world.api.next_fault(
        http::Method::POST,
        "/accessrequests",
        Effect::Fails(StatusCode::FORBIDDEN),
    );
    let began = Instant::now();
    assert!(
        exec(&world, "r1", |_| {})
            .await
            .denial()
            .contains("kubectl request exec")
    );
    assert_eq!(began.elapsed(), Duration::ZERO);
}

#[tokio::test(start_paused = true)]
async fn a_server_account_and_a_debug_container_do_not_wait() {
    let world = waits();
    let said = exec(&world, "r1", |review| {
        review["userInfo"]["username"] = json!("system:serviceaccount:ci:bot");
    })
    .await;
    assert!(said.denial().starts_with("you have not asked"));
    assert!(world.api.requests_stored().is_empty());
    let mut review = recorded("ephemeral-debug");
    review["request"]["uid"] = json!("r2");
    world
        .post("/validate?timeout=30s", review.to_string())
        .await
        .denial();
    assert!(world.api.requests_stored().is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_server_that_is_to_stop_ends_all_waits_and_begins_none() {
    let world = waits();
    let began = Instant::now();
    let (said, ()) = tokio::join!(exec(&world, "r1", |_| {}), async {
        show(&world, &filed(&world).await);
        advance(SOME_TIME).await;
        world.stop();
    });
    assert!(said.denial().contains("waits for a grant"));
    assert!(began.elapsed() < SOME_TIME * 2);
    let began = Instant::now();
    exec(&world, "r2", |review| {
        review["object"]["command"] = json!(["id"]);
    })
    .await
    .denial();
    assert_eq!(began.elapsed(), Duration::ZERO);
    assert_eq!(world.api.requests_stored().len(), 1);
}

#[tokio::test(start_paused = true)]
async fn whose_request_is_deleted_waits_no_longer_and_files_no_other_so_soon() {
    let world = waits();
    let began = Instant::now();
    let (said, path) = tokio::join!(exec(&world, "websocket", |_| {}), async {
        let path = filed(&world).await;
        show(&world, &path);
        advance(SOME_TIME).await;
        let request: AccessRequest = serde_json::from_value(world.api.get(&path)).unwrap();
        world.api.remove(&path);
        world.index.apply_request(Event::Delete(request));
        path
    });
    assert!(
        said.denial().starts_with("you have not asked"),
        "{}",
        said.denial()
    );
    assert!(began.elapsed() < SOME_TIME * 2);
    exec(&world, "spdy", |_| {}).await.denial();
    assert!(
        world.api.requests_stored().is_empty(),
        "{path} was deleted on purpose"
    );
}

#[tokio::test(start_paused = true)]
async fn for_whom_nothing_could_be_filed_the_cluster_is_not_asked_again_so_soon() {
    let world = waits();
    world.api.takes_all_rights_of("jane");
    exec(&world, "r1", |_| {}).await.denial();
    assert!(!world.api.requests().is_empty());
    for n in 0..10 {
        exec(&world, "r2", |review| {
            review["object"]["command"] = json!(["echo", n.to_string()]);
        })
        .await
        .denial();
    }
    assert!(world.api.requests().is_empty());
}

#[rstest]
#[case::no_command(json!([]))]
#[case::too_many_arguments(json!(vec!["x"; 257]))]
#[case::too_long(json!(["echo", "x".repeat(5000)]))]
#[case::hidden(json!(["echo", "a\u{202e}b"]))]
#[tokio::test(start_paused = true)]
async fn what_can_never_be_granted_is_not_filed_and_the_cluster_not_asked(#[case] command: Value) {
    let world = waits();
    exec(&world, "r1", |review| review["object"]["command"] = command)
        .await
        .denial();
    assert!(world.api.requests().is_empty());
}

#[tokio::test(start_paused = true)]
async fn whoever_has_as_many_requests_open_as_she_may_files_no_more() {
    let world = waits();
    for name in ["one", "two"] {
        let mut request = request();
        request["metadata"]["name"] = json!(name);
        request["spec"]["execOptions"]["command"] = json!(["echo", name]);
        world
            .index
            .apply_request(Event::Apply(serde_json::from_value(request).unwrap()));
    }
    exec(&world, "r1", |_| {}).await.denial();
    assert!(world.api.requests().is_empty());
}

#[tokio::test(start_paused = true)]
async fn with_little_time_nobody_waits() {
    let world = waits();
    let began = Instant::now();
    let mut review = recorded("exec-websocket");
    review["request"]["uid"] = json!("r1");
    let said = world.post("/validate?timeout=3s", review.to_string()).await;
    assert!(said.denial().starts_with("you have not asked"));
    assert_eq!(began.elapsed(), Duration::ZERO);
    assert!(world.api.requests_stored().is_empty());
}

#[tokio::test]
async fn only_the_servers_own_account_files_for_whom_it_names_and_only_where_attempts_wait() {
    let own = "system:serviceaccount:kube-request-access:kube-request-access";
    for (in_band_wait, filer, taken) in
        [(true, own, true), (false, own, false), (true, "bob", false)]
    {
        let world = World::new(Settings {
            in_band_wait,
            ..Settings::default()
        });
        let mut review = recorded("accessrequest-create");
        review["request"]["userInfo"] =
            json!({"username": filer, "groups": ["system:authenticated"]});
        review["request"]["object"]["spec"]["userInfo"] =
            json!({"username": "jane", "groups": ["dev"]});
        let said = world.post("/mutate?timeout=10s", review.to_string()).await;
        assert_eq!(
            said.allowed(),
            taken,
            "{in_band_wait} {filer}: {}",
            said.body
        );
    }
}
