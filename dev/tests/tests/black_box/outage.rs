//! When something is down, the door is shut, and nothing else is.

use std::sync::OnceLock;

use crate::{
    scene::Scene,
    world::{Wish, World},
};

#[test]
fn an_audit_that_is_down_refuses_and_a_server_that_is_gone_shuts_only_the_door() {
    static WORLD: OnceLock<World> = OnceLock::new();
    // Nobody listens on port 1.
    let bundle = std::env::temp_dir().join(format!("kra-outage-{}.crt", std::process::id()));
    let pair = run::certificates::Authority::new("nobody").unwrap();
    std::fs::write(&bundle, pair.pem()).unwrap();
    let flags = vec![
        "--audit-webhook-url=https://127.0.0.1:1/".to_owned(),
        format!("--audit-webhook-ca-bundle={}", bundle.display()),
    ];
    let scene = Scene::new(WORLD.get_or_init(|| World::start(Wish { flags, ..Wish::default() })));
    std::fs::remove_file(&bundle).unwrap();
    let (jane, root) = (scene.developer("jane"), scene.root());
    jane.asks(&[], &["date"]).is_refused_with("the audit or validation webhook failed");
    jane.exec(&["date"]).is_refused_with("you have not asked");
    root.exec(&["date"]).is_refused_with("the audit or validation webhook failed");

    let server = scene.world.installed.server.as_ref().unwrap();
    let killed = std::process::Command::new("kill").args(["-KILL", &server.id().to_string()]).status().unwrap();
    assert!(killed.success());
    jane.exec(&["date"]).is_refused_with("failed calling webhook");
    root.exec(&["date"]).is_refused_with("failed calling webhook");
    scene.create_pod("another");
    scene.create_deployment("web");
    jane.kubectl(["get", "pods"]).works_with("another");
}
