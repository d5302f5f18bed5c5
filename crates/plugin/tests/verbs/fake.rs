//! An API server in memory, at the seam where kube hands over its HTTP requests.

use std::collections::{BTreeMap, HashMap, HashSet, VecDeque};
use std::convert::Infallible;
use std::io::{self, BufRead, Read};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use clap::Parser;
use http::{Method, Request, Response};
use http_body_util::channel::Channel;
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt as _, Full};
use kube::Client;
use kube::client::Body;
use plugin::args::{Cli, Verb};
use plugin::cluster::Cluster;
use plugin::cluster::Way;
use plugin::connect::login::Purpose;
use plugin::connect::{self, ConnectionFlags};
use plugin::terminal::exit::Exit;
use plugin::terminal::keyboard::Keyboard;
use plugin::terminal::kubectl::{Line, Next};
use plugin::terminal::screen::Screen;
use plugin::terminal::{Pick, Terminal};
use serde_json::{Value, json};
use tokio::sync::mpsc;

/// Random letters that this API server makes up for every generated name.
pub(crate) const LETTERS: &str = "x4k2z";
/// Collection of the requests in namespace default.
pub(crate) const REQUESTS: &str = "/apis/spreadgroup.com/v1/namespaces/default/accessrequests";
/// Collection of the grants in namespace default.
pub(crate) const GRANTS: &str = "/apis/spreadgroup.com/v1/namespaces/default/accessgrants";
const WHOAMI: &str = "/apis/authentication.k8s.io/v1/selfsubjectreviews";
const MAY_I: &str = "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews";

type Answer = UnsyncBoxBody<Bytes, Infallible>;

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
    refusals: HashMap<(Method, String), (u16, String)>,
    calls: Vec<Call>,
    watches: Vec<(Call, mpsc::UnboundedSender<String>)>,
    user: String,
    screen: Option<Screen>,
    /// Whether it is connected to as the kubeconfig says.
    connecting: bool,
    may_not: HashSet<String>,
    /// Whether requests can be selected by their names only.
    without_fields: bool,
    /// What the server writes into each new object.
    stamp: Option<fn(&mut Value)>,
}

/// Somebody who typed nothing before they were asked.
struct Quiet;

impl Keyboard for Quiet {
    fn settle(&self) -> std::io::Result<()> {
        Ok(())
    }

    fn mark_pastes(&self, _marked: bool) -> std::io::Result<()> {
        Ok(())
    }
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
    pub(crate) exit: Exit,
    pub(crate) kubectl: Option<Line>,
}

impl Fake {
    /// An empty cluster that knows us as jane.
    pub(crate) fn new() -> Self {
        let state = State {
            user: "jane".to_owned(),
            ..State::default()
        };
        Self {
            state: Arc::new(Mutex::new(state)),
        }
    }

    /// Puts an object where its path says.
    pub(crate) fn with(self, path: &str, object: Value) -> Self {
        self.change(|state| state.objects.insert(path.to_owned(), object));
        self
    }

    /// Makes the server answer so once more.
    pub(crate) fn answering_too(
        self,
        method: Method,
        path: &str,
        code: u16,
        body: &impl ToString,
    ) -> Self {
        let answer = (code, body.to_string());
        self.change(|state| {
            state
                .answers
                .entry((method, path.to_owned()))
                .or_default()
                .push_back(answer);
        });
        self
    }

    /// Makes the server answer so instead.
    pub(crate) fn answering(
        self,
        method: Method,
        path: &str,
        code: u16,
        body: &impl ToString,
    ) -> Self {
        let answer = VecDeque::from([(code, body.to_string())]);
        self.change(|state| state.answers.insert((method, path.to_owned()), answer));
        self
    }

    /// Makes the server answer one GET after the other so.
    pub(crate) fn answering_in_turn(self, path: &str, bodies: &[Value]) -> Self {
        let answers = bodies.iter().map(|body| (200, body.to_string())).collect();
        self.change(|state| {
            state
                .answers
                .insert((Method::GET, path.to_owned()), answers)
        });
        self
    }

    /// Makes the server answer so always.
    pub(crate) fn refusing(self, method: Method, path: &str, code: u16, message: &str) -> Self {
        let reason = if code == 403 {
            "Forbidden"
        } else {
            "InternalError"
        };
        let body = status(code, reason, message, "x").to_string();
        self.change(|state| {
            state
                .refusals
                .insert((method, path.to_owned()), (code, body))
        });
        self
    }

    /// With a definition of requests that has no fields to select by.
    pub(crate) fn without_fields(self) -> Self {
        self.change(|state| state.without_fields = true);
        self
    }

    /// Ends all watches.
    pub(crate) fn hang_up(&self) {
        self.change(|state| state.watches.clear());
    }

    /// What we may not create.
    pub(crate) fn may_not_create(self, resource: &str) -> Self {
        self.change(|state| state.may_not.insert(resource.to_owned()));
        self
    }

    /// What the server writes into each new object.
    pub(crate) fn stamping(self, stamp: fn(&mut Value)) -> Self {
        self.change(|state| state.stamp = Some(stamp));
        self
    }

    /// Does something to the cluster in a while.
    pub(crate) fn later(&self, seconds: u64, act: impl FnOnce(&Self) + Send + 'static) {
        let fake = self.clone();
        tokio::spawn(async move {
            tokio::time::sleep(Duration::from_secs(seconds)).await;
            act(&fake);
        });
    }

    /// Who we are.
    pub(crate) fn known_as(self, user: &str) -> Self {
        self.change(|state| user.clone_into(&mut state.user));
        self
    }

    /// Is connected to as the flags and their kubeconfig say, and not behind them.
    pub(crate) fn connecting(self) -> Self {
        self.change(|state| state.connecting = true);
        self
    }

    /// What is read on.
    pub(crate) fn read_on(self, width: usize, height: usize) -> Self {
        self.change(|state| {
            state.screen = Some(Screen {
                width,
                height: Some(height),
            });
        });
        self
    }

    /// Replaces or removes an object.
    pub(crate) fn put(&self, path: &str, object: Option<Value>) {
        self.change(|state| state.put(path, object));
    }

    /// An object, as it is stored.
    pub(crate) fn stored(&self, path: &str) -> Option<Value> {
        self.change(|state| state.objects.get(path).cloned())
    }

    /// The bodies that were posted to a collection, but for dry runs.
    pub(crate) fn posted(&self, path: &str) -> Vec<Value> {
        let calls = self.change(|state| state.calls.clone());
        calls
            .into_iter()
            .filter(|call| {
                call.method == Method::POST && call.path == path && !call.query.contains("dryRun")
            })
            .map(|call| call.body)
            .collect()
    }

    /// All calls so far.
    pub(crate) fn calls(&self) -> Vec<Call> {
        self.change(|state| state.calls.clone())
    }

    /// Runs `kubectl request` in a pipe with this input, where nobody can be asked.
    pub(crate) async fn run_in_pipe(&self, line: &[&str], input: &str) -> Outcome {
        self.run_at(false, (None, None), line, &mut input.as_bytes())
            .await
    }

    /// Runs `kubectl request` with these arguments, and somebody types this.
    pub(crate) async fn run(&self, line: &[&str], input: &str) -> Outcome {
        self.run_reading(line, &mut input.as_bytes()).await
    }

    /// The same with any input.
    pub(crate) async fn run_reading(&self, line: &[&str], input: &mut dyn BufRead) -> Outcome {
        self.run_at(false, (Some(&Quiet), None), line, input).await
    }

    /// The same where one chooses by keys.
    pub(crate) async fn run_picking(&self, line: &[&str], pick: &Pick, input: &str) -> Outcome {
        self.run_at(
            true,
            (Some(&Quiet), Some(pick)),
            line,
            &mut input.as_bytes(),
        )
        .await
    }

    /// The same at a terminal.
    pub(crate) async fn run_at_terminal(&self, line: &[&str], input: &str) -> Outcome {
        self.run_at(true, (Some(&Quiet), None), line, &mut input.as_bytes())
            .await
    }

    async fn run_at(
        &self,
        terminal: bool,
        (keyboard, pick): (Option<&dyn Keyboard>, Option<&Pick>),
        line: &[&str],
        input: &mut dyn BufRead,
    ) -> Outcome {
        let cli = Cli::try_parse_from([&["kubectl-request"], line].concat()).unwrap();
        let (mut out, mut err) = (anstream::StripStream::new(Vec::new()), Vec::new());
        let now = "2026-01-01T01:00:00+00:00[UTC]".parse().unwrap();
        let (shown, watched) = (terminal, terminal);
        let mut terminal = Terminal {
            out: &mut out,
            err: &mut err,
            input,
            shown,
            watched,
            screen: &|| self.change(|state| state.screen).unwrap_or(Screen::PIPE),
            drawn: std::cell::Cell::default(),
            keyboard,
            pick,
            now,
        };
        let flags = cli.connection.clone();
        let ended = if let Verb::Policy(args) = cli.verb {
            plugin::look::policy::run(*args, &cli.connection, &mut terminal)
                .map(|()| Next::Done)
                .map_err(Into::into)
        } else {
            Box::pin(plugin::perform(
                cli.verb,
                || {
                    if self.change(|state| state.connecting) {
                        connect::connect(&flags, false, Purpose::Command)
                    } else {
                        Ok(self.cluster(flags))
                    }
                },
                &mut terminal,
            ))
            .await
        };
        let (kubectl, failure) = match ended {
            Ok(Next::Done) => (None, None),
            Ok(Next::Run(line)) => (Some(*line), None),
            Err(failure) => (None, Some(failure)),
        };
        Outcome {
            out: String::from_utf8(out.into_inner()).unwrap(),
            err: String::from_utf8(err).unwrap(),
            exit: failure.as_ref().map_or(Exit::Done, plugin::Failure::exit),
            failure: failure.map(|failure| failure.line()),
            kubectl,
        }
    }

    /// What kubectl is told that these words can go on with.
    pub(crate) async fn complete(&self, words: &[&str]) -> String {
        let words: Vec<String> = words.iter().map(|&word| word.to_owned()).collect();
        plugin::complete::run(&words, |flags| Ok(self.cluster(flags.clone()))).await
    }

    fn cluster(&self, flags: ConnectionFlags) -> Cluster {
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
            way: Arc::new(Way {
                names_context: flags.context.is_some(),
                flags,
                destination: None,
                is_pod: false,
            }),
        }
    }

    fn change<T>(&self, change: impl FnOnce(&mut State) -> T) -> T {
        change(&mut self.state.lock().unwrap_or_else(PoisonError::into_inner))
    }

    pub(crate) async fn answer(&self, request: Request<Body>) -> Response<Answer> {
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
        if code == 200 && call.query.contains("watch=true") {
            return self.watched(call);
        }
        Response::builder()
            .status(code)
            .body(Full::from(text).boxed_unsync())
            .unwrap()
    }

    /// An answer that goes on.
    fn watched(&self, call: Call) -> Response<Answer> {
        let (events, mut told) = mpsc::unbounded_channel::<String>();
        self.change(|state| state.watches.push((call, events)));
        let (mut sender, body) = Channel::<Bytes, Infallible>::new(8);
        tokio::spawn(async move {
            while let Some(event) = told.recv().await {
                if sender.send_data(event.into()).await.is_err() {
                    return;
                }
            }
        });
        Response::new(body.boxed_unsync())
    }
}

impl State {
    fn answer(&mut self, call: &Call) -> (u16, String) {
        let key = (call.method.clone(), call.path.clone());
        if let Some(answer) = self.answers.get_mut(&key).and_then(VecDeque::pop_front) {
            return answer;
        }
        if let Some(refusal) = self.refusals.get(&key) {
            return refusal.clone();
        }
        let (code, object) = match call.method {
            Method::POST if call.path == WHOAMI => {
                let user = json!({"username": self.user, "groups": ["developers", "system:authenticated"]});
                (201, json!({"spec": {}, "status": {"userInfo": user}}))
            }
            Method::POST if call.path == MAY_I => {
                let attributes = &call.body["spec"]["resourceAttributes"];
                let allowed = !self
                    .may_not
                    .contains(attributes["resource"].as_str().unwrap());
                (
                    201,
                    json!({"spec": call.body["spec"], "status": {"allowed": allowed}}),
                )
            }
            Method::POST => self.create(call),
            Method::DELETE => self.delete(call),
            _ => self.read(call),
        };
        (code, object.to_string())
    }

    fn create(&mut self, call: &Call) -> (u16, Value) {
        let mut object = call.body.clone();
        let generated = object["metadata"]["generateName"]
            .as_str()
            .map(|prefix| format!("{prefix}{LETTERS}"));
        let name = object["metadata"]["name"]
            .as_str()
            .map(str::to_owned)
            .or(generated)
            .unwrap();
        let path = format!("{}/{name}", call.path);
        if self.objects.contains_key(&path) && !call.query.contains("dryRun") {
            return (
                409,
                status(
                    409,
                    "AlreadyExists",
                    &format!("{name:?} already exists"),
                    &name,
                ),
            );
        }
        object["metadata"]["name"] = json!(name);
        object["metadata"]["uid"] = json!(format!("uid-of-{name}"));
        if let Some(stamp) = self.stamp {
            stamp(&mut object);
        }
        if !call.query.contains("dryRun") {
            self.put(&path, Some(object.clone()));
        }
        (201, object)
    }

    fn delete(&mut self, call: &Call) -> (u16, Value) {
        let name = call.path.rsplit('/').next().unwrap();
        let wanted = &call.body["preconditions"]["uid"];
        match self.objects.get(&call.path) {
            None => (
                404,
                status(404, "NotFound", &format!("{name:?} not found"), name),
            ),
            Some(there) if !wanted.is_null() && there["metadata"]["uid"] != *wanted => (
                409,
                status(
                    409,
                    "Conflict",
                    "Precondition failed: UID in precondition",
                    name,
                ),
            ),
            Some(_) => {
                self.put(&call.path, None);
                (
                    200,
                    json!({"kind": "Status", "apiVersion": "v1", "status": "Success", "metadata": {}}),
                )
            }
        }
    }

    /// Changes an object, and tells whoever watches it.
    fn put(&mut self, path: &str, object: Option<Value>) {
        let before = self.objects.get(path).cloned();
        let (kind, told) = match (&object, before) {
            (Some(object), None) => ("ADDED", object.clone()),
            (Some(object), Some(_)) => ("MODIFIED", object.clone()),
            (None, Some(before)) => ("DELETED", before),
            (None, None) => return,
        };
        match object {
            Some(object) => self.objects.insert(path.to_owned(), object),
            None => self.objects.remove(path),
        };
        let mut told = told;
        told["metadata"]["resourceVersion"] = json!("2");
        let event = json!({"type": kind, "object": told}).to_string() + "\n";
        self.watches.retain(|(call, events)| {
            !is_of(call, path, &told) || events.send(event.clone()).is_ok()
        });
    }

    fn read(&self, call: &Call) -> (u16, Value) {
        if let Some(object) = self.objects.get(&call.path) {
            return (200, object.clone());
        }
        let (collection, name) = call.path.rsplit_once('/').unwrap();
        let selects = |field: &str| call.query.contains(&format!("fieldSelector={field}"));
        if self.without_fields && (selects("status.") || selects("spec.user")) {
            let message = "field label not supported: status.phase";
            return (400, status(400, "BadRequest", message, ""));
        }
        if COLLECTIONS.contains(&name) {
            return (200, self.list(call));
        }
        let plural = collection.rsplit('/').next().unwrap();
        (
            404,
            status(
                404,
                "NotFound",
                &format!("{plural} {name:?} not found"),
                name,
            ),
        )
    }

    fn list(&self, call: &Call) -> Value {
        let items: Vec<&Value> = self
            .objects
            .iter()
            .filter(|(at, object)| is_of(call, at, object))
            .map(|(_, object)| object)
            .collect();
        json!({"apiVersion": "v1", "kind": "List", "metadata": {"resourceVersion": "1"}, "items": items})
    }
}

const COLLECTIONS: [&str; 9] = [
    "pods",
    "accessrequests",
    "accessgrants",
    "deployments",
    "statefulsets",
    "daemonsets",
    "jobs",
    "services",
    "namespaces",
];

/// Whether an object is in the collection that a call is about, and is selected by its fields.
fn is_of(call: &Call, at: &str, object: &Value) -> bool {
    let (collection, name) = at.rsplit_once('/').unwrap();
    let plural = call.path.rsplit('/').next();
    let everywhere = !call.path.contains("/namespaces/") && collection.rsplit('/').next() == plural;
    let selector = call
        .query
        .split('&')
        .find_map(|pair| pair.strip_prefix("fieldSelector="));
    let fields = selector.map(decoded).unwrap_or_default();
    let mut fields = fields.split(',').filter(|field| !field.is_empty());
    (collection == call.path || everywhere)
        && fields.all(|field| {
            let (path, value) = field.split_once('=').unwrap();
            let (path, wanted) = path
                .strip_suffix('!')
                .map_or((path, true), |path| (path, false));
            let there = if path == "metadata.name" {
                name
            } else {
                let pointer = format!("/{}", path.replace('.', "/"));
                let there = object.pointer(&pointer);
                there.and_then(Value::as_str).unwrap_or_default()
            };
            (there == value) == wanted
        })
}

/// A value out of a query. No name in these tests needs to be escaped in a selector.
fn decoded(text: &str) -> String {
    let mut parts = text.split('%');
    let first = parts.next().unwrap_or_default().to_owned();
    parts.fold(first, |decoded, part| {
        let (code, rest) = part.split_at(2);
        let code = u8::from_str_radix(code, 16).unwrap();
        decoded + &char::from(code).to_string() + rest
    })
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
