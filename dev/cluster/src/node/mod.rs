//! The node that runs the pods.

pub(crate) mod container;
pub(crate) mod local;

use serde::{Deserialize, Serialize};

/// The node's name, and the address by which the API server reaches it. The kubelet refuses a
/// loopback address as its address, but takes one as its name.
pub(crate) const NAME: &str = "127.0.0.1";

/// What runs a cluster's pods.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Node {
    /// kubelet, containerd and runc: real containers. Needs root.
    Containers,
    /// Plain processes of this machine, as this user, without isolation: `kubectl exec` runs right
    /// here.
    LocalAgent,
    /// No node, and no controllers: etcd and the API server alone, for measurements. Needs no root.
    Nothing,
}
