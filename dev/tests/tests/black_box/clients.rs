//! Programs that use the official clients in Python and JavaScript: `dev/clients`, recorded in
//! `docs/clients.md`.

use std::{
    fs,
    hash::{DefaultHasher, Hash as _, Hasher as _},
    os::unix::fs::symlink,
    path::{Path, PathBuf},
    process::Command,
    sync::OnceLock,
};

use rstest::rstest;

use kra_tests::{
    scene::{Person, Said, Scene, said},
    world,
};

/// Runs a command in the pod `box`; more flags first.
type Exec = fn(&Person<'_>, &[&str], &[&str]) -> Said;

#[rstest]
#[case::in_python(python)]
#[case::in_javascript(javascript)]
fn a_client_is_denied_with_our_text_and_runs_what_was_granted(#[case] exec: Exec) {
    let scene = Scene::new(world::standing());
    let (jane, amy) = (scene.developer("jane"), scene.approver("amy"));
    let command = ["sh", "-c", "echo seen; exit 7"];
    let denied = exec(&jane, &[], &command);
    denied.ends_with(1, "HTTP status: 403\n");
    denied.ends_with(
        1,
        &format!(
            "you have not asked for this yet (cluster dev, namespace {})",
            scene.namespace
        ),
    );
    denied.ends_with(1, "box -c main -- sh -c 'echo seen; exit 7'");
    assert_eq!(attempts(&scene), 1, "a refusal is not tried again");

    amy.grant(&jane.ask(&[], &command));
    let ran = exec(&jane, &[], &command);
    ran.ends_with(7, "stdout: seen\n");
    ran.ends_with(7, "exit status: 7\n");
    exec(&jane, &[], &command).ends_with(1, "was for one use, and was used at ");
}

#[rstest]
#[case::in_python(python)]
#[case::in_javascript(javascript)]
fn a_terminal_is_for_a_client_that_asked_for_one(#[case] exec: Exec) {
    let scene = Scene::new(world::prefixed());
    let (jane, amy) = (
        scene.person("oidc:jane", &["devs"]),
        scene.approver("oidc:amy"),
    );
    amy.grant(&jane.ask(&["--valid-for=1h"], &["tty"]));
    exec(&jane, &["--tty"], &["tty"]).ends_with(1, "a terminal (-t) was not asked for");
    amy.grant(&jane.ask(&["-t"], &["tty"]));
    exec(&jane, &["--tty"], &["tty"]).ends_with(0, "stdout: /dev/pts/");
}

#[test]
fn who_uses_the_python_client_reads_our_text_in_its_exception() {
    let scene = Scene::shared();
    let denied = python(&scene.developer("jane"), &[], &["uptime"]);
    let exception = denied
        .text
        .split("exception: ApiException: (0)\nReason: Handshake status 403 Forbidden")
        .nth(1);
    assert!(
        exception.is_some_and(|said| said.contains("you have not asked for this yet")),
        "{}",
        denied.text
    );
}

#[test]
fn who_uses_the_javascript_client_reads_a_number_unless_her_program_asks_for_more() {
    let scene = Scene::shared();
    let denied = javascript(&scene.developer("jane"), &["--plain"], &["uptime"]);
    denied.ends_with(
        1,
        "exception: ErrorEvent: Unexpected server response: 403\n",
    );
    assert!(
        !denied.text.contains("you have not asked"),
        "{}",
        denied.text
    );
}

/// How many attempts the audit webhook was told of.
fn attempts(scene: &Scene) -> usize {
    let log = scene.world.log_of("audit-receiver");
    log.lines()
        .filter(|line| line.contains("audit-exec") && line.contains(&scene.namespace))
        .count()
}

fn python(person: &Person<'_>, flags: &[&str], command: &[&str]) -> Said {
    let mut python = Command::new(python_environment().join("bin/python3"));
    python.arg(clients().join("python/exec.py"));
    exec(python, person, flags, command)
}

fn javascript(person: &Person<'_>, flags: &[&str], command: &[&str]) -> Said {
    // A module finds others beside itself only.
    let directory = tempfile::tempdir().unwrap();
    let program = directory.path().join("exec.mjs");
    fs::copy(clients().join("javascript/exec.mjs"), &program).unwrap();
    symlink(
        javascript_modules().join("node_modules"),
        directory.path().join("node_modules"),
    )
    .unwrap();
    let mut node = Command::new("node");
    node.arg(program);
    exec(node, person, flags, command)
}

fn exec(mut client: Command, person: &Person<'_>, flags: &[&str], command: &[&str]) -> Said {
    // Neither reaches a cluster of this machine through a proxy.
    client
        .env("NO_PROXY", "127.0.0.1")
        .env("no_proxy", "127.0.0.1");
    client
        .arg("--kubeconfig")
        .arg(&person.kubeconfig)
        .args(["--namespace", &person.scene.namespace]);
    client
        .args(["--container", "main"])
        .args(flags)
        .args(["box", "--"])
        .args(command);
    said(client, "")
}

fn clients() -> PathBuf {
    run::checkout().join("dev/clients")
}

/// A virtual environment with the official client.
fn python_environment() -> &'static Path {
    static DIR: OnceLock<PathBuf> = OnceLock::new();
    DIR.get_or_init(|| {
        let version = version_of("python3", "apt-get install python3-venv");
        let requirements = clients().join("python/requirements.txt");
        installed("python", &[&version], &[&requirements], |dir| {
            let mut venv = cluster::builder("python3");
            succeeds(
                venv.args(["-m", "venv"]).arg(dir),
                "apt-get install python3-venv",
            );
            let mut pip = cluster::builder(dir.join("bin/python3"));
            pip.args([
                "-m",
                "pip",
                "install",
                "--quiet",
                "--disable-pip-version-check",
                "--require-hashes",
                "-r",
            ])
            .arg(&requirements);
            succeeds(&mut pip, "are the package registries within reach?");
        })
    })
}

/// The modules of the official client.
fn javascript_modules() -> &'static Path {
    static DIR: OnceLock<PathBuf> = OnceLock::new();
    DIR.get_or_init(|| {
        let how = "https://nodejs.org, 20 or newer";
        let versions = [version_of("node", how), version_of("npm", how)];
        let lists = ["package.json", "package-lock.json"]
            .map(|list| clients().join("javascript").join(list));
        installed(
            "javascript",
            &versions.each_ref().map(String::as_str),
            &lists.each_ref().map(PathBuf::as_path),
            |dir| {
                fs::create_dir(dir).unwrap();
                theirs(dir);
                for list in &lists {
                    let copy = dir.join(list.file_name().unwrap());
                    fs::copy(list, &copy).unwrap();
                    theirs(&copy);
                }
                let mut npm = cluster::builder("npm");
                npm.current_dir(dir).args([
                    "ci",
                    "--silent",
                    "--ignore-scripts",
                    "--no-audit",
                    "--no-fund",
                ]);
                succeeds(&mut npm, "are the package registries within reach?");
            },
        )
    })
}

/// Belongs to whoever called us by sudo: what is fetched is unpacked as they.
fn theirs(path: &Path) {
    if let Some(invoker) = cluster::Invoker::by_sudo() {
        invoker.owns(path).unwrap();
    }
}

/// What a program says its version is.
fn version_of(program: &str, how_to_install: &str) -> String {
    match cluster::builder(program).arg("--version").output() {
        Ok(output) if output.status.success() => {
            String::from_utf8_lossy(&output.stdout).into_owned()
        }
        _ => panic!("{program} is missing, which a client of this test needs: {how_to_install}"),
    }
}

#[track_caller]
fn succeeds(command: &mut Command, otherwise: &str) {
    let ended = command.status().unwrap();
    assert!(
        ended.success(),
        "{command:?} ended with {ended}: {otherwise}"
    );
}

/// A directory of the scripts' cache for what these lists say. It is made elsewhere and renamed: if
/// it is there, it is complete.
fn installed(
    name: &str,
    versions: &[&str],
    lists: &[&Path],
    install: impl FnOnce(&Path),
) -> PathBuf {
    let mut hasher = DefaultHasher::new();
    versions.hash(&mut hasher);
    for list in lists {
        fs::read(list).unwrap().hash(&mut hasher);
    }
    let cache = cluster::cache_dir().unwrap();
    let dir = cache.join(format!("clients-{name}-{:016x}", hasher.finish()));
    if !dir.exists() {
        let staging = tempfile::Builder::new()
            .prefix("clients-")
            .tempdir_in(&cache)
            .unwrap();
        theirs(staging.path());
        let made = staging.path().join(name);
        install(&made);
        // Another run may have been faster.
        let renamed = fs::rename(&made, &dir);
        assert!(renamed.is_ok() || dir.exists(), "{renamed:?}");
    }
    dir
}
