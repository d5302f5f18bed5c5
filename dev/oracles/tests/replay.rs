//! Every target on its committed corpus and on seeded mutations of it: the same on every machine,
//! without libFuzzer.

#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    clippy::type_complexity,
    reason = "a test that panics has failed, as it should"
)]

use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    path::{Path, PathBuf},
};

use oracles::{TARGETS, mutate, mutate::Dice};
use serde_json::{Value, json};

/// Mutations of each target.
fn mutations(target: &str) -> usize {
    let times = if std::env::var_os("KRA_ALL").is_some() {
        20
    } else {
        1
    };
    times
        * match target {
            // Through the router, twice.
            "review" => 2_000,
            "pod_update" => 3_000,
            _ => 10_000,
        }
}

fn here(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(path)
}

/// The inputs that are committed: for reviews also those that were recorded.
fn corpus(target: &str) -> Vec<(String, Vec<u8>)> {
    let mut dirs = vec![here("../fuzz/corpus").join(target)];
    if target == "review" {
        dirs.push(here("../../crates/api/tests/fixtures/reviews"));
    }
    let files = dirs
        .iter()
        .flat_map(|dir| std::fs::read_dir(dir).unwrap())
        .map(|file| file.unwrap().path());
    let mut files: Vec<PathBuf> = files.collect();
    files.sort();
    files
        .iter()
        .map(|file| (file.display().to_string(), std::fs::read(file).unwrap()))
        .collect()
}

fn run(target: &str, check: fn(&[u8]), name: &str, input: &[u8]) {
    let done = catch_unwind(AssertUnwindSafe(|| check(input)));
    assert!(
        done.is_ok(),
        "{target} finds something in {name}: b\"{}\"",
        input.escape_ascii()
    );
}

fn replay(target: &str) {
    let (_, check) = TARGETS
        .into_iter()
        .find(|(name, _)| *name == target)
        .unwrap();
    let corpus = corpus(target);
    assert!(!corpus.is_empty(), "{target} has no corpus");
    for (name, input) in &corpus {
        run(target, check, name, input);
    }
    let seed = std::env::var("KRA_SEED").map_or(1, |seed| seed.parse().unwrap());
    let mut dice = Dice::new(seed);
    for number in 0..mutations(target) {
        let (name, input) = &corpus[dice.below(corpus.len())];
        run(
            target,
            check,
            &format!("mutation {number} (of {name}, KRA_SEED={seed})"),
            &mutate::any(input, &mut dice),
        );
    }
}

#[test]
fn commands_are_shown_as_they_are() {
    replay("argv");
}

#[test]
fn copies_go_where_they_say() {
    replay("copy");
}

#[test]
fn durations_mean_what_go_says() {
    replay("duration");
}

#[test]
fn an_update_of_a_pod_adds_what_is_seen() {
    replay("pod_update");
}

#[test]
fn proxies_are_read_in_one_way() {
    replay("proxy");
}

#[test]
fn reviews_are_allowed_where_the_reference_says_so() {
    replay("review");
}

#[test]
fn every_target_is_run() {
    let names: Vec<&str> = TARGETS.iter().map(|(name, _)| *name).collect();
    let ours = ["argv", "copy", "duration", "pod_update", "proxy", "review"];
    assert_eq!(names, ours, "a test above for each");
    for name in names {
        assert!(
            here("../fuzz/fuzz_targets")
                .join(format!("{name}.rs"))
                .exists(),
            "{name} is no target of dev/fuzz"
        );
    }
}

fn recorded(name: &str, change: impl FnOnce(&mut Value)) -> Vec<u8> {
    let file = here("../../crates/api/tests/fixtures/reviews").join(format!("{name}.json"));
    let mut review: Value = serde_json::from_slice(&std::fs::read(file).unwrap()).unwrap();
    change(&mut review["request"]);
    review.to_string().into_bytes()
}

/// The world is worth asking: every door is open to somebody, and a small change shuts it.
#[test]
fn the_scene_opens_every_door_and_shuts_it_again() {
    let open: [(&str, fn(&mut Value)); 17] = [
        ("exec-websocket", |_| {}),
        ("exec-spdy", |r| {
            r["object"]["command"] = json!(["cat", "/etc/hostname"]);
        }),
        ("exec-websocket", |r| {
            r["object"]["command"] = json!(["uptime"]);
        }),
        ("exec-websocket", |r| {
            r["object"]["command"] = json!(["hostname"]);
            r["uid"] = json!("earlier");
        }),
        ("exec-stdin", |r| {
            r["name"] = json!("two");
            r["object"]["container"] = json!("a");
        }),
        ("exec-websocket", |r| {
            r["name"] = json!("web-5b6d-x4k2z");
            r["object"]["command"] = json!(["env"]);
        }),
        ("exec-websocket", |r| {
            r["userInfo"] = json!({"username": "kim", "uid": "u-kim"});
            r["object"]["command"] = json!(["id"]);
        }),
        ("exec-websocket", |r| {
            r["userInfo"] = json!({"username": "bob"});
            r["object"]["command"] = json!(["trap-bob"]);
        }),
        ("attach-websocket", |_| {}),
        ("attach-stdin", |r| r["object"]["container"] = json!("live")),
        ("portforward-websocket", |_| {}),
        ("ephemeral-debug", |_| {}),
        ("cp-to-pod-1", |_| {}),
        ("cp-to-pod-2", |_| {}),
        ("cp-from-pod", |_| {}),
        ("nodeproxy-exec-get", |r| {
            r["userInfo"]["groups"] = json!(["system:masters"]);
        }),
        ("accessrequest-update", |_| {}),
    ];
    for (name, change) in open {
        assert!(oracles::review::allows(&recorded(name, change)), "{name}");
        let other = |r: &mut Value| {
            change(r);
            r["userInfo"] = json!({"username": "mallory"});
        };
        assert!(
            name.starts_with("access") || !oracles::review::allows(&recorded(name, other)),
            "{name}"
        );
        // The world has not changed: single uses are given back.
        assert!(
            oracles::review::allows(&recorded(name, change)),
            "{name} again"
        );
    }
}

#[test]
fn traps_stay_shut() {
    for trap in [
        "pending",
        "denied",
        "own-grant",
        "other-uid",
        "expired",
        "pod",
        "gone",
        "bob",
        "namespace",
    ] {
        let change = |r: &mut Value| r["object"]["command"] = json!([format!("trap-{trap}")]);
        assert!(
            !oracles::review::allows(&recorded("exec-websocket", change)),
            "{trap}"
        );
    }
}
