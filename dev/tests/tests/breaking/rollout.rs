//! A roll-out, as docs/operators.md tells it: the gate looks on, is shut in some namespaces, and
//! then in all.

use std::{sync::OnceLock, time::Instant};

use serde_json::{Value, json};

use kra_tests::{
    scene::{Person, Said, Scene, said},
    world::{PATIENCE, Wish, World, eventually, within},
};

const OBSERVED: &str = "secret/kube-request-access-observed";
const SHUT: &str = "kube-request-access-interlock";

fn world() -> &'static World {
    static WORLD: OnceLock<World> = OnceLock::new();
    let wish = Wish {
        manifests: Some("examples/observe"),
        in_cluster: true,
        ..Wish::default()
    };
    WORLD.get_or_init(|| World::start(wish))
}

fn installer(scene: &Scene, arguments: &[&str], input: &str) -> Said {
    let mut kubectl = run::kubectl::as_installer(scene.world.cluster.kubectl_as_admin());
    kubectl.args(arguments);
    said(kubectl, input)
}

/// Applies the webhooks and the lock of a kustomization, with the keys and certificates that are
/// there.
fn apply(scene: &Scene, manifests: &str) {
    let world = scene.world;
    let get = [
        "get",
        "validatingwebhookconfiguration",
        "kube-request-access",
        "-o",
        "json",
    ];
    let there: Value = serde_json::from_str(&scene.admin(get).text).unwrap();
    let bundle = there["webhooks"][0]["clientConfig"]["caBundle"].clone();
    let mut objects = run::install::render(world.cluster.kubectl_as_admin(), manifests).unwrap();
    let wanted = [
        "ValidatingWebhookConfiguration",
        "ValidatingAdmissionPolicy",
        "ValidatingAdmissionPolicyBinding",
    ];
    objects.retain(|object| wanted.iter().any(|kind| run::manifests::is(object, kind)));
    run::manifests::append_to_paths(
        &mut objects,
        world.installed.review_path.as_deref().unwrap(),
    );
    for object in objects
        .iter_mut()
        .filter(|object| object["webhooks"].is_array())
    {
        for webhook in object["webhooks"].as_array_mut().unwrap() {
            webhook["clientConfig"]["caBundle"] = bundle.clone();
        }
    }
    let list = json!({"apiVersion": "v1", "kind": "List", "items": objects});
    installer(scene, &["apply", "-f", "-"], &list.to_string()).works_with("configured");
}

/// Gives the server the exceptions that a kustomization makes of the lock.
fn except(scene: &Scene, manifests: &str) {
    let objects = run::install::render(scene.world.cluster.kubectl_as_admin(), manifests).unwrap();
    let deployment = objects
        .iter()
        .find(|object| run::manifests::is(object, "Deployment"))
        .unwrap();
    let args = |deployment: &Value| {
        deployment["spec"]["template"]["spec"]["containers"][0]["args"].clone()
    };
    let is_exception = |arg: &Value| arg.as_str().unwrap().starts_with("--lock-exception=");
    let get = [
        "get",
        "deployment",
        "-n",
        "kube-request-access",
        "kube-request-access",
        "-o",
        "json",
    ];
    let mut wanted = args(&serde_json::from_str(&scene.admin(get).text).unwrap())
        .as_array()
        .unwrap()
        .clone();
    wanted.retain(|arg| !is_exception(arg));
    wanted.extend(
        args(deployment)
            .as_array()
            .unwrap()
            .iter()
            .filter(|arg| is_exception(arg))
            .cloned(),
    );
    let patch =
        json!([{"op": "replace", "path": "/spec/template/spec/containers/0/args", "value": wanted}]).to_string();
    scene.scale_the_server(0);
    let name = [
        "patch",
        "deployment",
        "-n",
        "kube-request-access",
        "kube-request-access",
    ];
    scene
        .admin(name.iter().chain(&["--type=json", "-p", &patch]))
        .works_with("patched");
    scene.scale_the_server(2);
}

/// A ServiceAccount of the scene that may do whatever a developer may, tried by impersonation.
struct Bot<'a> {
    scene: &'a Scene,
    name: String,
}

impl<'a> Bot<'a> {
    fn new(scene: &'a Scene) -> Self {
        let name = format!("system:serviceaccount:{}:bot", scene.namespace);
        let (binding, account) = (
            format!("bot-{}", scene.namespace),
            format!("{}:bot", scene.namespace),
        );
        let role = [
            "--clusterrole=kube-request-access-requester",
            "--serviceaccount",
            &account,
        ];
        scene
            .admin(
                ["create", "clusterrolebinding", &binding]
                    .iter()
                    .chain(&role),
            )
            .works_with("created");
        let view = [
            "create",
            "clusterrolebinding",
            &format!("{binding}-view"),
            "--clusterrole=view",
        ];
        scene
            .admin(view.iter().chain(&["--serviceaccount", &account]))
            .works_with("created");
        Self { scene, name }
    }

    fn exec(&self, command: &[&str]) -> Said {
        let (user, namespace) = (format!("--as={}", self.name), &self.scene.namespace);
        let exec = [&user, "exec", "-n", namespace, "box", "-c", "main", "--"];
        self.scene.admin(exec.iter().chain(command))
    }
}

/// What is reported, as soon as it has all of this in it: each replica writes down what it saw.
fn report(root: &Person<'_>, flags: &[&str], texts: &[&str]) -> Said {
    let report = || root.kubectl(["request", "report"].iter().chain(flags));
    eventually("the report", || {
        let said = report().text;
        texts.iter().all(|text| said.contains(text))
    });
    report()
}

#[test]
fn a_roll_out_looks_on_first_then_shuts_some_namespaces_and_then_all() {
    let (scene, production) = (
        Scene::new(world()),
        Scene::named(world(), "production".to_owned()),
    );
    let (jane, rita) = (scene.developer("jane"), production.developer("rita"));
    let (root, bot) = (scene.root(), Bot::new(&scene));

    // The gate looks on.
    for person in [&jane, &rita] {
        person.exec(&["date"]).works_with("UTC");
        person.exec_over_spdy(&["date"]).works_with("UTC");
    }
    bot.exec(&["date", "-u"]).works_with("UTC");
    let seen = report(&root, &[], &[&bot.name, &jane.name, &rita.name]);
    seen.works_with("would have been stopped, of 2 users and 1 ServiceAccount");
    jane.kubectl(["request", "report"])
        .is_refused_with("Forbidden");
    // C13: the canary knows that we are asked, and is not counted.
    within(PATIENCE * 2, "the canary's proofs", || {
        scene.asked() == "True True"
    });
    // M1: that there is no interlock is no change of the lock.
    eventually("the lock as it was installed", || {
        scene.intact() == "True True"
    });
    root.kubectl(["request", "report", "-o", "json"])
        .works_with(r#""passed": 0"#);

    // Its drafts are policies, for which somebody who owns them answers.
    let drafts = report(&root, &["--policies"], &["kind: AccessPolicy"]).text;
    let mut owner = scene.world.cluster.kubectl_as_admin();
    owner.args([
        "--as=kube-request-access:policy-owner",
        "--as-group=kube-request-access:policy-owners",
    ]);
    owner.args(["apply", "-f", "-"]);
    said(owner, &drafts).works_with("created");

    // Nobody notices that it is away.
    scene.scale_the_server(0);
    let began = Instant::now();
    jane.exec(&["date"]).works_with("UTC");
    assert!(began.elapsed() < PATIENCE / 4);
    root.kubectl(["get", "--raw", "/api/v1/nodes/127.0.0.1/proxy/healthz"])
        .is_refused_with("address not allowed");
    scene.scale_the_server(2);

    some_namespaces_are_shut(&scene, &production, &jane, &rita, &bot);

    // And then all, but for what the policies allow.
    apply(&scene, "deploy");
    within(PATIENCE, "a door that is shut", || {
        jane.exec(&["date"]).text.contains("you have not asked")
    });
    rita.exec(&["date"]).is_refused_with("you have not asked");
    bot.exec(&["date", "-u"]).works_with("UTC");
    bot.exec(&["date"]).is_refused_with("you have not asked");
}

fn some_namespaces_are_shut(
    scene: &Scene,
    production: &Scene,
    jane: &Person<'_>,
    rita: &Person<'_>,
    bot: &Bot<'_>,
) {
    apply(scene, "examples/observe-others");
    within(PATIENCE, "a door that is shut", || {
        rita.exec(&["date"]).text.contains("you have not asked")
    });
    jane.exec(&["date"]).works_with("UTC");
    bot.exec(&["date", "-u"]).works_with("UTC");
    // Proxies of nodes lead everywhere.
    let node = ["get", "--raw", "/api/v1/nodes/127.0.0.1/proxy/pods"];
    let nadia = scene.person("nadia", &[]);
    let rights = [
        "create",
        "clusterrolebinding",
        "nadia",
        "--clusterrole=cluster-admin",
        "--user",
        &nadia.name,
    ];
    scene.admin(rights).works_with("created");
    nadia
        .kubectl(node)
        .is_refused_with("nodes/proxy cannot be asked for");

    // While the server is away, shut stays shut, and open open.
    scene.scale_the_server(0);
    rita.exec(&["date"])
        .is_refused_with("failed calling webhook");
    jane.exec(&["date"]).works_with("UTC");
    except(scene, "examples/observe-others");
    within(PATIENCE, "an answer", || {
        rita.exec(&["date"]).text.contains("you have not asked")
    });
    eventually("the lock as it was installed", || {
        scene.intact() == "True True"
    });

    // Whoever takes a namespace out of the door's selector alone has the interlock shut it.
    let selector = "/webhooks/0/namespaceSelector/matchExpressions/0/values";
    let patch =
        json!([{"op": "replace", "path": selector, "value": ["kube-request-access", "payments"]}])
            .to_string();
    let configuration = "validatingwebhookconfiguration/kube-request-access";
    installer(
        scene,
        &["patch", configuration, "--type=json", "-p", &patch],
        "",
    )
    .works_with("patched");
    within(PATIENCE, "the interlock", || {
        rita.exec(&["date"]).text.contains(SHUT)
    });
    jane.exec(&["date"]).works_with("UTC");
    nadia
        .kubectl(node)
        .is_refused_with("nodes/proxy cannot be asked for");
    production
        .admin(["get", "-n", "kube-request-access", OBSERVED])
        .works_with("kube-request-access-observed");
}
