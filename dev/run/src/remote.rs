//! kube-request-access in a cluster that exists: kind, k3d, or any other with `--image`.

use std::{
    path::Path,
    process::Command,
    time::{SystemTime, UNIX_EPOCH},
};

use cluster::{Progress, image};
use serde_json::Value;

use crate::{
    Binaries,
    certificates::Authority,
    install::{InstallError, is_lock, is_webhook_configuration, role_model},
    keys::Keys,
    kubectl::{self, KubectlError},
    manifests::{self, GRANTED_ROLE, NAME, NAMESPACE, Pods},
};

/// The image's name where the cluster is given the image itself.
const IMAGE: &str = "localhost/kube-request-access:dev";

/// A cluster of the user's own kubeconfig.
#[derive(Debug, Clone)]
pub struct Remote {
    /// The context.
    pub context: String,
    /// Where the image can be pulled from; `None`: it is loaded.
    pub image: Option<String>,
}

/// What is installed there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Installation {
    /// More flags for the server.
    pub flags: Vec<String>,
    /// The second access model: no standing rights, a RoleBinding per grant.
    pub role_model: bool,
    /// How many servers.
    pub replicas: u32,
}

/// How the image gets into a cluster.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Loader<'a> {
    Kind(&'a str),
    K3d(&'a str),
}

impl Remote {
    /// Looks whether the cluster answers and can be given an image, before anything is built.
    ///
    /// # Errors
    /// It does not, or cannot.
    pub fn check(&self) -> Result<(), InstallError> {
        if self.needs_binaries() {
            self.loader()?;
        }
        let version = kubectl::output(self.kubectl().args(["get", "--raw", "/version"]), None);
        version.map(drop).map_err(|source| InstallError::NoContext {
            context: self.context.clone(),
            source,
        })
    }

    /// Whether the image is made here.
    pub fn needs_binaries(&self) -> bool {
        self.image.is_none()
    }

    /// Installs kube-request-access, without people or receivers: those are the cluster's own.
    /// Installed again, it replaces what was there.
    ///
    /// # Errors
    /// Something cannot be loaded or applied; the error names it.
    pub fn install(
        &self,
        installation: &Installation,
        binaries: Option<&Binaries>,
        progress: Progress,
    ) -> Result<(), InstallError> {
        let image = self.provide_image(binaries)?;
        let step = progress.step("installing kube-request-access");
        let authority = Authority::new("kube-request-access")?;
        let service = format!("{NAME}.{NAMESPACE}.svc");
        let mut objects = self.render()?;
        objects.push(manifests::tls_secret(
            "kube-request-access-tls",
            &authority.serving(&[&service])?,
        ));
        let keys = Keys::of(self.kubectl())?;
        objects.push(keys.secret());
        manifests::append_to_paths(&mut objects, &keys.review_path);
        manifests::trust(&mut objects, &authority.pem(), None);
        self.adapt(&mut objects, installation, image);
        if installation.role_model {
            objects.extend(role_model()?);
        }
        self.apply(objects)?;
        step.done_as("kube-request-access is installed and ready");
        Ok(())
    }

    /// The server's Deployment as this cluster runs it.
    fn adapt(&self, objects: &mut [Value], installation: &Installation, image: String) {
        let pods = Pods {
            image,
            pull_policy: "IfNotPresent",
            node: None,
            api_server: None,
            hosts: Vec::new(),
            is_watched: false,
        };
        manifests::place(objects, &pods);
        let mut flags = vec![format!("--cluster-name={}", self.context)];
        if installation.role_model {
            flags.push(format!("--granted-role-name={GRANTED_ROLE}"));
        }
        flags.extend(installation.flags.iter().cloned());
        manifests::configure(objects, &flags, installation.replicas);
        // The certificate is new every time, and the image may be new under its old name.
        let now = SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .unwrap_or_default()
            .as_secs();
        manifests::annotate_pods(objects, "kube-request-access/installed", &now.to_string());
    }

    /// The webhooks after the server: they deny until it answers. The lock at the end: it denies
    /// until they are there.
    fn apply(&self, objects: Vec<Value>) -> Result<(), InstallError> {
        let (definitions, others): (Vec<Value>, Vec<Value>) =
            objects.into_iter().partition(|object| {
                manifests::is(object, "Namespace")
                    || manifests::is(object, "CustomResourceDefinition")
            });
        let (webhooks, others): (Vec<Value>, Vec<Value>) =
            others.into_iter().partition(is_webhook_configuration);
        let (lock, others): (Vec<Value>, Vec<Value>) = others.into_iter().partition(is_lock);
        kubectl::apply(self.kubectl(), &definitions)?;
        kubectl::apply(self.kubectl(), &others)?;
        self.wait_until_ready()?;
        kubectl::apply(self.kubectl(), &webhooks)?;
        Ok(kubectl::apply(self.kubectl(), &lock)?)
    }

    fn wait_until_ready(&self) -> Result<(), InstallError> {
        let what = format!("deployment/{NAME}");
        let rollout = [
            "rollout",
            "status",
            "-n",
            NAMESPACE,
            "--timeout=120s",
            &what,
        ];
        let Err(error) = kubectl::output(self.kubectl().args(rollout), None) else {
            return Ok(());
        };
        // An image that cannot be pulled is in the first, a server that cannot start in the second.
        let known = [
            &["get", "pods", "-n", NAMESPACE][..],
            &["logs", "-n", NAMESPACE, "--tail=5", &what],
        ];
        let known = known.map(|args| {
            kubectl::output(self.kubectl().args(args), None)
                .unwrap_or_else(|error| format!("{error}\n"))
        });
        Err(InstallError::NotReady {
            what,
            detail: format!("{error}\n{}", known.concat()),
        })
    }

    /// Removes all that [`Self::install`] applied: the webhooks first, so that nothing waits for a
    /// server that is gone.
    ///
    /// # Errors
    /// Something cannot be deleted.
    pub fn remove(&self, progress: Progress) -> Result<(), InstallError> {
        let step = progress.step("removing kube-request-access");
        let mut objects = self.render()?;
        objects.extend(role_model()?);
        let (webhooks, others): (Vec<Value>, Vec<Value>) =
            objects.into_iter().partition(is_webhook_configuration);
        for objects in [webhooks, others] {
            self.delete(&objects)?;
        }
        step.done_as("kube-request-access is removed");
        Ok(())
    }

    fn delete(&self, objects: &[Value]) -> Result<(), KubectlError> {
        let list =
            serde_json::json!({"apiVersion": "v1", "kind": "List", "items": objects}).to_string();
        let delete = [
            "delete",
            "--ignore-not-found",
            "--wait",
            "--timeout=120s",
            "-f",
            "-",
        ];
        kubectl::output(self.kubectl().args(delete), Some(list.as_bytes())).map(drop)
    }

    fn loader(&self) -> Result<Loader<'_>, InstallError> {
        loader(&self.context).ok_or_else(|| InstallError::NoLoader {
            context: self.context.clone(),
        })
    }

    fn provide_image(&self, binaries: Option<&Binaries>) -> Result<String, InstallError> {
        if let Some(image) = &self.image {
            return Ok(image.clone());
        }
        let loader = self.loader()?;
        let binaries = binaries.ok_or(InstallError::NoImage)?;
        let archive =
            std::env::temp_dir().join(format!("kube-request-access-{}.tar", std::process::id()));
        let mut image = image::Image::of_binary(IMAGE, &binaries.server());
        image.user = Some("65532".to_owned());
        image::write(&image, &archive)?;
        let taken = kubectl::output(&mut load(loader, &archive), None);
        // It is in the cluster, or of no use.
        let _removed: std::io::Result<()> = std::fs::remove_file(&archive);
        taken?;
        Ok(IMAGE.to_owned())
    }

    fn render(&self) -> Result<Vec<Value>, InstallError> {
        crate::install::render(self.kubectl(), "deploy")
    }

    fn kubectl(&self) -> Command {
        let mut kubectl = Command::new("kubectl");
        kubectl.args(["--context", &self.context]);
        kubectl::as_installer(kubectl)
    }
}

fn loader(context: &str) -> Option<Loader<'_>> {
    context
        .strip_prefix("kind-")
        .map(Loader::Kind)
        .or_else(|| context.strip_prefix("k3d-").map(Loader::K3d))
}

fn load(loader: Loader<'_>, archive: &Path) -> Command {
    let mut command = match loader {
        Loader::Kind(cluster) => {
            let mut command = Command::new("kind");
            command.args(["load", "image-archive", "--name", cluster]);
            command
        }
        Loader::K3d(cluster) => {
            let mut command = Command::new("k3d");
            command.args(["image", "import", "--cluster", cluster]);
            command
        }
    };
    command.arg(archive);
    command
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn kind_and_k3d_are_told_by_their_contexts() {
        assert_eq!(loader("kind-dev"), Some(Loader::Kind("dev")));
        assert_eq!(loader("k3d-dev"), Some(Loader::K3d("dev")));
        assert_eq!(loader("production"), None);
    }

    fn remote(context: &str) -> Remote {
        Remote {
            context: context.to_owned(),
            image: None,
        }
    }

    #[test]
    fn a_cluster_that_cannot_be_given_an_image_is_refused_before_anything_is_built() {
        let error = remote("production").check().unwrap_err();
        assert!(
            error
                .to_string()
                .ends_with("push it, and name it with --image"),
            "{error}"
        );
    }

    #[test]
    fn the_server_is_adapted_to_the_cluster_and_to_what_is_asked_for() {
        let container = json!({"name": "server", "image": "x", "args": ["--address=:8443"]});
        let mut objects = vec![json!({
            "kind": "Deployment", "metadata": {"name": NAME},
            "spec": {"template": {"spec": {"containers": [container]}}},
        })];
        let flags = vec!["--allow-interactive".to_owned()];
        let installation = Installation {
            flags,
            role_model: true,
            replicas: 3,
        };
        remote("kind-dev").adapt(
            &mut objects,
            &installation,
            "example.com/server:1".to_owned(),
        );
        let spec = &objects[0]["spec"];
        assert_eq!(spec["replicas"], 3);
        assert_eq!(spec["template"]["spec"]["nodeName"], Value::Null);
        let container = &spec["template"]["spec"]["containers"][0];
        assert_eq!(container["image"], "example.com/server:1");
        let args = [
            "--address=:8443",
            "--cluster-name=kind-dev",
            "--granted-role-name=pod-exec",
            "--allow-interactive",
        ];
        assert_eq!(container["args"], json!(args));
        assert!(
            spec["template"]["metadata"]["annotations"]["kube-request-access/installed"]
                .is_string()
        );
    }

    #[test]
    fn images_are_loaded_into_the_cluster_of_the_context() {
        let command = format!(
            "{:?}",
            load(Loader::Kind("dev"), Path::new("/tmp/image.tar"))
        );
        assert_eq!(
            command,
            r#""kind" "load" "image-archive" "--name" "dev" "/tmp/image.tar""#
        );
    }
}
