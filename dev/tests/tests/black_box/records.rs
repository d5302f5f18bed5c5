//! The server's log under attack.

use kra_tests::{
    scene::Scene,
    world::{self, eventually},
};
use serde_json::Value;

use crate::raw::ByHand;

/// The audit lines about a namespace, with their lengths.
fn lines(scene: &Scene) -> Vec<(usize, Value)> {
    let log = scene.world.server_log();
    let about = log.lines().filter(|line| line.contains(&scene.namespace));
    let read = about.map(|line| (line.len(), serde_json::from_str::<Value>(line).unwrap()));
    read.filter(|(_, line)| line["target"] == "audit").collect()
}

// K5
#[test]
fn a_flood_of_padded_commands_leaves_short_lines_and_pushes_nothing_out() {
    let scene = Scene::new(world::standing());
    let (jane, amy) = (scene.developer("jane"), scene.approver("amy"));
    amy.grant(&jane.ask(&["--valid-for", "1h"], &["date"]));
    jane.exec(&["date"]).works_with("UTC");
    let by_hand = ByHand::new(&scene, &jane);
    // What fits a review, each byte of which is seven in the log.
    let query = format!("command={}&container=main&stdout=true", "%01".repeat(3_000));
    for _ in 0..25 {
        by_hand
            .exec(&query)
            .is_denied_with("what you ran is not what was granted");
    }
    let padded: String = (0..256).map(|_| "command=xxxxxxxxxxxxxxxx&").collect();
    by_hand
        .exec(&format!("command=date&{padded}container=main&stdout=true"))
        .is_denied_with("larger than any that can be");
    // As K5 was tried: a URL of nearly a mebibyte.
    let long = "\u{1}".repeat(100_000);
    for _ in 0..25 {
        jane.exec(&[&long, &long, &long]).is_refused_with("");
    }
    eventually("the line about the padded command", || {
        lines(&scene).iter().any(|(_, line)| {
            line["decision"] == "denied-unclear" && line["options_sha256"].is_string()
        })
    });
    let lines = lines(&scene);
    assert!(lines.iter().all(|(length, _)| *length < 8192));
    let denied: Vec<usize> = lines
        .iter()
        .filter(|(_, line)| {
            line["decision"]
                .as_str()
                .unwrap_or_default()
                .starts_with("denied")
        })
        .map(|(length, _)| *length)
        .collect();
    assert!((40..=100).contains(&denied.len()), "{}", denied.len());
    assert!(denied.iter().all(|length| *length < 2048), "{denied:?}");
    // What is cut is there by length and digest.
    assert!(
        lines
            .iter()
            .any(|(_, line)| line["command_sha256"].is_string()
                && line["command_bytes"].as_u64() > Some(15_000))
    );
    assert!(
        lines.iter().any(|(_, line)| line["decision"] == "granted"),
        "what was allowed is still there"
    );
}
