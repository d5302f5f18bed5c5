//! Starting a cluster, owning it, and ending it.

use std::fs;
use std::io;
use std::ops::Deref;
use std::panic::resume_unwind;
use std::path::PathBuf;
use std::process::Command;
use std::thread;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use crate::api::Api;
use crate::build::{self, BuildError, Built};
use crate::cgroup::{self, CgroupError};
use crate::cluster::{ADMIN, Cluster, ClusterError};
use crate::component::{Component, ComponentError};
use crate::control_plane::{ControlPlane, ControlPlaneError, Server};
use crate::invoker::Invoker;
use crate::keeper::{Init, Keeper, KeeperError, MARK};
use crate::node::container::{ContainerError, ContainerNode, what_is_missing_for_containers};
use crate::node::{self, Node, local};
use crate::pki::Identity;
use crate::ports::Reserved;
use crate::progress::Progress;
use crate::registry::{Entry, Registry, RegistryError};
use crate::run_dir::{RunDir, State};
use crate::subnet;
use crate::wait;
use crate::workload::is_ready;

/// Why a cluster did not start.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StartError {
    /// Containers were asked for, or left to choose, and this machine cannot have them. The caller
    /// may ask whether [`NodeChoice::LocalAgent`] will do.
    #[error("containers cannot be run here; missing: {}", .missing.join(", "))]
    ContainersImpossible {
        /// What, in words.
        missing: Vec<String>,
    },
    /// Building failed.
    #[error(transparent)]
    Build(#[from] BuildError),
    /// There is no number left, or the list of clusters cannot be used.
    #[error(transparent)]
    Registry(#[from] RegistryError),
    /// The run directory cannot be used.
    #[error(
        "cannot use {dir} as the cluster's directory: it must be empty or not exist, and writable"
    )]
    Dir {
        /// Which.
        dir: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The run directory's path is too long for a socket in it.
    #[error("the path {dir} is too long for a socket in it: choose one of at most {longest} bytes")]
    LongDir {
        /// Which.
        dir: PathBuf,
        /// The limit.
        longest: usize,
    },
    /// The system gave no port.
    #[error("the system gave no free port")]
    Port {
        /// Why.
        source: io::Error,
    },
    /// The cgroups cannot be made.
    #[error(transparent)]
    Cgroup(#[from] CgroupError),
    /// The process that cleans up is missing.
    #[error(transparent)]
    Keeper(#[from] KeeperError),
    /// Certificates or files of the control plane are missing.
    #[error(transparent)]
    ControlPlane(#[from] ControlPlaneError),
    /// The container runtime is missing.
    #[error(transparent)]
    Container(#[from] ContainerError),
    /// A process has not started or has ended.
    #[error(transparent)]
    Component(#[from] ComponentError),
    /// The cluster does not do what it should.
    #[error(transparent)]
    Cluster(#[from] ClusterError),
    /// Something failed after processes were started; their logs are kept.
    #[error("the cluster did not start; all logs are in {logs}")]
    Logged {
        /// The logs' directory.
        logs: PathBuf,
        /// Why.
        source: Box<StartError>,
    },
}

/// What is to run the pods.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum NodeChoice {
    /// Containers; where they cannot be had, [`StartError::ContainersImpossible`] says why, and the
    /// caller decides.
    #[default]
    Auto,
    /// Containers, without looking first whether they can be had.
    Container,
    /// Plain processes of this machine, as this user, without isolation.
    LocalAgent,
    /// Nothing: there is no node and there are no controllers, only etcd and the API server.
    Nothing,
}

/// How a cluster is to be.
#[derive(Debug, Clone, Default)]
pub struct Options {
    /// What runs its pods.
    pub node: NodeChoice,
    /// Its run directory, empty or not there yet; chosen below the cache when `None`. Removed when
    /// the cluster ends.
    pub dir: Option<PathBuf>,
    /// More flags for kube-apiserver, such as `--feature-gates=…`; given last, so they win.
    pub api_server_flags: Vec<String>,
    /// Who the API server says it is to an admission webhook: the webhook's host, such as
    /// `NAME.NAMESPACE.svc`, or `*` for all; and the certificate and key that it shows there.
    pub webhook_client: Option<(String, Identity)>,
    /// Where progress is told.
    pub progress: Progress,
}

/// How long each step of the start may take.
const PATIENCE: Duration = Duration::from_mins(1);
/// The kernel takes 107 bytes for a socket's path; the longest name in the run directory is
/// `/etcd-peer.sock`.
const MAX_DIR_LEN: usize = 107 - 15;
/// A port may be taken by another process between being chosen and being used.
const ATTEMPTS: usize = 3;

/// A cluster this process owns: it ends with this value, and with this process however that ends.
#[derive(Debug)]
pub struct Running {
    cluster: Cluster,
    components: Vec<Component>,
    keeper: Keeper,
    // Held for as long as the cluster's number is in use.
    _entry: Entry,
}

impl Deref for Running {
    type Target = Cluster;

    fn deref(&self) -> &Cluster {
        &self.cluster
    }
}

impl Cluster {
    /// Builds what is not built yet and starts a cluster. Returns when its API server and node are
    /// ready and the namespace `default` can take pods.
    ///
    /// # Errors
    /// When building or starting fails. What was started is gone then; logs are kept, and the error
    /// names them.
    pub fn start(options: &Options) -> Result<Running, StartError> {
        let node = options.node.decide()?;
        let built = build::build(node, options.progress)?;
        let mut attempts = 1;
        loop {
            match Running::start(options, node, &built) {
                Err(error) if error.is_lost_port() && attempts < ATTEMPTS => {
                    attempts = attempts.saturating_add(1);
                }
                outcome => return outcome,
            }
        }
    }
}

impl NodeChoice {
    fn decide(self) -> Result<Node, StartError> {
        match self {
            Self::LocalAgent => Ok(Node::LocalAgent),
            Self::Nothing => Ok(Node::Nothing),
            Self::Container => Ok(Node::Containers),
            Self::Auto => match what_is_missing_for_containers() {
                missing if missing.is_empty() => Ok(Node::Containers),
                missing => Err(StartError::ContainersImpossible { missing }),
            },
        }
    }
}

impl StartError {
    fn is_lost_port(&self) -> bool {
        if let Self::Logged { source, .. } = self {
            return source.is_lost_port();
        }
        matches!(self, Self::Component(ComponentError::Ended { tail, .. }) if tail.contains("address already in use"))
    }
}

impl Running {
    fn start(options: &Options, node: Node, built: &Built) -> Result<Self, StartError> {
        let registry = Registry::of_this_machine()?;
        registry.sweep();
        let mut entry = registry.take(&subnet::routes())?;
        let ports = Ports::reserve(node)?;
        let dir = run_dir(options, entry.number)?;
        let state = State {
            number: entry.number,
            node,
            api_port: ports.api.number,
            kubelet_port: ports.kubelet.number,
            nginx_port: ports.nginx,
            built: built.clone(),
        };
        entry.describe(dir.path(), state.cgroup().as_deref())?;
        let mut running = Self::keep(Cluster { dir, state }, entry)?;
        match running.bring_up(ports, options) {
            Ok(()) => Ok(running),
            Err(error) => Err(running.fail(error)),
        }
    }

    /// Makes sure that all that comes is cleaned up, and starts the node's namespaces.
    fn keep(cluster: Cluster, entry: Entry) -> Result<Self, StartError> {
        let Cluster { dir, state } = &cluster;
        let cgroup = state.cgroup();
        let keeper = match ContainerNode::of(dir, state) {
            Some(node) => {
                node.configure()?;
                let init = Init {
                    script: &dir.join("init.sh"),
                    env: &node.init_env(),
                };
                Keeper::start(dir, cgroup.as_deref(), &entry, Some(&init))?
            }
            None => Keeper::start(dir, None, &entry, None)?,
        };
        Ok(Self {
            cluster,
            components: Vec::new(),
            keeper,
            _entry: entry,
        })
    }

    fn bring_up(&mut self, ports: Ports, options: &Options) -> Result<(), StartError> {
        if let Some(name) = self.cluster.state.cgroup() {
            cgroup::make(&name)?;
        }
        ControlPlane {
            dir: &self.cluster.dir,
            state: &self.cluster.state,
        }
        .configure()?;
        self.cluster.user(ADMIN, &["system:masters"])?;
        let api = self.cluster.api()?;
        self.start_servers(&api, ports.api.reserved, options)?;
        if self.cluster.state.node != Node::Nothing {
            self.start_node(&api, ports.kubelet.reserved, options)?;
        }
        self.cluster
            .state
            .write(&self.cluster.dir)
            .map_err(|source| self.dir_failed(source))
    }

    /// What runs pods, and the controllers, until the namespace `default` can take pods.
    fn start_node(
        &mut self,
        api: &Api,
        port: Reserved,
        options: &Options,
    ) -> Result<(), StartError> {
        self.start_rest(port)?;
        let step = options
            .progress
            .step("waiting for the node and the namespace default");
        self.wait_for("the node is not ready", || node_is_ready(api))?;
        // A pod of before is mounted with these only at a second attempt, seconds later.
        self.wait_for("the namespace default is not set up", || {
            NEEDED_BY_PODS.iter().all(|path| api.is_ok(path))
        })?;
        step.done_as("node and namespace default are ready");
        Ok(())
    }

    /// Kills the API server and starts it again, as `options` had it started; returns when it is
    /// ready. Whoever watched it lists anew.
    ///
    /// # Errors
    /// It does not start. Then the cluster is of no use any more.
    pub fn restart_api_server(&mut self, options: &Options) -> Result<(), StartError> {
        let name = Server::Api.name();
        self.components
            .extract_if(.., |component| component.name() == name)
            .for_each(|mut component| component.reap());
        self.start_server(Server::Api, &self.api_server_flags(options)?)?;
        let api = self.cluster.api()?;
        self.wait_for("the API server is not ready", || api.is_ok("/readyz"))
    }

    /// The process ids of etcd, the API server and whatever else of the cluster is a child of this
    /// process, by name.
    pub fn processes(&self) -> Vec<(&'static str, u32)> {
        self.components
            .iter()
            .map(|component| (component.name(), component.id()))
            .collect()
    }

    fn dir_failed(&self, source: io::Error) -> StartError {
        StartError::Dir {
            dir: self.cluster.dir().to_owned(),
            source,
        }
    }

    /// etcd and the API server, and at the same time containerd with its images.
    fn start_servers(
        &mut self,
        api: &Api,
        port: Reserved,
        options: &Options,
    ) -> Result<(), StartError> {
        let step = options
            .progress
            .step("starting the API server and the container runtime");
        let cluster = self.cluster.clone();
        self.await_init()?;
        let runtime = thread::spawn(move || start_runtime(&cluster));
        self.start_server(Server::Etcd, &[])?;
        port.release();
        self.start_server(Server::Api, &self.api_server_flags(options)?)?;
        self.wait_for("the API server is not ready", || api.is_ok("/readyz"))?;
        let runtime = runtime
            .join()
            .unwrap_or_else(|panic| resume_unwind(panic))?;
        self.components.extend(runtime);
        step.done_as("API server and container runtime are ready");
        Ok(())
    }

    fn api_server_flags(&self, options: &Options) -> Result<Vec<String>, StartError> {
        let Cluster { dir, state } = &self.cluster;
        let control_plane = ControlPlane { dir, state };
        let client = options
            .webhook_client
            .as_ref()
            .map(|(host, identity)| control_plane.webhook_client(host, identity));
        Ok(client
            .transpose()?
            .into_iter()
            .chain(options.api_server_flags.iter().cloned())
            .collect())
    }

    fn await_init(&mut self) -> Result<(), StartError> {
        match ContainerNode::of(&self.cluster.dir, &self.cluster.state) {
            Some(node) => Ok(node.await_init(|| self.keeper.is_alive())?),
            None => Ok(()),
        }
    }

    fn start_rest(&mut self, port: Reserved) -> Result<(), StartError> {
        self.start_server(Server::ControllerManager, &[])?;
        port.release();
        let Cluster { dir, state } = &self.cluster;
        let node = match (ContainerNode::of(dir, state), &state.built.localnode) {
            (Some(node), _) => Some(node.start_kubelet()?),
            (None, Some(localnode)) => Some(local::start(dir, state, localnode)?),
            (None, None) => None,
        };
        self.components.extend(node);
        Ok(())
    }

    fn start_server(&mut self, server: Server, more: &[String]) -> Result<(), StartError> {
        let Cluster { dir, state } = &self.cluster;
        let control_plane = ControlPlane { dir, state };
        let program = state.built.kubernetes.join(server.name());
        let mut command = match ContainerNode::of(dir, state) {
            Some(node) => node.command(&program)?,
            None => Command::new(program),
        };
        control_plane.configure_command(server, &mut command);
        command.args(more);
        let component =
            Component::start(server.name(), command.env(MARK, dir.path()), &dir.logs())?;
        self.components.push(component);
        Ok(())
    }

    fn wait_for(
        &mut self,
        what: &str,
        mut condition: impl FnMut() -> bool,
    ) -> Result<(), StartError> {
        let components = &mut self.components;
        let happened = wait::until_ok(PATIENCE, || {
            components
                .iter_mut()
                .try_for_each(Component::check)
                .map(|()| condition())
        })?;
        if happened {
            return Ok(());
        }
        Err(ClusterError::Late {
            what: what.to_owned(),
            seconds: PATIENCE.as_secs(),
            detail: String::new(),
        }
        .into())
    }

    fn fail(mut self, error: StartError) -> StartError {
        let logs = self.cluster.logs();
        self.keep_logs();
        match self.end() {
            Ok(()) => StartError::Logged {
                logs,
                source: Box::new(error),
            },
            Err(slow) => slow.into(),
        }
    }

    /// Leaves the logs behind when the cluster ends, as starting it with `KRA_KEEP_LOGS` set does.
    pub fn keep_logs(&self) {
        // Without the file the logs go; that is no reason to fail what is failing already.
        drop(fs::write(self.cluster.dir.keep_logs(), ""));
    }

    /// Ends the cluster and waits until nothing of it is left: no process, cgroup, mount, network
    /// link or file.
    ///
    /// # Errors
    /// When something is still there after half a minute.
    pub fn stop(mut self) -> Result<(), KeeperError> {
        self.end()
    }

    fn end(&mut self) -> Result<(), KeeperError> {
        let ended = self.keeper.end();
        self.components
            .drain(..)
            .for_each(|mut component| component.reap());
        ended
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // The keeper goes on when it is slow, and there is nobody here to tell.
        drop(self.end());
    }
}

fn start_runtime(cluster: &Cluster) -> Result<Option<Component>, ContainerError> {
    let Some(node) = ContainerNode::of(&cluster.dir, &cluster.state) else {
        return Ok(None);
    };
    let containerd = node.start_containerd()?;
    node.load_base_images()?;
    Ok(Some(containerd))
}

/// What every pod of the namespace `default` is given.
const NEEDED_BY_PODS: [&str; 2] = [
    "/api/v1/namespaces/default/serviceaccounts/default",
    "/api/v1/namespaces/default/configmaps/kube-root-ca.crt",
];

fn node_is_ready(api: &Api) -> bool {
    api.get(&format!("/api/v1/nodes/{}", node::NAME))
        .is_ok_and(|node| node.is_some_and(|node| is_ready(&node)))
}

/// A port and what keeps it ours until it is used.
struct Port {
    reserved: Reserved,
    number: u16,
}

impl Port {
    fn reserve() -> io::Result<Self> {
        let reserved = Reserved::any()?;
        let number = reserved.number()?;
        Ok(Self { reserved, number })
    }
}

struct Ports {
    api: Port,
    kubelet: Port,
    nginx: u16,
}

impl Ports {
    /// In a container the workload has all ports to itself; a plain process shares the machine's.
    fn reserve(node: Node) -> Result<Self, StartError> {
        let reserve = || Port::reserve().map_err(|source| StartError::Port { source });
        let nginx = match node {
            Node::Containers => 80,
            Node::LocalAgent | Node::Nothing => reserve()?.number,
        };
        Ok(Self {
            api: reserve()?,
            kubelet: reserve()?,
            nginx,
        })
    }
}

fn run_dir(options: &Options, number: u8) -> Result<RunDir, StartError> {
    let dir = options
        .dir
        .clone()
        .map_or_else(|| default_dir(number), Ok)?;
    let run = RunDir::create(&dir).map_err(|source| StartError::Dir {
        dir: dir.clone(),
        source,
    })?;
    if run.path().as_os_str().len() > MAX_DIR_LEN {
        drop(fs::remove_dir_all(run.path()));
        return Err(StartError::LongDir {
            dir,
            longest: MAX_DIR_LEN,
        });
    }
    if std::env::var_os("KRA_KEEP_LOGS").is_some() {
        drop(fs::write(run.keep_logs(), ""));
    }
    Ok(run)
}

/// In the cache, where nobody else can put anything first; what root by sudo starts is root's, and in
/// no directory of the user's. The time keeps kept logs apart.
fn default_dir(number: u8) -> Result<PathBuf, BuildError> {
    let now = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default()
        .as_secs();
    let parent = match Invoker::by_sudo() {
        Some(_) => PathBuf::from("/var/lib/kube-request-access"),
        None => build::dir().ok_or(BuildError::NoCache)?,
    };
    Ok(parent.join("clusters").join(format!("{number}-{now}")))
}
