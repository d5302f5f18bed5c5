//! A Deployment to try things on: `nginx`, which is busybox' web server and a sleeper beside it.

use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use serde_json::{Value, json};

use crate::build::BUSYBOX_IMAGE;
use crate::cluster::{Cluster, ClusterError};
use crate::node;
use crate::progress::Progress;
use crate::wait;

const PATIENCE: Duration = Duration::from_mins(1);
const DEPLOYMENT: &str = "/apis/apps/v1/namespaces/default/deployments/nginx";
const PODS: &str = "/api/v1/namespaces/default/pods?labelSelector=app%3Dnginx";

/// In a container and in a plain process' own directory alike.
const SERVE: &str = r#"mkdir -p www && echo "<h1>Welcome</h1>" >www/index.html && exec busybox httpd -f -p "$PORT" -h www"#;

impl Cluster {
    /// Applies the Deployment `nginx` in the namespace `default` and waits until its pod is ready
    /// and answers.
    ///
    /// Deployment and pods carry the label `app: nginx`. The pod has two containers, `sleeper` and
    /// `nginx` (kubectl's default), both with a shell and the usual commands; `nginx` serves HTTP
    /// on [`nginx_port`](Self::nginx_port).
    ///
    /// # Errors
    /// When the API server refuses it or the pod is not ready within a minute.
    pub fn deploy_nginx(&self, progress: Progress) -> Result<(), ClusterError> {
        let step = progress.step("waiting for the Deployment nginx");
        let api = self.api()?;
        api.apply(DEPLOYMENT, &deployment(self.nginx_port()))?;
        let ready = wait::until_ok(PATIENCE, || {
            Ok::<_, ClusterError>(self.answers(&api.get(PODS)?.unwrap_or_default()))
        })?;
        if !ready {
            return Err(late(&api.get(PODS)?.unwrap_or_default()));
        }
        step.done_as("Deployment nginx is ready");
        Ok(())
    }

    /// Where the workload's web server listens in its pod.
    pub fn nginx_port(&self) -> u16 {
        self.state.nginx_port
    }

    fn answers(&self, pods: &Value) -> bool {
        list(pods, "/items")
            .iter()
            .any(|pod| is_ready(pod) && self.serves(pod))
    }

    /// Ready without a probe only means started.
    fn serves(&self, pod: &Value) -> bool {
        let address = pod
            .pointer("/status/podIP")
            .and_then(Value::as_str)
            .and_then(|ip| ip.parse().ok());
        let address = address.map(|ip| SocketAddr::new(ip, self.nginx_port()));
        address.is_some_and(|address| {
            TcpStream::connect_timeout(&address, Duration::from_secs(1)).is_ok()
        })
    }
}

fn list<'a>(object: &'a Value, pointer: &str) -> &'a [Value] {
    object
        .pointer(pointer)
        .and_then(Value::as_array)
        .map(Vec::as_slice)
        .unwrap_or_default()
}

pub(crate) fn is_ready(object: &Value) -> bool {
    list(object, "/status/conditions").iter().any(|condition| {
        condition.get("type").is_some_and(|kind| kind == "Ready")
            && condition
                .get("status")
                .is_some_and(|status| status == "True")
    })
}

fn late(pods: &Value) -> ClusterError {
    let statuses = pods
        .pointer("/items/0/status/containerStatuses")
        .unwrap_or(&Value::Null);
    let detail = format!("; its containers: {statuses}");
    ClusterError::Late {
        what: "the pod of the Deployment nginx is not ready".to_owned(),
        seconds: PATIENCE.as_secs(),
        detail,
    }
}

fn deployment(port: u16) -> Value {
    let labels = json!({"app": "nginx"});
    let nginx = json!({
        "ports": [{"name": "http", "containerPort": port}],
        "env": [{"name": "PORT", "value": port.to_string()}],
    });
    json!({
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": "nginx", "namespace": "default", "labels": labels},
        "spec": {
            "replicas": 1,
            "selector": {"matchLabels": labels},
            "template": {
                "metadata": {"labels": labels, "annotations": {"kubectl.kubernetes.io/default-container": "nginx"}},
                "spec": {
                    // No scheduler runs.
                    "nodeName": node::NAME,
                    "terminationGracePeriodSeconds": 1,
                    "containers": [
                        container("sleeper", &["sleep", "1000000"], &json!({})),
                        container("nginx", &["sh", "-c", SERVE], &nginx),
                    ],
                },
            },
        },
    })
}

fn container(name: &str, command: &[&str], more: &Value) -> Value {
    let mut container = json!({"name": name, "image": BUSYBOX_IMAGE, "imagePullPolicy": "Never", "command": command});
    if let (Some(container), Some(more)) = (container.as_object_mut(), more.as_object()) {
        container.extend(more.clone());
    }
    container
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_workload_has_a_sleeper_first_and_nginx_as_kubectls_default() {
        let template = deployment(80)["spec"]["template"].clone();
        assert_eq!(template["spec"]["containers"][0]["name"], "sleeper");
        assert_eq!(template["spec"]["containers"][1]["name"], "nginx");
        assert_eq!(
            template["metadata"]["annotations"]["kubectl.kubernetes.io/default-container"],
            "nginx"
        );
    }

    #[test]
    fn a_pod_is_ready_when_its_condition_says_true() {
        let pod = |status| json!({"status": {"conditions": [{"type": "Ready", "status": status}]}});
        assert!(is_ready(&pod("True")));
        assert!(!is_ready(&pod("False")));
        assert!(!is_ready(&json!({})));
    }
}
