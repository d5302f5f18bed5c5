//! Real clusters: side by side, killed, attached to. Needs root; builds the clusters' parts when
//! they are not in the cache.

#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    reason = "a test fails by panicking"
)]

mod left;

use std::fs;
use std::io::{BufRead, BufReader};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};

use kra_cluster::image::{self, Image};
use kra_cluster::{Cluster, Node, NodeChoice, Options, Progress, Running, StartError};
use left::Traces;

const BINARY: &str = env!("CARGO_BIN_EXE_kra-cluster");

fn mk_cluster(node: NodeChoice) -> Running {
    let cluster = Cluster::start(&Options {
        node,
        progress: Progress::Silent,
        ..Options::default()
    })
    .unwrap();
    cluster.deploy_nginx(Progress::Silent).unwrap();
    cluster
}

fn output(command: &mut Command) -> Output {
    command.stdin(Stdio::null()).output().unwrap()
}

fn text(command: &mut Command) -> String {
    let output = output(command);
    assert!(
        output.status.success(),
        "{command:?}: {}",
        String::from_utf8_lossy(&output.stderr)
    );
    String::from_utf8(output.stdout).unwrap()
}

fn exec(cluster: &Cluster, script: &str) -> Output {
    output(
        cluster
            .kubectl_as_admin()
            .args(["exec", "deploy/nginx", "--", "sh", "-c", script]),
    )
}

/// `kra-cluster up` as a process of its own, which can be killed.
struct Up {
    child: Child,
    dir: PathBuf,
}

impl Up {
    fn start(arguments: &[&str]) -> Self {
        let mut child = Command::new(BINARY)
            .arg("up")
            .args(arguments)
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let told = lines
            .map_while(Result::ok)
            .find_map(|line| Some(line.strip_prefix("Directory ")?.split_once(';')?.0.into()));
        Self {
            child,
            dir: told.expect("up ended before its cluster was ready"),
        }
    }

    fn traces(&self) -> Traces {
        Traces::of(&Cluster::attach(&self.dir).unwrap())
    }

    fn kill(mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }
}

#[test]
fn two_clusters_live_side_by_side_and_leave_nothing() {
    let first = mk_cluster(NodeChoice::Container);
    let second = mk_cluster(NodeChoice::Container);
    assert_ne!(first.server(), second.server());
    assert_ne!(first.host_for_pods(), second.host_for_pods());
    let traces = [Traces::of(&first), Traces::of(&second)];
    for cluster in [&first, &second] {
        let run = exec(
            cluster,
            "ls /bin/cat && cat /etc/passwd >/dev/null && hostname; exit 7",
        );
        assert_eq!(run.status.code(), Some(7));
        assert!(
            String::from_utf8(run.stdout)
                .unwrap()
                .starts_with("/bin/cat\nnginx-")
        );
    }
    first.stop().unwrap();
    traces[0].are_gone();
    assert_eq!(
        exec(&second, "exit 3").status.code(),
        Some(3),
        "the end of one cluster is none of the other's business"
    );
    drop(second);
    traces[1].are_gone();
}

#[test]
fn a_killed_owner_leaves_nothing() {
    let up = Up::start(&[]);
    let traces = up.traces();
    up.kill();
    traces.are_gone();
}

#[test]
fn an_owner_killed_while_its_cluster_starts_leaves_nothing() {
    let parent = tempfile::tempdir().unwrap();
    let dir = parent.path().join("run");
    let mut child = Command::new(BINARY)
        .arg("up")
        .arg("--dir")
        .arg(&dir)
        .stdout(Stdio::null())
        .spawn()
        .unwrap();
    left::until(|| dir.join("logs/kube-apiserver.log").exists());
    child.kill().unwrap();
    child.wait().unwrap();
    left::until(|| !dir.exists());
    left::no_process_names(&dir);
}

#[test]
fn a_cluster_that_cannot_start_says_why_and_keeps_its_logs() {
    let parent = tempfile::tempdir().unwrap();
    let dir = parent.path().join("run");
    let api_server_flags = vec!["--no-such-flag".to_owned()];
    let options = Options {
        dir: Some(dir.clone()),
        api_server_flags,
        progress: Progress::Silent,
        ..Options::default()
    };
    let error = Cluster::start(&options).unwrap_err();
    let StartError::Logged { logs, source } = error else {
        panic!("{error}")
    };
    assert!(
        source.to_string().contains("unknown flag: --no-such-flag"),
        "{source}"
    );
    assert!(logs.join("etcd.log").exists());
    left::no_process_names(&dir);
    let again = Cluster::start(&Options {
        api_server_flags: Vec::new(),
        ..options
    })
    .unwrap();
    again.stop().unwrap();
    assert!(!dir.exists());
}

#[test]
fn a_killed_owner_of_a_local_agent_leaves_nothing() {
    let up = Up::start(&["--local-agent"]);
    let traces = up.traces();
    up.kill();
    traces.are_gone();
}

#[test]
fn what_a_killed_owner_and_a_killed_keeper_leave_is_swept_by_the_next_cluster() {
    let up = Up::start(&[]);
    let traces = up.traces();
    let keeper = left::keeper_of(&up.dir);
    assert!(
        Command::new("kill")
            .args(["-KILL", &keeper.to_string()])
            .status()
            .unwrap()
            .success()
    );
    up.kill();
    traces.processes_are_gone();
    assert!(traces.dir.exists(), "nobody was left to remove it");
    drop(
        Cluster::start(&Options {
            progress: Progress::Silent,
            ..Options::default()
        })
        .unwrap(),
    );
    traces.are_gone();
}

#[test]
fn a_panic_leaves_nothing() {
    let mut traces = None;
    let panicked = catch_unwind(AssertUnwindSafe(|| {
        let cluster = Cluster::start(&Options {
            progress: Progress::Silent,
            ..Options::default()
        })
        .unwrap();
        traces = Some(Traces::of(&cluster));
        panic!("as tests do");
    }));
    assert!(panicked.is_err());
    traces.unwrap().are_gone();
}

#[test]
fn users_are_who_their_certificates_say_and_may_what_rbac_says() {
    let cluster = mk_cluster(NodeChoice::Container);
    let jane = cluster
        .user("jane@example.com", &["dev", "on-call"])
        .unwrap();
    let whoami =
        text(
            cluster
                .kubectl(&jane)
                .args(["auth", "whoami", "-o", "jsonpath={.status.userInfo}"]),
        );
    let whoami: serde_json::Value = serde_json::from_str(&whoami).unwrap();
    assert_eq!(whoami["username"], "jane@example.com");
    assert_eq!(
        whoami["groups"],
        serde_json::json!(["dev", "on-call", "system:authenticated"])
    );
    let refused = output(cluster.kubectl(&jane).args(["get", "pods"]));
    assert!(
        String::from_utf8(refused.stderr)
            .unwrap()
            .contains("forbidden")
    );
    assert!(
        fs::read_to_string(cluster.audit_log())
            .unwrap()
            .contains("jane@example.com")
    );
}

#[test]
fn one_kubeconfig_has_contexts_for_several_users_and_takes_more() {
    let cluster = mk_cluster(NodeChoice::Container);
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("kubeconfig");
    cluster
        .write_kubeconfig(
            &file,
            &[
                ("admin", &["system:masters"]),
                ("jane", &["dev"]),
                ("bob", &["dev"]),
            ],
        )
        .unwrap();
    let added = text(
        Command::new(BINARY)
            .args(["user", "amy", "--group", "sre", "--dir"])
            .arg(cluster.dir())
            .arg("--kubeconfig")
            .arg(&file),
    );
    assert_eq!(added.trim(), file.to_str().unwrap());
    let contexts = text(
        cluster
            .kubectl(&file)
            .args(["config", "get-contexts", "-o", "name"]),
    );
    assert_eq!(
        contexts.lines().collect::<Vec<_>>(),
        ["admin", "amy", "bob", "jane"]
    );
    assert_eq!(
        text(cluster.kubectl(&file).args(["config", "current-context"])).trim(),
        "admin"
    );
    let amy = text(cluster.kubectl(&file).args([
        "--context",
        "amy",
        "auth",
        "whoami",
        "-o",
        "jsonpath={.status.userInfo.groups[0]}",
    ]));
    assert_eq!(amy, "sre");
}

#[test]
fn an_image_loaded_later_runs_and_its_pod_reaches_the_api_server() {
    let cluster = mk_cluster(NodeChoice::Container);
    let dir = tempfile::tempdir().unwrap();
    let archive = dir.path().join("image.tar");
    let mut image = Image::of_binary("localhost/later:1", &busybox(&cluster));
    image.entrypoint.extend(["sh".to_owned(), "-c".to_owned()]);
    image::write(&image, &archive).unwrap();
    text(
        Command::new(BINARY)
            .arg("load")
            .arg(&archive)
            .arg("--dir")
            .arg(cluster.dir()),
    );
    let api = cluster.api_server_for_pods();
    run_pod(
        &cluster,
        &format!(
            "/busybox nc {} {} </dev/null && echo reached",
            api.ip(),
            api.port()
        ),
    );
    assert_eq!(
        text(cluster.kubectl_as_admin().args(["logs", "later"])),
        "reached\n"
    );
}

fn busybox(cluster: &Cluster) -> PathBuf {
    let state: serde_json::Value =
        serde_json::from_slice(&fs::read(cluster.dir().join("cluster.json")).unwrap()).unwrap();
    Path::new(state["built"]["busybox"].as_str().unwrap()).join("busybox")
}

fn run_pod(cluster: &Cluster, script: &str) {
    let pod = serde_json::json!({
        "apiVersion": "v1", "kind": "Pod", "metadata": {"name": "later"},
        "spec": {"nodeName": "127.0.0.1", "restartPolicy": "Never", "containers": [
            {"name": "later", "image": "localhost/later:1", "imagePullPolicy": "Never", "args": [script]},
        ]},
    });
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("pod.json");
    fs::write(&file, pod.to_string()).unwrap();
    text(cluster.kubectl_as_admin().arg("apply").arg("-f").arg(&file));
    text(cluster.kubectl_as_admin().args([
        "wait",
        "--for=jsonpath={.status.phase}=Succeeded",
        "pod/later",
        "--timeout=30s",
    ]));
}

#[test]
fn the_local_agent_runs_commands_and_returns_their_codes() {
    let cluster = mk_cluster(NodeChoice::LocalAgent);
    assert_eq!(cluster.node(), Node::LocalAgent);
    let run = exec(&cluster, "ls www; cat www/index.html; exit 5");
    assert_eq!(run.status.code(), Some(5));
    assert_eq!(
        String::from_utf8(run.stdout).unwrap(),
        "index.html\n<h1>Welcome</h1>\n"
    );
    let traces = Traces::of(&cluster);
    cluster.stop().unwrap();
    traces.are_gone();
}

#[test]
fn a_directory_in_use_is_refused_and_left_alone() {
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("precious"), "").unwrap();
    let options = Options {
        dir: Some(dir.path().to_owned()),
        progress: Progress::Silent,
        ..Options::default()
    };
    let error = Cluster::start(&options).unwrap_err();
    assert!(matches!(error, StartError::Dir { .. }), "{error}");
    assert!(dir.path().join("precious").exists());
}

#[test]
fn attaching_where_no_cluster_is_says_so() {
    let dir = tempfile::tempdir().unwrap();
    let error = Cluster::attach(dir.path()).unwrap_err();
    assert_eq!(
        error.to_string(),
        format!("there is no cluster in {}", dir.path().display())
    );
}
