//! A server on a fake cluster: namespace `default` with a pod `nginx`, a request of jane's for
//! `date` in it, and amy's grant. Tests change one thing and look what the door says.

use std::sync::{Arc, LazyLock, Mutex};

use api::{AccessGrant, AccessRequest, contract::annotations::SEAL};
use axum::{
    Router,
    body::Body,
    http::{Request, StatusCode},
};
use decide::{
    identity::{Approvers, Listed, NamePrefix},
    lifecycle::Keep,
    settings,
};
use http_body_util::BodyExt as _;
use jiff::{SignedDuration, Timestamp};
use kube::runtime::{
    events::{Recorder, Reporter},
    watcher::Event,
};
use serde_json::{Value, json};
use server::{
    admission::{
        Admission, Arrivals, Common, FilingRate, Gate, Objects, RequestLimits, gate::turns::Turns,
        room::Room, router::Service,
    },
    audit::{Extensions, Limits, Webhook},
    clock::Clock,
    cluster::{
        clients::Pulse,
        index::{Index, Key},
        ledger::Ledger,
        mutators::Mutators,
        outcomes::Outcomes,
        policies::PolicyStore,
        records::Records,
        seal::Sealer,
    },
    controllers::{
        self,
        report::{Observations, Seen},
        status::ReconcileError,
    },
    metrics::Metrics,
    serve::authentication::Authentication,
};
use tokio::sync::watch;
use tower::ServiceExt as _;

use crate::{
    fake_api::FakeApi,
    parts::{canary, mutators, notices, waiting},
};

pub(crate) const POD: &str = "/api/v1/namespaces/default/pods/nginx";
pub(crate) const REQUEST: &str = "/apis/spreadgroup.com/v1/namespaces/default/accessrequests/ask";
pub(crate) const GRANT: &str = "/apis/spreadgroup.com/v1/namespaces/default/accessgrants/grant-ask";
const START: &str = "2026-11-23T15:00:00Z";

pub(crate) struct World {
    pub(crate) api: FakeApi,
    pub(crate) index: Arc<Index>,
    pub(crate) policies: Arc<PolicyStore>,
    pub(crate) mutators: Arc<Mutators>,
    router: Router,
    clock: Arc<Mutex<Timestamp>>,
    pub(crate) controllers: Arc<controllers::ControllerContext>,
    /// What observe mode saw; until somebody takes it.
    pub(crate) seen: Mutex<Option<Seen>>,
    ready: watch::Sender<bool>,
    /// Which refusals are written, and which are counted.
    pub(crate) limits: Arc<Limits>,
}

/// What a world starts with.
#[derive(Default)]
pub(crate) struct Settings {
    pub(crate) extensions: Extensions,
    pub(crate) allow_interactive: bool,
    pub(crate) prefix: &'static str,
    pub(crate) approvers: Approvers,
    /// Whether grants are sealed.
    pub(crate) sealed: bool,
    /// `--in-band-wait`
    pub(crate) in_band_wait: bool,
    /// Room for observed reviews; `None`: as much as there is.
    pub(crate) observing: Option<Room>,
    /// Room for reviews; `None`: as much as there is.
    pub(crate) room: Option<Room>,
    /// Who is told what becomes of requests (`--notice-url`).
    pub(crate) notices: Option<Webhook>,
    /// `None`: every review is believed.
    pub(crate) authentication: Option<Authentication>,
    /// Whether the server knows all grants.
    pub(crate) grants: Grants,
    /// `--max-requests-per-minute`; `None`: more than any test files.
    pub(crate) per_minute: Option<u32>,
}

/// What the server knows of the grants.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) enum Grants {
    #[default]
    Listed,
    BeingListed,
}

/// An answer: the HTTP status, and the body.
pub(crate) struct Said {
    pub(crate) status: StatusCode,
    pub(crate) body: Value,
}

/// Whoever is in it may write policies.
pub(crate) const OWNERS: &str = "kube-request-access:policy-owners";

impl Said {
    pub(crate) fn allowed(&self) -> bool {
        assert_eq!(self.status, StatusCode::OK, "{}", self.body);
        self.body["response"]["allowed"].as_bool().unwrap()
    }

    /// The text of a denial, which must be one.
    pub(crate) fn denial(&self) -> &str {
        assert!(!self.allowed(), "allowed: {}", self.body);
        assert_eq!(self.body["response"]["status"]["code"], 403);
        assert_eq!(self.body["response"]["status"]["reason"], "Forbidden");
        self.body["response"]["status"]["message"].as_str().unwrap()
    }
}

/// Has a subscriber for all threads, before anything is logged. `tracing` remembers of each line,
/// for all threads at once, whether anybody listens; without this the first thread without a
/// subscriber could take it from the others.
pub(crate) fn listen_to_every_line() {
    static LISTENING: LazyLock<()> = LazyLock::new(|| {
        tracing::subscriber::set_global_default(tracing_subscriber::registry()).unwrap();
    });
    LazyLock::force(&LISTENING);
}

fn rules(allow_interactive: bool, prefix: &str, approvers: Approvers) -> settings::Settings {
    settings::Settings {
        allow_interactive,
        unused: std::time::Duration::from_hours(48),
        prefix: NamePrefix::new(prefix),
        approvers,
        requesters: Vec::new(),
    }
}

/// What the request of these tests is called in memory.
pub(crate) fn request_key() -> Key {
    let mut parts = REQUEST.rsplit('/');
    let name = parts.next().unwrap();
    let namespace = parts.nth(1).unwrap();
    Key::new(namespace, name)
}

impl World {
    pub(crate) fn new(settings: Settings) -> Self {
        listen_to_every_line();
        let api = FakeApi::default();
        let index = Arc::new(Index::default());
        index.apply_grant(Event::Init);
        if settings.grants == Grants::Listed {
            index.apply_grant(Event::InitDone);
        }
        let sealer = sealer(settings.sealed);
        let policies = Arc::new(PolicyStore::new(Arc::clone(&sealer)));
        let clock = Arc::new(Mutex::new(START.parse::<Timestamp>().unwrap()));
        let hand = Arc::clone(&clock);
        let rules = Arc::new(rules(
            settings.allow_interactive,
            settings.prefix,
            settings.approvers,
        ));
        let clock_of: Clock = Arc::new(move || *hand.lock().unwrap());
        let (ready, is_ready) = watch::channel(true);
        let context = || context(&api, &rules, &policies, &clock_of, &sealer);
        let notices = settings.notices.map(|webhook| notices(webhook, &api));
        let controllers = Arc::new(controllers::ControllerContext {
            notices,
            ..context()
        });
        let waiting = settings
            .in_band_wait
            .then(|| waiting(context(), is_ready.clone()));
        let mutators = mutators(&api);
        let limits = Arc::<Limits>::default();
        let (observations, seen) = Observations::new();
        let common = Arc::new(Common {
            index: Arc::clone(&index),
            ledger: Ledger::new(api.client(), Pulse::default(), Arc::clone(&sealer)),
            extensions: Arc::new(settings.extensions),
            settings: Arc::clone(&rules),
            policies: Arc::clone(&policies),
            always_allowed: Listed {
                users: vec![],
                groups: vec!["system:masters".to_owned()],
            },
            max_open_requests: 2,
            cluster_name: "test".to_owned(),
            limits: Arc::clone(&limits),
            clock: Arc::clone(&clock_of),
        });
        let gate = Gate {
            common: Arc::clone(&common),
            outcomes: Outcomes::new(api.client()).0,
            turns: Turns::default(),
            waiting,
            observations,
            canary: Some(canary(Arc::clone(&sealer))),
        };
        let objects = Objects {
            common,
            records: Records::new(api.client(), "kube-request-access", keep()),
            arrivals: Arrivals::default(),
            policy_owners: Listed {
                users: vec!["argocd".to_owned()],
                groups: vec![OWNERS.to_owned()],
            },
            limits: RequestLimits {
                open_per_user: 60,
                open_in_all: 500,
                kept: 100,
            },
            rate: FilingRate::new(settings.per_minute.unwrap_or(1_000)),
            in_band_wait: settings.in_band_wait,
            mutators: Arc::clone(&mutators),
            own_name: "system:serviceaccount:kube-request-access:kube-request-access".to_owned(),
        };
        let admission = Admission { gate, objects };
        let mut service = Service::new(Arc::new(admission), is_ready, Metrics::new());
        service.observing = settings.observing.unwrap_or_else(Room::observing);
        service.room = settings.room.unwrap_or_else(Room::deciding);
        let router = service
            .believing(settings.authentication.unwrap_or_else(Authentication::open))
            .router();
        let seen = Mutex::new(Some(seen));
        api.store(POD, &pod("pod-1"));
        Self {
            api,
            index,
            policies,
            mutators,
            router,
            clock,
            controllers,
            seen,
            ready,
            limits,
        }
    }

    /// Stores a policy as it was admitted, and shows it to the watch.
    pub(crate) fn put_policy(&self, policy: &Value) {
        let sealer = &self.controllers.sealer;
        // What is not understood can be stored all the same, where nothing is sealed.
        let seal = || sealer.seal_policy(&decode(policy), 3, START.parse().unwrap());
        self.plant_policy(&with_seal(policy, sealer.is_on().then(seal).flatten()));
    }

    /// Stores a policy past the server, and shows it to the watch.
    pub(crate) fn plant_policy(&self, policy: &Value) {
        self.store_policy(policy);
        self.policies.apply(Event::Apply(
            serde_json::from_value(policy.clone()).unwrap(),
        ));
    }

    /// Stores a policy that the watch has not shown yet.
    pub(crate) fn store_policy(&self, policy: &Value) {
        let name = policy["metadata"]["name"].as_str().unwrap();
        self.api.store(
            &format!("/apis/spreadgroup.com/v1/accesspolicies/{name}"),
            policy,
        );
    }

    /// A world in which jane may run `date` once.
    pub(crate) fn granted() -> Self {
        Self::granted_with(Settings::default(), |_| {})
    }

    pub(crate) fn granted_with(settings: Settings, change: impl FnOnce(&mut Value)) -> Self {
        let world = Self::new(settings);
        let mut request = request();
        change(&mut request);
        world.put_request(&request);
        world.put_grant(&grant("granted"));
        world
    }

    /// Stores a request as it was admitted, and shows it to the watch.
    pub(crate) fn put_request(&self, request: &Value) {
        self.plant_request(&with_seal(
            request,
            self.controllers
                .sealer
                .seal_request(&decode(request), START.parse().unwrap()),
        ));
    }

    /// Stores a request past the server, and shows it to the watch.
    pub(crate) fn plant_request(&self, request: &Value) {
        self.api.store(REQUEST, request);
        self.index
            .apply_request(Event::Apply(decode::<AccessRequest>(request)));
    }

    /// Shows the watch what is stored of the request now.
    pub(crate) fn catch_up(&self) {
        self.index
            .apply_request(Event::Apply(decode::<AccessRequest>(
                &self.api.get(REQUEST),
            )));
    }

    /// Lets the controller look at the request, and shows the watch what it wrote.
    pub(crate) async fn reconcile(&self) {
        self.try_to_reconcile().await.unwrap();
        self.catch_up();
    }

    /// What controllers work with, with these keys.
    pub(crate) fn controllers_with(&self, sealer: &Arc<Sealer>) -> controllers::ControllerContext {
        let own = &self.controllers;
        context(&self.api, &own.settings, &own.policies, &own.clock, sealer)
    }

    /// Lets the controller look at the request.
    pub(crate) async fn try_to_reconcile(&self) -> Result<(), ReconcileError> {
        controllers::status::reconcile(&request_key(), &self.controllers)
            .await
            .map(|_again| ())
    }

    pub(crate) fn put_grant(&self, grant: &Value) {
        self.api.store(GRANT, grant);
        self.index
            .apply_grant(Event::Apply(decode::<AccessGrant>(grant)));
    }

    /// The server is told to stop.
    pub(crate) fn stop(&self) {
        self.ready.send_replace(false);
    }

    pub(crate) fn pass(&self, seconds: i64) {
        let mut clock = self.clock.lock().unwrap();
        *clock = clock
            .checked_add(SignedDuration::from_secs(seconds))
            .unwrap();
    }

    /// jane runs a command in the pod.
    pub(crate) async fn exec(&self, review_uid: &str, change: impl FnOnce(&mut Value)) -> Said {
        let mut review = recorded("exec-websocket");
        review["request"]["uid"] = json!(review_uid);
        change(&mut review["request"]);
        self.post("/validate?timeout=10s", review.to_string()).await
    }

    pub(crate) async fn post(&self, path: &str, body: impl Into<Vec<u8>>) -> Said {
        let body = body.into();
        let request = Request::post(path).header("content-length", body.len());
        self.send(request.body(Body::from(body)).unwrap()).await
    }

    pub(crate) fn router(&self) -> Router {
        self.router.clone()
    }

    pub(crate) async fn send(&self, request: Request<Body>) -> Said {
        let response = self.router.clone().oneshot(request).await.unwrap();
        let status = response.status();
        let bytes = response.into_body().collect().await.unwrap().to_bytes();
        let text = || json!(String::from_utf8_lossy(&bytes));
        Said {
            status,
            body: serde_json::from_slice(&bytes).unwrap_or_else(|_not_json| text()),
        }
    }

    /// Waits until the answers to all uses are written down, which happens in the background.
    pub(crate) async fn until_answered(&self) {
        let is_answered = || {
            let uses = self.api.get(REQUEST)["status"]["uses"].take();
            uses.as_array()
                .is_some_and(|uses| uses.iter().all(|one| one["outcome"] == "Answered"))
        };
        for _ in 0..10_000 {
            if is_answered() {
                return;
            }
            tokio::task::yield_now().await;
        }
        assert!(
            is_answered(),
            "nobody wrote that it was answered: {}",
            self.api.get(REQUEST)["status"]
        );
    }

    /// How many uses stand in the stored request.
    pub(crate) fn uses(&self) -> usize {
        self.api.get(REQUEST)["status"]["uses"]
            .as_array()
            .map_or(0, Vec::len)
    }
}

/// What controllers work with.
fn context(
    api: &FakeApi,
    settings: &Arc<settings::Settings>,
    policies: &Arc<PolicyStore>,
    clock: &Clock,
    sealer: &Arc<Sealer>,
) -> controllers::ControllerContext {
    controllers::ControllerContext {
        client: api.client(),
        recorder: Recorder::new(
            api.client(),
            Reporter {
                controller: "test".to_owned(),
                instance: None,
            },
        ),
        notices: None,
        role: None,
        settings: Arc::clone(settings),
        policies: Arc::clone(policies),
        sealer: Arc::clone(sealer),
        keep: keep(),
        clock: Arc::clone(clock),
        metrics: Metrics::new(),
    }
}

pub(crate) fn keep() -> Keep {
    Keep {
        finished: std::time::Duration::from_hours(168),
    }
}

fn with_seal(object: &Value, seal: Option<String>) -> Value {
    let mut object = object.clone();
    if let Some(seal) = seal {
        object["metadata"]["annotations"][SEAL] = json!(seal);
    }
    object
}

pub(crate) fn sealer(on: bool) -> Arc<Sealer> {
    if !on {
        return Arc::new(Sealer::off());
    }
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("key");
    std::fs::write(&file, "0123456789abcdef0123456789abcdef").unwrap();
    Arc::new(Sealer::load(file).unwrap())
}

fn decode<T: serde::de::DeserializeOwned>(value: &Value) -> T {
    serde_json::from_value(value.clone()).unwrap()
}

/// A review recorded from a real API server.
pub(crate) fn recorded(name: &str) -> Value {
    let path = format!(
        "{}/../api/tests/fixtures/reviews/{name}.json",
        env!("CARGO_MANIFEST_DIR")
    );
    serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap()
}

pub(crate) fn pod(uid: &str) -> Value {
    json!({
        "apiVersion": "v1", "kind": "Pod",
        "metadata": {"name": "nginx", "namespace": "default", "uid": uid},
        "spec": {"serviceAccountName": "default", "containers": [{"name": "nginx", "image": "nginx"}]},
        "status": {"phase": "Running", "containerStatuses": [{
            "name": "nginx", "image": "nginx", "imageID": "", "ready": true, "restartCount": 0,
            "state": {"running": {"startedAt": START}},
        }]},
    })
}

pub(crate) fn request() -> Value {
    json!({
        "apiVersion": "spreadgroup.com/v1", "kind": "AccessRequest",
        "metadata": {"name": "ask", "namespace": "default", "uid": "ask-1", "creationTimestamp": START},
        "spec": {
            "userInfo": {"username": "jane"},
            "createdBy": {"username": "jane"},
            "forObject": {
                "resource": {"group": "", "version": "v1", "resource": "pods"}, "subResource": "exec",
                "name": "nginx", "namespace": "default", "uid": "pod-1",
            },
            "execOptions": {"kind": "PodExecOptions", "apiVersion": "v1", "stdout": true, "stderr": true,
                "container": "nginx", "command": ["date"]},
        },
    })
}

pub(crate) fn grant(status: &str) -> Value {
    json!({
        "apiVersion": "spreadgroup.com/v1", "kind": "AccessGrant",
        "metadata": {"name": "grant-ask", "namespace": "default", "uid": "grant-1", "creationTimestamp": START},
        "spec": {"grantFor": "ask", "requestUID": "ask-1", "grantedBy": {"username": "amy"}},
        "status": status,
    })
}
