//! A control plane, and the server on it as a process.

#![expect(
    clippy::indexing_slicing,
    reason = "a JSON value that has no such field is null"
)]

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
    time::{Duration, Instant},
};

use anyhow::{Context as _, anyhow, bail};
use cluster::{ADMIN, Cluster, NodeChoice, Options, Progress, Running};
use run::{Binaries, Place, Settings, local::Process};
use serde::Serialize;
use serde_json::json;
use server::cluster::seal::Sealer;

use super::client::Client;
use crate::{
    connection::{Target, Trust},
    process,
    report::{megabytes, milliseconds},
};

/// The server must be ready within this time, whatever is stored.
const READY: Duration = Duration::from_mins(5);
/// And have done what there is to do at a start within this.
const SETTLED: Duration = Duration::from_mins(5);

/// Where the measured pod is.
pub(super) const NAMESPACE: &str = "bench";
/// The measured pod, which exists, and its container.
pub(super) const POD: &str = "box";

/// A control plane, a server, and what it takes to talk to both.
pub(super) struct Stage {
    pub(super) running: Running,
    options: Options,
    program: PathBuf,
    dir: PathBuf,
    port: u16,
    secret: String,
    authority: String,
    server: Option<Process>,
    pub(super) sealer: Sealer,
    pub(super) api: Client,
    pub(super) cores: Cores,
}

/// Who runs where: measured and measurer keep out of each other's way. The control plane runs
/// wherever there is room.
#[derive(Debug, Clone, Default, Serialize)]
pub(super) struct Cores {
    /// The server's, or of the bare client that does the same reads.
    pub(super) server: Vec<usize>,
    /// The load generator's.
    pub(super) load: Vec<usize>,
}

impl Cores {
    fn here() -> anyhow::Result<Self> {
        let all = process::cores().context("cannot tell which cores there are")?;
        Ok(match all.split_first() {
            Some((first, rest)) if !rest.is_empty() => Self {
                server: vec![*first],
                load: rest.to_vec(),
            },
            _ => Self::default(),
        })
    }
}

/// A start with that much stored.
#[derive(Debug, Serialize)]
pub(super) struct Started {
    pub(super) objects: usize,
    pub(super) policies: usize,
    #[serde(flatten)]
    pub(super) start: Start,
}

/// What a start cost.
#[derive(Debug, Clone, Copy, Serialize)]
pub(super) struct Start {
    /// From the start of the process until `/ready` says so.
    pub(super) ready_ms: f64,
    /// The most memory until then.
    pub(super) peak_mb_at_ready: f64,
    /// Until next to nothing was left to do; absent: there was, all the time.
    pub(super) settled_ms: Option<f64>,
    /// Processor time until then.
    pub(super) cpu_seconds: f64,
    /// Memory then.
    pub(super) settled_mb: f64,
    /// The most until then.
    pub(super) peak_mb: f64,
}

impl Stage {
    pub(super) fn build(program: &Path) -> anyhow::Result<Self> {
        let progress = Progress::Stderr;
        let options = Options {
            node: NodeChoice::Nothing,
            progress,
            ..Options::default()
        };
        let running = Cluster::start(&options).context("cannot start the control plane")?;
        let binaries = Binaries::in_dir(program.parent().unwrap_or(Path::new(".")));
        let settings = Settings {
            binaries: &binaries,
            manifests: "deploy",
            place: Place::Local,
            flags: Vec::new(),
            role_model: false,
            replicas: 1,
            client_authority: None,
            receivers: false,
        };
        let mut installed = run::install(&running, &settings, progress)
            .context("cannot install kube-request-access")?;
        let first = installed.server.take().context("no server was started")?;
        let dir = running.dir().join("server");
        let port = first.address.port();
        drop(first);
        let admin = running.identity(ADMIN, &["system:masters"])?;
        let trust =
            Trust::authority(&running.authority()?)?.showing(&admin.certificate, &admin.key)?;
        let api = Client::new(Target::new(&running.server(), trust)?)?;
        let read = |name: &str| {
            fs::read_to_string(dir.join(name)).with_context(|| format!("cannot read {name}"))
        };
        let mut stage = Self {
            options,
            program: program.to_owned(),
            port,
            secret: installed
                .review_path
                .context("the server takes no reviews by path")?,
            authority: read("ca.crt")?,
            server: None,
            sealer: Sealer::load(dir.join("seal-key")).context("cannot read the seal's key")?,
            api,
            cores: Cores::here()?,
            running,
            dir,
        };
        stage.furnish()?;
        Ok(stage)
    }

    /// What the control plane's controllers would make, were there any; and the measured pod.
    fn furnish(&mut self) -> anyhow::Result<()> {
        const RBAC: &str = "/apis/rbac.authorization.k8s.io/v1";
        let role = json!({
            "apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRole", "metadata": {"name": "bench-view"},
            "rules": [{"apiGroups": [""], "resources": ["pods"], "verbs": ["get", "list"]}],
        });
        let binding = json!({
            "apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRoleBinding", "metadata": {"name": "bench-view"},
            "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "bench-view"},
            "subjects": [{"apiGroup": "rbac.authorization.k8s.io", "kind": "Group", "name": "devs"}],
        });
        self.api
            .create(&format!("{RBAC}/clusterroles"), &role, None)?;
        self.api
            .create(&format!("{RBAC}/clusterrolebindings"), &binding, None)?;
        let namespace =
            json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": NAMESPACE}});
        self.api.create("/api/v1/namespaces", &namespace, None)?;
        let account =
            json!({"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "default"}});
        let here = format!("/api/v1/namespaces/{NAMESPACE}");
        self.api
            .create(&format!("{here}/serviceaccounts"), &account, None)?;
        // Nobody runs it: an attempt is decided before any node hears of it.
        let pod = json!({
            "apiVersion": "v1", "kind": "Pod", "metadata": {"name": POD},
            "spec": {"automountServiceAccountToken": false, "containers": [{"name": POD, "image": "bench/none"}]},
        });
        let mut pod = self.api.create(&format!("{here}/pods"), &pod, None)?;
        let now = jiff::Timestamp::from_second(jiff::Timestamp::now().as_second())?.to_string();
        pod["status"] = json!({
            "phase": "Running", "startTime": now, "containerStatuses": [{
                "name": POD, "image": "bench/none", "imageID": "bench/none", "containerID": "containerd://bench", "ready": true,
                "started": true, "restartCount": 0, "state": {"running": {"startedAt": now}},
            }],
        });
        self.api
            .replace(&format!("{here}/pods/{POD}/status"), &pod)?;
        Ok(())
    }

    /// Starts the server, and waits until it is ready and at rest.
    pub(super) fn start_server(&mut self) -> anyhow::Result<Start> {
        self.stop_server();
        let started = Instant::now();
        let server = Process::start(self.command(), self.dir.join("server.log"))?;
        let pid = server.id();
        self.server = Some(server);
        let mut client = self.client()?;
        loop {
            let Err(error) = client.fetch("/ready") else {
                break;
            };
            if started.elapsed() > READY {
                return Err(error).context("the server did not become ready");
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        let (ready, at_ready) = (started.elapsed(), process::usage(pid)?);
        let quiet = process::settled(pid, SETTLED)?;
        let settled = quiet.map(|after| ready.saturating_add(after));
        let at_rest = process::usage(pid)?;
        Ok(Start {
            ready_ms: milliseconds(ready),
            peak_mb_at_ready: megabytes(at_ready.peak),
            settled_ms: settled.map(milliseconds),
            cpu_seconds: at_rest.cpu.as_secs_f64(),
            settled_mb: megabytes(at_rest.rss),
            peak_mb: megabytes(at_rest.peak),
        })
    }

    pub(super) fn stop_server(&mut self) {
        self.server = None;
    }

    /// On its core, as `run` starts it otherwise.
    fn command(&self) -> Command {
        let mut command = if self.cores.server.is_empty() {
            Command::new(&self.program)
        } else {
            let cores: Vec<String> = self.cores.server.iter().map(usize::to_string).collect();
            let mut pinned = Command::new("taskset");
            pinned
                .arg("--cpu-list")
                .arg(cores.join(","))
                .arg(&self.program);
            pinned
        };
        let file = |name: &str| self.dir.join(name).display().to_string();
        command
            .arg(format!("--address=127.0.0.1:{}", self.port))
            .arg(format!("--cert-file={}", file("tls.crt")))
            .arg(format!("--key-file={}", file("tls.key")))
            .arg(format!("--seal-key-file={}", file("seal-key")))
            .arg(format!("--review-path-file={}", file("review-path")))
            .arg("--always-allowed-group-name=system:masters")
            // A few people file and hold far more here than anybody may.
            .arg("--max-requests-per-minute=1000000000")
            .arg("--max-open-requests=1000000")
            .arg("--max-open-requests-per-user=1000000")
            .arg("--max-open-requests-in-all=1000000")
            .arg("--cluster-name=dev")
            .env("KUBECONFIG", self.running.admin_kubeconfig());
        command
    }

    /// What the server logged last: why it is gone, where it is.
    pub(super) fn last_words(&self) -> String {
        const LINES: usize = 3;
        let log = fs::read_to_string(self.dir.join("server.log")).unwrap_or_default();
        let lines: Vec<&str> = log.lines().rev().take(LINES).collect();
        let lines: Vec<&str> = lines.into_iter().rev().collect();
        format!("the server's log ends with\n{}\n", lines.join("\n"))
    }

    /// The server's process.
    pub(super) fn pid(&self) -> anyhow::Result<u32> {
        Ok(self.server.as_ref().context("no server runs")?.id())
    }

    /// Where it takes reviews of this kind: `validate` or `mutate`.
    pub(super) fn reviews(&self, kind: &str) -> anyhow::Result<Target> {
        let url = format!("https://127.0.0.1:{}/{kind}/{}", self.port, self.secret);
        Ok(Target::new(&url, Trust::authority(&self.authority)?)?)
    }

    /// The server, asked one thing after the other.
    pub(super) fn client(&self) -> anyhow::Result<Client> {
        Ok(Client::new(self.reviews("validate")?)?)
    }

    /// The API server's process.
    fn api_server(&self) -> anyhow::Result<u32> {
        let processes = self.running.processes();
        let found = processes.iter().find(|(name, _)| *name == "kube-apiserver");
        Ok(found.ok_or_else(|| anyhow!("there is no API server"))?.1)
    }

    /// The processes of the control plane.
    pub(super) fn control_plane(&self) -> Vec<u32> {
        let processes = self.running.processes();
        processes.into_iter().map(|(_name, pid)| pid).collect()
    }

    /// Kills the API server, and starts it again.
    pub(super) fn restart_api_server(&mut self) -> anyhow::Result<()> {
        Ok(self.running.restart_api_server(&self.options)?)
    }

    /// Waits until the API server has taken in what was written past it.
    pub(super) fn await_api_server(&self) -> anyhow::Result<()> {
        match process::settled(self.api_server()?, SETTLED)? {
            Some(_) => Ok(()),
            None => bail!("the API server did not come to rest"),
        }
    }
}
