//! `deploy/` as values, and the changes that a development cluster needs. Pure functions on manifests.

#![expect(clippy::indexing_slicing, reason = "a JSON value that has no such field is null")]

use base64::{Engine as _, engine::general_purpose::STANDARD};
use serde_json::{Value, json};

use crate::certificates::Pair;

/// Namespace of the server.
pub const NAMESPACE: &str = "kube-request-access";
/// Name of the server's Deployment, Service and webhook configurations.
pub const NAME: &str = "kube-request-access";

/// How a pod of a cluster without scheduler, registry, DNS and kube-proxy must be written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pods {
    /// The image.
    pub image: String,
    /// `Never` where it was loaded into the node.
    pub pull_policy: &'static str,
    /// The node's name; `None` where a scheduler runs.
    pub node: Option<String>,
    /// Where the API server is, host and port; `None` where the Service `kubernetes` works.
    pub api_server: Option<(String, String)>,
    /// Names and addresses that the pods should know.
    pub hosts: Vec<(String, String)>,
}

/// The pods of every Deployment among the objects, rewritten.
pub fn place(objects: &mut [Value], pods: &Pods) {
    for object in objects.iter_mut().filter(|object| is(object, "Deployment")) {
        let Some(spec) = object.pointer_mut("/spec/template/spec") else { continue };
        if let Some(node) = &pods.node {
            spec["nodeName"] = json!(node);
        }
        if !pods.hosts.is_empty() {
            let aliases = pods.hosts.iter().map(|(name, ip)| json!({"ip": ip, "hostnames": [name]}));
            spec["hostAliases"] = aliases.collect();
        }
        let containers = spec.pointer_mut("/containers").and_then(Value::as_array_mut);
        for container in containers.into_iter().flatten() {
            container["image"] = json!(pods.image);
            container["imagePullPolicy"] = json!(pods.pull_policy);
            if let Some((host, port)) = &pods.api_server {
                push(container, "env", json!({"name": "KUBERNETES_SERVICE_HOST", "value": host}));
                push(container, "env", json!({"name": "KUBERNETES_SERVICE_PORT", "value": port}));
            }
        }
    }
}

/// The server's Deployment with more flags, and so many replicas.
pub fn configure(objects: &mut [Value], flags: &[String], replicas: u32) {
    let deployment = objects.iter_mut().find(|object| is(object, "Deployment") && named(object, NAME));
    let Some(deployment) = deployment else { return };
    deployment["spec"]["replicas"] = json!(replicas);
    if let Some(container) = deployment.pointer_mut("/spec/template/spec/containers/0") {
        for flag in flags {
            push(container, "args", json!(flag));
        }
    }
}

/// Files of a ConfigMap, mounted into the server's pods.
pub fn mount(objects: &mut [Value], config_map: &str, path: &str) {
    for object in objects.iter_mut().filter(|object| is(object, "Deployment") && named(object, NAME)) {
        let Some(spec) = object.pointer_mut("/spec/template/spec") else { continue };
        push(spec, "volumes", json!({"name": config_map, "configMap": {"name": config_map}}));
        if let Some(container) = spec.pointer_mut("/containers/0") {
            push(container, "volumeMounts", json!({"name": config_map, "mountPath": path, "readOnly": true}));
        }
    }
}

/// The webhook configurations, trusting `authority`; where the server is a process on this machine, sent to it.
pub fn trust(objects: &mut [Value], authority: &str, local: Option<&str>) {
    let bundle = STANDARD.encode(authority);
    let configuration = |object: &&mut Value| {
        is(object, "ValidatingWebhookConfiguration") || is(object, "MutatingWebhookConfiguration")
    };
    for object in objects.iter_mut().filter(configuration) {
        for webhook in object["webhooks"].as_array_mut().into_iter().flatten() {
            let client = &mut webhook["clientConfig"];
            if let Some(url) = local {
                let path = client.pointer("/service/path").and_then(Value::as_str).unwrap_or("/validate");
                *client = json!({"url": format!("{url}{path}")});
            }
            client["caBundle"] = json!(bundle);
        }
    }
}

/// A TLS Secret in the server's namespace.
pub fn tls_secret(name: &str, pair: &Pair) -> Value {
    json!({
        "apiVersion": "v1", "kind": "Secret", "type": "kubernetes.io/tls",
        "metadata": {"name": name, "namespace": NAMESPACE},
        "data": {"tls.crt": STANDARD.encode(&pair.certificate), "tls.key": STANDARD.encode(&pair.key)},
    })
}

/// A ConfigMap in the server's namespace with one file.
pub fn config_map(name: &str, file: &str, content: &str) -> Value {
    json!({
        "apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name, "namespace": NAMESPACE},
        "data": {file: content},
    })
}

/// What the groups `devs` and `approvers` may do in every namespace. With `standing`, RBAC lets devs exec, and the
/// gate is the lock; without, they may only ask, and are bound to the Role `pod-exec` while a grant lasts.
pub fn people(standing: bool) -> Vec<Value> {
    let mut objects = vec![
        group_binding("devs-view", "devs", "view"),
        group_binding("approvers-view", "approvers", "view"),
        group_binding("approvers", "approvers", "kube-request-access-approver"),
    ];
    if standing {
        objects.push(group_binding("devs", "devs", "kube-request-access-requester"));
        return objects;
    }
    objects.push(json!({
        "apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRole",
        "metadata": {"name": "kube-request-access-requester-without-exec"},
        "rules": [
            {"apiGroups": ["spreadgroup.com"], "resources": ["accessrequests"], "verbs": ["create", "get", "list", "watch", "delete"]},
            {"apiGroups": ["spreadgroup.com"], "resources": ["accessgrants"], "verbs": ["get", "list"]},
        ],
    }));
    objects.push(group_binding("devs", "devs", "kube-request-access-requester-without-exec"));
    objects.push(json!({
        "apiVersion": "rbac.authorization.k8s.io/v1", "kind": "Role",
        "metadata": {"name": GRANTED_ROLE, "namespace": "default"},
        "rules": [{"apiGroups": [""], "resources": ["pods/exec"], "verbs": ["get", "create"]}],
    }));
    objects
}

/// The Role of the second access model, as `deploy/role-model.yaml` names it.
pub const GRANTED_ROLE: &str = "pod-exec";

fn group_binding(name: &str, group: &str, role: &str) -> Value {
    json!({
        "apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRoleBinding", "metadata": {"name": name},
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": role},
        "subjects": [{"apiGroup": "rbac.authorization.k8s.io", "kind": "Group", "name": group}],
    })
}

/// Whether an object is of this kind.
pub fn is(object: &Value, kind: &str) -> bool {
    object["kind"] == kind
}

fn named(object: &Value, name: &str) -> bool {
    object["metadata"]["name"] == name
}

fn push(object: &mut Value, list: &str, item: Value) {
    if object[list].is_null() {
        object[list] = json!([]);
    }
    if let Some(list) = object[list].as_array_mut() {
        list.push(item);
    }
}
