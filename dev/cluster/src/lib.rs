//! A real one-node Kubernetes without Docker, for tests and for trying things out.
//!
//! etcd, kube-apiserver, kube-controller-manager and a kubelet with containerd and runc are built
//! from Go modules once, kept in a cache, and started as root in some five seconds. Everything is
//! blocking.
//!
//! ```no_run
//! use kra_cluster::{Cluster, Options};
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let cluster = Cluster::start(&Options::default())?;
//! cluster.deploy_nginx(Default::default())?;
//! let jane = cluster.user("jane", &["dev"])?;
//! cluster.kubectl(&jane).args(["exec", "deploy/nginx", "--", "ls"]).status()?;
//! cluster.stop()?;
//! # Ok(())
//! # }
//! ```
//!
//! [`Running`] is the owner of a cluster: dropped, or its process gone in whatever way (a panic,
//! ^C, SIGKILL), everything of the cluster goes too. A static in a test binary is fine: it is never
//! dropped, but the process ends. [`Cluster`] is what one can do with a cluster; another process
//! gets one by [`Cluster::attach`].
//!
//! Where there is no root, [`Cluster::start`] fails with [`StartError::ContainersImpossible`], and
//! the caller decides whether [`NodeChoice::LocalAgent`] will do: then `kubectl exec` runs plain
//! processes of this machine.

mod api;
mod build;
mod cgroup;
mod cluster;
mod component;
mod control_plane;
mod digest;
mod etcd;
mod files;
pub mod image;
mod invoker;
mod keeper;
mod keeper_script;
mod kubeconfig;
mod node;
mod pki;
mod ports;
mod progress;
mod registry;
mod run_dir;
mod start;
mod subnet;
mod tools;
mod wait;
mod workload;

pub use api::ApiError;
pub use build::{BuildError, Built, build, dir as cache_dir};
pub use cgroup::CgroupError;
pub use cluster::{ADMIN, Cluster, ClusterError};
pub use component::ComponentError;
pub use control_plane::ControlPlaneError;
pub use invoker::{Invoker, builder};
pub use keeper::KeeperError;
pub use kubeconfig::Kubeconfig;
pub use node::Node;
pub use node::container::{ContainerError, what_is_missing_for_containers};
pub use pki::{Identity, PkiError};
pub use progress::{Progress, Step};
pub use registry::RegistryError;
pub use start::{NodeChoice, Options, Running, StartError};

/// What kubeconfigs call the cluster.
pub const CLUSTER_NAME: &str = "kra";
