//! What the plugin does for people beside asking and granting: waiting, running, finding, ending,
//! completing.

use std::fs;
use std::process::{Command, Stdio};
use std::thread;

use kra_tests::{
    scene::{Person, Said, Scene, said},
    world::{self, eventually},
};

/// `kubectl request exec … box -c main -- …`, while somebody answers the request as soon as it is
/// there.
fn meanwhile(
    jane: &Person<'_>,
    flags: &[&str],
    command: &[&str],
    answer: impl FnOnce(&str) + Send,
) -> Said {
    thread::scope(|scope| {
        let asked = scope.spawn(|| jane.asks(flags, command));
        let mut name = String::new();
        eventually("her request", || {
            let listed = jane.kubectl(["request", "list", "--mine", "--pending", "-o", "name"]);
            listed
                .text
                .trim()
                .rsplit('/')
                .next()
                .unwrap_or_default()
                .clone_into(&mut name);
            listed.text.starts_with("accessrequest.spreadgroup.com/")
        });
        answer(&name);
        asked.join().unwrap()
    })
}

fn approves(amy: &Person<'_>) -> impl FnOnce(&str) + Send {
    |name| {
        amy.kubectl(["request", "approve", &amy.exactly(name), "--yes"])
            .works_with("created grant grant-");
    }
}

#[test]
fn run_waits_for_the_grant_and_then_is_kubectl() {
    let scene = Scene::new(world::standing());
    let (jane, amy) = (scene.developer("jane"), scene.approver("amy"));
    let run = ["--run", "--timeout=60s"];
    let ran = meanwhile(
        &jane,
        &run,
        &["sh", "-c", "echo seen; exit 7"],
        approves(&amy),
    );
    ran.ends_with(7, "seen\n");
    ran.ends_with(7, "is granted by ");
    jane.exec(&["sh", "-c", "echo seen; exit 7"])
        .is_refused_with("was for one use");

    let request = jane.ask(&[], &["date"]);
    amy.grant(&request);
    let mut elsewhere = jane.command([
        "request",
        "exec",
        "--run",
        "--timeout=5s",
        "box",
        "-c",
        "main",
        "--",
        "date",
    ]);
    elsewhere.env("KUBECTL", "/nowhere/kubectl");
    said(elsewhere, "").ends_with(
        1,
        "error: cannot run /nowhere/kubectl: No such file or directory",
    );
    assert_eq!(scene.uses(&request), 0);
}

#[test]
fn a_wait_ends_as_the_request_does() {
    let scene = Scene::new(world::standing());
    let (jane, amy) = (scene.developer("jane"), scene.approver("amy"));
    let wait = ["--wait", "--timeout=60s"];
    meanwhile(&jane, &wait, &["date"], approves(&amy)).ends_with(0, "  kubectl exec -n ");
    jane.exec(&["date"]).works_with("UTC");
    let denies = |name: &str| {
        amy.kubectl(["request", "deny", name, "--yes", "--reason", "not today"])
            .works_with("created grant deny-");
    };
    meanwhile(&jane, &wait, &["id"], denies).ends_with(3, ": not today. A denial is final");
    let withdraws = |name: &str| {
        jane.kubectl(["request", "withdraw", name])
            .works_with("withdrew accessrequest ");
    };
    meanwhile(&jane, &wait, &["ls"], withdraws).ends_with(4, " was deleted");
    jane.asks(&["--wait", "--timeout=2s"], &["uname"])
        .ends_with(5, " within 2s: it stays open");
    jane.asks(&["--wait"], &["uname"])
        .ends_with(2, "say how long to wait");
}

/// Whether a process does something of its own on SIGINT: the second bit of the signals that it
/// catches.
fn catches_interrupts(pid: u32) -> bool {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let caught = status
        .lines()
        .find_map(|line| line.strip_prefix("SigCgt:"))
        .unwrap();
    u64::from_str_radix(caught.trim(), 16).unwrap() & 0b10 != 0
}

#[test]
fn ctrl_c_leaves_the_request_open() {
    let scene = Scene::new(world::standing());
    let jane = scene.developer("jane");
    let mut command = jane.command([
        "request",
        "exec",
        "--wait",
        "--timeout=60s",
        "box",
        "-c",
        "main",
        "--",
        "date",
    ]);
    let waiting = command
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    eventually("her request", || {
        jane.kubectl(["request", "list", "--mine"])
            .text
            .contains("Pending")
    });
    // It is filed before it is waited for.
    eventually("its ear for Ctrl-C", || catches_interrupts(waiting.id()));
    assert!(
        Command::new("kill")
            .args(["-INT", &waiting.id().to_string()])
            .status()
            .unwrap()
            .success()
    );
    let ended = waiting.wait_with_output().unwrap();
    assert_eq!(ended.status.code(), Some(130));
    let text = String::from_utf8_lossy(&ended.stderr).into_owned();
    assert!(
        text.contains("it stays open. To go on waiting, repeat the command with --wait"),
        "{text}"
    );
    jane.kubectl(["request", "list", "--mine"])
        .works_with("Pending");
}

#[test]
fn the_same_is_found_instead_of_filed() {
    let scene = Scene::new(world::standing());
    let (jane, amy) = (scene.developer("jane"), scene.approver("amy"));
    let request = jane.ask(&["--valid-for", "1h"], &["date"]);
    jane.asks(&["--valid-for", "60m", "--reason", "again"], &["date"])
        .works_with(&format!(
            "request {request} for the same waits for a grant already"
        ));
    jane.ask(&["--valid-for", "1h"], &["date", "-u"]);
    amy.grant(&request);
    jane.asks(&["--valid-for", "1h"], &["date"])
        .works_with("is already granted by ");
    jane.asks(&["--valid-for", "1h", "--run", "--timeout=5s"], &["date"])
        .ends_with(0, "UTC");
    scene
        .admin(["delete", "pod", "-n", &scene.namespace, "box"])
        .works_with("deleted");
    scene.create_pod("box");
    jane.ask(&["--valid-for", "1h"], &["date"]);
}

#[test]
fn approvers_answer_several_at_once() {
    let scene = Scene::new(world::standing());
    let (jane, bob, amy) = (
        scene.developer("jane"),
        scene.developer("bob"),
        scene.approver("amy"),
    );
    let (one, two) = (jane.ask(&[], &["date"]), bob.ask(&[], &["date"]));
    let named = format!("{}/{two}", scene.namespace);
    amy.kubectl([
        "request",
        "approve",
        &amy.exactly(&one),
        &amy.exactly(&named),
        "-y",
    ])
    .works_with(&format!("created grant grant-{two}-"));
    jane.awaits(&one, "Granted");
    jane.exec(&["date"]).works_with("UTC");

    let same = [jane.ask(&[], &["id"]), jane.ask(&["--new"], &["id"])];
    let other = bob.ask(&[], &["id"]);
    let asked = format!("Grant access to request {other}, in cluster ");
    let said = amy.talks_at_terminal(
        "request approve --pending",
        &[(&asked, "n\n"), ("Grant access to these 2 requests", "y\n")],
    );
    said.works_with("2 identical requests: ");
    said.works_with(&format!("skipped {other}"));
    for name in &same {
        jane.awaits(name, "Granted");
    }
    amy.kubectl_with("y\n", ["request", "approve", "--pending"])
        .is_refused_with("there is no terminal to read the question and answer it");
    amy.talks_at_terminal("request approve --pending", &[(&asked, "y\n")])
        .works_with("created grant grant-");
    bob.awaits(&other, "Granted");
    jane.kubectl(["request", "approve", "--pending"])
        .works_with("no request waits for you");
}

#[test]
fn an_approver_picks_by_keys_at_a_terminal() {
    let scene = Scene::new(world::standing());
    let (jane, amy) = (scene.developer("jane"), scene.approver("amy"));
    let [first, second] = [&["date"], &["id"]].map(|command| jane.ask(&[], command));
    let (shown, down, ctrl_c) = ("enter when done", "\x1b[B", "\x03");
    let none = "none was chosen";
    amy.talks_at_terminal("request approve", &[(shown, "\r")])
        .ends_with(1, none);
    amy.talks_at_terminal("request approve", &[(shown, " "), ("[x]", ctrl_c)])
        .ends_with(1, none);
    amy.talks_at_terminal("request approve", &[(shown, "\x1b[C\x1b[D\r")])
        .ends_with(1, none);

    // The rows stand in the order of the list.
    let said = amy
        .kubectl(["request", "list", "--pending", "-o", "name"])
        .text;
    let last = if said.find(&first) < said.find(&second) {
        &second
    } else {
        &first
    };
    let question = |name: &str| format!("Grant access to request {name}, in cluster ");
    let said = amy.talks_at_terminal(
        "request approve",
        &[(shown, &format!("{down} \r")), (&question(last), "n\n")],
    );
    said.ends_with(1, &format!("skipped {last}"));
    let picks = [
        (shown, format!("{second} \r")),
        (&question(&second), "y\n".to_owned()),
    ];
    let picks = picks
        .each_ref()
        .map(|(awaited, typed)| (*awaited, typed.as_str()));
    amy.talks_at_terminal("request approve", &picks)
        .works_with(&format!("created grant grant-{second}"));
    jane.awaits(&second, "Granted");
}

#[test]
fn an_access_is_revoked_and_extended() {
    let scene = Scene::new(world::standing());
    let (jane, amy) = (scene.developer("jane"), scene.approver("amy"));
    let hour = jane.ask(&["--valid-for", "1h"], &["date"]);
    jane.kubectl(["request", "revoke", &hour])
        .is_refused_with("gives no access: it is pending");
    amy.grant(&hour);
    jane.exec(&["date"]).works_with("UTC");
    jane.kubectl(["request", "withdraw", &hour])
        .is_refused_with("is granted already");
    let longer = jane
        .kubectl(["request", "extend", &hour, "--valid-for", "2h"])
        .request();
    assert_eq!(
        scene.get("accessrequest", &longer)["spec"]["follows"],
        *hour
    );
    amy.kubectl(["request", "revoke", &hour])
        .works_with("are deleted, and it waits again");
    jane.exec(&["date"]).is_refused_with("waits for a grant");
    amy.kubectl(["request", "approve", &amy.exactly(&longer), "-y"])
        .works_with("created grant grant-");
    jane.awaits(&longer, "Granted");
    jane.exec(&["date"]).works_with("UTC");
    // Her own she deletes: the grants are not hers.
    jane.kubectl(["request", "revoke", &longer])
        .works_with("it is deleted");
    jane.exec(&["date"]).is_refused_with("waits for a grant");
    amy.kubectl(["request", "withdraw", &hour])
        .is_refused_with("only who asked withdraws it");
    jane.kubectl(["request", "withdraw", &hour])
        .works_with("withdrew accessrequest ");
    jane.exec(&["date"]).is_refused_with("you have not asked");
}

#[test]
fn a_list_is_filtered_and_a_request_tells_its_history() {
    let scene = Scene::new(world::standing());
    let (jane, bob, amy) = (
        scene.developer("jane"),
        scene.developer("bob"),
        scene.approver("amy"),
    );
    let (hers, his) = (
        jane.ask(&[], &["date"]),
        bob.ask(&["--accept-secrets"], &["psql", "--password=hunter2"]),
    );
    amy.grant(&hers);
    jane.exec(&["date"]).works_with("UTC");
    jane.awaits(&hers, "Used");
    let listed = |flags: &[&str]| {
        jane.kubectl(["request", "list", "-o", "name"].iter().chain(flags))
            .text
    };
    let name = |request: &str| format!("accessrequest.spreadgroup.com/{request}\n");
    assert_eq!(listed(&["--mine"]), name(&hers));
    assert_eq!(listed(&["--pending"]), name(&his));
    assert_eq!(listed(&["--requester", &bob.name]), name(&his));
    assert_eq!(
        listed(&["-l", &format!("username={}", jane.name)]),
        name(&hers)
    );
    jane.kubectl(["request", "list", "-o", "wide"])
        .works_with("--password=***");
    let shown = jane.kubectl(["request", "show", &hers]);
    for event in [
        format!("filed by {}", jane.name),
        format!("granted by {}", amy.name),
        "used in pod box".to_owned(),
    ] {
        shown.works_with(&event);
    }
}

#[test]
fn everybody_learns_who_she_is() {
    let scene = Scene::new(world::standing());
    let (jane, amy) = (scene.developer("jane"), scene.approver("amy"));
    let said = jane.kubectl(["request", "whoami"]);
    said.works_with(&format!("User         {}\n", jane.name));
    said.works_with("Asks         yes");
    said.works_with("Answers      no");
    amy.kubectl(["request", "whoami"])
        .works_with("Answers      yes");
}

#[test]
fn kubectl_completes_our_words() {
    let scene = Scene::new(world::standing());
    let (jane, amy) = (scene.developer("jane"), scene.approver("amy"));
    let request = jane.ask(&[], &["date"]);
    let directory = tempfile::tempdir().unwrap();
    let plugin = scene.world.plugin_dir.join("kubectl-request");
    std::os::unix::fs::symlink(plugin, directory.path().join("kubectl_complete-request")).unwrap();
    let complete = |person: &Person<'_>, words: &[&str]| {
        let mut kubectl = scene.world.cluster.kubectl(&person.kubeconfig);
        let path = run::story::path_with(&scene.world.plugin_dir);
        let dirs = std::iter::once(directory.path().to_owned()).chain(std::env::split_paths(&path));
        kubectl.env("PATH", std::env::join_paths(dirs).unwrap());
        kubectl.args(["__complete", "request"]).args(words);
        said(kubectl, "")
    };
    let namespace = scene.namespace.as_str();
    complete(&jane, &["exec", "-n", namespace, "b"]).works_with("box\n");
    complete(&jane, &["exec", "-n", namespace, "box", "-c", "s"]).works_with("side\n");
    complete(&amy, &["approve", "-n", namespace, ""]).works_with(&request);
    complete(&jane, &["wh"]).works_with("whoami");
}

#[test]
fn why_files_nothing_whether_or_not_the_server_explains() {
    let scene = Scene::new(world::standing());
    let jane = scene.developer("jane");
    let said = jane.kubectl(["request", "why", "exec", "box", "-c", "main", "--", "date"]);
    assert!(
        said.success || said.text.contains("this server cannot explain"),
        "{}",
        said.text
    );
    jane.kubectl(["request", "list"])
        .works_with("no requests in namespace");
}
