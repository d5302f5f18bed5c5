//! A cluster whose store is put back to what it was: what was used is unused there again, until a
//! new epoch ends it.

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::OnceLock,
};

use serde_json::json;

use kra_tests::{
    processes::{current, flag, restart, server_log, signal_to},
    scene::Scene,
    world::{Wish, World, eventually},
};

/// A server of the control plane: the process that entered the node, and the one that it waits for.
struct Part {
    command: Vec<String>,
    pid: u32,
}

impl Part {
    /// The one of this name in this cluster.
    fn of(world: &World, name: &str) -> Self {
        let (program, dir) = (
            format!("/{name}"),
            world.cluster.dir().display().to_string(),
        );
        let is_it = |words: &[String]| {
            let runs = |word: &String| word.ends_with(&program);
            words.first().is_some_and(|first| first == "nsenter")
                && words.iter().any(runs)
                && words.iter().any(|word| word.contains(&dir))
        };
        let (pid, command) = processes().find(|(_, words)| is_it(words)).unwrap();
        Self { command, pid }
    }

    fn is_there(&self) -> bool {
        Path::new(&format!("/proc/{}", self.pid)).exists()
    }

    /// What it waits for.
    fn child(&self) -> u32 {
        let children = format!("/proc/{0}/task/{0}/children", self.pid);
        fs::read_to_string(children)
            .unwrap()
            .trim()
            .parse()
            .unwrap()
    }

    fn kill(&self) {
        signal_to(self.child(), "-KILL");
        // Its parent does not wait for it: it is this test's process, or a zombie of it.
        eventually("its end", || !self.is_there() || is_zombie(self.pid));
    }

    fn start(&self, world: &World) -> Child {
        let mut command = Command::new(&self.command[0]);
        let log = fs::File::create(server_log(world)).unwrap();
        command
            .args(&self.command[1..])
            .env("KRA_CLUSTER_RUN", world.cluster.dir());
        command
            .stdin(Stdio::null())
            .stdout(log.try_clone().unwrap())
            .stderr(log)
            .spawn()
            .unwrap()
    }
}

fn is_zombie(pid: u32) -> bool {
    fs::read_to_string(format!("/proc/{pid}/stat")).is_ok_and(|stat| stat.contains(") Z "))
}

fn processes() -> impl Iterator<Item = (u32, Vec<String>)> {
    let entries = fs::read_dir("/proc").unwrap().flatten();
    entries.filter_map(|entry| {
        let pid = entry.file_name().to_str()?.parse().ok()?;
        let line = fs::read(entry.path().join("cmdline")).ok()?;
        let words = line
            .split(|&byte| byte == 0)
            .filter(|word| !word.is_empty());
        Some((
            pid,
            words
                .map(|word| String::from_utf8_lossy(word).into_owned())
                .collect(),
        ))
    })
}

/// All that etcd has, as it was at one moment.
fn snapshot(world: &World) -> PathBuf {
    let copy = world.cluster.dir().join("etcd-snapshot");
    let etcd = Part::of(world, "etcd");
    signal_to(etcd.child(), "-STOP");
    let copied = Command::new("cp")
        .arg("-a")
        .arg(world.cluster.dir().join("etcd"))
        .arg(&copy)
        .status();
    // What waits for it stops with it.
    signal_to(etcd.child(), "-CONT");
    signal_to(etcd.pid, "-CONT");
    assert!(copied.unwrap().success());
    copy
}

/// Puts the store back, and starts the control plane again.
fn restore(world: &World, snapshot: &Path) -> [Child; 2] {
    let [etcd, api_server] = ["etcd", "kube-apiserver"].map(|name| Part::of(world, name));
    api_server.kill();
    etcd.kill();
    let data = world.cluster.dir().join("etcd");
    fs::remove_dir_all(&data).unwrap();
    fs::rename(snapshot, &data).unwrap();
    [etcd.start(world), api_server.start(world)]
}

// K22
#[test]
fn a_restored_store_gives_no_use_back_once_there_is_a_new_epoch() {
    static WORLD: OnceLock<World> = OnceLock::new();
    let world = WORLD.get_or_init(|| World::start(Wish::default()));
    let scene = Scene::new(world);
    let (jane, bob, amy) = (
        scene.developer("jane"),
        scene.developer("bob"),
        scene.approver("amy"),
    );
    let policy = json!({
        "apiVersion": "spreadgroup.com/v1", "kind": "AccessPolicy", "metadata": {"name": "uname"},
        "spec": {
            "effect": "Allow", "namespaces": [scene.namespace], "subresources": ["exec"], "commands": [{"exactly": ["uname"]}],
            "subjects": [{"kind": "User", "name": bob.name}],
        },
    });
    let owner = [
        "--as=kube-request-access:policy-owner",
        "--as-group=kube-request-access:policy-owners",
    ];
    let mut kubectl = world.cluster.kubectl_as_admin();
    kubectl.args(owner).args(["create", "-f", "-"]);
    kra_tests::scene::said(kubectl, &policy.to_string()).works_with("created");
    let once = jane.ask(&[], &["date"]);
    amy.grant(&once);
    let hour = jane.ask(&["--valid-for", "1h"], &["hostname"]);
    amy.grant(&hour);
    jane.awaits(&once, "Granted");

    let copy = snapshot(world);
    jane.exec(&["date"]).works_with("UTC");
    jane.exec(&["date"]).is_refused_with("was for one use");
    scene
        .admin([
            "delete",
            "accessgrant",
            "-n",
            &scene.namespace,
            &format!("grant-{hour}"),
        ])
        .works_with("deleted");
    jane.exec(&["hostname"])
        .is_refused_with("waits for a grant");

    let children = restore(world, &copy);
    let mut successor = None;
    eventually("the API server", || {
        scene.admin(["get", "--raw", "/readyz"]).success
    });
    restart(world, &mut successor);
    eventually("the restored grant opens the door again", || {
        jane.exec(&["hostname"]).success
    });
    assert_eq!(scene.uses(&once), 0, "what was used is unused");

    let key_file = flag(current(world, &successor), "--seal-key-file").unwrap();
    let keys = fs::read_to_string(&key_file).unwrap();
    fs::write(
        &key_file,
        format!("epoch 5f0c1d7e9ab24c3688aa40e1f7d2b690\n{keys}"),
    )
    .unwrap();
    eventually("the new epoch", || {
        jane.exec(&["hostname"]).text.contains("waits for a grant")
    });
    jane.exec(&["date"]).is_refused_with("waits for a grant");
    assert_eq!(scene.uses(&once), 0);
    bob.exec(&["uname"]).works_with("Linux");
    // All goes on: what was asked for before is asked for anew.
    amy.kubectl(["request", "grant", &amy.exactly(&once), "--yes"])
        .is_refused_with("has no good seal");
    scene
        .admin([
            "delete",
            "accessrequest",
            "-n",
            &scene.namespace,
            &once,
            &hour,
        ])
        .works_with("deleted");
    let anew = jane.ask(&[], &["date"]);
    amy.grant(&anew);
    jane.exec(&["date"]).works_with("UTC");
    for mut child in children {
        signal_to(child.id(), "-KILL");
        child.wait().unwrap();
    }
}
