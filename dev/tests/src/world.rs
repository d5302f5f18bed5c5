//! Clusters with kube-request-access in them, each started once, when the first test needs it. They
//! end with this process, however it ends.

use std::{
    path::PathBuf,
    sync::OnceLock,
    time::{Duration, Instant},
};

use cluster::{Cluster, Identity, NodeChoice, Options, Progress, Running};
use run::{Binaries, Installed, Place, Settings, certificates::Authority};

use crate::notices::Told;

/// Whatever is waited for comes within this time, or the test has failed.
pub const PATIENCE: Duration = Duration::from_mins(1);

/// See the module.
pub struct World {
    /// The Kubernetes.
    pub cluster: Running,
    /// What was installed in it.
    pub installed: Installed,
    /// Where `kubectl-request` lies.
    pub plugin_dir: PathBuf,
    /// Whether developers have standing rights to exec.
    pub standing_rights: bool,
}

/// What a world differs in.
#[derive(Default)]
pub struct Wish {
    /// The directory of its kustomization, where it is not `deploy`.
    pub manifests: Option<&'static str>,
    /// The server runs as a Deployment; else as processes here.
    pub in_cluster: bool,
    /// Developers have no rights to exec but while a grant lasts.
    pub role_model: bool,
    /// Receivers for a server outside; inside it always has them.
    pub receivers: bool,
    /// Flags of the server.
    pub flags: Vec<String>,
    /// Reviews are believed by client certificates of this authority; the API server has one.
    pub client_authority: Option<&'static Authority>,
}

/// The server as most clusters have it: two replicas as a Deployment, with both receivers.
pub fn standing() -> &'static World {
    static WORLD: OnceLock<World> = OnceLock::new();
    WORLD.get_or_init(|| {
        World::start(Wish {
            in_cluster: true,
            ..Wish::default()
        })
    })
}

/// Developers without rights of their own, bound to a role while a grant lasts.
pub fn role_per_grant() -> &'static World {
    static WORLD: OnceLock<World> = OnceLock::new();
    WORLD.get_or_init(|| {
        World::start(Wish {
            role_model: true,
            ..Wish::default()
        })
    })
}

/// An authenticator that prefixes names, interactive use allowed, everything logged, and somebody
/// told of requests.
pub fn prefixed() -> &'static World {
    static WORLD: OnceLock<World> = OnceLock::new();
    let mut flags = ["--username-prefix=oidc:", "--allow-interactive", "-v=10"]
        .map(str::to_owned)
        .to_vec();
    flags.push(format!("--notice-url={}", Told::here().url()));
    flags.push("--request-url-template=https://requests.example/{namespace}/{name}".to_owned());
    WORLD.get_or_init(|| {
        World::start(Wish {
            flags,
            ..Wish::default()
        })
    })
}

/// A server that forgets within seconds.
pub fn forgetful() -> &'static World {
    static WORLD: OnceLock<World> = OnceLock::new();
    let flags = [
        "--delete-after=12s",
        "--keep-finished=2s",
        "--cleanup-interval=1s",
    ]
    .map(str::to_owned)
    .to_vec();
    WORLD.get_or_init(|| {
        World::start(Wish {
            flags,
            ..Wish::default()
        })
    })
}

/// Two replicas that hold attempts until they are granted.
pub fn waiting() -> &'static World {
    static WORLD: OnceLock<World> = OnceLock::new();
    let manifests = Some("examples/in-band-wait");
    WORLD.get_or_init(|| {
        World::start(Wish {
            in_cluster: true,
            manifests,
            ..Wish::default()
        })
    })
}

/// What signs the certificate that the API server of [`certified`] shows.
pub fn client_authority() -> &'static Authority {
    static AUTHORITY: OnceLock<Authority> = OnceLock::new();
    AUTHORITY.get_or_init(|| Authority::new("webhook clients").unwrap())
}

/// A server in the cluster that knows the API server by its certificate, and which groups answer
/// requests.
pub fn certified() -> &'static World {
    static WORLD: OnceLock<World> = OnceLock::new();
    let client_authority = Some(client_authority());
    let flags = vec!["--approver-group=approvers".to_owned()];
    WORLD.get_or_init(|| {
        World::start(Wish {
            in_cluster: true,
            flags,
            client_authority,
            ..Wish::default()
        })
    })
}

/// What the API server shows to the server's Service only.
fn webhook_client(authority: &Authority) -> (String, Identity) {
    let pair = authority.client("kube-apiserver").unwrap();
    let identity = Identity {
        certificate: pair.certificate,
        key: pair.key,
    };
    (
        "kube-request-access.kube-request-access.svc".to_owned(),
        identity,
    )
}

fn binaries() -> &'static Binaries {
    static BINARIES: OnceLock<Binaries> = OnceLock::new();
    BINARIES.get_or_init(|| Binaries::build_with_failpoints(Progress::Stderr).unwrap())
}

impl World {
    /// Starts one that nothing shares.
    pub fn start(wish: Wish) -> Self {
        assert!(
            std::env::var_os("KRA_BLACK_BOX").is_some(),
            "these tests need a Kubernetes of their own: run them with ./scripts/test"
        );
        let missing = cluster::what_is_missing_for_containers();
        assert!(
            missing.is_empty(),
            "these tests need containers, and here is missing: {}",
            missing.join("; ")
        );
        let binaries = binaries();
        let options = Options {
            node: NodeChoice::Container,
            webhook_client: wish.client_authority.map(webhook_client),
            progress: Progress::Silent,
            ..Options::default()
        };
        let cluster = Cluster::start(&options).unwrap();
        // Tests of one cluster run at once, and most requests are jane's.
        let flags = [
            "--max-requests-per-minute=100000",
            "--max-open-requests-per-user=100000",
            "--max-open-requests-in-all=1000000",
        ];
        let flags = flags
            .map(str::to_owned)
            .into_iter()
            .chain(wish.flags)
            .collect();
        let settings = Settings {
            manifests: wish.manifests.unwrap_or("deploy"),
            binaries,
            place: if wish.in_cluster {
                Place::Cluster
            } else {
                Place::Local
            },
            flags,
            role_model: wish.role_model,
            replicas: 2,
            client_authority: wish.client_authority.map(Authority::pem),
            receivers: wish.in_cluster || wish.receivers,
        };
        let installed = run::install(&cluster, &settings, Progress::Silent).unwrap();
        let plugin_dir = binaries.plugin().parent().unwrap().to_owned();
        Self {
            cluster,
            installed,
            plugin_dir,
            standing_rights: !wish.role_model,
        }
    }

    /// What the server has logged so far, all replicas.
    pub fn server_log(&self) -> String {
        if let Some(server) = &self.installed.server {
            return std::fs::read_to_string(&server.log).unwrap();
        }
        let mut kubectl = self.cluster.kubectl_as_admin();
        let label = "app.kubernetes.io/name=kube-request-access";
        kubectl.args([
            "logs",
            "-n",
            "kube-request-access",
            "-l",
            label,
            "--tail=-1",
        ]);
        run::kubectl::output(&mut kubectl, None).unwrap()
    }

    /// What a receiver has logged so far.
    pub fn log_of(&self, deployment: &str) -> String {
        let name = format!("deployment/{deployment}");
        let mut kubectl = self.cluster.kubectl_as_admin();
        run::kubectl::output(
            kubectl.args(["logs", "-n", "kube-request-access", &name]),
            None,
        )
        .unwrap()
    }
}

/// Waits until something is so, and fails with `what` where it does not come about.
pub fn eventually(what: &str, is_so: impl FnMut() -> bool) {
    within(PATIENCE, what, is_so);
}

/// Waits so long at most until something is so, and fails with `what` where it does not come about.
pub fn within(patience: Duration, what: &str, mut is_so: impl FnMut() -> bool) {
    let started = Instant::now();
    while !is_so() {
        assert!(started.elapsed() < patience, "it never came about: {what}");
        std::thread::sleep(Duration::from_millis(100));
    }
}
