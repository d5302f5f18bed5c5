//! The load generator against servers that behave, and against some that do not.

#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a test that panics has failed, as it should"
)]

use std::{
    net::SocketAddr,
    process::{Command, Output},
    sync::{
        Arc, Mutex,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use bench::{
    connection::{Fault, Target, Trust},
    load::{self, Expected, LoadError, Outcome, Plan, Work},
    pace::Pace,
    review::Template,
};
use run::certificates::Authority;
use rustls::{
    ServerConfig,
    crypto::ring,
    pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject as _},
};
use serde_json::{Value, json};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpStream},
    runtime,
};
use tokio_rustls::{TlsAcceptor, server::TlsStream};

/// What a server does with the body of its nth review; `None`: it hangs up.
type Answers = Arc<dyn Fn(u64, Value) -> Option<String> + Send + Sync>;

struct Server {
    address: SocketAddr,
    authority: String,
    // Its server ends with it.
    _runtime: runtime::Runtime,
}

impl Server {
    fn start(answers: impl Fn(u64, Value) -> Option<String> + Send + Sync + 'static) -> Self {
        let authority = Authority::new("of a test").unwrap();
        let pair = authority.serving(&["localhost", "127.0.0.1"]).unwrap();
        let certificate = CertificateDer::from_pem_slice(pair.certificate.as_bytes()).unwrap();
        let key = PrivateKeyDer::from_pem_slice(pair.key.as_bytes()).unwrap();
        let config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(vec![certificate], key)
            .unwrap();
        let runtime = runtime::Runtime::new().unwrap();
        let listener = runtime.block_on(TcpListener::bind("127.0.0.1:0")).unwrap();
        let address = listener.local_addr().unwrap();
        let acceptor = TlsAcceptor::from(Arc::new(config));
        let (answers, count): (Answers, _) = (Arc::new(answers), Arc::new(AtomicU64::new(0)));
        runtime.spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let acceptor = acceptor.clone();
                let (answers, count) = (Arc::clone(&answers), Arc::clone(&count));
                tokio::spawn(async move { serve(acceptor, stream, answers, &count).await });
            }
        });
        Self {
            address,
            authority: authority.pem(),
            _runtime: runtime,
        }
    }

    fn url(&self) -> String {
        format!("https://{}/validate", self.address)
    }

    fn plan(&self, pace: Pace) -> Plan {
        let trust = Trust::authority(&self.authority).unwrap();
        plan(Target::new(&self.url(), trust).unwrap(), pace)
    }

    fn asked(&self, shots: u64) -> Outcome {
        load::run(self.plan(times(shots))).unwrap()
    }
}

async fn serve(acceptor: TlsAcceptor, stream: TcpStream, answers: Answers, count: &AtomicU64) {
    let Ok(mut stream) = acceptor.accept(stream).await else {
        return;
    };
    while let Some(review) = read(&mut stream).await {
        let number = count.fetch_add(1, Ordering::SeqCst);
        let answers = Arc::clone(&answers);
        let answer = tokio::task::spawn_blocking(move || answers(number, review));
        let Some(answer) = answer.await.unwrap() else {
            return;
        };
        stream.write_all(answer.as_bytes()).await.unwrap();
    }
}

async fn read(stream: &mut TlsStream<TcpStream>) -> Option<Value> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(stream.read_u8().await.ok()?);
    }
    let head = String::from_utf8(head).unwrap().to_lowercase();
    let length = head
        .lines()
        .find_map(|line| line.strip_prefix("content-length: "))?;
    let mut body = vec![0; length.parse().unwrap()];
    stream.read_exact(&mut body).await.ok()?;
    serde_json::from_slice(&body).ok()
}

fn http(status: &str, body: &str) -> String {
    format!(
        "HTTP/1.1 {status}\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    )
}

fn decided(review: &Value, allowed: bool) -> String {
    let status = (!allowed).then(|| json!({"code": 403, "message": "not you"}));
    let response = json!({"uid": review["request"]["uid"], "allowed": allowed, "status": status});
    let answer = json!({"apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview", "response": response});
    http("200 OK", &answer.to_string())
}

const REVIEW: &str = r#"{"kind":"AdmissionReview","apiVersion":"admission.k8s.io/v1","request":{"uid":"x","name":"nginx"}}"#;

fn plan(target: Target, pace: Pace) -> Plan {
    Plan {
        target,
        work: Work::Reviews(vec![Template::parse(REVIEW.as_bytes()).unwrap()]),
        expected: None,
        connections: 1,
        pace,
        threads: 1,
        cores: Vec::new(),
        pid: None,
        beside: Vec::new(),
    }
}

fn times(shots: u64) -> Pace {
    Pace {
        rate: None,
        duration: None,
        shots: Some(shots),
        warm_up: Duration::ZERO,
        timeout: Duration::from_secs(5),
    }
}

#[test]
fn every_review_has_its_own_uid_and_its_decision_is_counted() {
    let uids = Arc::new(Mutex::new(Vec::new()));
    let seen = Arc::clone(&uids);
    let server = Server::start(move |number, review| {
        let uid = review["request"]["uid"].as_str().unwrap().to_owned();
        seen.lock().unwrap().push(uid);
        Some(decided(&review, number % 4 == 0))
    });
    let plan = Plan {
        connections: 3,
        threads: 2,
        pid: Some(std::process::id()),
        ..server.plan(times(40))
    };
    let outcome = load::run(plan).unwrap();
    let tally = &outcome.tally;
    assert_eq!((tally.allowed, tally.denied[&403]), (10, 30));
    assert_eq!((tally.answers(), tally.reconnects), (40, 0));
    assert!(tally.faults.is_empty());
    assert!(outcome.server.unwrap().rss > 0);
    let mut uids = uids.lock().unwrap().clone();
    uids.sort();
    uids.dedup();
    assert_eq!(uids.len(), 40);
}

#[test]
fn an_answer_that_was_not_expected_is_an_error_with_its_words() {
    let server = Server::start(|_, review| Some(decided(&review, false)));
    let plan = Plan {
        expected: Some(Expected::Allowed),
        ..server.plan(times(2))
    };
    let tally = load::run(plan).unwrap().tally;
    let fault = Fault::Unexpected("denied: not you".to_owned());
    assert_eq!((tally.answers(), tally.faults[&fault]), (0, 2));
}

#[test]
fn what_is_no_answer_to_the_review_is_never_counted_as_one() {
    let garbage = Server::start(|_, _| Some(http("200 OK", "hello")));
    assert_eq!(garbage.asked(3).tally.faults[&Fault::Garbage], 3);
    let no_http = Server::start(|_, _| Some("hello\r\n\r\n".to_owned()));
    assert_eq!(no_http.asked(2).tally.faults[&Fault::Garbage], 2);
    let failing = Server::start(|_, _| Some(http("500 Oh no", "")));
    assert_eq!(failing.asked(3).tally.faults[&Fault::Status(500)], 3);
    let confused = Server::start(|_, mut review| {
        review["request"]["uid"] = json!("another");
        Some(decided(&review, true))
    });
    let tally = confused.asked(3).tally;
    assert_eq!((tally.faults[&Fault::OtherUid], tally.answers()), (3, 0));
}

#[test]
fn a_connection_that_is_closed_is_counted_and_made_anew() {
    let server = Server::start(|number, review| (number % 2 == 0).then(|| decided(&review, true)));
    let tally = server.asked(6).tally;
    assert_eq!((tally.allowed, tally.faults[&Fault::Closed]), (3, 3));
    assert_eq!(tally.reconnects, 2);
}

#[test]
fn a_server_that_never_answers_is_late() {
    // Held until the test ends.
    let (end, held) = std::sync::mpsc::channel::<()>();
    let held = std::sync::Mutex::new(held);
    let server = Server::start(move |_, _| held.lock().unwrap().recv().err().and(None));
    let pace = Pace {
        timeout: Duration::from_millis(30),
        ..times(2)
    };
    let tally = load::run(server.plan(pace)).unwrap().tally;
    assert_eq!((tally.faults[&Fault::Late], tally.answers()), (2, 0));
    drop(end);
}

/// One review in a run of a second takes 400 ms, all others next to nothing.
fn stalling() -> Server {
    Server::start(|number, review| {
        if number == 5 {
            std::thread::sleep(Duration::from_millis(400));
        }
        Some(decided(&review, true))
    })
}

#[test]
fn an_open_loop_counts_what_waited_behind_a_stall_and_a_closed_one_does_not() {
    let pace = Pace {
        shots: None,
        duration: Some(Duration::from_secs(1)),
        ..times(0)
    };
    let open = Pace {
        rate: Some(100.0),
        ..pace
    };
    let open = load::run(stalling().plan(open)).unwrap().tally;
    assert_eq!(open.answers(), 100);
    // Some 40 were due while it stalled.
    assert!(open.percentile(80.0) > Duration::from_millis(100));
    let closed = load::run(stalling().plan(pace)).unwrap().tally;
    assert!(closed.percentile(80.0) < Duration::from_millis(100));
    assert!(closed.longest() >= Duration::from_millis(400));
}

#[test]
fn who_is_not_there_and_who_is_not_trusted_are_told_before_anything_is_sent() {
    let server = Server::start(|_, _| panic!("nothing was to be sent"));
    let stranger = Authority::new("another").unwrap().pem();
    let target = Target::new(&server.url(), Trust::authority(&stranger).unwrap()).unwrap();
    let error = load::run(plan(target, times(1))).unwrap_err();
    assert!(
        matches!(error, LoadError::Unreachable(Fault::Tls(_))),
        "{error:?}"
    );
    let gone = std::net::TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap();
    let target = Target::new(&format!("https://{gone}/"), Trust::default()).unwrap();
    let error = load::run(plan(target, times(1))).unwrap_err();
    assert!(
        matches!(error, LoadError::Unreachable(Fault::Connect(_))),
        "{error:?}"
    );
}

fn command(url: &str, arguments: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_kra-bench"));
    command
        .args(["load", url])
        .args(arguments)
        .output()
        .unwrap()
}

#[test]
fn the_command_prints_json_and_its_exit_code_says_whether_all_was_answered() {
    let dir = tempfile::tempdir().unwrap();
    let (review, ca) = (dir.path().join("review.json"), dir.path().join("ca.crt"));
    let server = Server::start(|_, review| Some(decided(&review, false)));
    std::fs::write(&review, REVIEW).unwrap();
    std::fs::write(&ca, &server.authority).unwrap();
    let (review, ca) = (review.to_str().unwrap(), ca.to_str().unwrap());
    let basic = [
        "--review",
        review,
        "--ca",
        ca,
        "--requests",
        "5",
        "-o",
        "json",
    ];
    let fine = command(&server.url(), &basic);
    let report: Value = serde_json::from_slice(&fine.stdout).unwrap();
    assert_eq!(
        (fine.status.code(), &report["denied"]),
        (Some(0), &json!(5))
    );
    assert_eq!(report["denied_by_code"], json!({"403": 5}));
    let unexpected = command(
        &server.url(),
        &[&basic[..6], &["--expect", "allowed"]].concat(),
    );
    assert_eq!(unexpected.status.code(), Some(1));
    let table = String::from_utf8(unexpected.stdout).unwrap();
    assert!(
        table.contains("5 × unexpectedly denied: not you"),
        "{table}"
    );
}

#[test]
fn bad_input_is_named_and_nothing_is_measured() {
    let dir = tempfile::tempdir().unwrap();
    let file = |name: &str, text: &str| {
        let path = dir.path().join(name);
        std::fs::write(&path, text).unwrap();
        path.to_str().unwrap().to_owned()
    };
    let (good, pod) = (
        file("review.json", REVIEW),
        file("pod.json", r#"{"kind":"Pod"}"#),
    );
    let text = file("text", "hello");
    let url = "https://127.0.0.1:1/";
    for (url, arguments, said) in [
        (
            url,
            vec!["--review", "/nonexistent", "--insecure"],
            "cannot read /nonexistent",
        ),
        (
            url,
            vec!["--review", &pod, "--insecure"],
            "its kind is another",
        ),
        (url, vec!["--review", &text, "--insecure"], "it is not JSON"),
        (
            url,
            vec!["--review", &good, "--ca", &text],
            "no certificate in",
        ),
        (
            url,
            vec![
                "--review",
                &good,
                "--insecure",
                "--client-cert",
                &text,
                "--client-key",
                &text,
            ],
            "as a private key",
        ),
        (
            url,
            vec!["--review", &good, "--insecure", "--pid", "4294967295"],
            "is there such a process?",
        ),
        (url, vec!["--review", &good, "--insecure"], "cannot connect"),
        (
            "http://127.0.0.1/",
            vec!["--review", &good, "--insecure"],
            "is not a URL like https://",
        ),
    ] {
        let output = command(url, &arguments);
        let error = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(2), "{arguments:?}: {error}");
        assert!(error.contains(said), "{arguments:?}: {error}");
        assert!(output.stdout.is_empty());
    }
}
