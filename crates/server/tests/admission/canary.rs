//! The canary: a server that watches API servers, some of which ask another server of ours, and
//! some do not.

use std::{
    collections::BTreeMap,
    convert::Infallible,
    io,
    sync::{Arc, Mutex},
};

use axum::http::{HeaderValue, Method, Request, Response, StatusCode, Uri, header::WARNING};
use bytes::Bytes;
use decide::canary::{Finding, Watched};
use futures::stream::pending;
use http_body_util::BodyExt as _;
use jiff::{SignedDuration, Timestamp};
use kube::{
    Client,
    client::Body,
    runtime::events::{Recorder, Reporter},
};
use rstest::rstest;
use rustls::crypto::ring;
use serde_json::{Value, json};
use server::{
    audit::{Extensions, Webhook},
    canary::{
        Canary,
        account::{CanaryAccount, POD},
        proof::{Nonce, warning},
        speaking::CanarySpeaker,
        targets::{Connect, Targets},
    },
    cluster::{own_pod::OwnPod, seal::Sealer},
    metrics::Metrics,
};
use tower::service_fn;

use crate::{
    records::Log,
    world::{Said, Settings, World, recorded, sealer},
};

const FIRST: &str = "10.0.0.1:6443";
const SECOND: &str = "[fd00::2]:6443";

/// What an API server does with the canary's call.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum ApiServer {
    /// It asks us.
    Asks,
    /// It asks nobody.
    AsksNobody,
    /// It asks nobody, and its answer does not end.
    LetsIn,
    /// It asks somebody who denies in our words, with a proof of their own.
    AsksForger,
    /// It answers so, before anybody is asked.
    Refuses(StatusCode),
    /// Nobody is there.
    Unreachable,
    /// It never answers.
    Hangs,
}

/// A cluster with two API servers, as the canary sees it.
#[derive(Clone)]
struct Cluster(Arc<State>);

struct State {
    /// Whoever is asked.
    world: World,
    api_servers: Mutex<BTreeMap<&'static str, ApiServer>>,
    /// What was asked by the server's own account: the method, the path, and the body.
    asked: Mutex<Vec<(Method, String, Value)>>,
    /// Whether that account may do nothing any more.
    is_powerless: Mutex<bool>,
    clock: Mutex<Timestamp>,
}

fn account() -> CanaryAccount {
    "kube-request-access:kube-request-access-canary"
        .parse()
        .unwrap()
}

fn status(code: StatusCode, message: &str) -> Response<Body> {
    let body = json!({"kind": "Status", "apiVersion": "v1", "code": code.as_u16(), "message": message, "status": "Failure", "reason": "x"});
    let mut response = Response::new(Body::from(body.to_string().into_bytes()));
    *response.status_mut() = code;
    response
}

fn found(body: &Value) -> Response<Body> {
    Response::new(Body::from(body.to_string().into_bytes()))
}

fn with_warning(mut response: Response<Body>, text: &str) -> Response<Body> {
    response.headers_mut().insert(
        WARNING,
        HeaderValue::try_from(format!("299 - \"{text}\"")).unwrap(),
    );
    response
}

/// The review of an exec by the canary.
fn review(nonce: &str) -> Value {
    let mut review = recorded("exec-websocket");
    let request = &mut review["request"];
    (request["name"], request["namespace"]) = (json!(POD), json!("kube-request-access"));
    request["userInfo"] =
        json!({"username": account().to_string(), "groups": ["system:serviceaccounts"]});
    request["object"] =
        json!({"kind": "PodExecOptions", "apiVersion": "v1", "stdout": true, "command": [nonce]});
    review
}

impl Cluster {
    fn new(path: Settings) -> Self {
        let api_servers = Mutex::new(BTreeMap::from([
            (FIRST, ApiServer::Asks),
            (SECOND, ApiServer::Asks),
        ]));
        Self(Arc::new(State {
            world: World::new(path),
            api_servers,
            asked: Mutex::default(),
            is_powerless: Mutex::default(),
            clock: Mutex::new("2026-11-27T15:00:00Z".parse().unwrap()),
        }))
    }

    fn sealed() -> Self {
        Self::new(Settings {
            sealed: true,
            ..Settings::default()
        })
    }

    fn set(&self, address: &'static str, api_server: ApiServer) {
        self.0
            .api_servers
            .lock()
            .unwrap()
            .insert(address, api_server);
    }

    /// A canary that is a replica with this key.
    fn canary(&self, sealer: Arc<Sealer>) -> (Canary, Metrics) {
        let (own, metrics, clock) = (self.own_client(), Metrics::new(), self.clone());
        let recorder = Recorder::new(
            own.clone(),
            Reporter {
                controller: "test".to_owned(),
                instance: None,
            },
        );
        let canary = Canary {
            account: account(),
            sealer,
            targets: Targets::new(own.clone(), self.connect()),
            speaker: CanarySpeaker::new(
                recorder,
                OwnPod::new(own, account().namespace, account().name),
            ),
            gauges: metrics.canary.clone(),
            clock: Arc::new(move || *clock.0.clock.lock().unwrap()),
            watched: BTreeMap::new(),
        };
        (canary, metrics)
    }

    /// Half a minute passes, and the canary calls all API servers.
    async fn round(&self, canary: &mut Canary) {
        {
            let mut clock = self.0.clock.lock().unwrap();
            *clock = clock.checked_add(SignedDuration::from_secs(30)).unwrap();
        }
        canary.round().await;
    }

    /// What the server's own account asks.
    fn own_client(&self) -> Client {
        let cluster = self.clone();
        let service = service_fn(move |request: Request<Body>| {
            let cluster = cluster.clone();
            async move { Ok::<_, Infallible>(cluster.answer_own(request).await) }
        });
        Client::new(service, "default")
    }

    async fn answer_own(&self, request: Request<Body>) -> Response<Body> {
        let (parts, body) = request.into_parts();
        let body = body.collect().await.unwrap().to_bytes();
        let body: Value = serde_json::from_slice(&body).unwrap_or_default();
        let path = parts.uri.path().to_owned();
        self.0
            .asked
            .lock()
            .unwrap()
            .push((parts.method, path.clone(), body.clone()));
        if *self.0.is_powerless.lock().unwrap() {
            return status(StatusCode::FORBIDDEN, "no");
        }
        match path.as_str() {
            "/apis/discovery.k8s.io/v1/namespaces/default/endpointslices" => {
                assert!(
                    parts
                        .uri
                        .query()
                        .unwrap()
                        .contains("kubernetes.io%2Fservice-name%3Dkubernetes")
                );
                found(&self.slices())
            }
            "/api/v1/namespaces/kube-request-access/serviceaccounts/kube-request-access-canary/token" => {
                found(
                    &json!({"metadata": {}, "spec": body["spec"], "status": {"token": "t", "expirationTimestamp": "2026-11-27T16:00:00Z"}}),
                )
            }
            "/apis/authentication.k8s.io/v1/selfsubjectreviews" => {
                let extra = json!({"authentication.kubernetes.io/pod-name": ["server-1"], "authentication.kubernetes.io/pod-uid": ["pod-1"]});
                found(
                    &json!({"metadata": {}, "status": {"userInfo": {"username": "server", "extra": extra}}}),
                )
            }
            _ => found(&body),
        }
    }

    fn slices(&self) -> Value {
        let slice = |address: &str| {
            let ip = address.rsplit_once(':').unwrap().0.trim_matches(['[', ']']);
            json!({"metadata": {}, "addressType": "IPv4", "endpoints": [{"addresses": [ip]}], "ports": [{"name": "https", "port": 6443}]})
        };
        let slices: Vec<Value> = self
            .0
            .api_servers
            .lock()
            .unwrap()
            .keys()
            .map(|address| slice(address))
            .collect();
        json!({"metadata": {}, "items": slices})
    }

    /// Each API server, as whoever has the canary's token.
    fn connect(&self) -> Connect {
        let cluster = self.clone();
        Arc::new(move |address, token| {
            assert_eq!(token, "t");
            let (cluster, address) = (cluster.clone(), address.to_owned());
            let service = service_fn(move |request: Request<Body>| {
                let (cluster, address) = (cluster.clone(), address.clone());
                async move { cluster.answer_canary(&address, request.uri().clone()).await }
            });
            Ok(Client::new(service, "default"))
        })
    }

    async fn answer_canary(
        &self,
        address: &str,
        uri: Uri,
    ) -> io::Result<Response<axum::body::Body>> {
        assert_eq!(
            uri.path(),
            format!("/api/v1/namespaces/kube-request-access/pods/{POD}/exec")
        );
        let nonce = uri.query().unwrap().split(['=', '&']).nth(1).unwrap();
        let api_server = self.0.api_servers.lock().unwrap()[address];
        let denied = |text: &str| status(StatusCode::FORBIDDEN, text);
        let response = match api_server {
            ApiServer::Asks => {
                let said = self
                    .0
                    .world
                    .post("/validate?timeout=10s", review(nonce).to_string())
                    .await;
                with_warning(
                    denied(said.denial()),
                    said.body["response"]["warnings"][0].as_str().unwrap(),
                )
            }
            ApiServer::AsksNobody => {
                status(StatusCode::NOT_FOUND, &format!("pods \"{POD}\" not found"))
            }
            ApiServer::LetsIn => {
                return Ok(Response::new(axum::body::Body::from_stream(pending::<
                    Result<Bytes, Infallible>,
                >(
                ))));
            }
            ApiServer::AsksForger => {
                // They know this program, and have no key.
                let proof = Nonce::read(nonce).unwrap().proof(&Sealer::off());
                with_warning(
                    denied("this is the canary of kube-request-access"),
                    &warning(&proof),
                )
            }
            ApiServer::Refuses(code) => status(code, "not now"),
            ApiServer::Unreachable => return Err(io::Error::other("connection refused")),
            ApiServer::Hangs => std::future::pending().await,
        };
        Ok(response.map(axum::body::Body::new))
    }

    /// What was written with the server's own rights: the last segment of the path, and the body.
    fn written(&self, what: &str) -> Vec<Value> {
        let asked = self.0.asked.lock().unwrap();
        asked
            .iter()
            .filter(|(_, path, _)| path.ends_with(what))
            .map(|(_, _, body)| body.clone())
            .collect()
    }

    /// The reasons of all events.
    fn events(&self) -> Vec<String> {
        self.written("/events")
            .iter()
            .map(|event| event["reason"].as_str().unwrap().to_owned())
            .collect()
    }

    /// The condition of our own pod, one after the other.
    fn conditions(&self) -> Vec<String> {
        let written = self.written("/pods/server-1/status");
        let conditions = written
            .iter()
            .map(|patch| &patch["status"]["conditions"][0]);
        conditions
            .map(|condition| {
                assert_eq!(condition["type"], "spreadgroup.com/AskedByAPIServers");
                condition["status"].as_str().unwrap().to_owned()
            })
            .collect()
    }
}

fn stands(canary: &Canary, address: &str) -> Finding {
    canary.watched[address].stands()
}

// K2, C13
#[rstest]
#[case::without_a_key(false)]
#[case::with_a_key(true)]
#[tokio::test]
async fn an_api_server_that_asks_is_told_from_one_that_does_not(#[case] sealed: bool) {
    let (log, _guard) = Log::begin();
    let cluster = Cluster::new(Settings {
        sealed,
        ..Settings::default()
    });
    let (mut canary, metrics) = cluster.canary(sealer(sealed));
    cluster.round(&mut canary).await;
    assert_eq!(
        [stands(&canary, FIRST), stands(&canary, SECOND)],
        [Finding::Asked, Finding::Asked]
    );
    assert_eq!(
        (cluster.events(), cluster.conditions()),
        (vec![], vec!["True".to_owned()])
    );

    cluster.set(SECOND, ApiServer::AsksNobody);
    cluster.round(&mut canary).await;
    assert_eq!(
        [stands(&canary, FIRST), stands(&canary, SECOND)],
        [Finding::Asked, Finding::NotAsked]
    );
    let text = log.text();
    let line: Value = text
        .lines()
        .find(|line| line.contains("does not ask"))
        .map(|line| serde_json::from_str(line).unwrap())
        .unwrap();
    assert_eq!(
        (&line["level"], &line["address"]),
        (&json!("ERROR"), &json!(SECOND))
    );
    assert!(
        line["said"].as_str().unwrap().starts_with("404 pods"),
        "{line}"
    );
    assert_eq!(
        (cluster.events(), cluster.conditions()),
        (
            vec!["NotAsked".to_owned()],
            vec!["True".to_owned(), "False".to_owned()]
        )
    );
    let text = metrics.text().unwrap();
    for line in [
        "kube_request_access_canary_asked{address=\"10.0.0.1:6443\"} 1",
        "kube_request_access_canary_asked{address=\"[fd00::2]:6443\"} 0",
        "kube_request_access_canary_unknown{address=\"[fd00::2]:6443\"} 0",
        "kube_request_access_canary_last_asked_timestamp_seconds{address=\"10.0.0.1:6443\"} 1795791660",
        "kube_request_access_canary_last_asked_timestamp_seconds{address=\"[fd00::2]:6443\"} 1795791630",
    ] {
        assert!(text.contains(line), "{line} in {text}");
    }

    cluster.set(SECOND, ApiServer::Asks);
    for _ in 0..3 {
        cluster.round(&mut canary).await;
    }
    assert_eq!(
        (cluster.events(), cluster.conditions()),
        (
            vec!["NotAsked".to_owned(), "AskedAgain".to_owned()],
            ["True", "False", "True"].map(str::to_owned).to_vec()
        )
    );
}

// K2, C13
#[tokio::test(start_paused = true)]
async fn an_api_server_that_lets_the_canary_in_does_not_ask_however_long_it_talks() {
    let cluster = Cluster::sealed();
    let (mut canary, _) = cluster.canary(sealer(true));
    cluster.round(&mut canary).await;
    cluster.set(FIRST, ApiServer::LetsIn);
    cluster.round(&mut canary).await;
    assert_eq!(stands(&canary, FIRST), Finding::NotAsked);
}

// K2, C13: another webhook that denies in our words.
#[tokio::test]
async fn a_denial_without_our_key_is_no_proof() {
    let cluster = Cluster::sealed();
    let (mut canary, _) = cluster.canary(sealer(true));
    cluster.round(&mut canary).await;
    cluster.set(FIRST, ApiServer::AsksForger);
    for _ in 0..4 {
        cluster.round(&mut canary).await;
    }
    assert_eq!(stands(&canary, FIRST), Finding::Unknown);
    assert_eq!(cluster.events(), ["NotKnown"]);
}

#[rstest]
#[case::unreachable(ApiServer::Unreachable)]
#[case::silent(ApiServer::Hangs)]
#[case::without_rights(ApiServer::Refuses(StatusCode::FORBIDDEN))]
#[case::not_signed_in(ApiServer::Refuses(StatusCode::UNAUTHORIZED))]
#[case::overloaded(ApiServer::Refuses(StatusCode::TOO_MANY_REQUESTS))]
#[case::down(ApiServer::Refuses(StatusCode::INTERNAL_SERVER_ERROR))]
#[tokio::test(start_paused = true)]
async fn an_api_server_that_cannot_say_is_told_of_after_two_minutes(#[case] api_server: ApiServer) {
    let cluster = Cluster::sealed();
    let (mut canary, metrics) = cluster.canary(sealer(true));
    cluster.round(&mut canary).await;
    cluster.set(FIRST, api_server);
    for _ in 0..3 {
        cluster.round(&mut canary).await;
    }
    assert_eq!(
        (stands(&canary, FIRST), cluster.events()),
        (Finding::Asked, vec![])
    );
    cluster.round(&mut canary).await;
    assert_eq!(
        [stands(&canary, FIRST), stands(&canary, SECOND)],
        [Finding::Unknown, Finding::Asked]
    );
    assert_eq!(
        (cluster.events(), cluster.conditions()),
        (
            vec!["NotKnown".to_owned()],
            ["True", "Unknown"].map(str::to_owned).to_vec()
        )
    );
    let text = metrics.text().unwrap();
    assert!(
        text.contains("kube_request_access_canary_unknown{address=\"10.0.0.1:6443\"} 1"),
        "{text}"
    );
}

#[tokio::test]
async fn without_rights_of_our_own_nothing_is_known_and_that_is_told() {
    let (log, _guard) = Log::begin();
    let cluster = Cluster::sealed();
    let (mut canary, _) = cluster.canary(sealer(true));
    *cluster.0.is_powerless.lock().unwrap() = true;
    for _ in 0..5 {
        cluster.round(&mut canary).await;
    }
    assert!(
        log.text()
            .contains("cannot list the endpointslices of the Service default/kubernetes"),
        "{}",
        log.text()
    );
    assert_eq!(canary.watched.keys().collect::<Vec<_>>(), ["none"]);
    *cluster.0.is_powerless.lock().unwrap() = false;
    cluster.round(&mut canary).await;
    assert_eq!(canary.watched.keys().collect::<Vec<_>>(), [FIRST, SECOND]);
    assert_eq!(cluster.conditions(), ["True"]);
}

#[tokio::test]
async fn an_api_server_that_is_gone_is_forgotten() {
    let cluster = Cluster::sealed();
    let (mut canary, metrics) = cluster.canary(sealer(true));
    cluster.round(&mut canary).await;
    cluster.0.api_servers.lock().unwrap().remove(SECOND);
    cluster.round(&mut canary).await;
    assert_eq!(canary.watched.keys().collect::<Vec<_>>(), [FIRST]);
    assert!(!metrics.text().unwrap().contains("fd00::2"));
}

#[tokio::test]
async fn a_token_is_used_again_while_nothing_is_wrong() {
    let cluster = Cluster::sealed();
    let (mut canary, _) = cluster.canary(sealer(true));
    for _ in 0..3 {
        cluster.round(&mut canary).await;
    }
    assert_eq!(cluster.written("/token").len(), 1);
    cluster.set(FIRST, ApiServer::Refuses(StatusCode::UNAUTHORIZED));
    cluster.round(&mut canary).await;
    cluster.round(&mut canary).await;
    assert_eq!(cluster.written("/token").len(), 2);
}

/// What is answered to a review of the canary's that was changed.
async fn answered(path: &str, change: impl FnOnce(&mut Value)) -> Said {
    let mut review = review("0123456789abcdef0123456789abcdef");
    change(&mut review["request"]);
    // Nobody is there: whoever asks them says so in the log.
    let nobody = Webhook::new(
        "https://127.0.0.1:1/".parse().unwrap(),
        None,
        Arc::new(ring::default_provider()),
    )
    .unwrap();
    let extensions = Extensions {
        audit: Some(nobody),
        ..Extensions::default()
    };
    let world = World::new(Settings {
        extensions,
        sealed: true,
        in_band_wait: true,
        ..Settings::default()
    });
    let said = world.post(path, review.to_string()).await;
    tokio::task::yield_now().await;
    assert!(
        world.seen.lock().unwrap().as_mut().unwrap().is_empty(),
        "the report is not told"
    );
    said
}

#[rstest]
#[case("/validate?timeout=10s")]
#[case("/observe?timeout=2s")]
#[tokio::test]
async fn the_canary_is_always_denied_with_a_proof_and_stays_out_of_the_record(#[case] path: &str) {
    let (log, _guard) = Log::begin();
    let said = answered(path, |_| {}).await;
    assert!(
        said.denial()
            .contains("this is the canary of kube-request-access")
    );
    assert_eq!(
        said.body["response"]["auditAnnotations"]["decision"],
        "canary"
    );
    let warning = said.body["response"]["warnings"][0].as_str().unwrap();
    let nonce = Nonce::read("0123456789abcdef0123456789abcdef").unwrap();
    assert!(
        nonce.is_proven_by(warning.split(": ").nth(1).unwrap(), &sealer(true)),
        "{warning}"
    );
    assert_eq!(log.audit(), Vec::<Value>::new());
    assert!(!log.text().contains("audit webhook"), "{}", log.text());
}

// Whoever plays the canary learns a proof of their own nonce, and hides nothing.
#[rstest]
#[case::of_another_user(|review: &mut Value| review["userInfo"]["username"] = json!("jane"))]
#[case::of_a_namesake(|review: &mut Value| review["userInfo"]["username"] = json!("system:serviceaccount:other:kube-request-access-canary"))]
#[case::of_a_pod_that_may_be_there(|review: &mut Value| review["name"] = json!("nginx"))]
#[case::elsewhere(|review: &mut Value| review["namespace"] = json!("default"))]
#[case::at_another_door(|review: &mut Value| review["subResource"] = json!("portforward"))]
#[case::without_a_name(|review: &mut Value| review["name"] = json!(null))]
#[tokio::test]
async fn what_is_not_the_canary_is_an_attempt_like_any_other(#[case] change: fn(&mut Value)) {
    let (log, _guard) = Log::begin();
    let mut review = review("0123456789abcdef0123456789abcdef");
    change(&mut review["request"]);
    let world = World::new(Settings {
        sealed: true,
        ..Settings::default()
    });
    let said = world
        .post("/validate?timeout=10s", review.to_string())
        .await;
    assert!(!said.allowed());
    assert_eq!(said.body["response"]["warnings"], Value::Null);
    assert!(
        log.text().contains("\"decision\":\"denied-"),
        "{}",
        log.text()
    );
}

#[rstest]
#[case::no_nonce(json!(["date"]))]
#[case::two(json!(["0123456789abcdef0123456789abcdef", "x"]))]
#[case::none(json!([]))]
#[tokio::test]
async fn the_canary_without_a_nonce_is_denied_without_a_proof(#[case] command: Value) {
    let said = answered("/validate?timeout=10s", |review| {
        review["object"]["command"] = command;
    })
    .await;
    assert!(said.denial().contains("canary"));
    assert_eq!(said.body["response"]["warnings"], Value::Null);
}

#[test]
fn nothing_is_known_of_an_api_server_before_it_is_asked() {
    assert_eq!(
        Watched::new(Timestamp::UNIX_EPOCH).stands(),
        Finding::Unknown
    );
}
