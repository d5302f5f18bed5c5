//! One test, alone in its process: what it counts is the memory of the whole process.

#![expect(
    clippy::unwrap_used,
    reason = "a test that panics has failed, as it should"
)]

use std::path::{Path, PathBuf};

use oracles::{
    memory::check,
    mutate::{self, Dice},
};
use serde_json::{Value, json};

fn recorded() -> Vec<(String, Vec<u8>)> {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../crates/api/tests/fixtures/reviews");
    let mut files: Vec<PathBuf> = std::fs::read_dir(dir)
        .unwrap()
        .map(|file| file.unwrap().path())
        .collect();
    files.sort();
    let name = |file: &Path| file.file_stem().unwrap().to_str().unwrap().to_owned();
    files
        .iter()
        .map(|file| (name(file), std::fs::read(file).unwrap()))
        .collect()
}

/// Every list of the review in its turn, made as long as it can be and longer, of each of the worst
/// items.
fn grown(review: &[u8], check: &mut dyn FnMut(&[u8])) {
    let review: Value = serde_json::from_slice(review).unwrap();
    let places = [
        "/request/object/command",
        "/request/object/spec/ephemeralContainers/0/args",
        "/request/object/spec/ephemeralContainers/0/env",
        "/request/object/spec/execOptions/command",
        "/request/object/spec/ephemeralContainer/env",
        "/request/object/metadata/annotations",
        "/request/object/metadata/ownerReferences",
        "/request/object/spec/userInfo/groups",
        "/request/oldObject/metadata/managedFields",
        "/request/userInfo/groups",
        "/request/more",
    ];
    let items = [
        json!(""),
        json!({}),
        json!({"name": "a"}),
        json!([[[[]]]]),
        json!(1.5e300),
        json!("\u{1}"),
        json!(null),
    ];
    for place in places {
        let Some((parent, key)) = place.rsplit_once('/') else {
            continue;
        };
        for item in &items {
            for count in [1_000, 5_000, 70_000] {
                let mut review = review.clone();
                let Some(parent) = review.pointer_mut(parent).and_then(Value::as_object_mut) else {
                    continue;
                };
                let list = vec![item.clone(); count];
                let as_map = || {
                    (0..count)
                        .map(|number| (format!("{number}"), item.clone()))
                        .collect()
                };
                parent.insert(
                    key.to_owned(),
                    if key == "annotations" {
                        Value::Object(as_map())
                    } else {
                        list.into()
                    },
                );
                let body = review.to_string();
                drop(review);
                check(body.as_bytes());
            }
        }
    }
}

// K1
#[test]
fn no_review_takes_more_memory_than_there_is_said_to_be_room_for() {
    let recorded = recorded();
    let kinds = [
        "exec-websocket",
        "ephemeral-debug",
        "ephemeral-patch-dryrun",
        "accessrequest-create",
        "accessgrant-create",
        "accessrequest-update",
    ];
    for (name, review) in &recorded {
        check(review);
        if kinds.contains(&name.as_str()) {
            grown(review, &mut |body| check(body));
        }
    }
    let mut dice = Dice::new(1);
    for _ in 0..5_000 {
        let number = dice.below(recorded.len());
        let changed = recorded
            .get(number)
            .map(|(_, review)| mutate::any(review, &mut dice));
        check(&changed.unwrap());
    }
}
