//! An API server at the seam where kube hands over HTTP requests: objects by path, optimistic
//! concurrency as the real one has it, a record of every request, and faults on demand.

use std::{
    collections::{BTreeMap, VecDeque},
    convert::Infallible,
    sync::{Arc, Mutex},
};

use http::{Method, Request, Response, StatusCode};
use http_body_util::BodyExt as _;
use kube::{Client, client::Body};
use serde_json::{Value, json};
use tokio::sync::watch;
use tower::service_fn;

/// The API server.
#[derive(Clone, Default)]
pub(crate) struct FakeApi(Arc<Mutex<State>>, watch::Sender<()>);

#[derive(Default)]
struct State {
    objects: BTreeMap<String, Value>,
    version: u64,
    requests: Vec<(Method, String)>,
    faults: VecDeque<Fault>,
    /// Users to whom SubjectAccessReviews say no.
    without_rights: Vec<String>,
}

/// What goes wrong with the next matching request.
pub(crate) struct Fault {
    pub(crate) method: Method,
    pub(crate) path: &'static str,
    pub(crate) effect: Effect,
}

pub(crate) enum Effect {
    /// Answered with this status; nothing is done.
    Fails(StatusCode),
    /// Done, but answered with this status.
    DoneButFails(StatusCode),
    /// Carries it out, lets something happen to the object, and answers with this.
    DoneThenFails(StatusCode, fn(&mut Value)),
    /// Somebody else changes the object at this path first.
    After(String, fn(&mut Value)),
    /// Done, but something takes this out of the status before it is stored.
    Forgets(&'static str),
    /// Never answered.
    Hangs,
}

/// What is stored where it is created; all else is a review.
const CREATED: [&str; 3] = ["/accessrequests", "/secrets", "/configmaps"];

impl FakeApi {
    pub(crate) fn client(&self) -> Client {
        let api = self.clone();
        let service = service_fn(move |request: Request<Body>| {
            let api = api.clone();
            async move { Ok::<_, Infallible>(api.answer(request).await) }
        });
        Client::new(service, "default")
    }

    /// Stores an object under its path, as if it had always been there.
    pub(crate) fn store(&self, path: &str, object: &Value) {
        let mut state = self.lock();
        let mut object = object.clone();
        state.version += 1;
        object["metadata"]["resourceVersion"] = json!(state.version.to_string());
        state.objects.insert(path.to_owned(), object);
        self.1.send_replace(());
    }

    /// Waits until what is stored is so.
    pub(crate) async fn until<T>(&self, mut is_so: impl FnMut(&Self) -> Option<T>) -> T {
        let mut stored = self.1.subscribe();
        loop {
            if let Some(found) = is_so(self) {
                return found;
            }
            stored.changed().await.unwrap();
        }
    }

    pub(crate) fn remove(&self, path: &str) {
        self.lock().objects.remove(path);
    }

    pub(crate) fn get(&self, path: &str) -> Value {
        self.lock().objects.get(path).cloned().unwrap_or_default()
    }

    pub(crate) fn change(&self, path: &str, change: impl FnOnce(&mut Value)) {
        let mut object = self.get(path);
        change(&mut object);
        self.store(path, &object);
    }

    pub(crate) fn next_fault(&self, method: Method, path: &'static str, effect: Effect) {
        self.lock().faults.push_back(Fault {
            method,
            path,
            effect,
        });
    }

    pub(crate) fn takes_all_rights_of(&self, user: &str) {
        self.lock().without_rights.push(user.to_owned());
    }

    /// What was asked, since the last time this was called.
    pub(crate) fn requests(&self) -> Vec<(Method, String)> {
        std::mem::take(&mut self.lock().requests)
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, State> {
        self.0.lock().unwrap()
    }

    async fn answer(&self, request: Request<Body>) -> Response<Body> {
        let (parts, body) = request.into_parts();
        let body = body.collect().await.unwrap().to_bytes();
        let body: Value = serde_json::from_slice(&body).unwrap_or_default();
        let (path, query) = (
            parts.uri.path().to_owned(),
            parts.uri.query().unwrap_or_default().to_owned(),
        );
        let fault = {
            let mut state = self.lock();
            state.requests.push((parts.method.clone(), path.clone()));
            let at = state
                .faults
                .iter()
                .position(|fault| fault.method == parts.method && path.contains(fault.path));
            at.and_then(|at| state.faults.remove(at))
                .map(|fault| fault.effect)
        };
        match fault {
            Some(Effect::Fails(code)) => failure(code),
            Some(Effect::DoneButFails(code)) => {
                self.carry_out(&parts.method, &path, &query, &body);
                failure(code)
            }
            Some(Effect::DoneThenFails(code, change)) => {
                self.carry_out(&parts.method, &path, &query, &body);
                self.change(path.trim_end_matches("/status"), change);
                failure(code)
            }
            Some(Effect::After(other, change)) => {
                self.change(&other, change);
                self.carry_out(&parts.method, &path, &query, &body)
            }
            Some(Effect::Forgets(field)) => {
                let mut body = body;
                body["status"].as_object_mut().unwrap().remove(field);
                self.carry_out(&parts.method, &path, &query, &body)
            }
            Some(Effect::Hangs) => std::future::pending().await,
            None => self.carry_out(&parts.method, &path, &query, &body),
        }
    }

    fn carry_out(&self, method: &Method, path: &str, query: &str, body: &Value) -> Response<Body> {
        match *method {
            Method::GET if path.ends_with("/accessgrants") => self.list(path, query),
            Method::GET if path.ends_with("/accesspolicies") => self.list_all(path),
            Method::GET if path.ends_with("/mutatingwebhookconfigurations") => self.list_all(path),
            Method::GET
                if path.ends_with("/mutatingadmissionpolicies") && self.is_any_below(path) =>
            {
                self.list_all(path)
            }
            Method::GET if path.ends_with("/configmaps") => self.list_by_labels(path, query),
            Method::GET => self
                .lock()
                .objects
                .get(path)
                .map_or_else(|| failure(StatusCode::NOT_FOUND), ok),
            Method::POST if CREATED.iter().any(|kind| path.ends_with(kind)) => {
                self.create(path, body)
            }
            Method::POST => self.review(body),
            Method::PUT if path.contains("/secrets/") => self.replace(path, body),
            Method::PUT => self.put(path.trim_end_matches("/status"), body),
            Method::PATCH => self.patch(path.trim_end_matches("/status"), body),
            Method::DELETE => {
                let removed = self.lock().objects.remove(path);
                removed
                    .as_ref()
                    .map_or_else(|| failure(StatusCode::NOT_FOUND), ok)
            }
            _ => failure(StatusCode::METHOD_NOT_ALLOWED),
        }
    }

    /// By labels that are equal to something.
    fn list_by_labels(&self, path: &str, query: &str) -> Response<Body> {
        let selector = query
            .split(['&', '?'])
            .find_map(|pair| pair.strip_prefix("labelSelector="))
            .unwrap_or_default();
        let selector = selector
            .replace("%2F", "/")
            .replace("%3D", "=")
            .replace("%2C", ",");
        let wanted: Vec<(&str, &str)> = selector
            .split(',')
            .filter_map(|one| one.split_once('='))
            .collect();
        let is_wanted = |object: &&Value| {
            let labels = &object["metadata"]["labels"];
            wanted
                .iter()
                .all(|(label, value)| labels[label].as_str() == Some(value))
        };
        let state = self.lock();
        let items = state
            .objects
            .iter()
            .filter(|(at, _)| at.starts_with(&format!("{path}/")))
            .map(|(_, object)| object);
        let items: Vec<&Value> = items.filter(is_wanted).collect();
        ok(
            &json!({"apiVersion": "meta.k8s.io/v1", "kind": "PartialObjectMetadataList", "metadata": {}, "items": items}),
        )
    }

    /// Grants by `fieldSelector=spec.grantFor=NAME`.
    fn list(&self, path: &str, query: &str) -> Response<Body> {
        let name = query
            .split(['&', '?'])
            .find_map(|pair| pair.strip_prefix("fieldSelector=spec.grantFor%3D"));
        let state = self.lock();
        let items = state.objects.iter().filter(|(at, object)| {
            at.starts_with(&format!("{path}/")) && object["spec"]["grantFor"].as_str() == name
        });
        let items: Vec<&Value> = items.map(|(_, object)| object).collect();
        ok(
            &json!({"apiVersion": "spreadgroup.com/v1", "kind": "AccessGrantList", "metadata": {}, "items": items}),
        )
    }

    fn is_any_below(&self, path: &str) -> bool {
        self.lock()
            .objects
            .keys()
            .any(|at| at.starts_with(&format!("{path}/")))
    }

    fn list_all(&self, path: &str) -> Response<Body> {
        let state = self.lock();
        let items = state
            .objects
            .iter()
            .filter(|(at, _)| at.starts_with(&format!("{path}/")));
        let items: Vec<&Value> = items.map(|(_, object)| object).collect();
        ok(
            &json!({"apiVersion": "spreadgroup.com/v1", "kind": "AccessPolicyList", "metadata": {}, "items": items}),
        )
    }

    fn review(&self, body: &Value) -> Response<Body> {
        let user = body["spec"]["user"].as_str().unwrap_or_default();
        let allowed = !self
            .lock()
            .without_rights
            .iter()
            .any(|without| without == user);
        let mut answer = body.clone();
        answer["metadata"] = json!({});
        answer["status"] = json!({"allowed": allowed});
        ok(&answer)
    }

    /// As the API server, without its webhooks.
    fn create(&self, path: &str, body: &Value) -> Response<Body> {
        let path = format!("{path}/{}", body["metadata"]["name"].as_str().unwrap());
        if !self.get(&path).is_null() {
            let mut status = json!({"kind": "Status", "status": "Failure", "reason": "AlreadyExists", "code": 409});
            status["message"] = json!(format!("{path} already exists"));
            let mut response = ok(&status);
            *response.status_mut() = StatusCode::CONFLICT;
            return response;
        }
        let mut object = body.clone();
        object["metadata"]["namespace"] = json!("default");
        object["metadata"]["uid"] = json!(format!("uid-{path}"));
        object["metadata"]["creationTimestamp"] = json!("2026-11-23T15:00:00Z");
        self.store(&path, &object);
        ok(&self.get(&path))
    }

    /// As the API server: the resourceVersion must be the one that is stored.
    fn replace(&self, path: &str, body: &Value) -> Response<Body> {
        if self.get(path)["metadata"]["resourceVersion"] != body["metadata"]["resourceVersion"] {
            return failure(StatusCode::CONFLICT);
        }
        self.store(path, body);
        ok(&self.get(path))
    }

    /// As the API server: a merge patch.
    fn patch(&self, path: &str, body: &Value) -> Response<Body> {
        let mut object = self.get(path);
        if object.is_null() {
            return failure(StatusCode::NOT_FOUND);
        }
        merge(&mut object, body);
        self.store(path, &object);
        ok(&self.get(path))
    }

    /// The objects below a path.
    pub(crate) fn below(&self, path: &str) -> Vec<Value> {
        self.lock()
            .objects
            .iter()
            .filter(|(at, _)| at.starts_with(path))
            .map(|(_, object)| object.clone())
            .collect()
    }

    /// Paths of the stored requests.
    pub(crate) fn requests_stored(&self) -> Vec<String> {
        let is_request = |path: &&String| path.contains("/accessrequests/");
        self.lock()
            .objects
            .keys()
            .filter(is_request)
            .cloned()
            .collect()
    }

    /// As the API server: uid and resourceVersion must be those that are stored; only the status
    /// changes.
    fn put(&self, path: &str, body: &Value) -> Response<Body> {
        let mut state = self.lock();
        let next = state.version + 1;
        let Some(stored) = state.objects.get_mut(path) else {
            return failure(StatusCode::NOT_FOUND);
        };
        let same = |field: &str| stored["metadata"][field] == body["metadata"][field];
        if !same("uid") || !same("resourceVersion") {
            return failure(StatusCode::CONFLICT);
        }
        stored["status"] = body["status"].clone();
        stored["metadata"]["resourceVersion"] = json!(next.to_string());
        let answer = ok(stored);
        state.version = next;
        self.1.send_replace(());
        answer
    }
}

fn merge(into: &mut Value, patch: &Value) {
    let Some(fields) = patch.as_object() else {
        into.clone_from(patch);
        return;
    };
    for (key, value) in fields {
        merge(&mut into[key], value);
    }
}

fn ok(object: &Value) -> Response<Body> {
    Response::new(Body::from(object.to_string().into_bytes()))
}

fn failure(code: StatusCode) -> Response<Body> {
    let reason = match code {
        StatusCode::NOT_FOUND => "NotFound",
        StatusCode::CONFLICT => "Conflict",
        _ => "InternalError",
    };
    let status = json!({
        "apiVersion": "v1", "kind": "Status", "status": "Failure", "message": "injected", "reason": reason, "code": code.as_u16(),
    });
    let mut response = ok(&status);
    *response.status_mut() = code;
    response
}
