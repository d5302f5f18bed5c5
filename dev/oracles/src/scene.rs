//! A small world in which some things are granted, to be shown reviews.
//!
//! It is the world of the server's own tests, with a request for each door. All but one are for a
//! time, and the single uses are given back after each review, so that no input changes what the
//! next one meets.

use api::{AccessGrant, AccessRequest};
use axum::http::StatusCode;
use kube::runtime::watcher::Event;
use serde_json::{Value, json};
use tokio::runtime::Runtime;

use crate::world::{self, POD, Settings, World};

/// The pod of the recorded reviews.
pub const POD_UID: &str = "004ebe2a-2504-4c84-8abe-9160dd3a0967";
/// The review that used the single use of `hostname`.
pub const EARLIER: &str = "earlier";

/// Answers reviews.
pub struct Scene {
    runtime: Runtime,
    world: World,
    requests: Vec<Value>,
}

/// An HTTP answer.
pub struct Said {
    /// The HTTP status.
    pub status: StatusCode,
    /// The body; a string where it is no JSON.
    pub body: Value,
}

impl Scene {
    /// Everything in its place.
    pub fn new() -> Self {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .unwrap();
        let entered = runtime.enter();
        let world = World::new(Settings {
            allow_interactive: true,
            ..Settings::default()
        });
        for pod in pods() {
            world.api.store(&path("/api/v1", "pods", &pod), &pod);
        }
        for owner in owners() {
            let plural = format!("{}s", owner["kind"].as_str().unwrap().to_lowercase());
            world
                .api
                .store(&path("/apis/apps/v1", &plural, &owner), &owner);
        }
        let requests = requests();
        for request in &requests {
            world.api.store(
                &path("/apis/spreadgroup.com/v1", "accessrequests", request),
                request,
            );
            world
                .index
                .apply_request(Event::Apply(decode::<AccessRequest>(request)));
        }
        for grant in grants(&requests) {
            world.api.store(
                &path("/apis/spreadgroup.com/v1", "accessgrants", &grant),
                &grant,
            );
            world
                .index
                .apply_grant(Event::Apply(decode::<AccessGrant>(&grant)));
        }
        drop(entered);
        Self {
            runtime,
            world,
            requests,
        }
    }

    /// Posts a body, and puts everything back in its place.
    pub fn post(&self, path: &str, body: &[u8]) -> Said {
        let said = self.runtime.block_on(self.world.post(path, body));
        if self
            .world
            .api
            .requests()
            .iter()
            .any(|(method, _)| *method == http::Method::PUT)
        {
            for request in &self.requests {
                self.world.api.store(
                    &self::path("/apis/spreadgroup.com/v1", "accessrequests", request),
                    request,
                );
            }
        }
        Said {
            status: said.status,
            body: said.body,
        }
    }
}

impl Default for Scene {
    fn default() -> Self {
        Self::new()
    }
}

fn decode<T: serde::de::DeserializeOwned>(value: &Value) -> T {
    serde_json::from_value(value.clone()).unwrap()
}

fn path(api: &str, plural: &str, object: &Value) -> String {
    let meta = |field: &str| object["metadata"][field].as_str().unwrap();
    format!(
        "{api}/namespaces/{}/{plural}/{}",
        meta("namespace"),
        meta("name")
    )
}

/// `nginx` with one container and a debugger; `two` with two; `web-5b6d-x4k2z` of a Deployment.
fn pods() -> Vec<Value> {
    let mut nginx = world::pod(POD_UID);
    nginx["spec"]["ephemeralContainers"] = json!([{ "name": "live", "image": "busybox", "command": ["sh"],
        "targetContainerName": "nginx", "stdin": true, "securityContext": {"capabilities": {"add": ["SYS_PTRACE"]}} }]);
    let running = |name: &str| {
        json!({"name": name, "image": "x", "imageID": "", "ready": true, "restartCount": 0,
            "state": {"running": {"startedAt": "2026-11-23T15:00:00Z"}}})
    };
    nginx["status"]["ephemeralContainerStatuses"] = json!([running("live")]);
    assert!(path("/api/v1", "pods", &nginx) == POD);
    let mut two = world::pod("two-1");
    two["metadata"]["name"] = json!("two");
    two["spec"]["containers"] = json!([{"name": "a", "image": "a"}, {"name": "b", "image": "b"}]);
    two["status"]["containerStatuses"] = json!([running("a"), running("b")]);
    let mut web = world::pod("web-1");
    web["metadata"]["name"] = json!("web-5b6d-x4k2z");
    web["metadata"]["creationTimestamp"] = json!("2026-11-23T15:00:00Z");
    web["metadata"]["ownerReferences"] = json!([{"apiVersion": "apps/v1", "kind": "ReplicaSet", "name": "web-5b6d", "uid": "rs-1", "controller": true}]);
    vec![nginx, two, web]
}

fn owners() -> [Value; 2] {
    let template = json!({"spec": {"containers": [{"name": "nginx", "image": "nginx"}]}});
    let owner = json!([{"apiVersion": "apps/v1", "kind": "Deployment", "name": "web", "uid": "deploy-1",
        "controller": true}]);
    [
        json!({"apiVersion": "apps/v1", "kind": "ReplicaSet", "spec": {"template": template},
            "metadata": {"name": "web-5b6d", "namespace": "default", "uid": "rs-1", "ownerReferences": owner,
                "creationTimestamp": "2026-11-23T15:00:00Z"}}),
        json!({"apiVersion": "apps/v1", "kind": "Deployment", "spec": {"template": template},
            "metadata": {"name": "web", "namespace": "default", "uid": "deploy-1"}}),
    ]
}

/// What is granted, and beside it what must open nothing: see [`crate::review::EXECS`] for what the
/// reference knows.
fn requests() -> Vec<Value> {
    let debug = json!({"image": "busybox", "command": ["sh"], "targetContainerName": "nginx", "stdin": true,
        "securityContext": {"capabilities": {"add": ["SYS_PTRACE"]}}});
    let mut all = vec![
        exec("date", |_| {}),
        exec("cat", |spec| {
            spec["execOptions"]["command"] = json!(["cat", "/etc/hostname"]);
        }),
        once("uptime"),
        once("hostname"),
        exec("any", |spec| {
            spec["execOptions"] = json!({"container": "a", "stdin": true});
            spec["anyCommand"] = json!(true);
            on(spec, "two", "two-1");
        }),
        exec("env", |spec| {
            on(spec, "web", "deploy-1");
            spec["forObject"]["resource"] =
                json!({"group": "apps", "version": "v1", "resource": "deployments"});
        }),
        exec("id", |spec| {
            spec["userInfo"] = json!({"username": "kim", "uid": "u-kim"});
        }),
        door("attach", "attachOptions", &json!({"container": "nginx"})),
        door("portforward", "portForwardOptions", &json!({})),
        door("ephemeralcontainers", "ephemeralContainer", &debug),
        exec("into", |spec| {
            spec["copy"] = json!({"direction": "to", "path": "/srv/app-data/notes.txt", "directory": "/srv/app-data"});
            spec["execOptions"] = json!({"container": "nginx", "stdin": true});
        }),
        exec("out", |spec| {
            spec["copy"] = json!({"direction": "from", "path": "/etc/hostname"});
            spec["execOptions"] = json!({"container": "nginx"});
        }),
        exec("open", |spec| spec["userInfo"] = json!({"username": "bob"})),
    ];
    all.extend(traps());
    for request in &mut all {
        match request["metadata"]["name"].as_str().unwrap() {
            "hostname" => {
                request["status"] = json!({"uses": [{"reviewUID": EARLIER, "at": "2026-11-23T15:00:00Z",
                    "subResource": "exec", "pod": "nginx", "podUID": POD_UID, "container": "nginx"}]});
            }
            "trap-expired" => {
                request["metadata"]["creationTimestamp"] = json!("2026-11-20T15:00:00Z");
            }
            "trap-gone" => request["metadata"]["deletionTimestamp"] = json!("2026-11-23T15:00:00Z"),
            "trap-namespace" => request["metadata"]["namespace"] = json!("prod"),
            "ephemeralcontainers" => {
                request["spec"]["attach"] = json!(true);
                request["status"] = json!({"uses": [{"reviewUID": "added", "at": "2026-11-23T15:00:00Z",
                    "subResource": "ephemeralcontainers", "pod": "nginx", "podUID": POD_UID, "container": "live"}]});
            }
            _ => {}
        }
    }
    all
}

/// What opens nothing, and why its name says.
fn traps() -> [Value; 9] {
    [
        exec("trap-pending", |_| {}),
        exec("trap-denied", |_| {}),
        exec("trap-own-grant", |_| {}),
        exec("trap-other-uid", |_| {}),
        exec("trap-expired", |_| {}),
        exec("trap-pod", |spec| on(spec, "nginx", "pod-0")),
        exec("trap-gone", |_| {}),
        exec("trap-bob", |spec| {
            spec["userInfo"] = json!({"username": "bob"});
        }),
        exec("trap-namespace", |spec| {
            drop(
                spec["forObject"]
                    .as_object_mut()
                    .unwrap()
                    .remove("namespace"),
            );
        }),
    ]
}

fn once(name: &str) -> Value {
    exec(name, |spec| {
        drop(spec.as_object_mut().unwrap().remove("validFor"));
    })
}

/// A request of jane's to run a command called like the request, for an hour.
fn exec(name: &str, change: impl FnOnce(&mut Value)) -> Value {
    let mut request = world::request();
    request["metadata"]["name"] = json!(name);
    request["metadata"]["uid"] = json!(format!("{name}-1"));
    let spec = &mut request["spec"];
    spec["validFor"] = json!("1h");
    spec["forObject"]["uid"] = json!(POD_UID);
    spec["execOptions"]["command"] = json!([name]);
    change(spec);
    request
}

fn door(door: &str, field: &str, options: &Value) -> Value {
    exec(door, |spec| {
        spec["forObject"]["subResource"] = json!(door);
        spec["execOptions"] = json!({});
        spec[field] = options.clone();
    })
}

fn on(spec: &mut Value, name: &str, uid: &str) {
    spec["forObject"]["name"] = json!(name);
    spec["forObject"]["uid"] = json!(uid);
}

/// amy's grants, and what is wrong with those of the traps.
fn grants(requests: &[Value]) -> Vec<Value> {
    let mut all = Vec::new();
    for request in requests {
        let meta = |field: &str| request["metadata"][field].as_str().unwrap();
        let mut grant = world::grant("granted");
        grant["metadata"]["name"] = json!(format!("grant-{}", meta("name")));
        grant["metadata"]["uid"] = json!(format!("grant-{}-1", meta("name")));
        grant["metadata"]["namespace"] = json!(meta("namespace"));
        grant["metadata"]["creationTimestamp"] = json!(meta("creationTimestamp"));
        grant["spec"]["grantFor"] = json!(meta("name"));
        grant["spec"]["requestUID"] = json!(meta("uid"));
        match meta("name") {
            "trap-pending" | "open" => continue,
            "trap-denied" => grant["status"] = json!("denied"),
            "trap-own-grant" => grant["spec"]["grantedBy"]["username"] = json!("jane"),
            "trap-other-uid" => grant["spec"]["requestUID"] = json!("other-1"),
            _ => {}
        }
        all.push(grant);
    }
    all
}
