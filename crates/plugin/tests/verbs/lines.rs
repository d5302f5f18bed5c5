//! Every line that people are told to type, typed into a shell: in a kubeconfig with three contexts of
//! which another is current by then, it leads where it was told, and does what it says.
//!
//! The lines are those of the plugin's one maker. A new one has no scenario here, and does not compile.

use std::convert::Infallible;
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::PathBuf;
use std::process::Command;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use clap::ValueEnum as _;
use http::{Method, Request};
use http_body_util::BodyExt as _;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use kube::client::Body;
use plugin::terminal::lines::Hint;
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::net::TcpListener;

use crate::fake::{Fake, GRANTS, Meanwhile, REQUESTS};
use crate::pods::{PODS, pod};

const REPORT: &str = "/api/v1/namespaces/gate/secrets/kube-request-access-observed";

/// How a line comes to be told, and what it does.
struct Scenario {
    /// The cluster, as it is then.
    fake: Fake,
    /// The command that tells it.
    told_by: Vec<&'static str>,
    /// Whether somebody is at a terminal, who says yes.
    asked: bool,
    /// What stands before the line.
    behind: &'static str,
    /// What it does.
    does: Does,
}

enum Does {
    /// Ours: it has the API server do this.
    Call(Method, String),
    /// kubectl's own, with these words before the flags and behind them. The real one runs it in the
    /// black-box tests.
    Kubectl(&'static [&'static str], &'static str),
}

fn request(user: &str, status: &Value) -> Value {
    json!({
        "apiVersion": "spreadgroup.com/v1", "kind": "AccessRequest",
        "metadata": {
            "name": "a", "namespace": "default", "uid": "uid-of-a", "creationTimestamp": "2026-01-01T00:00:00Z",
        },
        "spec": {
            "userInfo": {"username": user}, "createdBy": {"username": user}, "usernamePrefix": "",
            "forObject": {
                "resource": {"group": "", "version": "v1", "resource": "pods"}, "subResource": "exec",
                "name": "web-0", "namespace": "default",
            },
            "execOptions": {"container": "web", "command": ["date"]},
        },
        "status": status,
    })
}

fn with(user: &str, status: &Value) -> Fake {
    Fake::new()
        .with(&format!("{REQUESTS}/a"), request(user, status))
        .with(&format!("{PODS}/web-0"), pod("web-0", "default"))
}

fn granted() -> Value {
    json!({"phase": "Granted", "grantedBy": ["ann"]})
}

fn pending() -> Value {
    json!({"phase": "Pending"})
}

/// Granted by a policy for emergencies, and not reviewed.
fn emergency() -> Value {
    let policy = json!({"name": "night", "uid": "policy-1", "generation": 2});
    json!({
        "phase": "Granted", "grantedBy": ["policy night"], "grantedByPolicy": policy,
        "emergency": {"policy": policy, "since": "2026-01-01T00:00:00Z", "reviewBy": "2026-01-02T00:00:00Z"},
    })
}

/// A grant of amy's, where one by ann is there.
fn grant(of: &str) -> Value {
    json!({
        "apiVersion": "spreadgroup.com/v1", "kind": "AccessGrant",
        "metadata": {"name": "grant-a", "namespace": "default", "uid": "uid-of-grant-a"},
        "spec": {"grantFor": "a", "requestUID": of, "grantedBy": {"username": "ann"}}, "status": "granted",
    })
}

fn altered(object: &mut Value) {
    if object["kind"] == "AccessGrant" {
        object["spec"]["grantFor"] = json!("bobs");
    } else {
        object["spec"]["validFor"] = json!("12h");
    }
}

/// Who asks, as the server stamps it.
fn stamped(object: &mut Value) {
    if object["kind"] == "AccessRequest" {
        object["spec"]["userInfo"] = json!({"username": "jane"});
        object["spec"]["createdBy"] = json!({"username": "jane"});
        object["spec"]["usernamePrefix"] = json!("");
    }
}

fn used(object: &mut Value) {
    stamped(object);
    object["status"] = json!({"phase": "Used"});
}

fn list() -> Does {
    Does::Call(Method::GET, REQUESTS.to_owned())
}

fn answers() -> Does {
    Does::Call(Method::POST, GRANTS.to_owned())
}

fn asks() -> Does {
    Does::Call(Method::POST, REQUESTS.to_owned())
}

fn reads() -> Does {
    Does::Call(Method::GET, format!("{REQUESTS}/a"))
}

fn deletes(path: &str) -> Does {
    Does::Call(Method::DELETE, path.to_owned())
}

const MINE: &str = "access-exec-jane-x4k2z";
const ASK: [&str; 7] = ["exec", "web-0", "-c", "web", "--wait", "--timeout=1s", "--"];

/// How each line comes to be told.
fn scenario(hint: Hint) -> Scenario {
    let mine = format!("{REQUESTS}/{MINE}");
    let (jane, bob) = (with("jane", &pending()), with("bob", &pending()));
    let (emergency, granted) = (with("jane", &emergency()), with("jane", &granted()));
    let granted = granted.with(&format!("{GRANTS}/grant-a"), grant("uid-of-a"));
    let grant = deletes(&format!("{GRANTS}/grant-a"));
    let wait = [&ASK[..], &["ls"]].concat();
    let end = "To end the access: ";
    match hint {
        Hint::ListForNames => told(Fake::new(), &["show", "../x"], "see '", list()),
        Hint::ListAfterReading => Scenario {
            asked: true,
            ..told(
                replaced().known_as("amy"),
                &["approve", "a"],
                "See '",
                list(),
            )
        },
        Hint::ListAfterDeleting => told(replaced(), &["withdraw", "a"], "See '", list()),
        Hint::ListOfLeftOut => left_out(),
        Hint::ShowForUid => told(jane, &["approve", "a", "--yes"], "Read it with '", reads()),
        Hint::ShowAnothers => told(bob, &["again", "a"], "read it with '", reads()),
        Hint::AgainAfterLoss => lost(),
        Hint::AgainAfterWait => told(jane.stamping(used), &wait, "To ask for the same: ", asks()),
        Hint::WithdrawAfterWait => told(
            jane.stamping(stamped),
            &wait,
            "to take it back: ",
            deletes(&mine),
        ),
        Hint::WithdrawPending => {
            let withdraws = deletes(&format!("{REQUESTS}/a"));
            told(jane, &["revoke", "a"], "To take it back: ", withdraws)
        }
        Hint::DenyInsteadOfRevoke => told(jane, &["revoke", "a"], "to refuse it: ", answers()),
        Hint::DenyAnothers => told(bob, &["withdraw", "a"], "To refuse it: ", answers()),
        Hint::DenyEmergency => {
            let behind = "whoever may answer requests types: ";
            told(emergency, &["withdraw", "a"], behind, answers())
        }
        Hint::DenyGrantedEmergency => told(emergency, &["approve", "a"], end, answers()),
        Hint::RevokeInsteadOfWithdraw => told(granted, &["withdraw", "a"], end, grant),
        Hint::RevokeGranted => told(granted, &["approve", "a"], end, grant),
        Hint::ApproveWithYes => nobody_asked(jane, "approve"),
        Hint::DenyWithYes => nobody_asked(jane, "deny"),
        Hint::ReviewWithYes => nobody_asked(emergency, "review"),
        Hint::ReportPolicies => report(),
        Hint::DeleteAlteredRequest => told(
            jane.stamping(altered)
                .refusing(Method::DELETE, &mine, 403, "no"),
            &["exec", "web-0", "-c", "web", "--new", "--", "ls"],
            "have it deleted now (",
            Does::Kubectl(&["delete", "acr"], MINE),
        ),
        Hint::DeleteAlteredGrant => told(
            jane.known_as("amy").stamping(altered).refusing(
                Method::DELETE,
                &format!("{GRANTS}/grant-a"),
                403,
                "no",
            ),
            &["grant", "a@uid-of-a", "--yes"],
            "have it deleted now (",
            Does::Kubectl(&["delete", "acg"], "grant-a"),
        ),
        Hint::DeleteAnswer => told(
            jane.known_as("amy")
                .with(&format!("{GRANTS}/grant-a"), self::grant("an-earlier-one")),
            &["grant", "a@uid-of-a", "--yes"],
            "and try again: ",
            Does::Kubectl(&["delete", "acg"], "grant-a"),
        ),
        Hint::Contexts => gone(&["list", "--context=gone"], &["config", "get-contexts"]),
        Hint::Clusters => gone(&["list", "--cluster=gone"], &["config", "get-clusters"]),
        Hint::Users => gone(&["list", "--user=gone"], &["config", "get-users"]),
    }
}

fn told(fake: Fake, told_by: &[&'static str], behind: &'static str, does: Does) -> Scenario {
    Scenario {
        fake,
        told_by: told_by.to_vec(),
        asked: false,
        behind,
        does,
    }
}

/// The request that is read first is replaced by another one of its name.
fn replaced() -> Fake {
    let path = format!("{REQUESTS}/a");
    let mut another = request("jane", &pending());
    another["metadata"]["uid"] = json!("uid-of-another");
    with("jane", &pending())
        .with(&path, another)
        .answering_in_turn(&path, &[request("jane", &pending())])
}

fn left_out() -> Scenario {
    let mut strange = request("jane", &pending());
    strange["spec"]["validFor"] = json!(5);
    let fake = Fake::new().with(&format!("{REQUESTS}/a"), strange);
    told(
        fake.known_as("amy"),
        &["approve"],
        "does not understand (see '",
        list(),
    )
}

fn lost() -> Scenario {
    let lost = json!({
        "reviewUID": "r", "at": "2026-01-01T00:40:00Z", "pod": "web-0", "podUID": "p", "outcome": "Lost",
    });
    let fake = with("jane", &json!({"phase": "Used", "uses": [lost]}));
    told(
        fake,
        &["show", "a"],
        "To ask again for what was lost: ",
        asks(),
    )
}

fn nobody_asked(fake: Fake, verb: &'static str) -> Scenario {
    told(
        fake.known_as("amy"),
        &[verb, "a"],
        "name exactly what was read: ",
        answers(),
    )
}

fn gone(told_by: &[&'static str], words: &'static [&'static str]) -> Scenario {
    told(Fake::new(), told_by, "'", Does::Kubectl(words, ""))
}

fn report() -> Scenario {
    let seen = json!({
        "user": "system:serviceaccount:ci:bot", "namespace": "shop", "resource": "pods/exec", "times": 1,
        "first": "2026-01-01T00:00:00Z", "last": "2026-01-01T00:58:00Z", "command": ["date"],
    });
    let report = json!({"since": "2026-01-01T00:00:00Z", "passed": 1, "stopped": [seen]});
    let secret = json!({
        "apiVersion": "v1", "kind": "Secret",
        "metadata": {"name": "kube-request-access-observed", "namespace": "gate"},
        "data": {"report.json": BASE64.encode(report.to_string())},
    });
    told(
        Fake::new().with(REPORT, secret),
        &["report", "--server-namespace=gate"],
        "to review: ",
        Does::Call(Method::GET, REPORT.to_owned()),
    )
}

/// A fake API server on a port.
async fn served(fake: &Fake) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let fake = fake.clone();
    tokio::spawn(async move {
        loop {
            let (connection, _) = listener.accept().await.unwrap();
            let fake = fake.clone();
            let answers = service_fn(move |request: Request<Incoming>| {
                let fake = fake.clone();
                async move {
                    let (head, body) = request.into_parts();
                    let bytes = body.collect().await.unwrap().to_bytes();
                    let request = Request::from_parts(head, Body::from(bytes.to_vec()));
                    Ok::<_, Infallible>(fake.answer(request).await)
                }
            });
            tokio::spawn(http1::Builder::new().serve_connection(TokioIo::new(connection), answers));
        }
    });
    url
}

/// Three clusters, a kubeconfig that has a context for each, and a shell.
struct Desk {
    dir: TempDir,
    here: Fake,
    others: [Fake; 2],
    urls: [String; 3],
}

impl Desk {
    async fn with(here: Fake) -> Self {
        let others = [Fake::new(), Fake::new()];
        let urls = [
            served(&here).await,
            served(&others[0]).await,
            served(&others[1]).await,
        ];
        let desk = Self {
            dir: tempfile::tempdir().unwrap(),
            here: here.connecting(),
            others,
            urls,
        };
        let kubectl = desk.dir.path().join("kubectl");
        fs::write(&kubectl, "#!/bin/sh\nprintf '%s\\0' \"$@\"\n").unwrap();
        fs::set_permissions(&kubectl, fs::Permissions::from_mode(0o755)).unwrap();
        desk.switches_to("here");
        desk
    }

    /// As many directories and contexts are called: with a space.
    fn kubeconfig(&self) -> PathBuf {
        self.dir.path().join("kube config")
    }

    fn switches_to(&self, current: &str) {
        let [here, elsewhere, nowhere] = &self.urls;
        let text = json!({
            "apiVersion": "v1", "kind": "Config", "current-context": current, "users": [],
            "contexts": [
                {"name": "here", "context": {"cluster": "here", "user": "", "namespace": "default"}},
                {"name": "elsewhere", "context": {"cluster": "elsewhere", "user": "", "namespace": "other"}},
                {"name": "nowhere", "context": {"cluster": "nowhere", "user": ""}},
            ],
            "clusters": [
                {"name": "here", "cluster": {"server": here}},
                {"name": "elsewhere", "cluster": {"server": elsewhere}},
                {"name": "nowhere", "cluster": {"server": nowhere}},
            ],
        });
        fs::write(self.kubeconfig(), text.to_string()).unwrap();
    }

    /// What kubectl is given where the line is typed into a shell.
    fn typed(&self, line: &str) -> Vec<String> {
        let said = Command::new("/bin/sh")
            .args(["-ec", line])
            .env_clear()
            .env("PATH", self.dir.path())
            .output()
            .unwrap();
        assert!(said.status.success(), "{line}: {said:?}");
        let words = String::from_utf8(said.stdout).unwrap();
        words.split_terminator('\0').map(str::to_owned).collect()
    }

    /// All that a command says.
    async fn says(&self, line: &[&str], asked: bool) -> String {
        let kubeconfig = format!("--kubeconfig={}", self.kubeconfig().display());
        let line = [&[kubeconfig.as_str()], line].concat();
        let outcome = if asked {
            let mut yes = Meanwhile {
                happens: || {},
                typed: b"y\n",
            };
            self.here.run_reading(&line, &mut yes).await
        } else {
            self.here.run_in_pipe(&line, "").await
        };
        let failure = outcome.failure.unwrap_or_default();
        format!("{}\n{}\n{failure}\n", outcome.out, outcome.err)
    }
}

/// The line that stands behind these words.
#[track_caller]
fn line<'a>(said: &'a str, behind: &str) -> &'a str {
    let before = format!("{behind}kubectl ");
    assert!(said.contains(&before), "no line behind {behind:?}: {said}");
    let line = &said[said.find(&before).unwrap()..][behind.len()..];
    let line = line.lines().next().unwrap();
    let line = line.split("; to refuse it").next().unwrap();
    // A sentence may quote it, and its own words are quoted too.
    match behind.chars().last() {
        Some('\'') => line.rsplit_once('\'').unwrap().0,
        Some('(') => line.rsplit_once(')').unwrap().0,
        _ => line,
    }
}

// P3
#[tokio::test]
async fn every_line_that_people_are_told_to_type_leads_here_and_does_what_it_says() {
    for &hint in Hint::value_variants() {
        let scenario = scenario(hint);
        let desk = Desk::with(scenario.fake).await;
        let said = desk.says(&scenario.told_by, scenario.asked).await;
        let line = line(&said, scenario.behind);
        let before = desk.here.calls().len();
        desk.switches_to("elsewhere");
        let words = desk.typed(line);
        match scenario.does {
            Does::Call(method, path) => {
                assert_eq!(words[0], "request", "{line}");
                let words: Vec<&str> = words[1..].iter().map(String::as_str).collect();
                let outcome = desk.here.run(&words, "y\n").await;
                let calls = desk.here.calls().split_off(before);
                let does = calls
                    .iter()
                    .any(|call| call.method == method && call.path == path);
                assert!(does, "{hint:?}: {line}: {outcome:?}: {calls:?}");
                // This API server makes up the same letters each time.
                let done = outcome.failure.as_ref().is_none_or(|failure| {
                    hint == Hint::AgainAfterWait && failure.ends_with("already exists")
                });
                assert!(done, "{hint:?}: {line}: {outcome:?}");
            }
            Does::Kubectl(verbs, of) => {
                let kubeconfig = format!("--kubeconfig={}", desk.kubeconfig().display());
                let mut expected: Vec<&str> = verbs.to_vec();
                if of.is_empty() {
                    expected.push(&kubeconfig);
                } else {
                    expected.extend(["-n", "default", "--context=here", &kubeconfig, of]);
                }
                assert_eq!(words, expected, "{hint:?}");
            }
        }
        for other in &desk.others {
            assert!(
                other.calls().is_empty(),
                "{hint:?}: {line}: {:?}",
                other.calls()
            );
        }
    }
}

// P3: what the server says in `why` knows no context, and is led here.
#[tokio::test]
async fn the_lines_of_the_server_lead_here_too() {
    let explained = |object: &mut Value| {
        object["metadata"]["annotations"]["spreadgroup.com/explanation"] = json!(
            "It would be denied.\n  kubectl request again -n default a\nTell others of `kubectl request list`.\n  kubectl request x; ls -n y"
        );
    };
    let desk = Desk::with(with("jane", &json!({"phase": "Used"})).stamping(explained)).await;
    let said = desk
        .says(&["why", "exec", "web-0", "-c", "web", "--", "date"], false)
        .await;
    assert!(said.contains("\n  kubectl request x; ls -n y\n"), "{said}");
    let line = line(&said, "  ");
    desk.switches_to("elsewhere");
    let words = desk.typed(line);
    let words: Vec<&str> = words[1..].iter().map(String::as_str).collect();
    let outcome = desk.here.run(&words, "").await;
    assert_eq!(outcome.failure, None, "{line}");
    assert!(desk.others.iter().all(|other| other.calls().is_empty()));
}

// P2, P3: what is shown to be typed is what `--run` runs.
#[tokio::test]
async fn what_is_shown_to_be_run_is_what_is_run() {
    let asks: [&[&str]; 6] = [
        &[
            "exec",
            "-it",
            "web-0",
            "-c",
            "web",
            "--",
            "sh",
            "-c",
            "echo 'a  b'; echo \"$HOME\"",
        ],
        &["shell", "web-0", "-c", "web"],
        &["attach", "-i", "web-0", "-c", "web"],
        &["port-forward", "web-0", "8080:80"],
        &[
            "debug",
            "-it",
            "web-0",
            "--image=box",
            "--target=web",
            "--",
            "sh",
        ],
        &["cp", "./a b", "web-0:/tmp/x", "-c", "web"],
    ];
    for ask in asks {
        let mut seen = Vec::new();
        for how in ["--wait", "--run"] {
            let fake = with("jane", &pending())
                .stamping(|object| object["status"] = json!({"phase": "Granted"}));
            let desk = Desk::with(fake).await;
            let kubeconfig = format!("--kubeconfig={}", desk.kubeconfig().display());
            let line = [&[kubeconfig.as_str(), how, "--timeout=5s"], ask].concat();
            // The flags stand before the verb.
            let line: Vec<&str> = [&line[..1], &line[3..4], &line[1..3], &line[4..]].concat();
            let outcome = desk.here.run(&line, "").await;
            assert_eq!(outcome.failure, None, "{line:?}");
            let words = match outcome.kubectl {
                Some(line) => line.arguments(),
                None => desk.typed(self::line(&outcome.err, "  ")),
            };
            let dir = desk.dir.path().display().to_string();
            let words: Vec<String> = words.iter().map(|word| word.replace(&dir, "DIR")).collect();
            assert!(words.contains(&"--context=here".to_owned()), "{words:?}");
            // As kubectl has it: the same flags, wherever they stand before the two dashes.
            let at = words
                .iter()
                .position(|word| word == "--")
                .unwrap_or(words.len());
            let mut before = words[..at]
                .join("\n")
                .replace("-n\ndefault", "--namespace=default");
            let mut sorted: Vec<&str> = before.split('\n').collect();
            sorted.sort_unstable();
            before = sorted.join("\n");
            seen.push((before, words[at..].to_vec()));
        }
        assert_eq!(seen[0], seen[1], "{ask:?}");
    }
}
