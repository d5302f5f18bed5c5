//! Three replicas as processes, each behind a proxy with faults to the API server, and a proxy that
//! gives them reviews in turn. And people whose attempts are cheap: HTTP without a kubectl.

use std::{
    fs,
    path::PathBuf,
    process::Command,
    sync::{
        Arc, Mutex, MutexGuard, OnceLock, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use cluster::Identity;
use http_body_util::{BodyExt as _, Full};
use hyper::{Request, body::Bytes, client::conn::http1};
use hyper_util::rt::TokioIo;
use run::{certificates::Authority, local, local::Process};
use rustls::pki_types::ServerName;
use serde_json::{Value, json};
use tokio::{net::TcpStream, runtime::Runtime};
use tokio_rustls::TlsConnector;

use kra_tests::{
    processes::{like, signal},
    scene::Scene,
    world::{Wish, World},
};

use crate::{
    injected::{Faults, seed},
    proxies::{Endpoints, client_config, to_the_api_server, to_the_replicas},
};

const REPLICAS: usize = 3;
const CONFIGURATIONS: [&str; 2] = [
    "validatingwebhookconfiguration",
    "mutatingwebhookconfiguration",
];

pub(crate) struct Fleet {
    pub(crate) world: &'static World,
    pub(crate) faults: Arc<Faults>,
    pub(crate) seed: u64,
    pub(crate) runtime: Runtime,
    pub(crate) kills: AtomicU64,
    endpoints: Arc<Endpoints>,
    command: Vec<String>,
    kubeconfig: PathBuf,
    authority: String,
    replicas: Mutex<Vec<Option<Process>>>,
    logs: Mutex<Vec<PathBuf>>,
}

/// The fleet, for one test at a time.
pub(crate) fn fleet() -> (&'static Fleet, MutexGuard<'static, ()>) {
    static FLEET: OnceLock<Fleet> = OnceLock::new();
    static TURN: Mutex<()> = Mutex::new(());
    let turn = TURN.lock().unwrap_or_else(PoisonError::into_inner);
    (FLEET.get_or_init(Fleet::start), turn)
}

/// A world that lives as long as the fleet.
fn world() -> &'static World {
    static WORLD: OnceLock<World> = OnceLock::new();
    let flags = vec!["--max-open-requests=100000".to_owned()];
    WORLD.get_or_init(|| {
        World::start(Wish {
            flags,
            ..Wish::default()
        })
    })
}

impl Fleet {
    fn start() -> Self {
        let world = world();
        let first = world.installed.server.as_ref().unwrap();
        let command = like(first, world);
        let words = [command.get_program()]
            .into_iter()
            .chain(command.get_args());
        let words = words
            .map(|word| word.to_string_lossy().into_owned())
            .filter(|word| !word.starts_with("--address="));
        let command: Vec<String> = words.collect();
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(2)
            .enable_all()
            .build()
            .unwrap();
        let seed = seed();
        let (faults, endpoints) = (Arc::new(Faults::new(seed)), Arc::new(Endpoints::default()));
        let identity = world
            .cluster
            .identity("fleet", &["system:masters"])
            .unwrap();
        let trusted = world.cluster.authority().unwrap();
        let api = to_the_api_server(
            world.cluster.server(),
            &trusted,
            &identity,
            Arc::clone(&faults),
        );
        let api = runtime.block_on(api);
        let kubeconfig = json!({"apiVersion": "v1", "kind": "Config", "current-context": "c",
            "clusters": [{"name": "c", "cluster": {"server": format!("http://{api}")}}],
            "contexts": [{"name": "c", "context": {"cluster": "c", "user": "u"}}], "users": [{"name": "u", "user": {}}]});
        let kubeconfig = local::write(
            world.cluster.dir(),
            "fleet.kubeconfig",
            &kubeconfig.to_string(),
        )
        .unwrap();
        let fleet = Self {
            world,
            faults,
            seed,
            runtime,
            kills: AtomicU64::new(0),
            endpoints,
            command,
            kubeconfig,
            authority: fs::read_to_string(world.cluster.dir().join("server/ca.crt")).unwrap(),
            replicas: Mutex::new((0..REPLICAS).map(|_| None).collect()),
            logs: Mutex::default(),
        };
        for slot in 0..REPLICAS {
            assert!(fleet.begin(slot), "a replica does not start without faults");
        }
        fleet.lead_reviews_here(&first.address.to_string());
        signal(first, "-KILL");
        fleet
    }

    /// Lets the API server post its reviews to the proxy instead of the first server.
    fn lead_reviews_here(&self, first: &str) {
        let authority = Authority::new("replicas").unwrap();
        let pair = authority.serving(&["127.0.0.1"]).unwrap();
        let proxy = to_the_replicas(&pair, &self.authority, Arc::clone(&self.endpoints));
        let proxy = self.runtime.block_on(proxy);
        let bundle = {
            let mut configuration = json!({"kind": "ValidatingWebhookConfiguration", "webhooks": [{"clientConfig": {}}]});
            run::manifests::trust(
                std::slice::from_mut(&mut configuration),
                &authority.pem(),
                None,
            );
            configuration["webhooks"][0]["clientConfig"]["caBundle"].take()
        };
        for kind in CONFIGURATIONS {
            let kubectl = |arguments: &[&str]| {
                let mut kubectl = self.world.cluster.kubectl_as_admin();
                run::kubectl::output(kubectl.args(arguments), None).unwrap()
            };
            let stored: Value = serde_json::from_str(&kubectl(&[
                "get",
                kind,
                "kube-request-access",
                "-o",
                "json",
            ]))
            .unwrap();
            let webhooks = stored["webhooks"].as_array().unwrap().iter().enumerate();
            let patch = webhooks.flat_map(|(number, webhook)| {
                let url = webhook["clientConfig"]["url"]
                    .as_str()
                    .unwrap()
                    .replace(first, &proxy.to_string());
                let at = |field: &str| format!("/webhooks/{number}/clientConfig/{field}");
                [
                    json!({"op": "replace", "path": at("url"), "value": url}),
                    json!({"op": "replace", "path": at("caBundle"), "value": bundle}),
                ]
            });
            let patch = patch.collect::<Value>().to_string();
            kubectl(&[
                "patch",
                kind,
                "kube-request-access",
                "--type=json",
                "-p",
                &patch,
            ]);
        }
    }

    /// Begins a replica, and says whether it became ready: with faults it may not.
    fn begin(&self, slot: usize) -> bool {
        let (program, arguments) = self.command.split_first().unwrap();
        let mut command = Command::new(program);
        command
            .args(arguments)
            .arg("--address=127.0.0.1:0")
            .env("KUBECONFIG", &self.kubeconfig);
        let log = {
            let mut logs = self.logs.lock().unwrap();
            let log = self
                .world
                .cluster
                .dir()
                .join(format!("replica-{}.log", logs.len()));
            logs.push(log.clone());
            log
        };
        let Ok(process) = Process::start(command, log) else {
            return false;
        };
        if local::wait_until_ready(
            &format!("https://{}/ready", process.address),
            &self.authority,
        )
        .is_err()
        {
            return false;
        }
        self.endpoints.add(process.address);
        self.replicas.lock().unwrap()[slot] = Some(process);
        true
    }

    /// Kills a replica, and begins another in its place a while later.
    pub(crate) fn replace(&self, slot: usize, pause: Duration) {
        if let Some(mut process) = self.replicas.lock().unwrap()[slot].take() {
            // The reviews that are on their way to it break off; as with real endpoints, it is
            // known a moment later.
            process.stop();
            self.endpoints.remove(process.address);
            self.kills.fetch_add(1, Ordering::Relaxed);
        }
        std::thread::sleep(pause);
        self.begin(slot);
    }

    /// Kills and replaces replicas at random, until then.
    pub(crate) fn plague(&self, until: Instant) {
        let mut random = fastrand::Rng::with_seed(self.seed);
        while Instant::now() < until {
            std::thread::sleep(Duration::from_millis(random.u64(1000..4000)));
            self.replace(
                random.usize(0..REPLICAS),
                Duration::from_millis(random.u64(100..1500)),
            );
        }
    }

    /// Begins what is missing.
    pub(crate) fn heal(&self) {
        self.faults.switch(false);
        for slot in 0..REPLICAS {
            let is_there = self.replicas.lock().unwrap()[slot].is_some();
            assert!(
                is_there || self.begin(slot),
                "a replica does not start without faults"
            );
        }
    }

    /// All that every replica has logged.
    pub(crate) fn logged(&self) -> String {
        let logs = self.logs.lock().unwrap();
        logs.iter()
            .map(|log| fs::read_to_string(log).unwrap_or_default())
            .collect()
    }

    /// What the API server has recorded.
    pub(crate) fn audit_log(&self) -> String {
        fs::read_to_string(self.world.cluster.audit_log()).unwrap_or_default()
    }

    /// Somebody who speaks HTTP.
    pub(crate) fn somebody(&self, name: &str, groups: &[&str]) -> Somebody {
        let identity: Identity = self.world.cluster.identity(name, groups).unwrap();
        let config = client_config(&self.world.cluster.authority().unwrap(), Some(&identity));
        Somebody {
            server: self
                .world
                .cluster
                .server()
                .trim_start_matches("https://")
                .to_owned(),
            tls: TlsConnector::from(Arc::new(config)),
        }
    }
}

/// Somebody with a client certificate.
#[derive(Clone)]
pub(crate) struct Somebody {
    server: String,
    tls: TlsConnector,
}

/// An answer of the API server.
#[derive(Debug, Clone)]
pub(crate) struct Answer {
    pub(crate) code: u16,
    pub(crate) body: Value,
}

impl Somebody {
    /// Sends a request, over a connection of its own.
    pub(crate) async fn send(
        &self,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: &Value,
    ) -> Answer {
        let request = Request::builder()
            .method(method)
            .uri(path)
            .header("host", &self.server);
        let request = headers.iter().fold(request, |request, (name, value)| {
            request.header(*name, *value)
        });
        let request = if body.is_null() {
            request
        } else {
            request.header("content-type", "application/json")
        };
        let body = if body.is_null() {
            String::new()
        } else {
            body.to_string()
        };
        self.exchange(request.body(Full::new(Bytes::from(body))).unwrap())
            .await
            .unwrap_or_else(|error| Answer {
                code: 0,
                body: json!(error.to_string()),
            })
    }

    async fn exchange(
        &self,
        request: Request<Full<Bytes>>,
    ) -> Result<Answer, Box<dyn std::error::Error + Send + Sync>> {
        let stream = TcpStream::connect(&self.server).await?;
        let host = self
            .server
            .rsplit_once(':')
            .map_or(self.server.as_str(), |(host, _)| host)
            .to_owned();
        let stream = self
            .tls
            .connect(ServerName::try_from(host)?, stream)
            .await?;
        let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
        let connection = tokio::spawn(connection.with_upgrades());
        let response = sender.send_request(request).await?;
        let code = response.status().as_u16();
        let body = if code == 101 {
            Bytes::new()
        } else {
            response.into_body().collect().await?.to_bytes()
        };
        connection.abort();
        Ok(Answer {
            code,
            body: serde_json::from_slice(&body).unwrap_or_default(),
        })
    }

    /// Tries to run a command in the pod `box`, as kubectl does over SPDY, and hangs up once it is
    /// let in.
    pub(crate) async fn exec(&self, scene: &Scene, command: &[&str], audit_id: &str) -> Answer {
        let words = command
            .iter()
            .fold(String::new(), |words, word| words + "&command=" + word);
        let namespace = &scene.namespace;
        let path = format!(
            "/api/v1/namespaces/{namespace}/pods/box/exec?container=main&stdout=true&stderr=true{words}"
        );
        let headers = [
            ("connection", "Upgrade"),
            ("upgrade", "SPDY/3.1"),
            ("x-stream-protocol-version", "v4.channel.k8s.io"),
            ("audit-id", audit_id),
        ];
        self.send("POST", &path, &headers, &Value::Null).await
    }
}
