//! A kubeconfig with several contexts, and somebody who switches between them: what was asked for here
//! runs here, and what people are told to type leads here.

use std::path::Path;
use std::process::Command;
use std::thread;

use kra_tests::{
    scene::{Person, Said, Scene, said},
    world::{self, eventually},
};
use serde_json::json;
use tempfile::TempDir;

use crate::policies::{owner_applies, policy};

/// jane with a kubeconfig of her own, which has a context for a cluster that nobody answers in, and one
/// more.
fn with_contexts<'a>(jane: &Person<'a>) -> (TempDir, Person<'a>) {
    let dir = tempfile::tempdir().unwrap();
    let kubeconfig = dir.path().join("config");
    std::fs::copy(&jane.kubeconfig, &kubeconfig).unwrap();
    let person = Person {
        scene: jane.scene,
        name: jane.name.clone(),
        kubeconfig,
    };
    let user = config(&person, &["view", "-o", "jsonpath={.users[0].name}"]).text;
    for other in ["elsewhere", "nowhere"] {
        config(
            &person,
            &["set-cluster", other, "--server=https://127.0.0.1:9"],
        );
        let (cluster, user) = (format!("--cluster={other}"), format!("--user={user}"));
        config(&person, &["set-context", other, &cluster, &user]);
    }
    (dir, person)
}

/// `kubectl config …`, of this person's file.
#[track_caller]
fn config(person: &Person<'_>, words: &[&str]) -> Said {
    let mut kubectl = person.scene.world.cluster.kubectl(&person.kubeconfig);
    kubectl.arg("config").args(words);
    let said = said(kubectl, "");
    assert!(said.success, "{}", said.text);
    said
}

fn current(person: &Person<'_>) -> String {
    config(person, &["current-context"]).text.trim().to_owned()
}

/// `kubectl request exec … --run`, and what happens once the request is there.
fn runs_while(person: &Person<'_>, happens: impl FnOnce(&str) + Send) -> Said {
    let jane = Person {
        scene: person.scene,
        name: person.name.clone(),
        kubeconfig: person.kubeconfig.clone(),
    };
    thread::scope(|scope| {
        let asked = scope.spawn(|| jane.asks(&["--run", "--timeout=60s"], &["date"]));
        let mut name = String::new();
        eventually("her request", || {
            let listed = person.scene.admin([
                "get",
                "acr",
                "-n",
                &person.scene.namespace,
                "-o",
                "jsonpath={.items[*].metadata.name}",
            ]);
            listed.text.trim().clone_into(&mut name);
            name.starts_with("access-exec-")
        });
        happens(&name);
        asked.join().unwrap()
    })
}

fn approves(amy: &Person<'_>, name: &str) {
    amy.kubectl(["request", "approve", &amy.exactly(name), "--yes"])
        .works_with("created grant grant-");
}

// P2
#[test]
fn what_was_asked_here_runs_here_whichever_context_is_current_by_then() {
    let scene = Scene::new(world::standing());
    let (jane, amy) = (scene.developer("jane"), scene.approver("amy"));
    let (_dir, jane) = with_contexts(&jane);
    let ran = runs_while(&jane, |name| {
        config(&jane, &["use-context", "elsewhere"]);
        approves(&amy, name);
    });
    ran.works_with("UTC");
    assert_eq!(current(&jane), "elsewhere");
}

// P2
#[test]
fn where_its_context_leads_to_another_cluster_by_then_nothing_runs() {
    let scene = Scene::new(world::standing());
    let (jane, amy) = (scene.developer("jane"), scene.approver("amy"));
    let (_dir, jane) = with_contexts(&jane);
    let here = current(&jane);
    let ran = runs_while(&jane, |name| {
        config(&jane, &["set-context", &here, "--cluster=elsewhere"]);
        approves(&amy, name);
    });
    ran.ends_with(
        1,
        "the kubeconfig changed while this waited: it led to https://",
    );
    ran.ends_with(1, "Nothing was run");
}

// P3
#[test]
fn what_people_are_told_to_type_leads_where_they_asked() {
    let scene = Scene::new(world::standing());
    let (jane, amy) = (scene.developer("jane"), scene.approver("amy"));
    let (_dir, jane) = with_contexts(&jane);
    let here = current(&jane);
    let context = format!("--context={here}");
    let asked = jane.asks(&[&context, "--wait", "--timeout=1s"], &["date"]);
    let name = asked
        .text
        .split_once("created accessrequest ")
        .and_then(|(_, rest)| rest.split_whitespace().next())
        .unwrap()
        .to_owned();
    // Whoever gave up is told how to take it back.
    let withdraw = line(&asked, "to take it back: ");
    approves(&amy, &name);
    let waited = jane.asks(&[&context, "--wait", "--timeout=60s"], &["date"]);
    waited.works_with("granted by");
    let exec = line(&waited, "\n  ");
    config(&jane, &["use-context", "nowhere"]);
    jane.shell(&exec).works_with("UTC");
    jane.shell(&withdraw).is_refused_with("is used already");
    let again = jane.shell(&format!(
        "kubectl request show {context} -n {} {name}",
        scene.namespace
    ));
    again.works_with("Status       Used");
}

// P3: those that are kubectl's own; which lines there are, and that ours lead here, the plugin's own
// tests show.
#[test]
fn the_lines_of_kubectls_own_are_run_by_the_real_one() {
    let scene = Scene::new(world::standing());
    let (jane, amy) = (scene.developer("jane"), scene.approver("amy"));
    let (_dir, amy) = with_contexts(&amy);
    let two = policy(&scene, "Require", json!({"approvals": 2}));
    owner_applies(&scene, &two).works_with("created");
    let request = jane.ask(&[], &["date"]);
    eventually("the number of approvals", || {
        scene.get("acr", &request)["status"]["approvals"] == 2
    });
    let kubeconfig = format!("--kubeconfig={}", amy.kubeconfig.display());
    let exactly = amy.exactly(&request);
    let grant = || amy.kubectl(["request", "grant", &kubeconfig, &exactly, "--yes"]);
    grant().works_with("(1 of 2 approvals)");
    let delete = line(&grant(), "To take that back: ");
    let gone = amy.kubectl(["request", "list", &kubeconfig, "--context=gone"]);
    let contexts = line(&gone, "see '");
    let gone = amy.kubectl(["request", "list", &kubeconfig, "--cluster=gone"]);
    let clusters = line(&gone, "see '");
    config(&amy, &["use-context", "elsewhere"]);
    amy.shell(&delete).works_with("deleted");
    for lines in [contexts, clusters] {
        amy.shell(lines.trim_end_matches('\''))
            .works_with("elsewhere");
    }
}

/// The line that stands behind these words.
#[track_caller]
fn line(said: &Said, words: &str) -> String {
    let (_, rest) = said.text.rsplit_once(words).unwrap();
    let line = rest.lines().next().unwrap().trim().to_owned();
    assert!(line.starts_with("kubectl "), "{}", said.text);
    line
}

// P5
#[test]
fn a_yes_that_was_typed_before_the_question_is_none() {
    let scene = Scene::new(world::standing());
    let (jane, amy) = (scene.developer("jane"), scene.approver("amy"));
    let request = jane.ask(&[], &["date"]);
    // While it connects and reads, before anything is on the screen; then nothing but return.
    let said = amy.talks_at_terminal(
        &format!("request approve {request}"),
        &[
            ("", "y\ny\ny\n"),
            ("Grant access to the request above, in cluster ", "\n"),
        ],
    );
    said.ends_with(
        1,
        "nothing was stored: only y or Y, typed after the question, is a yes",
    );
    // What a terminal marks as pasted.
    let said = amy.talks_at_terminal(
        &format!("request approve {request}"),
        &[(
            "Grant access to the request above, in cluster ",
            "\u{1b}[200~y\u{1b}[201~\n",
        )],
    );
    said.ends_with(
        1,
        "nothing was stored: only y or Y, typed after the question, is a yes",
    );
    amy.talks_at_terminal(
        &format!("request approve {request}"),
        &[("Grant access to the request above, in cluster ", "y\n")],
    )
    .works_with("created grant grant-");
}

/// A fake API server over plain http, and what its callers send.
mod plain {
    use std::io::{BufRead as _, BufReader, Write as _};
    use std::net::TcpListener;
    use std::sync::mpsc;
    use std::thread;

    /// Its URL, and the header lines of each request.
    pub(super) fn server() -> (String, mpsc::Receiver<Vec<String>>) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let (sender, received) = mpsc::channel();
        thread::spawn(move || {
            for connection in listener.incoming() {
                let mut connection = connection.unwrap();
                let lines = BufReader::new(connection.try_clone().unwrap()).lines();
                let head: Vec<String> = lines
                    .map_while(Result::ok)
                    .take_while(|line| !line.is_empty())
                    .collect();
                let body = r#"{"kind":"Status","apiVersion":"v1","status":"Failure","message":"no","reason":"Forbidden","code":403}"#;
                // Whoever hangs up has read enough.
                let _gone = write!(
                    connection,
                    "HTTP/1.1 403 Forbidden\r\ncontent-type: application/json\r\nconnection: close\r\ncontent-length: {}\r\n\r\n{body}",
                    body.len()
                );
                if sender.send(head).is_err() {
                    return;
                }
            }
        });
        (url, received)
    }
}

/// A login plugin that notes each run, and prints a token.
fn login(dir: &Path) -> String {
    use std::os::unix::fs::PermissionsExt as _;
    let program = dir.join("login");
    let script = format!(
        "#!/bin/sh\necho run >> {}/runs\nprintf '%s' '{{\"apiVersion\":\"client.authentication.k8s.io/v1\",\"kind\":\"ExecCredential\",\"status\":{{\"token\":\"from-plugin\"}}}}'\n",
        dir.display()
    );
    std::fs::write(&program, script).unwrap();
    std::fs::set_permissions(&program, std::fs::Permissions::from_mode(0o755)).unwrap();
    program.display().to_string()
}

fn runs(dir: &Path) -> usize {
    let runs = std::fs::read_to_string(dir.join("runs")).unwrap_or_default();
    let _gone = std::fs::remove_file(dir.join("runs"));
    runs.lines().count()
}

// P6, P7: whatever kubectl sends and runs, the plugin does.
#[test]
fn credentials_are_sent_and_login_plugins_run_as_kubectl_does_it() {
    let scene = Scene::new(world::standing());
    let jane = scene.developer("jane");
    let dir = tempfile::tempdir().unwrap();
    let (url, received) = plain::server();
    let file = dir.path().join("config");
    let exec = format!(
        "{{exec: {{apiVersion: client.authentication.k8s.io/v1, interactiveMode: IfAvailable, command: {}}}}}",
        login(dir.path())
    );
    let denied = dir.path().join("kuberc");
    std::fs::write(
        &denied,
        "apiVersion: kubectl.config.k8s.io/v1beta1\nkind: Preference\ncredentialPluginPolicy: DenyAll\n",
    )
    .unwrap();
    let api = scene.world.cluster.server();
    for (server, user, kuberc) in [
        (url.as_str(), "{token: secret}", "off"),
        (url.as_str(), "{username: jane, password: secret}", "off"),
        (url.as_str(), exec.as_str(), "off"),
        (url.as_str(), "{token: secret, as: amy}", "off"),
        (api.as_str(), exec.as_str(), "off"),
        (
            api.as_str(),
            &format!("{{token: secret, {}", &exec[1..]),
            "off",
        ),
        (api.as_str(), exec.as_str(), denied.to_str().unwrap()),
    ] {
        let text = format!(
            "apiVersion: v1\nkind: Config\ncurrent-context: c\ncontexts: [{{name: c, context: {{cluster: c, user: u}}}}]\n\
             clusters: [{{name: c, cluster: {{server: \"{server}\"{}}}}}]\nusers: [{{name: u, user: {user}}}]\n",
            if server.starts_with("https") {
                ", insecure-skip-tls-verify: true"
            } else {
                ""
            }
        );
        std::fs::write(&file, text).unwrap();
        let outcome = |mut command: Command| {
            command.env("KUBECONFIG", &file).env("KUBERC", kuberc);
            let _refused = said(command, "");
            let heads: Vec<Vec<String>> = received.try_iter().collect();
            let credentials: Vec<String> = heads
                .iter()
                .flatten()
                .map(|line| line.to_lowercase())
                .filter(|line| line.starts_with("authorization") || line.starts_with("impersonate"))
                .collect::<std::collections::BTreeSet<_>>()
                .into_iter()
                .collect();
            (credentials, runs(dir.path()))
        };
        let kubectl = {
            let mut command = scene.world.cluster.kubectl(&file);
            command.args(["get", "--raw", "/apis/spreadgroup.com/v1/accessrequests"]);
            outcome(command)
        };
        let plugin = outcome(jane.command(["request", "list"]));
        // kubectl runs the plugin once more where its token is refused, as this one is.
        let once = (kubectl.0, kubectl.1.min(1));
        assert_eq!(plugin, once, "{server} {user} {kuberc}");
    }
}
