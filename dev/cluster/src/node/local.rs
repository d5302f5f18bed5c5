//! A node without containers, for where there is no root: pods are plain processes of this machine.

use std::path::Path;
use std::process::Command;

use crate::component::{Component, ComponentError};
use crate::run_dir::{RunDir, State};

/// Starts the agent. Pods find the busybox of the cluster on their PATH, after the machine's own
/// commands.
pub(crate) fn start(
    dir: &RunDir,
    state: &State,
    localnode: &Path,
) -> Result<Component, ComponentError> {
    let mut command = Command::new(localnode.join("localnode"));
    command
        .arg("-name")
        .arg(super::NAME)
        .arg("-port")
        .arg(state.kubelet_port.to_string());
    command
        .arg("-kubeconfig")
        .arg(dir.users().join("kubelet.kubeconfig"));
    command
        .arg("-tls-cert")
        .arg(dir.join("pki/kubelet.crt"))
        .arg("-tls-key")
        .arg(dir.join("pki/kubelet.key"));
    command
        .arg("-client-ca")
        .arg(dir.join("pki/ca.crt"))
        .arg("-root")
        .arg(dir.join("containers"));
    command
        .env(crate::keeper::MARK, dir.path())
        .env("PATH", path(state));
    Component::start("localnode", &mut command, &dir.logs())
}

fn path(state: &State) -> std::ffi::OsString {
    let mut path = std::env::var_os("PATH").unwrap_or_default();
    path.push(":");
    path.push(&state.built.busybox);
    path
}
