//! A server that is killed at the worst moments. A single use is never made twice; at most it is
//! lost, and then the request says so.

use std::{
    fs,
    path::PathBuf,
    process::Command,
    sync::{
        Mutex, MutexGuard, OnceLock, PoisonError,
        atomic::{AtomicU32, Ordering},
    },
};

use rstest::rstest;
use run::local::Process;
use serde_json::{Value, json};

use kra_tests::{
    notices::Told,
    processes::{like, signal},
    scene::{Person, Scene, said},
    world::{PATIENCE, Wish, World, eventually, within},
};

/// A server that is killed and followed by others at the same address; for one test at a time.
struct Mortal {
    world: &'static World,
    server: MutexGuard<'static, Option<Process>>,
}

impl Mortal {
    fn new() -> Self {
        static WORLD: OnceLock<World> = OnceLock::new();
        static TURN: Mutex<Option<Process>> = Mutex::new(None);
        let server = TURN.lock().unwrap_or_else(PoisonError::into_inner);
        let world = WORLD.get_or_init(|| {
            let flags = vec![format!("--notice-url={}", Told::here().url())];
            World::start(Wish {
                receivers: true,
                flags,
                ..Wish::default()
            })
        });
        let mortal = Self { world, server };
        // Read while the first one lives.
        mortal.another();
        mortal
    }

    /// The command of a server at the address of the first one.
    fn another(&self) -> Command {
        static COMMAND: OnceLock<Vec<String>> = OnceLock::new();
        let words = COMMAND.get_or_init(|| {
            let command = like(self.world.installed.server.as_ref().unwrap(), self.world);
            let program = command.get_program().to_owned();
            [program.as_os_str()]
                .into_iter()
                .chain(command.get_args())
                .map(|word| word.to_string_lossy().into_owned())
                .collect()
        });
        let (program, arguments) = words.split_first().unwrap();
        let mut command = Command::new(program);
        command
            .args(arguments)
            .env("KUBECONFIG", self.world.cluster.admin_kubeconfig());
        command
    }

    fn kill(&self) {
        match self.server.as_ref() {
            Some(server) => signal(server, "-KILL"),
            None => signal(self.world.installed.server.as_ref().unwrap(), "-KILL"),
        }
    }

    /// Another server in place of the one that was killed, which holds at this point. Returns its
    /// log.
    fn succeed(&mut self, failpoint: Option<&str>) -> PathBuf {
        static NUMBER: AtomicU32 = AtomicU32::new(1);
        let log = self.world.cluster.dir().join(format!(
            "server-{}.log",
            NUMBER.fetch_add(1, Ordering::Relaxed)
        ));
        let mut command = self.another();
        if let Some(failpoint) = failpoint {
            command.env("KRA_FAILPOINT", failpoint);
        }
        *self.server = None;
        *self.server = Some(Process::start(command, log.clone()).unwrap());
        eventually("the server is ready", || says(&log, "\"ready\""));
        log
    }
}

fn says(log: &PathBuf, text: &str) -> bool {
    fs::read_to_string(log).unwrap_or_default().contains(text)
}

/// jane's exec is refused because the server is killed at this point of it; then another server
/// takes its place.
fn killed_at(mortal: &mut Mortal, jane: &Person<'_>, failpoint: &str) -> PathBuf {
    mortal.kill();
    let log = mortal.succeed(Some(failpoint));
    std::thread::scope(|threads| {
        let exec = threads.spawn(|| jane.exec_over_spdy(&["date"]));
        eventually("the failpoint is reached", || {
            says(&log, &format!("\"failpoint\":\"{failpoint}\""))
        });
        mortal.kill();
        exec.join()
            .unwrap()
            .is_refused_with("failed calling webhook");
    });
    mortal.succeed(None)
}

/// The outcome of the only use of a request, once there is one.
fn outcome(scene: &Scene, request: &str) -> Value {
    eventually("an outcome", || {
        scene.get("accessrequest", request)["status"]["uses"][0]["outcome"].is_string()
    });
    scene.get("accessrequest", request)["status"]["uses"][0]["outcome"].clone()
}

// I3
#[rstest]
#[case::before_intent("before-intent")]
#[case::after_intent("after-intent")]
#[case::before_spend("before-spend")]
fn a_server_that_is_killed_before_it_spends_costs_nothing(#[case] failpoint: &str) {
    let mut mortal = Mortal::new();
    let scene = Scene::new(mortal.world);
    let (jane, amy) = (scene.developer("jane"), scene.approver("amy"));
    let request = jane.ask(&[], &["date"]);
    amy.grant(&request);
    killed_at(&mut mortal, &jane, failpoint);
    assert_eq!(scene.uses(&request), 0);
    jane.exec(&["date"]).works_with("UTC");
    assert_eq!(outcome(&scene, &request), json!("Answered"));
    jane.exec(&["date"])
        .is_refused_with("was for one use, and was used at");
    assert_eq!(scene.uses(&request), 1);
}

// I3
#[test]
fn a_server_that_is_killed_after_it_spent_loses_one_use_and_says_so() {
    let mut mortal = Mortal::new();
    let scenes =
        ["after-spend", "before-answer"].map(|failpoint| (failpoint, Scene::new(mortal.world)));
    let lost = scenes.each_ref().map(|(failpoint, scene)| {
        let (jane, amy) = (scene.developer("jane"), scene.approver("amy"));
        let request = jane.ask(&[], &["date"]);
        amy.grant(&request);
        let log = killed_at(&mut mortal, &jane, failpoint);
        assert_eq!(scene.uses(&request), 1, "{failpoint}");
        let soon = jane.exec(&["date"]);
        soon.is_refused_with("may have been lost: the server stopped before it could answer");
        soon.is_refused_with(&format!(
            "kubectl request again -n {} {request}",
            scene.namespace
        ));
        (scene, jane, request, log)
    });
    let (.., log) = lost.last().unwrap();
    for (scene, jane, request, _) in &lost {
        assert_eq!(outcome(scene, request), json!("Lost"));
        jane.awaits(request, "Lost");
        jane.kubectl(["describe", "acr", request])
            .works_with("may have been lost: the server stopped before it could answer");
        let uid = scene.get("accessrequest", request)["status"]["uses"][0]["reviewUID"]
            .as_str()
            .unwrap()
            .to_owned();
        let lines = fs::read_to_string(log).unwrap();
        let line = lines
            .lines()
            .find(|line| line.contains(&uid) && line.contains("\"decision\":\"lost\""))
            .unwrap();
        assert!(
            line.contains("\"level\":\"WARN\"") && line.contains("\"target\":\"audit\""),
            "{line}"
        );
        eventually("this replica knows it", || {
            jane.exec(&["date"]).text.contains("and may have been lost")
        });
        assert_eq!(scene.uses(request), 1);
    }
}

// E8: the API server looks whether there is such a container only after it has asked us.
#[test]
fn an_attempt_that_fails_after_it_was_allowed_is_used_once_and_never_twice() {
    let mortal = Mortal::new();
    let scene = Scene::new(mortal.world);
    let (jane, amy) = (scene.developer("jane"), scene.approver("amy"));
    let request = jane.ask(&[], &["no-such-program"]);
    amy.grant(&request);
    jane.exec(&["no-such-program"])
        .is_refused_with("no-such-program");
    assert_eq!(outcome(&scene, &request), json!("Answered"));
    jane.exec(&["no-such-program"])
        .is_refused_with("was for one use");
    jane.exec_over_spdy(&["no-such-program"])
        .is_refused_with("was for one use");
    assert_eq!(scene.uses(&request), 1);
}

// E11: what another webhook says at the same time is not known to us.
#[test]
fn an_attempt_that_a_foreign_webhook_denies_is_used_once_and_never_twice() {
    let mortal = Mortal::new();
    let scene = Scene::new(mortal.world);
    let (jane, amy) = (scene.developer("jane"), scene.approver("amy"));
    let request = jane.ask(&[], &["date"]);
    amy.grant(&request);
    let name = format!("foreign-{}", scene.namespace);
    scene.apply(&json!({
        "apiVersion": "admissionregistration.k8s.io/v1", "kind": "ValidatingWebhookConfiguration", "metadata": {"name": name},
        "webhooks": [{
            "name": "foreign.example.com", "sideEffects": "None", "admissionReviewVersions": ["v1"], "failurePolicy": "Fail",
            "namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": scene.namespace}},
            "rules": [{"apiGroups": [""], "apiVersions": ["v1"], "resources": ["pods/exec"], "operations": ["CONNECT"]}],
            // Nobody listens there.
            "clientConfig": {"url": "https://127.0.0.1:1/"},
        }],
    }));
    eventually("the API server asks the foreign webhook", || {
        jane.exec_over_spdy(&["ls"]).text.contains("foreign")
    });
    let refused = jane.exec_over_spdy(&["date"]);
    scene
        .admin(["delete", "validatingwebhookconfiguration", &name])
        .works_with("deleted");
    refused.is_refused_with("foreign.example.com");
    assert_eq!(outcome(&scene, &request), json!("Answered"));
    eventually("the foreign webhook is forgotten", || {
        !jane.exec_over_spdy(&["ls"]).text.contains("foreign")
    });
    jane.exec(&["date"]).is_refused_with("was for one use");
    assert_eq!(scene.uses(&request), 1);
}

// K10
#[test]
fn an_emergency_of_which_the_server_could_tell_nobody_before_it_died_is_told_by_the_next_one() {
    let mut mortal = Mortal::new();
    let scene = Scene::new(mortal.world);
    let jane = scene.developer("jane");
    let night = json!({
        "apiVersion": "spreadgroup.com/v1", "kind": "AccessPolicy", "metadata": {"name": format!("night-{}", scene.namespace)},
        "spec": {"effect": "Allow", "namespaces": [scene.namespace], "subresources": ["exec"], "reason": {},
            "subjects": [{"kind": "User", "name": jane.name}], "emergency": {"reviewWithin": "24h"}},
    });
    let mut owner = scene.world.cluster.kubectl_as_admin();
    owner.args([
        "--as=kube-request-access:policy-owner",
        "--as-group=kube-request-access:policy-owners",
    ]);
    owner.args(["apply", "-f", "-"]);
    said(owner, &night.to_string()).works_with("created");

    Told::here().refuse("emergency", &scene.namespace);
    let request = jane.ask(&["--reason=the shop is down"], &["date"]);
    eventually("an attempt to tell", || {
        !Told::here().refused_of(&request).is_empty()
    });
    mortal.kill();
    mortal.succeed(None);
    Told::here().take("emergency", &scene.namespace);
    assert!(scene.get("acr", &request)["status"]["notified"].is_null());
    // It gives whoever told it first a minute.
    let told_of = |change: &str| {
        Told::here()
            .of(&request)
            .iter()
            .any(|(_, data)| data["change"] == change)
    };
    within(PATIENCE * 3, "the notice", || told_of("emergency"));
    eventually("the note", || {
        scene.get("acr", &request)["status"]["notified"] == json!(["Emergency"])
    });
    // The next one has nothing left to tell.
    let told = Told::here().of(&request).len();
    mortal.kill();
    mortal.succeed(None);
    jane.exec(&["date"]).works_with("UTC");
    eventually("the use", || told_of("used"));
    assert_eq!(Told::here().of(&request).len(), told + 1);
}
