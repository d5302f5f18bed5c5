//! A Kubernetes with kube-request-access in it, the Deployment `nginx`, the pod `box`, jane and
//! amy.

use std::{
    path::{Path, PathBuf},
    process::Command,
};

use cluster::{Cluster, NodeChoice, Options, Progress, Running};
use run::{Binaries, Installed, Place, Settings, kubectl, session::Session};
use serde_json::json;

/// Who types.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Person {
    /// A developer.
    Jane,
    /// An approver.
    Amy,
}

impl Person {
    pub(crate) const ALL: [Self; 2] = [Self::Jane, Self::Amy];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Jane => "jane",
            Self::Amy => "amy",
        }
    }

    /// What stands above her terminal.
    pub(crate) fn title(self) -> &'static str {
        match self {
            Self::Jane => "jane, a developer",
            Self::Amy => "amy, who may approve",
        }
    }

    fn groups(self) -> &'static [&'static str] {
        match self {
            Self::Jane => &["devs"],
            Self::Amy => &["approvers"],
        }
    }
}

/// See the module. What is its own ends with it.
pub(crate) struct Stage {
    cluster: Owned,
    /// Has `kubectl` and `kubectl-request`.
    bin: PathBuf,
}

/// What a person has: stock kubectl, the plugin, her kubeconfig, the examples.
#[derive(Debug, Clone)]
pub(crate) struct Desk {
    bin: PathBuf,
    kubeconfig: PathBuf,
    cache: PathBuf,
}

impl Desk {
    /// A program of hers.
    pub(crate) fn command(&self, program: &str) -> Command {
        let path = run::story::path_with(&self.bin);
        // The program too is looked for on this PATH.
        let mut command = Command::new(program);
        command
            .current_dir(run::checkout())
            .env("PATH", path)
            .env("KUBECONFIG", &self.kubeconfig);
        command
            .env("KUBERC", "off")
            .env("KUBECACHEDIR", &self.cache)
            .env_remove("KUBECTL");
        command
            .env("SHELL", "/bin/sh")
            .env("TERM", "xterm-256color");
        command
    }
}

enum Owned {
    Ours(Box<Running>, Installed),
    Theirs(Cluster),
}

impl Owned {
    fn get(&self) -> &Cluster {
        match self {
            Self::Ours(cluster, _) => cluster,
            Self::Theirs(cluster) => cluster,
        }
    }
}

impl Stage {
    /// On a new cluster.
    pub(crate) fn of_its_own() -> anyhow::Result<Self> {
        let binaries = Binaries::build(Progress::Stderr)?;
        let cluster = Cluster::start(&Options {
            node: NodeChoice::Container,
            ..Options::default()
        })?;
        cluster.deploy_nginx(Progress::Stderr)?;
        let settings = Settings {
            manifests: "deploy",
            binaries: &binaries,
            place: Place::Cluster,
            flags: Vec::new(),
            role_model: false,
            replicas: 1,
            client_authority: None,
            receivers: true,
        };
        let installed = run::install(&cluster, &settings, Progress::Stderr)?;
        let bin = cluster.dir().join("story");
        run::session::lay_out(&bin, &cluster, &binaries.plugin())?;
        Self {
            cluster: Owned::Ours(Box::new(cluster), installed),
            bin,
        }
        .set()
    }

    /// On that of `./scripts/run`.
    pub(crate) fn running() -> anyhow::Result<Self> {
        let session = Session::here();
        let cluster = session.cluster()?;
        forget_requests(&cluster)?;
        Self {
            cluster: Owned::Theirs(cluster),
            bin: session.bin(),
        }
        .set()
    }

    fn set(self) -> anyhow::Result<Self> {
        for person in Person::ALL {
            let users = [(person.name(), person.groups())];
            self.cluster
                .get()
                .write_kubeconfig(&self.kubeconfig(person), &users)?;
            // As it is called in the denials.
            let rename = ["config", "rename-context", person.name(), "dev"];
            kubectl::output(self.desk(person).command("kubectl").args(rename), None)?;
        }
        let sleep = ["sleep", "100000"];
        let container = json!({"name": "main", "image": "localhost/busybox:1", "imagePullPolicy": "Never", "command": sleep});
        let pod = json!({
            "apiVersion": "v1", "kind": "Pod", "metadata": {"name": "box", "namespace": "default"},
            "spec": {"nodeName": "127.0.0.1", "terminationGracePeriodSeconds": 0, "containers": [container]},
        });
        kubectl::apply(self.cluster.get().kubectl_as_admin(), &[pod])?;
        let wait = ["wait", "--for=condition=Ready", "--timeout=60s", "pod/box"];
        kubectl::output(self.cluster.get().kubectl_as_admin().args(wait), None)?;
        Ok(self)
    }

    /// Ends it.
    pub(crate) fn clear(self) -> anyhow::Result<()> {
        match self.cluster {
            Owned::Ours(cluster, _installed) => Ok(cluster.stop()?),
            Owned::Theirs(cluster) => Ok(kubectl::output(
                cluster.kubectl_as_admin().args(["delete", "pod", "box"]),
                None,
            )
            .map(drop)?),
        }
    }

    fn kubeconfig(&self, person: Person) -> PathBuf {
        self.cluster
            .get()
            .dir()
            .join(format!("story-{}", person.name()))
    }

    /// Where a person types.
    pub(crate) fn desk(&self, person: Person) -> Desk {
        Desk {
            bin: self.bin.clone(),
            kubeconfig: self.kubeconfig(person),
            cache: self.cluster.get().dir().join("kubectl-cache"),
        }
    }

    /// Paths of this machine, which are nobody else's business.
    pub(crate) fn paths(&self) -> Vec<String> {
        let home = std::env::var_os("HOME")
            .map(PathBuf::from)
            .filter(|home| home.parent().is_some());
        let here = [
            Some(run::checkout()),
            Some(self.cluster.get().dir().to_owned()),
            cluster::cache_dir(),
            home,
        ];
        here.iter()
            .flatten()
            .map(|path: &PathBuf| Path::display(path).to_string())
            .collect()
    }
}

/// jane has not asked for anything when the story begins.
fn forget_requests(cluster: &Cluster) -> anyhow::Result<()> {
    // The label is the plugin's: objects of hers need not have it.
    let hers = r#"jsonpath={.items[?(@.spec.userInfo.username=="jane")].metadata.name}"#;
    let names = kubectl::output(
        cluster.kubectl_as_admin().args(["get", "acr", "-o", hers]),
        None,
    )?;
    if !names.trim().is_empty() {
        kubectl::output(
            cluster
                .kubectl_as_admin()
                .args(["delete", "acr"])
                .args(names.split_whitespace()),
            None,
        )?;
    }
    Ok(())
}
