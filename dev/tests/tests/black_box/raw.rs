//! What kubectl never sends: execs written by hand, with jane's certificate, to the API server.
//!
//! They ask for no upgrade of the connection, so what is allowed goes no further than that.

use std::time::{Duration, Instant};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use rstest::rstest;
use serde_json::{Value, json};
use ureq::{
    Agent,
    tls::{Certificate, ClientCert, PrivateKey, RootCerts, TlsConfig},
};

use kra_tests::{
    scene::{Person, Scene},
    world,
};

/// Somebody with a certificate, and no kubectl.
pub(crate) struct ByHand {
    agent: Agent,
    pods: String,
}

/// The API server's answer.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) text: String,
}

impl Answer {
    /// What was asked for was exec without an upgrade: nothing but that was missing.
    #[track_caller]
    fn is_allowed(&self) {
        assert!(
            self.status == 400 && self.text.contains("pgrade request required"),
            "{self:?}"
        );
    }

    #[track_caller]
    pub(crate) fn is_denied_with(&self, text: &str) {
        assert_eq!(self.status, 403, "{self:?}");
        let status: Value = serde_json::from_str(&self.text).unwrap();
        assert_eq!(status["reason"], "Forbidden", "{status}");
        let message = status["message"].as_str().unwrap();
        assert!(
            message.contains("access.spreadgroup.com") && message.contains(text),
            "{message}"
        );
    }
}

impl ByHand {
    pub(crate) fn new(scene: &Scene, person: &Person<'_>) -> Self {
        let kubeconfig: Value =
            serde_json::from_slice(&std::fs::read(&person.kubeconfig).unwrap()).unwrap();
        let pem = |value: &Value| STANDARD.decode(value.as_str().unwrap()).unwrap();
        let user = &kubeconfig["users"][0]["user"];
        let certificate = Certificate::from_pem(&pem(&user["client-certificate-data"])).unwrap();
        let key = PrivateKey::from_pem(&pem(&user["client-key-data"])).unwrap();
        let authority =
            Certificate::from_pem(scene.world.cluster.authority().unwrap().as_bytes()).unwrap();
        let tls = TlsConfig::builder()
            .root_certs(RootCerts::new_with_certs(&[authority]))
            .client_cert(Some(ClientCert::new_with_certs(&[certificate], key)))
            .build();
        let config = Agent::config_builder()
            .tls_config(tls)
            .http_status_as_error(false)
            .proxy(None);
        let agent = config
            .timeout_global(Some(Duration::from_secs(30)))
            .build()
            .new_agent();
        Self {
            agent,
            pods: format!(
                "{}/api/v1/namespaces/{}/pods",
                scene.world.cluster.server(),
                scene.namespace
            ),
        }
    }

    /// Sends a merge patch to a path below the namespace's pods. `None`: there was no answer in
    /// half a minute.
    pub(crate) fn patch(&self, path: &str, body: &str) -> Option<Answer> {
        let request = self.agent.patch(format!("{}/{path}", self.pods));
        Self::answer(
            request
                .content_type("application/merge-patch+json")
                .send(body),
        )
    }

    /// Creates one of our objects, by its resource. `None`: there was no answer in half a minute.
    pub(crate) fn create(&self, resource: &str, body: &str) -> Option<Answer> {
        let namespace = self
            .pods
            .replace("/api/v1/", "/apis/spreadgroup.com/v1/")
            .replace("/pods", "");
        Self::answer(
            self.agent
                .post(format!("{namespace}/{resource}"))
                .content_type("application/json")
                .send(body),
        )
    }

    fn answer(sent: Result<ureq::http::Response<ureq::Body>, ureq::Error>) -> Option<Answer> {
        let mut answer = match sent {
            Err(ureq::Error::Timeout(_)) => return None,
            sent => sent.unwrap(),
        };
        Some(Answer {
            status: answer.status().as_u16(),
            text: answer.body_mut().read_to_string().unwrap(),
        })
    }

    pub(crate) fn exec(&self, query: &str) -> Answer {
        self.exec_in("box", query)
    }

    fn exec_in(&self, pod: &str, query: &str) -> Answer {
        let url = format!("{}/{pod}/exec?{query}", self.pods);
        let mut answer = self.agent.post(&url).send_empty().unwrap();
        Answer {
            status: answer.status().as_u16(),
            text: answer.body_mut().read_to_string().unwrap(),
        }
    }

    fn command(&self, command: &[&str]) -> Answer {
        let words: Vec<String> = command
            .iter()
            .map(|word| format!("command={}&", encoded(word)))
            .collect();
        self.exec(&format!(
            "{}container=main&stdout=true&stderr=true",
            words.concat()
        ))
    }
}

fn encoded(text: &str) -> String {
    text.bytes()
        .flat_map(|byte| format!("%{byte:02X}").into_bytes())
        .map(char::from)
        .collect()
}

/// A scene in which jane may run this for an hour.
fn granted(flags: &[&str], command: &[&str]) -> Scene {
    let scene = Scene::new(world::standing());
    let (jane, amy) = (scene.developer("jane"), scene.approver("amy"));
    amy.grant(&jane.ask(&[&["--valid-for", "1h"], flags].concat(), command));
    scene
}

// F1, F25, R2
#[test]
fn a_query_that_says_more_or_twice_means_what_was_granted() {
    let scene = granted(&[], &["date"]);
    let jane = ByHand::new(&scene, &scene.developer("jane"));
    for query in [
        "command=date&container=main",
        "command=date&container=main&stdout=true",
        "command=date&container=main&stderr=true",
        "command=date&container=main&stdout=true&stderr=true",
        "container=main&command=%64%61%74%65",
        "command=date&container=main&stdin=false&tty=0",
        // Of two the API server takes the first, shows it to us and sends it on.
        "command=date&container=main&container=side",
        "command=date&container=main&stdin=false&stdin=true",
        // What it does not know, it shows and sends to nobody.
        "command=date&container=main&env=LD_PRELOAD%3D%2Ftmp%2Fx.so&user=root&args=-c&pod=other&namespace=kube-system",
        "command=date&container=main&Command=id&COMMAND=id&Stdin=true&TTY=true",
    ] {
        let answer = jane.exec(query);
        assert!(answer.status == 400, "{query}: {answer:?}");
        answer.is_allowed();
    }
    let dry = jane.exec("command=date&container=main&dryRun=All");
    assert!(
        dry.status == 400 && dry.text.contains("dryRun is not supported"),
        "{dry:?}"
    );
}

// F1, F4, F12, F13, F16, F21, R2
#[test]
fn a_query_that_means_anything_else_is_denied() {
    let scene = granted(&[], &["date"]);
    let jane = ByHand::new(&scene, &scene.developer("jane"));
    for (query, text) in [
        ("container=main&stdout=true", "you ran     []"),
        ("", "you ran     []"),
        ("command&container=main", r#"you ran     [""]"#),
        ("command=&container=main", r#"you ran     [""]"#),
        (
            "command=date&command=&container=main",
            r#"you ran     ["date",""]"#,
        ),
        (
            "command=&command=date&container=main",
            r#"you ran     ["","date"]"#,
        ),
        (
            "command=date&command=date&container=main",
            r#"you ran     ["date","date"]"#,
        ),
        (
            "command=date&command=id&container=main",
            r#"you ran     ["date","id"]"#,
        ),
        (
            "command=date%00&container=main",
            r#"you ran     ["date\u0000"]"#,
        ),
        (
            "command=date%0a&container=main",
            r#"you ran     ["date\n"]"#,
        ),
        ("command=%20date&container=main", r#"you ran     [" date"]"#),
        (
            "command=date+-u&container=main",
            r#"you ran     ["date -u"]"#,
        ),
        ("command=%5B%22date%22%5D&container=main", r"you ran     "),
        // Bytes that are no UTF-8 become one and the same character, which nobody can ask for.
        (
            "command=date%ff&container=main",
            r#"you ran     ["date\ufffd"]"#,
        ),
        (
            "command=%c0%ae&container=main",
            r#"you ran     ["\ufffd\ufffd"]"#,
        ),
        ("command=date&container=side", "another container"),
        (
            "command=date&container=side&container=main",
            "another container",
        ),
        ("command=date&container=Main", "another container"),
        ("command=date", "another container"),
        ("command=date&container=", "another container"),
        (
            "command=date&container=main&stdin=true",
            "--allow-interactive",
        ),
        (
            "command=date&container=main&stdin=1&stdout=true",
            "--allow-interactive",
        ),
        ("command=date&container=main&stdin", "--allow-interactive"),
        (
            "command=date&container=main&stdin=maybe",
            "--allow-interactive",
        ),
        (
            "command=date&container=main&tty=true",
            "--allow-interactive",
        ),
        (
            "command=date&container=main&stdin=true&stdin=false",
            "--allow-interactive",
        ),
    ] {
        let answer = jane.exec(query);
        assert_eq!(answer.status, 403, "{query}: {answer:?}");
        answer.is_denied_with(text);
    }
}

// F21, R15
#[test]
fn what_is_far_too_long_is_refused_quickly_and_costs_nobody_anything() {
    let scene = granted(&[], &["date"]);
    let jane = scene.developer("jane");
    // A word of a command line has at most 128 KiB, on this side.
    let long = "a".repeat(110_000);
    for command in [
        vec!["echo", &long],
        vec![long.as_str(); 8],
        vec!["a"; 10_000],
        vec!["a"; 257],
    ] {
        let began = Instant::now();
        let said = jane.exec(&command);
        said.is_refused_with("");
        assert!(
            said.text.len() < 4096,
            "nothing of it is repeated: {} bytes",
            said.text.len()
        );
        assert!(
            began.elapsed() < Duration::from_secs(8),
            "{:?}",
            began.elapsed()
        );
    }
    jane.exec(&["date"]).works_with("UTC");
}

// F4
#[test]
fn any_command_is_not_no_command() {
    let scene = Scene::new(world::standing());
    let (jane, amy) = (scene.developer("jane"), scene.approver("amy"));
    let request = jane
        .kubectl(["request", "exec", "--any-command", "box", "-c", "main"])
        .request();
    amy.grant(&request);
    let by_hand = ByHand::new(&scene, &jane);
    by_hand
        .exec("container=main&stdout=true")
        .is_denied_with("what you ran is not what was granted");
    assert_eq!(scene.uses(&request), 0);
    by_hand
        .exec("container=main&stdout=true&command=id")
        .is_allowed();
    assert_eq!(scene.uses(&request), 1);
}

// F16
#[test]
fn a_container_that_is_not_named_is_the_only_one_whatever_annotations_say() {
    let scene = granted(&[], &["date"]);
    scene.apply(&json!({
        "apiVersion": "v1", "kind": "Pod", "metadata": {"name": "one", "namespace": scene.namespace},
        "spec": {"nodeName": "127.0.0.1", "terminationGracePeriodSeconds": 0, "containers": [
            {"name": "main", "image": "localhost/busybox:1", "imagePullPolicy": "Never", "command": ["sleep", "100000"]},
        ]},
    }));
    scene
        .admin([
            "wait",
            "-n",
            &scene.namespace,
            "--for=condition=Ready",
            "--timeout=60s",
            "pod/one",
        ])
        .works_with("met");
    let (jane, amy) = (scene.developer("jane"), scene.approver("amy"));
    let asked = jane.kubectl(["request", "exec", "--valid-for", "1h", "one", "--", "date"]);
    amy.grant(&asked.request());
    let by_hand = ByHand::new(&scene, &jane);
    by_hand.exec_in("one", "command=date").is_allowed();
    by_hand
        .exec_in("one", "command=date&container=")
        .is_allowed();
    by_hand
        .exec_in("one", "command=date&container=side")
        .is_denied_with("another container");
    // The annotation that kubectl reads makes no other container of it: the API server does not.
    scene
        .admin([
            "annotate",
            "-n",
            &scene.namespace,
            "pod/box",
            "kubectl.kubernetes.io/default-container=main",
        ])
        .works_with("annotated");
    by_hand
        .exec("command=date")
        .is_denied_with("another container");
    by_hand.exec("command=date&container=main").is_allowed();
}

#[rstest]
// F6
#[case::of_arguments(&["tar", "cf", "-", "/data"], &[
    &["tar", "cf", "-"][..], &["tar", "cf", "-", "/data", "/etc"], &["tar", "-", "cf", "/data"], &["cf", "tar", "-", "/data"],
    &["tar", "cf", "-", "/data", ""], &["tar", "", "cf", "-", "/data"], &["tar", "cf", "-", "/data", "/data"],
    &["tar cf - /data"], &["tar", "cf", "-", "/data "],
])]
// F7
#[case::of_a_shells_script(&["sh", "-c", "ls"], &[
    &["sh", "-c", "ls;id"][..], &["sh", "-c", "ls\n id"], &["sh", "-c", "ls $(id)"], &["sh", "-c", "ls", "id"], &["sh"],
    &["sh", "-cls"], &["sh", "-c"], &["sh", "-c", "LS"], &["bash", "-c", "ls"],
])]
// F9, F10
#[case::of_paths(&["cat", "/app/config/*"], &[
    &["cat", "/app/config/../../etc/shadow"][..], &["cat", "/app/config/a/b"], &["cat", "/app/config/a"],
    &["cat", "/app/config/"], &["cat", "/app/config"], &["cat", "//app/config/*"], &["cat", "/app/./config/*"],
    &["cat", "/app/config/*/"], &["cat", "/app/config/%2a"], &["cat", "/app%2fconfig/*"], &["cat", "~/config/*"],
    &["cat", "$HOME/config/*"], &["cat", "/app/config/\u{2217}"],
])]
// F11
#[case::of_a_star(&["tar", "cf", "x.tar", "*"], &[
    &["tar", "cf", "x.tar", "--checkpoint-action=exec=sh"][..], &["tar", "cf", "x.tar", "-"], &["tar", "cf", "x.tar", "--"],
    &["tar", "cf", "x.tar", "a"], &["tar", "cf", "x.tar", ""], &["tar", "cf", "x.tar"],
])]
// F14
#[case::of_the_program(&["date"], &[
    &["env", "date"][..], &["nice", "date"], &["timeout", "1", "date"], &["setsid", "date"], &["busybox", "date"],
    &["/bin/date"], &["./date"], &["Date"], &["date", "--"], &["d\u{0430}te"],
])]
fn a_command_that_only_resembles_what_was_granted_is_denied(
    #[case] command: &[&str],
    #[case] others: &[&[&str]],
) {
    let scene = granted(&[], command);
    let jane = ByHand::new(&scene, &scene.developer("jane"));
    for other in others {
        jane.command(other)
            .is_denied_with("what you ran is not what was granted");
    }
    jane.command(command).is_allowed();
}

// R14: what names a pod in two ways reaches no pod.
#[test]
fn a_pods_name_is_compared_as_it_is_stored() {
    let scene = granted(&[], &["date"]);
    let jane = ByHand::new(&scene, &scene.developer("jane"));
    for pod in [
        "BOX",
        "box%20",
        "box%00",
        "box%2f",
        "https:box:443",
        "box:80",
        "%2e%2e",
        "box%2f..%2fbox",
    ] {
        let answer = jane.exec_in(pod, "command=date&container=main");
        assert!(
            answer.status >= 400 && !answer.text.contains("pgrade request required"),
            "{pod}: {answer:?}"
        );
    }
    jane.exec_in("%62ox", "command=date&container=main")
        .is_allowed();
}
