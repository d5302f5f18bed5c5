//! etcd, kube-apiserver and kube-controller-manager.

use std::net::{IpAddr, Ipv4Addr};
use std::path::PathBuf;
use std::process::Command;

use serde_json::json;

use crate::files;
use crate::kubeconfig::{self, Kubeconfig};
use crate::node::{self, Node};
use crate::pki::{self, Authority, Identity, PkiError, Subject};
use crate::run_dir::{RunDir, State};
use crate::subnet::Subnet;

/// Why the control plane's files are not there.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ControlPlaneError {
    /// A certificate cannot be made.
    #[error(transparent)]
    Pki(#[from] PkiError),
    /// A file cannot be written.
    #[error("cannot write {path}")]
    Write {
        /// Which.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
}

/// A process of the control plane.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Server {
    Etcd,
    Api,
    ControllerManager,
}

impl Server {
    /// The name of its command and its log.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Etcd => "etcd",
            Self::Api => "kube-apiserver",
            Self::ControllerManager => "kube-controller-manager",
        }
    }
}

/// The control plane of one cluster.
pub(crate) struct ControlPlane<'a> {
    pub(crate) dir: &'a RunDir,
    pub(crate) state: &'a State,
}

impl ControlPlane<'_> {
    /// Makes all keys and certificates, and the kubeconfigs of the cluster's own parts.
    pub(crate) fn configure(&self) -> Result<(), ControlPlaneError> {
        let authority = Authority::create(&self.dir.pki())?;
        let subnet = Subnet(self.state.number);
        let server = Subject {
            name: "kube-apiserver",
            dns: &[
                "localhost",
                "kubernetes",
                "kubernetes.default",
                "kubernetes.default.svc",
            ],
            ips: &[
                LOOPBACK,
                subnet.first_service().into(),
                subnet.gateway().into(),
            ],
            ..Subject::default()
        };
        authority
            .sign(&server)?
            .keep(&self.dir.pki(), "apiserver")?;
        let client = Subject {
            name: "kube-apiserver-kubelet-client",
            groups: &["system:masters"],
            ..Subject::default()
        };
        authority
            .sign(&client)?
            .keep(&self.dir.pki(), "apiserver-kubelet-client")?;
        pki::signing_key(&self.dir.pki())?;
        self.components(&authority)?;
        self.write("audit-policy.json", &audit_policy())
    }

    fn components(&self, authority: &Authority) -> Result<(), ControlPlaneError> {
        let name = format!("system:node:{}", node::NAME);
        let kubelet = Subject {
            name: &name,
            groups: &["system:nodes"],
            ips: &[LOOPBACK],
            ..Subject::default()
        };
        let kubelet = authority.sign(&kubelet)?;
        kubelet.keep(&self.dir.pki(), "kubelet")?;
        self.kubeconfig(authority, "kubelet", kubelet)?;
        let manager = Subject {
            name: "system:kube-controller-manager",
            ..Subject::default()
        };
        self.kubeconfig(authority, "controller-manager", authority.sign(&manager)?)
    }

    fn kubeconfig(
        &self,
        authority: &Authority,
        name: &str,
        identity: Identity,
    ) -> Result<(), ControlPlaneError> {
        let path = self.dir.users().join(format!("{name}.kubeconfig"));
        let kubeconfig = Kubeconfig {
            cluster: "kra".to_owned(),
            server: self.server(),
            authority: authority.certificate().to_owned(),
            users: vec![(name.to_owned(), identity)],
        };
        kubeconfig
            .write(&path)
            .map_err(|source| ControlPlaneError::Write { path, source })
    }

    /// Has the API server show a certificate to admission webhooks at `host`; answers with the flag
    /// for it.
    pub(crate) fn webhook_client(
        &self,
        host: &str,
        identity: &Identity,
    ) -> Result<String, ControlPlaneError> {
        // No context: a current one's user would be shown to every other webhook too.
        let clients = json!({"apiVersion": "v1", "kind": "Config", "users": [kubeconfig::user(host, identity)]});
        let path = self.dir.join("webhook-clients.json");
        files::write_private(&path, clients.to_string().as_bytes()).map_err(|source| {
            ControlPlaneError::Write {
                path: path.clone(),
                source,
            }
        })?;
        let configuration = json!({
            "apiVersion": "apiserver.config.k8s.io/v1", "kind": "WebhookAdmissionConfiguration",
            "kubeConfigFile": path,
        });
        let plugins = ["ValidatingAdmissionWebhook", "MutatingAdmissionWebhook"]
            .map(|name| json!({"name": name, "configuration": configuration}));
        let admission = json!({
            "apiVersion": "apiserver.config.k8s.io/v1", "kind": "AdmissionConfiguration", "plugins": plugins,
        });
        self.write("admission.json", &admission.to_string())?;
        Ok(format!(
            "--admission-control-config-file={}",
            self.dir.join("admission.json").display()
        ))
    }

    fn write(&self, name: &str, text: &str) -> Result<(), ControlPlaneError> {
        let path = self.dir.join(name);
        std::fs::write(&path, text).map_err(|source| ControlPlaneError::Write { path, source })
    }

    /// Where this machine reaches the API server.
    pub(crate) fn server(&self) -> String {
        format!("https://127.0.0.1:{}", self.state.api_port)
    }

    /// Where etcd listens.
    pub(crate) fn etcd_socket(&self) -> PathBuf {
        self.dir.join("etcd.sock")
    }

    fn etcd_url(&self) -> String {
        format!("unix://{}", self.etcd_socket().display())
    }

    /// Adds the flags of a server to its command.
    pub(crate) fn configure_command(&self, server: Server, command: &mut Command) {
        match server {
            Server::Etcd => self.etcd(command),
            Server::Api => self.api_server(command),
            Server::ControllerManager => self.controller_manager(command),
        }
    }

    /// etcd on a socket in the run directory: no port to choose, and nobody else's to read.
    fn etcd(&self, etcd: &mut Command) {
        let client = self.etcd_url();
        let peer = format!("unix://{}", self.dir.join("etcd-peer.sock").display());
        flag(etcd, "data-dir", self.dir.join("etcd").display());
        flag(etcd, "listen-client-urls", &client);
        flag(etcd, "advertise-client-urls", &client);
        flag(etcd, "listen-peer-urls", &peer);
        flag(etcd, "initial-advertise-peer-urls", &peer);
        flag(etcd, "initial-cluster", format!("default={peer}"));
        // Nothing here survives a crash of the machine, nor should it.
        etcd.arg("--unsafe-no-fsync");
    }

    fn api_server(&self, server: &mut Command) {
        let subnet = Subnet(self.state.number);
        // Pods reach it by their gateway, an address the machine has only while there are pods.
        let bind = if self.state.node == Node::Containers {
            Ipv4Addr::UNSPECIFIED
        } else {
            Ipv4Addr::LOCALHOST
        };
        flag(server, "etcd-servers", self.etcd_url());
        flag(server, "secure-port", self.state.api_port);
        flag(server, "bind-address", bind);
        flag(server, "advertise-address", subnet.gateway());
        flag(server, "service-cluster-ip-range", subnet.services());
        self.api_server_trust(server);
        flag(server, "authorization-mode", "Node,RBAC");
        flag(server, "anonymous-auth", false);
        flag(server, "enable-admission-plugins", "NodeRestriction");
        // Webhooks and API services reach a Service's endpoints without a kube-proxy.
        flag(server, "enable-aggregator-routing", true);
        flag(server, "allow-privileged", true);
        flag(server, "profiling", false);
        flag(
            server,
            "audit-policy-file",
            self.dir.join("audit-policy.json").display(),
        );
        flag(
            server,
            "audit-log-path",
            self.dir.logs().join("audit.log").display(),
        );
        // Rotated away, half of a long test would be missing. In megabytes.
        flag(server, "audit-log-maxsize", 100_000);
    }

    fn api_server_trust(&self, server: &mut Command) {
        let pki = |name: &str| self.dir.pki().join(name).display().to_string();
        flag(server, "tls-cert-file", pki("apiserver.crt"));
        flag(server, "tls-private-key-file", pki("apiserver.key"));
        flag(server, "client-ca-file", pki("ca.crt"));
        flag(server, "kubelet-certificate-authority", pki("ca.crt"));
        flag(
            server,
            "kubelet-client-certificate",
            pki("apiserver-kubelet-client.crt"),
        );
        flag(
            server,
            "kubelet-client-key",
            pki("apiserver-kubelet-client.key"),
        );
        flag(
            server,
            "service-account-issuer",
            "https://kubernetes.default.svc",
        );
        flag(server, "service-account-key-file", pki("sa.pub"));
        flag(server, "service-account-signing-key-file", pki("sa.key"));
    }

    fn controller_manager(&self, manager: &mut Command) {
        let pki = |name: &str| self.dir.pki().join(name).display().to_string();
        flag(
            manager,
            "kubeconfig",
            self.dir
                .users()
                .join("controller-manager.kubeconfig")
                .display(),
        );
        flag(manager, "service-account-private-key-file", pki("sa.key"));
        flag(manager, "root-ca-file", pki("ca.crt"));
        flag(manager, "cluster-signing-cert-file", pki("ca.crt"));
        flag(manager, "cluster-signing-key-file", pki("ca.key"));
        // Each controller has an identity of its own, as in real clusters.
        flag(manager, "use-service-account-credentials", true);
        flag(manager, "controllers", "*,-node-ipam-controller");
        // Some forty identities are made one after the other at the start, at the default of 20 a
        // second.
        flag(manager, "kube-api-qps", 500);
        flag(manager, "kube-api-burst", 1000);
        flag(manager, "leader-elect", false);
        flag(manager, "secure-port", 0);
    }
}

const LOOPBACK: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);

fn flag(command: &mut Command, name: &str, value: impl std::fmt::Display) {
    command.arg(format!("--{name}={value}"));
}

/// Who did what, without the bodies; the beginning of a request says nothing its end does not.
fn audit_policy() -> String {
    json!({
        "apiVersion": "audit.k8s.io/v1", "kind": "Policy", "omitStages": ["RequestReceived"],
        "rules": [{"level": "Metadata"}],
    })
    .to_string()
}
