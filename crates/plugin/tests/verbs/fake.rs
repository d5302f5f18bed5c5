//! An API server in memory, at the seam where kube hands over its HTTP requests.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::convert::Infallible;
use std::io::{self, BufRead, Read};
use std::sync::{Arc, Mutex, PoisonError};

use clap::Parser;
use http::{Method, Request, Response};
use kube::Client;
use kube::client::Body;
use plugin::args::Cli;
use plugin::cluster::Cluster;
use plugin::terminal::Terminal;
use serde_json::{Value, json};

/// Random letters that this API server makes up for every generated name.
pub(crate) const LETTERS: &str = "x4k2z";
/// Collection of the requests in namespace default.
pub(crate) const REQUESTS: &str = "/apis/spreadgroup.com/v1/namespaces/default/accessrequests";
/// Collection of the grants in namespace default.
pub(crate) const GRANTS: &str = "/apis/spreadgroup.com/v1/namespaces/default/accessgrants";
const WHOAMI: &str = "/apis/authentication.k8s.io/v1/selfsubjectreviews";

/// What was asked of the API server.
#[derive(Debug, Clone)]
pub(crate) struct Call {
    pub(crate) method: Method,
    pub(crate) path: String,
    pub(crate) query: String,
    pub(crate) body: Value,
}

#[derive(Default)]
struct State {
    objects: BTreeMap<String, Value>,
    answers: HashMap<(Method, String), VecDeque<(u16, String)>>,
    calls: Vec<Call>,
    user: String,
}

/// A cluster in memory.
#[derive(Clone)]
pub(crate) struct Fake {
    state: Arc<Mutex<State>>,
}

/// What a verb wrote, and how it ended.
#[derive(Debug)]
pub(crate) struct Outcome {
    pub(crate) out: String,
    pub(crate) err: String,
    pub(crate) failure: Option<String>,
}

impl Fake {
    /// An empty cluster that knows us as jane.
    pub(crate) fn new() -> Self {
        let state = State { user: "jane".to_owned(), ..State::default() };
        Self { state: Arc::new(Mutex::new(state)) }
    }

    /// Puts an object where its path says.
    pub(crate) fn with(self, path: &str, object: Value) -> Self {
        self.change(|state| state.objects.insert(path.to_owned(), object));
        self
    }

    /// Makes the server answer so instead.
    pub(crate) fn answering(self, method: Method, path: &str, code: u16, body: &impl ToString) -> Self {
        let answer = VecDeque::from([(code, body.to_string())]);
        self.change(|state| state.answers.insert((method, path.to_owned()), answer));
        self
    }

    /// Makes the server answer one GET after the other so.
    pub(crate) fn answering_in_turn(self, path: &str, bodies: &[Value]) -> Self {
        let answers = bodies.iter().map(|body| (200, body.to_string())).collect();
        self.change(|state| state.answers.insert((Method::GET, path.to_owned()), answers));
        self
    }

    /// Who we are.
    pub(crate) fn known_as(self, user: &str) -> Self {
        self.change(|state| user.clone_into(&mut state.user));
        self
    }

    /// Replaces or removes an object.
    pub(crate) fn put(&self, path: &str, object: Option<Value>) {
        self.change(|state| match object {
            Some(object) => state.objects.insert(path.to_owned(), object),
            None => state.objects.remove(path),
        });
    }

    /// The bodies that were posted to a collection.
    pub(crate) fn posted(&self, path: &str) -> Vec<Value> {
        let calls = self.change(|state| state.calls.clone());
        calls
            .into_iter()
            .filter(|call| call.method == Method::POST && call.path == path)
            .map(|call| call.body)
            .collect()
    }

    /// All calls so far.
    pub(crate) fn calls(&self) -> Vec<Call> {
        self.change(|state| state.calls.clone())
    }

    /// Runs `kubectl request` with these arguments and this input.
    pub(crate) async fn run(&self, line: &[&str], input: &str) -> Outcome {
        self.run_reading(line, &mut input.as_bytes()).await
    }

    /// The same with any input.
    pub(crate) async fn run_reading(&self, line: &[&str], input: &mut dyn BufRead) -> Outcome {
        let cli = Cli::try_parse_from([&["kubectl-request"], line].concat()).unwrap();
        let (mut out, mut err) = (anstream::StripStream::new(Vec::new()), Vec::new());
        let mut terminal = Terminal { out: &mut out, err: &mut err, input };
        let now = "2026-01-01T01:00:00Z".parse().unwrap();
        let failure = plugin::perform(cli.verb, || Ok(self.cluster()), &mut terminal, now).await.err();
        Outcome {
            out: String::from_utf8(out.into_inner()).unwrap(),
            err: String::from_utf8(err).unwrap(),
            failure: failure.map(|failure| failure.line()),
        }
    }

    fn cluster(&self) -> Cluster {
        let fake = self.clone();
        let service = tower::service_fn(move |request: Request<Body>| {
            let fake = fake.clone();
            async move { Ok::<_, Infallible>(fake.answer(request).await) }
        });
        Cluster {
            client: Client::new(service, "default"),
            namespace: "default".to_owned(),
            context: "dev".to_owned(),
            server: "https://fake:6443".to_owned(),
            watched: false,
        }
    }

    fn change<T>(&self, change: impl FnOnce(&mut State) -> T) -> T {
        change(&mut self.state.lock().unwrap_or_else(PoisonError::into_inner))
    }

    async fn answer(&self, request: Request<Body>) -> Response<Body> {
        let (parts, body) = request.into_parts();
        let bytes = body.collect_bytes().await.unwrap();
        let call = Call {
            method: parts.method,
            path: parts.uri.path().to_owned(),
            query: parts.uri.query().unwrap_or_default().to_owned(),
            body: serde_json::from_slice(&bytes).unwrap_or_default(),
        };
        let (code, text) = self.change(|state| {
            state.calls.push(call.clone());
            state.answer(&call)
        });
        Response::builder().status(code).body(Body::from(text.into_bytes())).unwrap()
    }
}

impl State {
    fn answer(&mut self, call: &Call) -> (u16, String) {
        let key = (call.method.clone(), call.path.clone());
        if let Some(answer) = self.answers.get_mut(&key).and_then(VecDeque::pop_front) {
            return answer;
        }
        let (code, object) = match call.method {
            Method::POST if call.path == WHOAMI => (201, json!({"status": {"userInfo": {"username": self.user}}})),
            Method::POST => self.create(call),
            _ => self.read(&call.path),
        };
        (code, object.to_string())
    }

    fn create(&mut self, call: &Call) -> (u16, Value) {
        let mut object = call.body.clone();
        let generated = object["metadata"]["generateName"].as_str().map(|prefix| format!("{prefix}{LETTERS}"));
        let name = object["metadata"]["name"].as_str().map(str::to_owned).or(generated).unwrap();
        let path = format!("{}/{name}", call.path);
        if self.objects.contains_key(&path) {
            return (409, status(409, "AlreadyExists", &format!("{name:?} already exists"), &name));
        }
        object["metadata"]["name"] = json!(name);
        object["metadata"]["uid"] = json!(format!("uid-of-{name}"));
        if !call.query.contains("dryRun") {
            self.objects.insert(path, object.clone());
        }
        (201, object)
    }

    fn read(&self, path: &str) -> (u16, Value) {
        if let Some(object) = self.objects.get(path) {
            return (200, object.clone());
        }
        let (collection, name) = path.rsplit_once('/').unwrap();
        if ["pods", "accessrequests"].contains(&name) {
            return (200, self.list(name));
        }
        let plural = collection.rsplit('/').next().unwrap();
        (404, status(404, "NotFound", &format!("{plural} {name:?} not found"), name))
    }

    fn list(&self, wanted: &str) -> Value {
        let inside = |at: &String| at.rsplit('/').nth(1) == Some(wanted);
        let items: Vec<&Value> = self.objects.iter().filter(|(at, _)| inside(at)).map(|(_, object)| object).collect();
        json!({"apiVersion": "v1", "kind": "List", "metadata": {"resourceVersion": "1"}, "items": items})
    }
}

/// A failure as the API server tells it.
pub(crate) fn status(code: u16, reason: &str, message: &str, name: &str) -> Value {
    json!({
        "apiVersion": "v1", "kind": "Status", "status": "Failure", "code": code,
        "reason": reason, "message": message, "details": {"name": name},
    })
}

/// Input that is typed after something happened.
pub(crate) struct Meanwhile<F: FnMut()> {
    pub(crate) happens: F,
    pub(crate) typed: &'static [u8],
}

impl<F: FnMut()> Read for Meanwhile<F> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        (self.happens)();
        self.typed.read(buffer)
    }
}

impl<F: FnMut()> BufRead for Meanwhile<F> {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        (self.happens)();
        Ok(self.typed)
    }

    fn consume(&mut self, amount: usize) {
        self.typed = &self.typed[amount..];
    }
}
