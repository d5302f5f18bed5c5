//! Audit and validation webhooks, over TLS that the original's receivers use: a self-signed
//! certificate with CA:TRUE, as `openssl req -x509` makes it.

use std::{
    path::PathBuf,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use axum::{
    Json, Router,
    extract::{RawQuery, State},
    http::{HeaderMap, HeaderValue, StatusCode, header::CONTENT_TYPE},
    response::{IntoResponse as _, Response},
    routing::post,
};
use bytes::Bytes;
use clap::ValueEnum as _;
use rcgen::{BasicConstraints, CertificateParams, IsCa, KeyPair};
use rstest::rstest;
use rustls::crypto::ring;
use serde_json::{Value, json};
use server::{
    audit::{AuditType, Extensions, Webhook, WebhookError},
    serve::{self, tls::Tls},
};
use tempfile::TempDir;
use tokio::sync::Semaphore;

use crate::{
    records::Log,
    world::{GRANT, REQUEST, Settings, World, recorded},
};

/// A receiver: what it got, and what it answers.
struct Receiver {
    hold: Arc<Hold>,
    url: String,
    dir: TempDir,
    got: Arc<Mutex<Vec<(String, Value)>>>,
    answer: Arc<Mutex<(StatusCode, Value)>>,
}

type Shared = (
    Arc<Mutex<Vec<(String, Value)>>>,
    Arc<Mutex<(StatusCode, Value)>>,
    Arc<Hold>,
);

/// Answers about denials, or about what is to be validated, may be held back.
struct Hold {
    denials: AtomicBool,
    validations: AtomicBool,
    held: Semaphore,
}

async fn receive(
    State((got, answer, hold)): State<Shared>,
    RawQuery(query): RawQuery,
    headers: HeaderMap,
    body: String,
) -> Response {
    assert_eq!(headers["user-agent"], "kube-request-access");
    assert_eq!(headers["content-type"], "application/json");
    let body: Value = serde_json::from_str(&body).unwrap();
    let is_held = hold.denials.load(Ordering::Relaxed) && body["isAllowed"] == false
        || hold.validations.load(Ordering::Relaxed) && body["AccessRequest"].is_object();
    got.lock().unwrap().push((query.unwrap_or_default(), body));
    if is_held {
        hold.held.acquire().await.unwrap().forget();
    }
    let (status, body) = answer.lock().unwrap().clone();
    (status, Json(body)).into_response()
}

fn write(dir: &TempDir, name: &str, content: &str) -> PathBuf {
    let path = dir.path().join(name);
    std::fs::write(&path, content).unwrap();
    path
}

/// A certificate for these names, self-signed and CA:TRUE, and its key.
fn self_signed(names: &[&str], change: impl FnOnce(&mut CertificateParams)) -> (String, String) {
    let mut params = CertificateParams::new(
        names
            .iter()
            .map(|&name| name.to_owned())
            .collect::<Vec<_>>(),
    )
    .unwrap();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    change(&mut params);
    let key = KeyPair::generate().unwrap();
    (params.self_signed(&key).unwrap().pem(), key.serialize_pem())
}

impl Receiver {
    async fn start() -> Self {
        let (certificate, key) = self_signed(&["127.0.0.1"], |_| {});
        Self::start_with(&certificate, &key).await
    }

    async fn start_with(certificate: &str, key: &str) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let (cert_file, key_file) = (
            write(&dir, "tls.crt", certificate),
            write(&dir, "tls.key", key),
        );
        let tls = Arc::new(
            Tls::load(
                cert_file,
                key_file,
                None,
                Arc::new(ring::default_provider()),
            )
            .unwrap(),
        );
        let listener = serve::listen(&["127.0.0.1:0".parse().unwrap()])
            .await
            .unwrap();
        let url = format!("https://{}/hook?team=sre", listener.local_addr().unwrap());
        let (got, answer) = (
            Arc::default(),
            Arc::new(Mutex::new((StatusCode::OK, json!({"status": "valid"})))),
        );
        let hold = Arc::new(Hold {
            denials: AtomicBool::new(false),
            validations: AtomicBool::new(false),
            held: Semaphore::new(0),
        });
        let shared: Shared = (Arc::clone(&got), Arc::clone(&answer), Arc::clone(&hold));
        let router = Router::new()
            .route("/hook", post(receive))
            .with_state(shared);
        tokio::spawn(serve::serve(listener, tls, router, std::future::pending()));
        Self {
            hold,
            url,
            dir,
            got,
            answer,
        }
    }

    /// The webhook as the server is told of it, trusting this certificate.
    fn webhook_trusting(&self, certificate: &str) -> Webhook {
        let bundle = write(&self.dir, "bundle.crt", certificate);
        Webhook::new(
            self.url.parse().unwrap(),
            Some(bundle),
            Arc::new(ring::default_provider()),
        )
        .unwrap()
    }

    fn webhook(&self) -> Webhook {
        self.webhook_trusting(&std::fs::read_to_string(self.dir.path().join("tls.crt")).unwrap())
    }

    fn got(&self) -> Vec<(String, Value)> {
        std::mem::take(&mut self.got.lock().unwrap())
    }

    fn will_answer(&self, status: StatusCode, body: Value) {
        *self.answer.lock().unwrap() = (status, body);
    }
}

fn audited(receiver: &Receiver) -> World {
    let extensions = Extensions {
        audit: Some(receiver.webhook()),
        ..Extensions::default()
    };
    World::granted_with(
        Settings {
            extensions,
            ..Settings::default()
        },
        |_| {},
    )
}

#[tokio::test]
async fn every_attempt_is_told_once_before_it_is_spent() {
    let receiver = Receiver::start().await;
    let world = audited(&receiver);
    assert!(world.exec("r1", |_| {}).await.allowed());
    let got = receiver.got();
    let [(query, body)] = got.as_slice() else {
        panic!("{got:?}")
    };
    assert_eq!(query, "team=sre&type=audit-exec");
    assert_eq!(body["request"]["uid"], "r1");
    assert_eq!(
        body["request"]["object"],
        recorded("exec-websocket")["request"]["object"],
        "as it came"
    );
    assert_eq!(
        (&body["isAllowed"], &body["isAdmin"]),
        (&json!(true), &json!(false))
    );
    assert_eq!(body["execOptions"]["command"], json!(["date"]));

    world.exec("r2", |_| {}).await;
    assert_eq!(receiver.got()[0].1["isAllowed"], false);
}

#[rstest]
#[case(StatusCode::INTERNAL_SERVER_ERROR)]
#[case(StatusCode::CREATED)]
#[case(StatusCode::NO_CONTENT)]
#[tokio::test]
async fn an_audit_that_fails_denies_and_spends_nothing(#[case] status: StatusCode) {
    let receiver = Receiver::start().await;
    let world = audited(&receiver);
    receiver.will_answer(status, Value::Null);
    let said = world.exec("r1", |_| {}).await;
    assert!(said.denial().contains(
        "the audit or validation webhook failed, so nothing was allowed or used up (id r1)"
    ));
    assert_eq!(world.uses(), 0);
    receiver.will_answer(StatusCode::OK, Value::Null);
    assert!(world.exec("r2", |_| {}).await.allowed());
}

#[tokio::test]
async fn an_audit_that_cannot_be_reached_denies_the_always_allowed_too() {
    let receiver = Receiver::start().await;
    let webhook = Webhook::new(
        "https://127.0.0.1:1/".parse().unwrap(),
        Some(receiver.dir.path().join("tls.crt")),
        Arc::new(ring::default_provider()),
    );
    let extensions = Extensions {
        audit: Some(webhook.unwrap()),
        ..Extensions::default()
    };
    let world = World::new(Settings {
        extensions,
        ..Settings::default()
    });
    let said = world
        .exec("r1", |request| {
            request["userInfo"]["groups"] = json!(["system:masters"]);
        })
        .await;
    assert!(said.denial().contains("webhook failed"));
}

#[tokio::test]
async fn an_audit_that_fails_stops_nobody_in_observe_mode() {
    let receiver = Receiver::start().await;
    let world = audited(&receiver);
    receiver.will_answer(StatusCode::INTERNAL_SERVER_ERROR, Value::Null);
    let mut review = recorded("exec-websocket");
    review["request"]["object"]["command"] = json!(["id"]);
    assert!(
        world
            .post("/observe?timeout=2s", review.to_string())
            .await
            .allowed()
    );
    // It is told in the background.
    let mut told = Vec::new();
    while told.is_empty() {
        tokio::task::yield_now().await;
        told = receiver.got();
    }
    assert_eq!(told[0].1["isAllowed"], true, "since it was");
}

#[tokio::test]
async fn a_spend_that_is_lost_after_the_intent_is_told_as_denied() {
    let receiver = Receiver::start().await;
    let world = audited(&receiver);
    world.api.next_fault(
        http::Method::PUT,
        "/ask/status",
        crate::fake_api::Effect::After(REQUEST.to_owned(), |request| {
            request["status"]["denied"] = json!({"by": "ann", "at": "2026-11-23T15:00:00Z"});
        }),
    );
    assert!(!world.exec("r1", |_| {}).await.allowed());
    let told: Vec<Value> = receiver
        .got()
        .into_iter()
        .map(|(_, body)| body["isAllowed"].clone())
        .collect();
    assert_eq!(told, [json!(true), json!(false)]);
}

#[tokio::test]
async fn a_renewed_leaf_of_the_bundles_authority_is_believed_and_another_is_not() {
    let mut params = CertificateParams::default();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let authority =
        rcgen::CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
    for _renewal in 0..2 {
        let key = KeyPair::generate().unwrap();
        let leaf = CertificateParams::new(vec!["127.0.0.1".to_owned()])
            .unwrap()
            .signed_by(&key, &authority)
            .unwrap();
        let receiver = Receiver::start_with(&leaf.pem(), &key.serialize_pem()).await;
        let extensions = Extensions {
            audit: Some(receiver.webhook_trusting(&authority.pem())),
            ..Extensions::default()
        };
        let world = World::granted_with(
            Settings {
                extensions,
                ..Settings::default()
            },
            |_| {},
        );
        assert!(world.exec("r1", |_| {}).await.allowed());
    }
    let receiver = Receiver::start().await;
    let extensions = Extensions {
        audit: Some(receiver.webhook_trusting(&authority.pem())),
        ..Extensions::default()
    };
    let world = World::granted_with(
        Settings {
            extensions,
            ..Settings::default()
        },
        |_| {},
    );
    assert!(!world.exec("r1", |_| {}).await.allowed());
    assert!(receiver.got().is_empty());
}

#[rstest]
#[case::other_name(&["audit.example"], |_: &mut CertificateParams| {})]
#[case::expired(&["127.0.0.1"], |params: &mut CertificateParams| params.not_after = rcgen::date_time_ymd(2020, 1, 1))]
#[case::not_yet(&["127.0.0.1"], |params: &mut CertificateParams| params.not_before = rcgen::date_time_ymd(4000, 1, 1))]
#[tokio::test]
async fn a_certificate_of_the_bundle_is_believed_with_its_own_name_and_dates_only(
    #[case] names: &[&str],
    #[case] change: fn(&mut CertificateParams),
) {
    let (certificate, key) = self_signed(names, change);
    let receiver = Receiver::start_with(&certificate, &key).await;
    let world = audited(&receiver);
    assert!(!world.exec("r1", |_| {}).await.allowed());
    assert!(receiver.got().is_empty());
}

#[tokio::test]
async fn a_bundle_that_is_swapped_counts_after_it_is_read_again() {
    let receiver = Receiver::start().await;
    let (other, _key) = self_signed(&["127.0.0.1"], |_| {});
    let webhook = receiver.webhook_trusting(&other);
    let deadline = || tokio::time::Instant::now() + std::time::Duration::from_secs(5);
    assert!(webhook.post("x", &json!({}), deadline()).await.is_err());
    write(
        &receiver.dir,
        "bundle.crt",
        &std::fs::read_to_string(receiver.dir.path().join("tls.crt")).unwrap(),
    );
    webhook.reload().unwrap();
    assert!(webhook.post("x", &json!({}), deadline()).await.is_ok());
    write(&receiver.dir, "bundle.crt", "nothing");
    assert!(webhook.reload().is_err());
    assert!(
        webhook.post("x", &json!({}), deadline()).await.is_ok(),
        "what was in use stays in use"
    );
}

// M3
#[tokio::test]
async fn a_flood_of_denials_has_two_posts_at_once_and_what_is_granted_is_let_in_meanwhile() {
    let (log, _guard) = Log::begin();
    let receiver = Receiver::start().await;
    let world = Arc::new(audited(&receiver));
    receiver.hold.denials.store(true, Ordering::Relaxed);
    let denied = |n: usize, user: &'static str| {
        let world = Arc::clone(&world);
        tokio::spawn(async move {
            world
                .exec(&format!("flood-{n}"), |request| {
                    request["userInfo"] = json!({"username": user});
                })
                .await
        })
    };
    let flood: Vec<_> = (0..60).map(|n| denied(n, "mallory")).collect();
    while receiver.got.lock().unwrap().len() < 2 {
        tokio::task::yield_now().await;
    }
    assert!(
        world.exec("r1", |_| {}).await.allowed(),
        "the receiver still holds the flood"
    );
    assert_eq!(receiver.got().len(), 3, "two of mallory's, and jane's");
    // What is neither posted nor written is counted, as both.
    for number in 0..10 {
        denied(100 + number, "mallory").await.unwrap().denial();
    }
    world.limits.tell("2026-11-23T15:00:00Z".parse().unwrap());
    let lines = log.audit();
    let left_out = lines
        .iter()
        .find(|line| line["decision"] == "left-out")
        .unwrap();
    assert!(
        left_out["kinds"]
            .as_str()
            .unwrap()
            .contains("audit-webhook-not-told="),
        "{left_out}"
    );
    // Others' denials have turns too.
    let other = denied(60, "eve");
    while receiver.got().is_empty() {
        tokio::task::yield_now().await;
    }
    receiver.hold.held.add_permits(1000);
    for one in flood.into_iter().chain([other]) {
        assert!(one.await.unwrap().denial().contains("you have not asked"));
    }
}

fn filing() -> Value {
    let mut review = recorded("accessrequest-create");
    let spec = &mut review["request"]["object"]["spec"];
    let jane = json!({"username": "jane", "groups": ["devs", "system:authenticated"]});
    (spec["userInfo"], spec["createdBy"]) = (jane.clone(), jane);
    spec["forObject"]["uid"] = json!("pod-1");
    spec["clusterName"] = json!("test");
    spec["execOptions"]["container"] = json!("nginx");
    review["request"]["object"]["metadata"]["creationTimestamp"] = json!("2026-11-23T15:00:00Z");
    review
}

fn validated(receiver: &Receiver) -> World {
    let extensions = Extensions {
        audit: Some(receiver.webhook()),
        validation: Some(receiver.webhook()),
        ..Extensions::default()
    };
    World::new(Settings {
        extensions,
        ..Settings::default()
    })
}

#[tokio::test]
async fn a_new_request_is_validated_and_then_told() {
    let receiver = Receiver::start().await;
    let world = validated(&receiver);
    assert!(
        world
            .post("/validate", filing().to_string())
            .await
            .allowed()
    );
    let got = receiver.got();
    let [(validation, asked), (audit, told)] = got.as_slice() else {
        panic!("{got:?}")
    };
    assert_eq!(
        (validation.as_str(), audit.as_str()),
        ("team=sre", "team=sre&type=audit-created")
    );
    assert_eq!(asked["Request"]["uid"], told["request"]["uid"]);
    assert_eq!(
        asked["AccessRequest"]["spec"]["execOptions"]["command"],
        json!(["date"])
    );
    assert_eq!(asked["AccessRequest"], told["accessRequest"]);
}

// M3
#[tokio::test]
async fn a_flood_of_filings_has_four_validations_at_once_and_others_file_meanwhile() {
    let receiver = Receiver::start().await;
    receiver.hold.validations.store(true, Ordering::Relaxed);
    let extensions = Arc::new(Extensions {
        validation: Some(receiver.webhook()),
        ..Extensions::default()
    });
    let filed = |user: &'static str| {
        let extensions = Arc::clone(&extensions);
        tokio::spawn(async move {
            let review = api::review::decode(filing().to_string().as_bytes()).unwrap();
            let request = serde_json::from_value(filing()["request"]["object"].clone()).unwrap();
            let deadline = tokio::time::Instant::now() + std::time::Duration::from_secs(5);
            extensions.validate(&review, &request, user, deadline).await
        })
    };
    let flood: Vec<_> = (0..60).map(|_| filed("mallory")).collect();
    while receiver.got.lock().unwrap().len() < 4 {
        tokio::task::yield_now().await;
    }
    let other = filed("jane");
    while receiver.got.lock().unwrap().len() < 5 {
        tokio::task::yield_now().await;
    }
    // By then each of them has a turn, waits for one, or was refused.
    while flood.iter().filter(|one| one.is_finished()).count() < 60 - 16 {
        tokio::task::yield_now().await;
    }
    assert_eq!(receiver.got().len(), 5, "four of mallory's, and jane's");
    receiver.will_answer(StatusCode::OK, json!({"status": "valid"}));
    receiver.hold.held.add_permits(1000);
    assert_eq!(other.await.unwrap().unwrap(), None);
    let mut without_turn = 0;
    for one in flood {
        match one.await.unwrap() {
            Ok(message) => assert_eq!(message, None),
            Err(WebhookError::NoTurn { .. }) => without_turn += 1,
            Err(error) => panic!("{error}"),
        }
    }
    assert_eq!(without_turn, 60 - 16, "few wait");
}

#[tokio::test]
async fn an_invalid_request_is_refused_with_the_webhooks_words() {
    let receiver = Receiver::start().await;
    let world = validated(&receiver);
    receiver.will_answer(
        StatusCode::OK,
        json!({"status": "invalid", "message": "no ticket"}),
    );
    assert_eq!(
        world.post("/validate", filing().to_string()).await.denial(),
        "the request is not valid: no ticket"
    );
}

#[rstest]
#[case::unknown_status(StatusCode::OK, json!({"status": "maybe"}))]
#[case::no_status(StatusCode::OK, json!({}))]
#[case::not_json(StatusCode::OK, Value::Null)]
#[case::failed(StatusCode::BAD_GATEWAY, json!({"status": "valid"}))]
#[tokio::test]
async fn a_validation_that_says_nothing_clear_refuses(
    #[case] status: StatusCode,
    #[case] body: Value,
) {
    let receiver = Receiver::start().await;
    let world = validated(&receiver);
    receiver.will_answer(status, body);
    assert!(
        world
            .post("/validate", filing().to_string())
            .await
            .denial()
            .contains("webhook failed")
    );
}

// C19
#[tokio::test]
async fn a_dry_run_is_told_to_nobody() {
    let receiver = Receiver::start().await;
    let world = validated(&receiver);
    let mut review = filing();
    review["request"]["dryRun"] = json!(true);
    assert!(world.post("/validate", review.to_string()).await.allowed());
    assert!(receiver.got().is_empty());
}

#[tokio::test]
async fn a_notice_goes_over_tls_too_and_any_2xx_takes_it() {
    let receiver = Receiver::start().await;
    let webhook = receiver.webhook();
    let deliver = || {
        let headers =
            HeaderMap::from_iter([(CONTENT_TYPE, HeaderValue::from_static("application/json"))]);
        webhook.deliver(headers, Bytes::from_static(b"{}"), Duration::from_mins(1))
    };
    receiver.will_answer(StatusCode::CREATED, Value::Null);
    deliver().await.unwrap();
    assert_eq!(receiver.got(), [("team=sre".to_owned(), json!({}))]);
    receiver.will_answer(StatusCode::BAD_REQUEST, Value::Null);
    deliver().await.unwrap_err();
    let (other, _key) = self_signed(&["127.0.0.1"], |_| {});
    let error = receiver
        .webhook_trusting(&other)
        .deliver(HeaderMap::new(), Bytes::new(), Duration::from_mins(1))
        .await;
    assert!(matches!(error, Err(WebhookError::Post { .. })), "{error:?}");
}

// K13
#[tokio::test]
async fn an_attempt_is_told_with_its_request_its_grants_and_who_approved_it() {
    let receiver = Receiver::start().await;
    let world = audited(&receiver);
    assert!(world.exec("r1", |_| {}).await.allowed());
    world.exec("r2", |_| {}).await.denial();
    world
        .exec("r3", |review| {
            review["userInfo"]["groups"] = json!(["system:masters"]);
        })
        .await;
    world
        .exec("r4", |review| review["object"]["unknown"] = json!(true))
        .await
        .denial();
    let told: Vec<Value> = receiver
        .got()
        .into_iter()
        .map(|(_, body)| body["basis"].clone())
        .collect();
    let ask = json!({"namespace": "default", "name": "ask", "uid": "ask-1"});
    let grants = json!([{"namespace": "default", "name": "grant-ask", "uid": "grant-1"}]);
    let nobody = |decision: &str| json!({"decision": decision, "grants": [], "approvers": [], "policies": [], "emergency": false});
    let mut near = nobody("denied-near-miss");
    near["accessRequest"] = ask.clone();
    let granted = json!({
        "decision": "granted", "accessRequest": ask, "grants": grants, "approvers": ["amy"], "policies": [], "emergency": false,
    });
    assert_eq!(
        told,
        [
            granted,
            near,
            nobody("always-allowed"),
            nobody("denied-unclear")
        ]
    );
}

/// A world whose receiver is told of deletions and of all answers.
fn told_of_all(receiver: &Receiver) -> World {
    let types = AuditType::value_variants().to_vec();
    let extensions = Extensions {
        audit: Some(receiver.webhook()),
        types,
        ..Extensions::default()
    };
    World::granted_with(
        Settings {
            extensions,
            ..Settings::default()
        },
        |_| {},
    )
}

fn deletion(plural: &str, kind: &str, object: &Value, user: &str) -> Value {
    json!({"kind": "AdmissionReview", "apiVersion": "admission.k8s.io/v1", "request": {
        "uid": "d1", "operation": "DELETE", "name": object["metadata"]["name"], "namespace": "default",
        "kind": {"group": "spreadgroup.com", "version": "v1", "kind": kind},
        "resource": {"group": "spreadgroup.com", "version": "v1", "resource": plural},
        "userInfo": {"username": user}, "object": null, "oldObject": object,
    }})
}

// K13
#[tokio::test]
async fn deletions_are_told_where_asked_for_and_fail_with_the_webhook() {
    let receiver = Receiver::start().await;
    let world = told_of_all(&receiver);
    let (request, grant) = (world.api.get(REQUEST), world.api.get(GRANT));
    let revoke = deletion("accessgrants", "AccessGrant", &grant, "jane").to_string();
    let delete = deletion("accessrequests", "AccessRequest", &request, "jane").to_string();
    assert!(
        world
            .post("/validate?timeout=10s", revoke.clone())
            .await
            .allowed()
    );
    assert!(
        world
            .post("/validate?timeout=10s", delete.clone())
            .await
            .allowed()
    );
    let got = receiver.got();
    let types: Vec<&str> = got
        .iter()
        .filter_map(|(query, _)| query.split("type=").nth(1))
        .collect();
    assert_eq!(types, ["audit-revoked", "audit-deleted"]);
    let ask = json!({"namespace": "default", "name": "ask", "uid": "ask-1"});
    assert!(
        got.iter().all(|(_, body)| body["accessRequest"] == ask),
        "{got:?}"
    );
    assert_eq!(got[1].1["request"]["oldObject"], request);

    receiver.will_answer(StatusCode::BAD_REQUEST, json!({}));
    for body in [&revoke, &delete] {
        let said = world.post("/validate?timeout=10s", body.clone()).await;
        assert!(
            said.denial().contains("webhook failed"),
            "{}",
            said.denial()
        );
    }
    // A namespace must end, whatever the receiver says.
    let controller = "system:serviceaccount:kube-system:namespace-controller";
    let ended = deletion("accessrequests", "AccessRequest", &request, controller).to_string();
    assert!(world.post("/validate?timeout=10s", ended).await.allowed());
}

// K13: receivers of the original answer 400 to types that they do not know.
#[tokio::test]
async fn deletions_are_told_to_nobody_who_did_not_ask() {
    let receiver = Receiver::start().await;
    let world = audited(&receiver);
    receiver.will_answer(StatusCode::BAD_REQUEST, json!({}));
    let delete = deletion(
        "accessrequests",
        "AccessRequest",
        &world.api.get(REQUEST),
        "jane",
    )
    .to_string();
    assert!(world.post("/validate?timeout=10s", delete).await.allowed());
    assert!(receiver.got().is_empty());
}
