//! A cluster: where it is, who may use it, what runs in it.

use std::ffi::OsString;
use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::api::{Api, ApiError};
use crate::control_plane::ControlPlane;
use crate::etcd;
use crate::kubeconfig::Kubeconfig;
use crate::node::Node;
use crate::node::container::{ContainerError, ContainerNode};
use crate::pki::{Authority, Identity, PkiError, Subject};
use crate::registry::{Registry, RegistryError};
use crate::run_dir::{RunDir, State};
use crate::subnet::Subnet;

/// Why something could not be done with a cluster that runs.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ClusterError {
    /// There is no cluster there.
    #[error("there is no cluster in {dir}")]
    NoState {
        /// The directory.
        dir: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The cluster there has ended.
    #[error("the cluster of {dir} does not run any more")]
    Ended {
        /// The directory.
        dir: PathBuf,
    },
    /// The machine's list of clusters cannot be read.
    #[error(transparent)]
    Registry(#[from] RegistryError),
    /// A user's certificate cannot be made.
    #[error(transparent)]
    Pki(#[from] PkiError),
    /// A kubeconfig cannot be written.
    #[error("cannot write the kubeconfig {path}")]
    Kubeconfig {
        /// Which.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// kubectl has refused to change a kubeconfig.
    #[error("kubectl cannot add {user} to {path}: {said}")]
    AddContext {
        /// Whom.
        user: String,
        /// The kubeconfig.
        path: PathBuf,
        /// kubectl's words.
        said: String,
    },
    /// An image cannot be loaded.
    #[error(transparent)]
    Container(#[from] ContainerError),
    /// The node runs no containers.
    #[error(
        "{image} cannot be loaded: the node of this cluster runs plain processes, no containers"
    )]
    NoContainers {
        /// The archive.
        image: PathBuf,
    },
    /// etcd did not take a value, or did not give one.
    #[error("cannot write or read {key} in the store")]
    Store {
        /// Its key.
        key: String,
        /// Why.
        source: io::Error,
    },
    /// The API server did not answer as hoped.
    #[error(transparent)]
    Api(#[from] ApiError),
    /// Something did not happen in time.
    #[error("{what} after {seconds} s{detail}")]
    Late {
        /// What is not there.
        what: String,
        /// How long it was waited for.
        seconds: u64,
        /// What is known of the reason; empty or beginning with `; `.
        detail: String,
    },
}

/// The administrator's user name.
pub const ADMIN: &str = "admin";

/// A cluster that runs. Owned by somebody (see [`Running`](crate::Running)), perhaps another
/// process.
#[derive(Debug, Clone)]
pub struct Cluster {
    pub(crate) dir: RunDir,
    pub(crate) state: State,
}

impl Cluster {
    /// The cluster another process has started in `dir` and still owns.
    ///
    /// # Errors
    /// When there is none, it is not ready yet, or it has ended.
    pub fn attach(dir: &Path) -> Result<Self, ClusterError> {
        let failed = |source| ClusterError::NoState {
            dir: dir.to_owned(),
            source,
        };
        let dir_found = RunDir::at(dir.canonicalize().map_err(failed)?);
        let state = State::read(&dir_found).map_err(failed)?;
        if !Registry::of_this_machine()?.is_alive(state.number, dir_found.path()) {
            return Err(ClusterError::Ended {
                dir: dir.to_owned(),
            });
        }
        Ok(Self {
            dir: dir_found,
            state,
        })
    }

    /// The cluster's run directory: state, certificates, logs. Gone when the cluster is.
    pub fn dir(&self) -> &Path {
        self.dir.path()
    }

    /// Where each component's log is, `NAME.log`.
    pub fn logs(&self) -> PathBuf {
        self.dir.logs()
    }

    /// The API server's audit log: one JSON event a line, without bodies.
    pub fn audit_log(&self) -> PathBuf {
        self.dir.logs().join("audit.log")
    }

    /// What runs the pods.
    pub fn node(&self) -> Node {
        self.state.node
    }

    /// The API server's URL on this machine, `https://127.0.0.1:PORT`.
    pub fn server(&self) -> String {
        ControlPlane {
            dir: &self.dir,
            state: &self.state,
        }
        .server()
    }

    /// Where pods reach the API server. No kube-proxy runs, so a pod's client must be told: set its
    /// container's environment `KUBERNETES_SERVICE_HOST` and `KUBERNETES_SERVICE_PORT` to these.
    pub fn api_server_for_pods(&self) -> SocketAddr {
        SocketAddr::new(self.host_for_pods(), self.state.api_port)
    }

    /// The address by which pods reach servers of this machine that listen on all addresses.
    pub fn host_for_pods(&self) -> IpAddr {
        match self.state.node {
            Node::Containers => Subnet(self.state.number).gateway().into(),
            Node::LocalAgent | Node::Nothing => Ipv4Addr::LOCALHOST.into(),
        }
    }

    /// The certificate that signs the API server's, PEM.
    ///
    /// # Errors
    /// When the cluster is gone.
    pub fn authority(&self) -> Result<String, ClusterError> {
        Ok(Authority::load(&self.dir.pki())?.certificate().to_owned())
    }

    /// Where kubectl and the control plane's commands are.
    pub fn bin_dir(&self) -> &Path {
        &self.state.built.kubernetes
    }

    /// The kubectl of the cluster's own version.
    pub fn kubectl_path(&self) -> PathBuf {
        self.bin_dir().join("kubectl")
    }

    /// The administrator's kubeconfig (group `system:masters`).
    pub fn admin_kubeconfig(&self) -> PathBuf {
        self.kubeconfig_of(ADMIN)
    }

    /// kubectl with this kubeconfig, and nothing of the caller's own kubectl settings.
    pub fn kubectl(&self, kubeconfig: &Path) -> Command {
        let mut command = Command::new(self.kubectl_path());
        command.env("KUBECONFIG", kubeconfig).env("KUBERC", "off");
        // Its cache of what the API server serves goes with the cluster: another one may get the
        // same port.
        command.env("KUBECACHEDIR", self.dir.join("kubectl-cache"));
        command
    }

    /// kubectl as the administrator.
    pub fn kubectl_as_admin(&self) -> Command {
        self.kubectl(&self.admin_kubeconfig())
    }

    /// Makes a certificate for a user and returns the path of a kubeconfig of hers in the run
    /// directory. What she may do is RBAC's to say. Called again, it replaces the file by one with
    /// the groups now given.
    ///
    /// # Errors
    /// When the certificate or the file cannot be made.
    pub fn user(&self, name: &str, groups: &[&str]) -> Result<PathBuf, ClusterError> {
        let path = self.kubeconfig_of(name);
        self.write_kubeconfig(&path, &[(name, groups)])?;
        Ok(path)
    }

    /// A certificate for a user, signed by the cluster's authority.
    ///
    /// # Errors
    /// When it cannot be made.
    pub fn identity(&self, name: &str, groups: &[&str]) -> Result<Identity, ClusterError> {
        let authority = Authority::load(&self.dir.pki())?;
        Ok(authority.sign(&Subject {
            name,
            groups,
            ..Subject::default()
        })?)
    }

    /// Writes a kubeconfig with one context for each of these users (name, groups), named as they
    /// are; the first is current. Certificates are embedded, so the file can be copied.
    ///
    /// # Errors
    /// When a certificate or the file cannot be made.
    pub fn write_kubeconfig(
        &self,
        path: &Path,
        users: &[(&str, &[&str])],
    ) -> Result<(), ClusterError> {
        let identity = |(name, groups): &(&str, &[&str])| {
            Ok(((*name).to_owned(), self.identity(name, groups)?))
        };
        let kubeconfig = Kubeconfig {
            cluster: crate::CLUSTER_NAME.to_owned(),
            server: self.server(),
            authority: self.authority()?,
            users: users
                .iter()
                .map(identity)
                .collect::<Result<_, ClusterError>>()?,
        };
        kubeconfig
            .write(path)
            .map_err(|source| ClusterError::Kubeconfig {
                path: path.to_owned(),
                source,
            })
    }

    /// Adds a context for a user to a kubeconfig that exists or not, whoever wrote it; its current
    /// context stays.
    ///
    /// # Errors
    /// When the certificate cannot be made or kubectl cannot change the file.
    pub fn add_context(
        &self,
        path: &Path,
        name: &str,
        groups: &[&str],
    ) -> Result<(), ClusterError> {
        self.identity(name, groups)?
            .keep(&self.dir.users(), &file_name(name))?;
        let pem = |kind| self.dir.users().join(format!("{}.{kind}", file_name(name)));
        let cluster = format!("--cluster={}", crate::CLUSTER_NAME);
        let change = |arguments: &[OsString]| self.change_kubeconfig(path, name, arguments);
        change(&[
            "set-cluster".into(),
            crate::CLUSTER_NAME.into(),
            format!("--server={}", self.server()).into(),
            "--embed-certs".into(),
            option("--certificate-authority=", &self.dir.join("pki/ca.crt")),
        ])?;
        change(&[
            "set-credentials".into(),
            name.into(),
            "--embed-certs".into(),
            option("--client-certificate=", &pem("crt")),
            option("--client-key=", &pem("key")),
        ])?;
        change(&[
            "set-context".into(),
            name.into(),
            cluster.into(),
            format!("--user={name}").into(),
            "--namespace=default".into(),
        ])
    }

    fn change_kubeconfig(
        &self,
        path: &Path,
        user: &str,
        arguments: &[OsString],
    ) -> Result<(), ClusterError> {
        let failed = |said| ClusterError::AddContext {
            user: user.to_owned(),
            path: path.to_owned(),
            said,
        };
        let mut kubectl = Command::new(self.kubectl_path());
        kubectl
            .arg("config")
            .arg("--kubeconfig")
            .arg(path)
            .args(arguments);
        let output = kubectl
            .output()
            .map_err(|error| failed(error.to_string()))?;
        if output.status.success() {
            Ok(())
        } else {
            Err(failed(
                String::from_utf8_lossy(&output.stderr).trim().to_owned(),
            ))
        }
    }

    /// Loads the images of a docker archive (see [`image::write`](crate::image::write)) into the
    /// node. Pods use them with `imagePullPolicy: Never`.
    ///
    /// # Errors
    /// When the node runs no containers, or containerd refuses the archive.
    pub fn load_image(&self, archive: &Path) -> Result<(), ClusterError> {
        match ContainerNode::of(&self.dir, &self.state) {
            Some(node) => Ok(node.load(archive)?),
            None => Err(ClusterError::NoContainers {
                image: archive.to_owned(),
            }),
        }
    }

    /// Writes an object into etcd, past the API server and all that it checks. Custom resources
    /// stand there as JSON, under `/registry/GROUP/PLURAL/NAMESPACE/NAME`.
    ///
    /// # Errors
    /// When etcd does not take it.
    pub fn plant(&self, key: &str, value: &[u8]) -> Result<(), ClusterError> {
        etcd::put(&self.etcd_socket(), key, value).map_err(store_failed(key))
    }

    /// The same of many, some thousands a second.
    ///
    /// # Errors
    /// When etcd does not take some of them.
    pub fn plant_all(&self, pairs: &[(String, Vec<u8>)]) -> Result<(), ClusterError> {
        let socket = self.etcd_socket();
        pairs.chunks(etcd::MANY).try_for_each(|some| {
            let first = some.first().map_or("", |(key, _)| key);
            etcd::put_all(&socket, some).map_err(store_failed(first))
        })
    }

    /// What stands in etcd under a key; `None` where nothing does.
    ///
    /// # Errors
    /// When etcd does not answer.
    pub fn stored(&self, key: &str) -> Result<Option<Vec<u8>>, ClusterError> {
        etcd::get(&self.etcd_socket(), key).map_err(store_failed(key))
    }

    /// Removes an object from etcd.
    ///
    /// # Errors
    /// When etcd does not answer.
    pub fn uproot(&self, key: &str) -> Result<(), ClusterError> {
        etcd::delete(&self.etcd_socket(), key).map_err(store_failed(key))
    }

    fn etcd_socket(&self) -> PathBuf {
        ControlPlane {
            dir: &self.dir,
            state: &self.state,
        }
        .etcd_socket()
    }

    pub(crate) fn api(&self) -> Result<Api, ClusterError> {
        let admin = self.identity(ADMIN, &["system:masters"])?;
        Ok(Api::new(&self.server(), &self.authority()?, &admin)?)
    }

    fn kubeconfig_of(&self, user: &str) -> PathBuf {
        self.dir
            .users()
            .join(format!("{}.kubeconfig", file_name(user)))
    }
}

fn store_failed(key: &str) -> impl FnOnce(io::Error) -> ClusterError {
    move |source| ClusterError::Store {
        key: key.to_owned(),
        source,
    }
}

fn option(name: &str, path: &Path) -> OsString {
    let mut option = OsString::from(name);
    option.push(path);
    option
}

/// A user's name as a file's: distinct names stay distinct, and none is a path.
fn file_name(user: &str) -> String {
    let plain =
        |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'@' | b'.');
    let encode = |byte: u8| {
        if plain(byte) {
            char::from(byte).to_string()
        } else {
            format!("%{byte:02X}")
        }
    };
    user.bytes().map(encode).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_users_file_never_leaves_its_directory() {
        assert_eq!(file_name("jane@example.com"), "jane@example.com");
        assert_eq!(file_name("../../etc/x"), "..%2F..%2Fetc%2Fx");
        assert_eq!(
            file_name("system:serviceaccount:a:b"),
            "system%3Aserviceaccount%3Aa%3Ab"
        );
    }
}
