//! kube-request-access in a development cluster: images, certificates, receivers, server, webhooks,
//! people.

#![expect(
    clippy::indexing_slicing,
    reason = "a JSON value that has no such field is null"
)]

use std::{
    io,
    path::{Path, PathBuf},
    process::Command,
};

use cluster::{Cluster, ClusterError, Node, Progress, image};
use serde_json::Value;

use crate::{
    Binaries,
    certificates::{Authority, Pair},
    keys::{Keys, KeysError},
    kubectl::{self, KubectlError},
    local::{self, Process, ProcessError},
    manifests::{self, GRANTED_ROLE, NAME, NAMESPACE, Pods},
};

const SERVER_IMAGE: &str = "localhost/kube-request-access:dev";
const RECEIVERS_IMAGE: &str = "localhost/kube-request-access-receivers:dev";
/// The name that the node of a development cluster has.
const NODE: &str = "127.0.0.1";
/// Names under which the receivers' certificate is valid.
const RECEIVERS: [&str; 2] = [
    "audit-receiver.kube-request-access.svc",
    "validation-receiver.kube-request-access.svc",
];

/// Where the server runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Place {
    /// As a Deployment.
    Cluster,
    /// As a process on this machine.
    Local,
}

/// What is installed.
#[derive(Debug, Clone)]
pub struct Settings<'a> {
    /// The binaries.
    pub binaries: &'a Binaries,
    /// The directory with its kustomization, from the root of the repository.
    pub manifests: &'static str,
    /// Where the server runs.
    pub place: Place,
    /// More flags for the server.
    pub flags: Vec<String>,
    /// The second access model: no standing rights, a RoleBinding per grant.
    pub role_model: bool,
    /// How many replicas, in the cluster.
    pub replicas: u32,
    /// Reviews are believed by client certificates of this authority, PEM, instead of by a secret
    /// path.
    pub client_authority: Option<String>,
    /// Whether the example receivers are deployed and wired.
    pub receivers: bool,
}

/// What was installed. Processes on this machine end when this is dropped.
#[derive(Debug)]
pub struct Installed {
    /// The server, where it is a process.
    pub server: Option<Process>,
    /// What stands last in the path of every review, where that is why it is believed.
    pub review_path: Option<String>,
    /// The receivers, where they are processes: audit and validation.
    pub receivers: Vec<Process>,
}

/// Why it is not installed.
#[derive(Debug, thiserror::Error)]
pub enum InstallError {
    /// The cluster.
    #[error(transparent)]
    Cluster(#[from] ClusterError),
    /// An image.
    #[error(transparent)]
    Image(#[from] image::ImageError),
    /// A kubectl command.
    #[error(transparent)]
    Kubectl(#[from] KubectlError),
    /// A process.
    #[error(transparent)]
    Process(#[from] ProcessError),
    /// The keys.
    #[error(transparent)]
    Keys(#[from] KeysError),
    /// A certificate.
    #[error("cannot make a certificate")]
    Certificate(#[from] rcgen::Error),
    /// Rendered manifests.
    #[error("cannot read what kubectl kustomize prints for {path}")]
    Manifests {
        /// The directory.
        path: PathBuf,
        /// Why.
        source: Box<serde_saphyr::Error>,
    },
    /// A file.
    #[error("cannot write {path}")]
    File {
        /// Which.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// A context that is not in the user's kubeconfig, or no kubectl to look.
    #[error("cannot use the context {context}")]
    NoContext {
        /// The context.
        context: String,
        /// Why.
        source: KubectlError,
    },
    /// The image was neither built nor named.
    #[error("there is no image to install")]
    NoImage,
    /// A cluster of the user's into which nothing can be loaded.
    #[error(
        "the image cannot be loaded into {context}, which is neither kind nor k3d: push it, and name it with --image"
    )]
    NoLoader {
        /// The context.
        context: String,
    },
    /// The server or a receiver did not become ready.
    #[error("{what} did not become ready: {detail}")]
    NotReady {
        /// What.
        what: String,
        /// What is known.
        detail: String,
    },
}

/// Installs kube-request-access, and returns when the server is ready.
///
/// # Errors
/// Something cannot be built, applied or started; the error names it.
pub fn install(
    cluster: &Cluster,
    settings: &Settings<'_>,
    progress: Progress,
) -> Result<Installed, InstallError> {
    let step = progress.step("installing kube-request-access");
    let authority = Authority::new("kube-request-access of a development cluster")?;
    let setup = Setup {
        cluster,
        settings,
        authority,
    };
    let installed = match settings.place {
        Place::Cluster => setup.in_cluster()?,
        Place::Local => setup.local()?,
    };
    step.done_as("kube-request-access is installed and ready");
    Ok(installed)
}

/// Puts a newly built server into a cluster where it runs as a Deployment, and returns when it is
/// ready.
///
/// # Errors
/// It cannot be loaded, or does not become ready.
pub fn update(
    cluster: &Cluster,
    binaries: &Binaries,
    generation: u32,
    progress: Progress,
) -> Result<(), InstallError> {
    let step = progress.step("replacing the server");
    let tag = format!("{SERVER_IMAGE}-{generation}");
    let archive = cluster.dir().join("server.tar");
    let mut server = image::Image::of_binary(&tag, &binaries.server());
    server.user = Some("65532".to_owned());
    image::write(&server, &archive)?;
    cluster.load_image(&archive)?;
    let deployment = format!("deployment/{NAME}");
    let set = [
        "set",
        "image",
        "-n",
        NAMESPACE,
        &deployment,
        &format!("server={tag}"),
    ];
    kubectl::output(cluster.kubectl_as_admin().args(set), None)?;
    let rollout = [
        "rollout",
        "status",
        "-n",
        NAMESPACE,
        "--timeout=60s",
        &deployment,
    ];
    kubectl::output(cluster.kubectl_as_admin().args(rollout), None)?;
    step.done_as("the new server is ready");
    Ok(())
}

struct Setup<'a> {
    cluster: &'a Cluster,
    settings: &'a Settings<'a>,
    authority: Authority,
}

impl Setup<'_> {
    fn in_cluster(&self) -> Result<Installed, InstallError> {
        self.load_images()?;
        let mut objects = self.render(self.settings.manifests)?;
        self.apply(&manifests_of(&objects, "Namespace"))?;
        let hosts = if self.settings.receivers {
            self.deploy_receivers()?
        } else {
            Vec::new()
        };
        let mut flags = self.flags();
        if self.settings.receivers {
            let urls = RECEIVERS.map(|name| format!("https://{name}:8443/"));
            flags.extend(webhook_flags(&urls, "/receivers/ca.crt"));
            manifests::mount(&mut objects, "receivers-ca", "/receivers");
        }
        manifests::place(&mut objects, &self.pods(SERVER_IMAGE, hosts));
        manifests::configure(&mut objects, &flags, self.settings.replicas);
        let review_path = self.authenticate(&mut objects)?;
        let service = format!("{NAME}.{NAMESPACE}.svc");
        objects.push(manifests::tls_secret(
            "kube-request-access-tls",
            &self.authority.serving(&[&service])?,
        ));
        manifests::trust(&mut objects, &self.authority.pem(), None);
        objects.extend(self.rights()?);
        self.apply_all(&objects)?;
        self.wait_for(NAME)?;
        Ok(Installed {
            server: None,
            review_path,
            receivers: Vec::new(),
        })
    }

    /// How the server in the cluster knows the API server's reviews; answers with the secret path,
    /// where that is how.
    fn authenticate(&self, objects: &mut Vec<Value>) -> Result<Option<String>, InstallError> {
        let keys = Keys::of(self.kubectl())?;
        objects.push(keys.secret());
        let Some(authority) = &self.settings.client_authority else {
            manifests::append_to_paths(objects, &keys.review_path);
            return Ok(Some(keys.review_path));
        };
        objects.push(manifests::config_map(
            "webhook-clients",
            "ca.crt",
            authority,
        ));
        manifests::mount(objects, "webhook-clients", "/clients");
        manifests::replace_flag(
            objects,
            "--review-path-file",
            "--client-ca-file=/clients/ca.crt",
        );
        Ok(None)
    }

    fn local(&self) -> Result<Installed, InstallError> {
        let dir = self.cluster.dir().join("server");
        let mut objects = self.render(self.settings.manifests)?;
        // The lock is made for a server in the cluster: it knows it by its ServiceAccount and its
        // Service.
        let elsewhere = [
            "Deployment",
            "Service",
            "ValidatingAdmissionPolicy",
            "ValidatingAdmissionPolicyBinding",
        ];
        objects.retain(|object| !elsewhere.iter().any(|kind| manifests::is(object, kind)));
        objects.extend(self.rights()?);
        let (webhooks, others): (Vec<Value>, Vec<Value>) =
            objects.into_iter().partition(is_webhook_configuration);
        self.apply_all(&others)?;
        let receivers = if self.settings.receivers {
            self.start_receivers(&dir)?
        } else {
            Vec::new()
        };
        let mut webhooks = webhooks;
        let (flags, review_path) = self.authenticate_locally(&dir, &mut webhooks)?;
        let server = self.start_server(&dir, &receivers, &flags)?;
        manifests::trust(
            &mut webhooks,
            &self.authority.pem(),
            Some(&format!("https://{}", server.address)),
        );
        self.wait_until_listening(&server)?;
        self.apply(&webhooks)?;
        Ok(Installed {
            server: Some(server),
            review_path,
            receivers,
        })
    }

    /// The same for a process: its flags, that of the seal among them, and the secret path.
    fn authenticate_locally(
        &self,
        dir: &Path,
        webhooks: &mut [Value],
    ) -> Result<(Vec<String>, Option<String>), InstallError> {
        let keys = Keys::make()?;
        let file = |name: &str, content: &str| {
            local::write(dir, name, content).map(|file| file.display().to_string())
        };
        let seal = format!("--seal-key-file={}", file("seal-key", &keys.seal_key()?)?);
        if let Some(authority) = &self.settings.client_authority {
            return Ok((
                vec![
                    seal,
                    format!("--client-ca-file={}", file("clients.crt", authority)?),
                ],
                None,
            ));
        }
        manifests::append_to_paths(webhooks, &keys.review_path);
        let path = format!(
            "--review-path-file={}",
            file("review-path", &keys.review_path)?
        );
        Ok((vec![seal, path], Some(keys.review_path)))
    }

    /// Flags of every installation.
    fn flags(&self) -> Vec<String> {
        let mut flags = vec![
            "--always-allowed-group-name=system:masters".to_owned(),
            "--cluster-name=dev".to_owned(),
        ];
        if self.settings.role_model {
            flags.push(format!("--granted-role-name={GRANTED_ROLE}"));
        }
        flags.extend(self.settings.flags.iter().cloned());
        flags
    }

    fn rights(&self) -> Result<Vec<Value>, InstallError> {
        let mut objects = manifests::people(!self.settings.role_model);
        if self.settings.role_model {
            objects.extend(role_model()?);
        }
        Ok(objects)
    }

    fn load_images(&self) -> Result<(), InstallError> {
        let binaries = self.settings.binaries;
        let mut server = image::Image::of_binary(SERVER_IMAGE, &binaries.server());
        server.user = Some("65532".to_owned());
        self.load(&server, "server.tar")?;
        if self.settings.receivers {
            let copy = |from: PathBuf| {
                let path = from
                    .file_name()
                    .map(|name| name.to_string_lossy().into_owned())
                    .unwrap_or_default();
                image::Entry::Copy { path, from }
            };
            let entries = vec![
                copy(binaries.audit_receiver()),
                copy(binaries.validation_receiver()),
            ];
            let image = image::Image {
                tag: RECEIVERS_IMAGE.to_owned(),
                entries,
                ..image::Image::default()
            };
            self.load(&image, "receivers.tar")?;
        }
        Ok(())
    }

    fn load(&self, image: &image::Image, file: &str) -> Result<(), InstallError> {
        let archive = self.cluster.dir().join(file);
        image::write(image, &archive)?;
        self.cluster.load_image(&archive)?;
        Ok(())
    }

    /// Deploys the receivers; answers with their names and addresses, since no DNS runs.
    fn deploy_receivers(&self) -> Result<Vec<(String, String)>, InstallError> {
        let mut objects = self.render("examples/receivers")?;
        manifests::place(&mut objects, &self.pods(RECEIVERS_IMAGE, Vec::new()));
        objects.push(manifests::tls_secret(
            "receivers-tls",
            &self.authority.serving(&RECEIVERS)?,
        ));
        objects.push(manifests::config_map(
            "receivers-ca",
            "ca.crt",
            &self.authority.pem(),
        ));
        self.apply(&objects)?;
        let address = |name: &str| {
            let short = name.split('.').next().unwrap_or(name);
            self.wait_for(short)?;
            let selector = format!("app.kubernetes.io/name={short}");
            let path = "jsonpath={.items[0].status.podIP}";
            let ip = kubectl::output(
                self.kubectl()
                    .args(["get", "pods", "-n", NAMESPACE, "-l", &selector, "-o", path]),
                None,
            )?;
            Ok((name.to_owned(), ip))
        };
        RECEIVERS.iter().map(|name| address(name)).collect()
    }

    fn start_receivers(&self, dir: &Path) -> Result<Vec<Process>, InstallError> {
        let pair = self.authority.serving(&["127.0.0.1"])?;
        let binaries = self.settings.binaries;
        let start = |binary: PathBuf, name: &str| {
            let (certificate, key) = local::write_pair(&dir.join(name), &pair)?;
            let mut command = Command::new(binary);
            command
                .arg("--address=127.0.0.1:0")
                .arg("--cert-file")
                .arg(certificate)
                .arg("--key-file")
                .arg(key);
            Process::start(command, dir.join(format!("{name}.log")))
        };
        Ok(vec![
            start(binaries.audit_receiver(), "audit-receiver")?,
            start(binaries.validation_receiver(), "validation-receiver")?,
        ])
    }

    fn start_server(
        &self,
        dir: &Path,
        receivers: &[Process],
        keys: &[String],
    ) -> Result<Process, InstallError> {
        let pair: Pair = self.authority.serving(&["127.0.0.1", "localhost"])?;
        let (certificate, key) = local::write_pair(dir, &pair)?;
        let bundle = local::write(dir, "ca.crt", &self.authority.pem())?;
        let mut command = Command::new(self.settings.binaries.server());
        command
            .arg("--address=127.0.0.1:0")
            .arg("--cert-file")
            .arg(certificate)
            .arg("--key-file")
            .arg(key);
        command.args(keys).args(self.flags());
        let urls: Vec<String> = receivers
            .iter()
            .map(|receiver| format!("https://{}/", receiver.address))
            .collect();
        if let [audit, validation] = urls.as_slice() {
            command.args(webhook_flags(
                &[audit.clone(), validation.clone()],
                &bundle.display().to_string(),
            ));
        }
        command.env("KUBECONFIG", self.cluster.admin_kubeconfig());
        Ok(Process::start(command, dir.join("server.log"))?)
    }

    fn pods(&self, image: &str, hosts: Vec<(String, String)>) -> Pods {
        let api = self.cluster.api_server_for_pods();
        Pods {
            image: image.to_owned(),
            pull_policy: "Never",
            node: Some(NODE.to_owned()),
            api_server: Some((api.ip().to_string(), api.port().to_string())),
            hosts,
            is_watched: true,
        }
    }

    fn render(&self, dir: &str) -> Result<Vec<Value>, InstallError> {
        render(self.kubectl(), dir)
    }

    fn apply(&self, objects: &[Value]) -> Result<(), InstallError> {
        Ok(kubectl::apply(self.kubectl(), objects)?)
    }

    /// Everything, the definitions first: objects of a kind are taken only once the kind is known.
    fn apply_all(&self, objects: &[Value]) -> Result<(), InstallError> {
        let definitions = manifests_of(objects, "CustomResourceDefinition");
        self.apply(&manifests_of(objects, "Namespace"))?;
        self.apply(&definitions)?;
        for definition in &definitions {
            let name = format!(
                "crd/{}",
                definition["metadata"]["name"].as_str().unwrap_or_default()
            );
            kubectl::output(
                self.kubectl().args([
                    "wait",
                    "--for=condition=Established",
                    "--timeout=30s",
                    &name,
                ]),
                None,
            )?;
        }
        self.apply(objects)
    }

    fn wait_for(&self, deployment: &str) -> Result<(), InstallError> {
        let name = format!("deployment/{deployment}");
        let wait = kubectl::output(
            self.kubectl()
                .args(["rollout", "status", "-n", NAMESPACE, "--timeout=60s", &name]),
            None,
        );
        wait.map(drop).map_err(|error| {
            let log = kubectl::output(
                self.kubectl()
                    .args(["logs", "-n", NAMESPACE, "--tail=20", &name]),
                None,
            );
            let log = log.unwrap_or_else(|error| error.to_string());
            InstallError::NotReady {
                what: name,
                detail: format!("{error}\n{log}"),
            }
        })
    }

    fn wait_until_listening(&self, server: &Process) -> Result<(), InstallError> {
        let url = format!("https://{}/ready", server.address);
        local::wait_until_ready(&url, &self.authority.pem())
            .map_err(|detail| InstallError::NotReady { what: url, detail })
    }

    fn kubectl(&self) -> Command {
        kubectl::as_installer(self.cluster.kubectl_as_admin())
    }
}

fn webhook_flags(urls: &[String; 2], bundle: &str) -> Vec<String> {
    let [audit, validation] = urls;
    vec![
        format!("--audit-webhook-url={audit}"),
        format!("--audit-webhook-ca-bundle={bundle}"),
        format!("--extended-validation-webhook-url={validation}"),
        format!("--extended-validation-webhook-ca-bundle={bundle}"),
    ]
}

fn manifests_of(objects: &[Value], kind: &str) -> Vec<Value> {
    objects
        .iter()
        .filter(|object| manifests::is(object, kind))
        .cloned()
        .collect()
}

/// The objects of a kustomize base of this checkout.
/// The objects of a kustomization, by its directory from the root of the repository.
///
/// # Errors
/// It cannot be rendered.
pub fn render(mut kubectl: Command, dir: &str) -> Result<Vec<Value>, InstallError> {
    let path = crate::checkout().join(dir);
    let yaml = kubectl::output(kubectl.arg("kustomize").arg(&path), None)?;
    serde_saphyr::from_multiple(&yaml).map_err(|source| InstallError::Manifests {
        path,
        source: Box::new(source),
    })
}

pub(crate) fn is_webhook_configuration(object: &Value) -> bool {
    object["kind"]
        .as_str()
        .is_some_and(|kind| kind.ends_with("WebhookConfiguration"))
}

/// A policy of the lock, or what puts it into force.
pub(crate) fn is_lock(object: &Value) -> bool {
    object["kind"]
        .as_str()
        .is_some_and(|kind| kind.starts_with("ValidatingAdmissionPolicy"))
}

/// What the server needs for the second access model.
pub(crate) fn role_model() -> Result<Vec<Value>, InstallError> {
    parse(&crate::checkout().join("deploy/role-model.yaml"))
}

fn parse(path: &Path) -> Result<Vec<Value>, InstallError> {
    let yaml = std::fs::read_to_string(path).map_err(|source| InstallError::File {
        path: path.to_owned(),
        source,
    })?;
    serde_saphyr::from_multiple(&yaml).map_err(|source| InstallError::Manifests {
        path: path.to_owned(),
        source: Box::new(source),
    })
}

/// Whether containers can run in a cluster; else the server must be a process.
pub fn can_run_containers(cluster: &Cluster) -> bool {
    matches!(cluster.node(), Node::Containers)
}
