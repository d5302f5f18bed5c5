//! `deploy/` as values, and the changes that a development cluster needs. Pure functions on
//! manifests.

#![expect(
    clippy::indexing_slicing,
    reason = "a JSON value that has no such field is null"
)]

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
    /// Whether somebody waits for them to be ready: they are asked every second.
    pub is_watched: bool,
}

/// The pods of every Deployment among the objects, rewritten.
pub fn place(objects: &mut [Value], pods: &Pods) {
    for object in objects.iter_mut().filter(|object| is(object, "Deployment")) {
        let Some(spec) = object.pointer_mut("/spec/template/spec") else {
            continue;
        };
        if let Some(node) = &pods.node {
            spec["nodeName"] = json!(node);
        }
        if !pods.hosts.is_empty() {
            let aliases = pods
                .hosts
                .iter()
                .map(|(name, ip)| json!({"ip": ip, "hostnames": [name]}));
            spec["hostAliases"] = aliases.collect();
        }
        let containers = spec
            .pointer_mut("/containers")
            .and_then(Value::as_array_mut);
        for container in containers.into_iter().flatten() {
            container["image"] = json!(pods.image);
            container["imagePullPolicy"] = json!(pods.pull_policy);
            if pods.is_watched
                && let Some(probe) = container.get_mut("readinessProbe")
            {
                probe["periodSeconds"] = json!(1);
            }
            if let Some((host, port)) = &pods.api_server {
                push(
                    container,
                    "env",
                    json!({"name": "KUBERNETES_SERVICE_HOST", "value": host}),
                );
                push(
                    container,
                    "env",
                    json!({"name": "KUBERNETES_SERVICE_PORT", "value": port}),
                );
            }
        }
    }
}

/// The server's Deployment with more flags, and so many replicas.
pub fn configure(objects: &mut [Value], flags: &[String], replicas: u32) {
    let deployment = objects
        .iter_mut()
        .find(|object| is(object, "Deployment") && named(object, NAME));
    let Some(deployment) = deployment else { return };
    deployment["spec"]["replicas"] = json!(replicas);
    if let Some(container) = deployment.pointer_mut("/spec/template/spec/containers/0") {
        for flag in flags {
            // An overlay may have given it.
            let is_there = container["args"]
                .as_array()
                .is_some_and(|args| args.iter().any(|arg| arg == flag));
            if !is_there {
                push(container, "args", json!(flag));
            }
        }
    }
}

/// An annotation on the pods of every Deployment: with another value they are replaced.
pub fn annotate_pods(objects: &mut [Value], key: &str, value: &str) {
    for object in objects.iter_mut().filter(|object| is(object, "Deployment")) {
        object["spec"]["template"]["metadata"]["annotations"][key] = json!(value);
    }
}

/// Files of a ConfigMap, mounted into the server's pods.
pub fn mount(objects: &mut [Value], config_map: &str, path: &str) {
    for object in objects
        .iter_mut()
        .filter(|object| is(object, "Deployment") && named(object, NAME))
    {
        let Some(spec) = object.pointer_mut("/spec/template/spec") else {
            continue;
        };
        push(
            spec,
            "volumes",
            json!({"name": config_map, "configMap": {"name": config_map}}),
        );
        if let Some(container) = spec.pointer_mut("/containers/0") {
            push(
                container,
                "volumeMounts",
                json!({"name": config_map, "mountPath": path, "readOnly": true}),
            );
        }
    }
}

/// The webhook configurations, trusting `authority`; where the server is a process on this machine,
/// sent to it.
pub fn trust(objects: &mut [Value], authority: &str, local: Option<&str>) {
    let bundle = STANDARD.encode(authority);
    let configuration = |object: &&mut Value| {
        is(object, "ValidatingWebhookConfiguration") || is(object, "MutatingWebhookConfiguration")
    };
    for object in objects.iter_mut().filter(configuration) {
        for webhook in object["webhooks"].as_array_mut().into_iter().flatten() {
            let client = &mut webhook["clientConfig"];
            if let Some(url) = local {
                let path = client
                    .pointer("/service/path")
                    .and_then(Value::as_str)
                    .unwrap_or("/validate");
                *client = json!({"url": format!("{url}{path}")});
            }
            client["caBundle"] = json!(bundle);
        }
    }
}

/// The webhook configurations, with a secret at the end of every path.
pub fn append_to_paths(objects: &mut [Value], secret: &str) {
    for object in objects
        .iter_mut()
        .filter(|object| object["webhooks"].is_array())
    {
        for webhook in object["webhooks"].as_array_mut().into_iter().flatten() {
            let path = webhook
                .pointer("/clientConfig/service/path")
                .and_then(Value::as_str)
                .unwrap_or_default();
            webhook["clientConfig"]["service"]["path"] = json!(format!("{path}/{secret}"));
        }
    }
}

/// The server's Deployment with another flag in the place of one.
pub fn replace_flag(objects: &mut [Value], flag: &str, other: &str) {
    for object in objects
        .iter_mut()
        .filter(|object| is(object, "Deployment") && named(object, NAME))
    {
        let args = object
            .pointer_mut("/spec/template/spec/containers/0/args")
            .and_then(Value::as_array_mut);
        for arg in args.into_iter().flatten() {
            if arg
                .as_str()
                .is_some_and(|arg| arg.split('=').next() == Some(flag))
            {
                *arg = json!(other);
            }
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

/// What the groups `devs` and `approvers` may do in every namespace. With `standing`, RBAC lets
/// devs exec, and the gate is the lock; without, they may only ask, and are bound to the Role
/// `pod-exec` while a grant lasts.
pub fn people(standing: bool) -> Vec<Value> {
    let mut objects = vec![
        group_binding("devs-view", "devs", "view"),
        group_binding("approvers-view", "approvers", "view"),
        group_binding("approvers", "approvers", "kube-request-access-approver"),
    ];
    if standing {
        objects.push(group_binding(
            "devs",
            "devs",
            "kube-request-access-requester",
        ));
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
    objects.push(group_binding(
        "devs",
        "devs",
        "kube-request-access-requester-without-exec",
    ));
    objects.push(granted_role());
    objects
}

/// That Role, in the namespace `default`: the rights of every door that can be asked for, since
/// what is granted is what the gate compares, whichever rights are bound.
pub fn granted_role() -> Value {
    json!({
        "apiVersion": "rbac.authorization.k8s.io/v1", "kind": "Role",
        "metadata": {"name": GRANTED_ROLE, "namespace": "default"},
        "rules": [
            {"apiGroups": [""], "resources": ["pods/exec", "pods/attach", "pods/portforward"], "verbs": ["get", "create"]},
            {"apiGroups": [""], "resources": ["pods/ephemeralcontainers"], "verbs": ["patch"]},
        ],
    })
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

#[cfg(test)]
mod tests {
    use super::*;

    fn server() -> Value {
        json!({
            "kind": "Deployment", "metadata": {"name": NAME},
            "spec": {"replicas": 1, "template": {"spec": {
                "containers": [
                    {"name": "server", "image": "x", "args": ["--first"], "readinessProbe": {"periodSeconds": 5}},
                ],
            }}},
        })
    }

    fn webhooks() -> Value {
        let client = json!({"service": {"name": NAME, "namespace": NAMESPACE, "path": "/mutate"}});
        json!({
            "kind": "MutatingWebhookConfiguration", "metadata": {"name": NAME},
            "webhooks": [{"name": "stamp", "clientConfig": client}],
        })
    }

    fn pods() -> Pods {
        Pods {
            image: "localhost/server:dev".to_owned(),
            pull_policy: "Never",
            node: Some("127.0.0.1".to_owned()),
            api_server: Some(("10.1.0.1".to_owned(), "6443".to_owned())),
            hosts: vec![("audit.svc".to_owned(), "10.1.0.9".to_owned())],
            is_watched: true,
        }
    }

    #[test]
    fn pods_are_told_all_that_a_bare_cluster_does_not_do_for_them() {
        let mut objects = vec![server()];
        place(&mut objects, &pods());
        let spec = &objects[0]["spec"]["template"]["spec"];
        assert_eq!(spec["nodeName"], "127.0.0.1");
        assert_eq!(
            spec["hostAliases"],
            json!([{"ip": "10.1.0.9", "hostnames": ["audit.svc"]}])
        );
        let container = &spec["containers"][0];
        assert_eq!(container["image"], "localhost/server:dev");
        assert_eq!(container["imagePullPolicy"], "Never");
        assert_eq!(container["readinessProbe"]["periodSeconds"], 1);
        assert_eq!(
            container["env"][1],
            json!({"name": "KUBERNETES_SERVICE_PORT", "value": "6443"})
        );
    }

    #[test]
    fn pods_of_a_whole_cluster_get_nothing_but_their_image() {
        let mut objects = vec![server()];
        let pods = Pods {
            node: None,
            api_server: None,
            hosts: Vec::new(),
            is_watched: false,
            ..pods()
        };
        place(&mut objects, &pods);
        let spec = &objects[0]["spec"]["template"]["spec"];
        assert_eq!(
            (&spec["nodeName"], &spec["hostAliases"]),
            (&Value::Null, &Value::Null)
        );
        assert_eq!(spec["containers"][0]["env"], Value::Null);
        assert_eq!(spec["containers"][0]["readinessProbe"]["periodSeconds"], 5);
    }

    #[test]
    fn flags_are_added_after_those_that_are_there() {
        let mut objects = vec![webhooks(), server()];
        configure(
            &mut objects,
            &["--second".to_owned(), "--first".to_owned()],
            2,
        );
        assert_eq!(objects[1]["spec"]["replicas"], 2);
        assert_eq!(
            objects[1]["spec"]["template"]["spec"]["containers"][0]["args"],
            json!(["--first", "--second"])
        );
    }

    #[test]
    fn files_are_mounted_into_the_server() {
        let mut objects = vec![server()];
        mount(&mut objects, "receivers-ca", "/receivers");
        let spec = &objects[0]["spec"]["template"]["spec"];
        assert_eq!(spec["volumes"][0]["configMap"]["name"], "receivers-ca");
        assert_eq!(
            spec["containers"][0]["volumeMounts"][0]["mountPath"],
            "/receivers"
        );
    }

    #[test]
    fn webhooks_reach_a_service_in_the_cluster() {
        let mut objects = vec![webhooks()];
        trust(&mut objects, "PEM", None);
        let client = &objects[0]["webhooks"][0]["clientConfig"];
        assert_eq!(client["caBundle"], STANDARD.encode("PEM"));
        assert_eq!(client["service"]["path"], "/mutate");
    }

    #[test]
    fn webhooks_reach_a_process_by_url_at_the_same_path() {
        let mut objects = vec![webhooks()];
        trust(&mut objects, "PEM", Some("https://127.0.0.1:4711"));
        let client = &objects[0]["webhooks"][0]["clientConfig"];
        assert_eq!(
            *client,
            json!({"url": "https://127.0.0.1:4711/mutate", "caBundle": STANDARD.encode("PEM")})
        );
    }

    #[test]
    fn a_secret_ends_every_path_also_of_urls() {
        let mut objects = vec![webhooks(), server()];
        append_to_paths(&mut objects, "secret");
        assert_eq!(
            objects[0]["webhooks"][0]["clientConfig"]["service"]["path"],
            "/mutate/secret"
        );
        assert_eq!(objects[1], server());
        trust(&mut objects, "PEM", Some("https://127.0.0.1:4711"));
        assert_eq!(
            objects[0]["webhooks"][0]["clientConfig"]["url"],
            "https://127.0.0.1:4711/mutate/secret"
        );
    }

    #[test]
    fn one_flag_takes_the_place_of_another() {
        let mut objects = vec![server()];
        configure(&mut objects, &["--first-of-all=1".to_owned()], 1);
        replace_flag(&mut objects, "--first", "--other=2");
        let args = &objects[0]["spec"]["template"]["spec"]["containers"][0]["args"];
        assert_eq!(*args, json!(["--other=2", "--first-of-all=1"]));
    }

    #[test]
    fn another_annotation_replaces_the_pods() {
        let mut objects = vec![webhooks(), server()];
        annotate_pods(&mut objects, "at", "1");
        assert_eq!(
            objects[1]["spec"]["template"]["metadata"]["annotations"],
            json!({"at": "1"})
        );
        assert_eq!(objects[0], webhooks());
    }

    #[test]
    fn developers_may_exec_only_where_their_rights_stand() {
        let may_exec = |objects: Vec<Value>| {
            objects
                .iter()
                .any(|object| object["roleRef"]["name"] == "kube-request-access-requester")
        };
        assert!(may_exec(people(true)));
        assert!(!may_exec(people(false)));
    }
}
