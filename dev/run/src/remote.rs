//! kube-request-access in a cluster that exists: kind, k3d, or any other with `--image`.

use std::{path::Path, process::Command};

use cluster::{Progress, image};
use serde_json::Value;

use crate::{
    Binaries,
    certificates::Authority,
    install::InstallError,
    kubectl::{self, KubectlError},
    manifests::{self, NAME, NAMESPACE, Pods},
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

/// How the image gets into a cluster.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Loader<'a> {
    Kind(&'a str),
    K3d(&'a str),
}

impl Remote {
    /// Installs kube-request-access, without people or receivers: those are the cluster's own.
    ///
    /// # Errors
    /// Something cannot be loaded or applied; the error names it.
    pub fn install(&self, binaries: &Binaries, flags: &[String], progress: Progress) -> Result<(), InstallError> {
        let image = self.provide_image(binaries)?;
        let step = progress.step("installing kube-request-access");
        let mut objects = self.render()?;
        let authority = Authority::new("kube-request-access")?;
        let service = format!("{NAME}.{NAMESPACE}.svc");
        let pair = authority.serving(&[&service])?;
        let pods = Pods { image, pull_policy: "IfNotPresent", node: None, api_server: None, hosts: Vec::new() };
        manifests::place(&mut objects, &pods);
        manifests::configure(&mut objects, flags, 1);
        manifests::trust(&mut objects, &authority.pem(), None);
        objects.push(manifests::tls_secret("kube-request-access-tls", &pair));
        for kinds in [&["Namespace"][..], &["CustomResourceDefinition"]] {
            let first: Vec<Value> =
                objects.iter().filter(|object| kinds.iter().any(|kind| manifests::is(object, kind))).cloned().collect();
            kubectl::apply(self.kubectl(), &first)?;
        }
        kubectl::apply(self.kubectl(), &objects)?;
        let deployment = format!("deployment/{NAME}");
        let rollout = ["rollout", "status", "-n", NAMESPACE, "--timeout=120s", &deployment];
        kubectl::output(self.kubectl().args(rollout), None)?;
        step.done_as("kube-request-access is installed and ready");
        Ok(())
    }

    /// Removes all that [`Self::install`] applied: the webhooks first, so that nothing waits for a server that is gone.
    ///
    /// # Errors
    /// Something cannot be deleted.
    pub fn remove(&self, progress: Progress) -> Result<(), InstallError> {
        let step = progress.step("removing kube-request-access");
        let objects = self.render()?;
        let (webhooks, others): (Vec<Value>, Vec<Value>) =
            objects.into_iter().partition(crate::install::is_webhook_configuration);
        for objects in [webhooks, others] {
            self.delete(&objects)?;
        }
        step.done_as("kube-request-access is removed");
        Ok(())
    }

    fn delete(&self, objects: &[Value]) -> Result<(), KubectlError> {
        let list = serde_json::json!({"apiVersion": "v1", "kind": "List", "items": objects}).to_string();
        let delete = ["delete", "--ignore-not-found", "--wait", "--timeout=120s", "-f", "-"];
        kubectl::output(self.kubectl().args(delete), Some(list.as_bytes())).map(drop)
    }

    fn provide_image(&self, binaries: &Binaries) -> Result<String, InstallError> {
        if let Some(image) = &self.image {
            return Ok(image.clone());
        }
        let loader = loader(&self.context).ok_or_else(|| InstallError::NoLoader { context: self.context.clone() })?;
        let archive = std::env::temp_dir().join(format!("kube-request-access-{}.tar", std::process::id()));
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
        kubectl
    }
}

fn loader(context: &str) -> Option<Loader<'_>> {
    context.strip_prefix("kind-").map(Loader::Kind).or_else(|| context.strip_prefix("k3d-").map(Loader::K3d))
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
    use super::*;

    #[test]
    fn kind_and_k3d_are_told_by_their_contexts() {
        assert_eq!(loader("kind-dev"), Some(Loader::Kind("dev")));
        assert_eq!(loader("k3d-dev"), Some(Loader::K3d("dev")));
        assert_eq!(loader("production"), None);
    }

    #[test]
    fn images_are_loaded_into_the_cluster_of_the_context() {
        let command = format!("{:?}", load(Loader::Kind("dev"), Path::new("/tmp/image.tar")));
        assert_eq!(command, r#""kind" "load" "image-archive" "--name" "dev" "/tmp/image.tar""#);
    }
}
