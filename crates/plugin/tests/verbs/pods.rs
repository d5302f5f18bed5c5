//! Pods to ask for, and what was asked.

use serde_json::{Value, json};

use crate::fake::{Fake, Outcome, REQUESTS};

/// Collection of the pods in namespace default.
pub(crate) const PODS: &str = "/api/v1/namespaces/default/pods";
const DEPLOYMENTS: &str = "/apis/apps/v1/namespaces/default/deployments";

/// What the containers of every pod here are: one of them with a terminal.
pub(crate) fn spec() -> Value {
    json!({
        "containers": [{"name": "web"}, {"name": "console", "stdin": true, "tty": true}],
        "initContainers": [{"name": "setup"}],
        "ephemeralContainers": [{"name": "debugger-1", "image": "busybox"}],
    })
}

pub(crate) fn pod(name: &str, namespace: &str) -> Value {
    json!({
        "apiVersion": "v1", "kind": "Pod", "metadata": {"name": name, "namespace": namespace}, "spec": spec(),
        "status": {"phase": "Running"},
    })
}

/// Namespace default with a pod web-0, one that is over, and a deployment web.
pub(crate) fn world() -> Fake {
    let mut done = pod("done", "default");
    done["status"] = json!({"phase": "Failed"});
    let mut template = spec();
    template
        .as_object_mut()
        .unwrap()
        .remove("ephemeralContainers");
    let deployment = json!({
        "apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "web", "namespace": "default", "uid": "u"},
        "spec": {"selector": {"matchLabels": {"app": "web"}}, "template": {"spec": template}},
    });
    Fake::new()
        .with(&format!("{PODS}/web-0"), pod("web-0", "default"))
        .with(&format!("{PODS}/done"), done)
        .with(&format!("{DEPLOYMENTS}/web"), deployment)
}

/// The spec of the one request that was filed, which must mean something to the server.
pub(crate) fn filed(fake: &Fake) -> Value {
    let requests = fake.posted(REQUESTS);
    assert_eq!(requests.len(), 1, "{requests:?}");
    let spec = requests[0]["spec"].clone();
    let meaning = api::convert::ask(&serde_json::from_value(spec.clone()).unwrap());
    assert!(meaning.is_ok(), "{meaning:?}");
    spec
}

/// `forObject` of a request for pod web-0.
pub(crate) fn web_0(door: &str) -> Value {
    let resource = json!({"group": "", "version": "v1", "resource": "pods"});
    json!({"resource": resource, "subResource": door, "name": "web-0", "namespace": "default"})
}

/// Runs what must be refused before anything is stored.
pub(crate) async fn refused(fake: &Fake, line: &[&str], failure: &str) {
    let outcome: Outcome = fake.run(line, "").await;
    assert_eq!(outcome.failure.as_deref(), Some(failure), "{outcome:?}");
    assert_eq!(outcome.out, "");
    assert_eq!(fake.posted(REQUESTS), Vec::<Value>::new());
}
