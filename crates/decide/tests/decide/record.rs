//! Lines of the log: whole JSON, never long; and what is counted instead.

use std::collections::BTreeMap;

use jiff::{SignedDuration, Timestamp};
use kra_decide::record::{MAX_LINE_LEN, Refusals, Value, digest, line};
use proptest::prelude::*;

fn text(value: &str) -> Value {
    Value::Text(value.to_owned())
}

fn value() -> impl Strategy<Value = Value> {
    let long = prop_oneof![
        Just("\u{1}"),
        Just("a"),
        Just("\""),
        Just("\u{10ffff}"),
        Just("\u{2028}\\")
    ];
    prop_oneof![
        any::<String>().prop_map(Value::Text),
        (long, 0..40_000_usize).prop_map(|(piece, times)| Value::Text(piece.repeat(times))),
        any::<bool>().prop_map(Value::Flag),
        any::<i128>().prop_map(Value::Number),
    ]
}

/// What a reader makes of a string, by a reader that is not ours.
fn parsed(line: &str) -> BTreeMap<String, String> {
    let body = line.strip_suffix('\n').unwrap();
    assert!(!body.contains('\n'), "one line");
    let value: serde_json::Value = serde_json::from_str(body).unwrap();
    let object = value.as_object().unwrap();
    object
        .iter()
        .map(|(key, value)| {
            (
                key.clone(),
                value
                    .as_str()
                    .map_or_else(|| value.to_string(), str::to_owned),
            )
        })
        .collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    // K5
    #[test]
    fn a_line_is_always_whole_json_and_never_longer_than_its_bound(
        values in prop::collection::vec(value(), 0..24), most in 0..20_000_usize
    ) {
        let names: Vec<String> = (0..values.len()).map(|number| format!("field{number}")).collect();
        let fields: Vec<_> = names.iter().map(String::as_str).zip(values).collect();
        let line = line(&fields, most);
        prop_assert!(line.len() <= most.max(256), "{} of {most}", line.len());
        let read = parsed(&line);
        for (name, value) in &fields {
            let Value::Text(whole) = value else { continue };
            let Some(said) = read.get(*name) else { continue };
            prop_assert!(whole.starts_with(said.as_str()));
            // What is cut is said to be, with its length and digest.
            let (bytes, sha256) = (read.get(&format!("{name}_bytes")), read.get(&format!("{name}_sha256")));
            prop_assert_eq!(bytes.is_some(), said != whole);
            if let (Some(bytes), Some(sha256)) = (bytes, sha256) {
                prop_assert_eq!(bytes, &whole.len().to_string());
                prop_assert_eq!(sha256, &digest(whole.as_bytes()));
            }
        }
    }
}

// K5
#[test]
fn a_long_text_leaves_the_short_ones_whole() {
    let fields = [
        ("user", text("jane")),
        ("what", text(&"\u{1}".repeat(300_000))),
        ("decision", text("granted")),
    ];
    let line = line(&fields, MAX_LINE_LEN);
    let read = parsed(&line);
    assert_eq!(
        (read["user"].as_str(), read["decision"].as_str()),
        ("jane", "granted")
    );
    assert_eq!(read["what_bytes"], "300000");
    assert!(
        (8000..=MAX_LINE_LEN).contains(&line.len()),
        "{}",
        line.len()
    );
}

#[test]
fn the_digest_is_sha256() {
    assert_eq!(
        digest(b"abc"),
        "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
    );
}

fn start() -> Timestamp {
    "2026-11-23T15:00:00Z".parse().unwrap()
}

fn after(seconds: i64) -> Timestamp {
    start()
        .checked_add(SignedDuration::from_secs(seconds))
        .unwrap()
}

// K5
#[test]
fn what_one_user_is_refused_too_often_is_counted_and_told() {
    let mut refusals = Refusals::default();
    let written = (0..1000).filter(|number| {
        refusals.writes(
            "jane",
            "denied-unclear",
            || (number % 3).to_string(),
            start(),
        )
    });
    assert_eq!(written.count(), 60);
    assert!(
        refusals.writes("amy", "denied-unclear", String::new, start()),
        "others are not concerned"
    );
    assert!(!refusals.writes("jane", "denied-no-request", || "ls".to_owned(), after(3)));
    let all = refusals.take(after(4));
    let [(Some(user), left_out)] = all.as_slice() else {
        panic!("{all:?}")
    };
    assert_eq!(
        (
            user.as_str(),
            left_out.count,
            left_out.digests.len(),
            left_out.more
        ),
        ("jane", 941, 4, false)
    );
    assert_eq!(
        left_out.kinds,
        BTreeMap::from([("denied-unclear", 940), ("denied-no-request", 1)])
    );
    assert_eq!((left_out.first, left_out.last), (start(), after(3)));
    assert!(refusals.take(after(4)).is_empty(), "told once");
    assert!(
        refusals.writes("jane", "denied-unclear", String::new, after(5)),
        "one more after five seconds"
    );
    assert!(!refusals.writes("jane", "denied-unclear", String::new, after(5)));
}

// K5
#[test]
fn no_crowd_of_names_makes_anything_uncounted() {
    let mut refusals = Refusals::default();
    let (mut written, tried) = (0_u64, 100_000_u64);
    for number in 0..tried {
        written += u64::from(refusals.writes(
            &format!("user-{number}"),
            "denied-no-request",
            String::new,
            start(),
        ));
    }
    assert!(written <= 1024 + 60, "{written}");
    let all = refusals.take(after(1));
    assert_eq!(
        all.iter().map(|(_, left_out)| left_out.count).sum::<u64>() + written,
        tried
    );
    assert!(all.len() <= 1025);
}

#[test]
fn digests_that_are_kept_are_few_and_a_clock_that_is_turned_back_stops_nothing() {
    let mut refusals = Refusals::default();
    for number in 0..200 {
        refusals.writes(
            "jane",
            "denied-near-miss",
            || number.to_string(),
            after(1_000_000),
        );
    }
    let all = refusals.take(after(1_000_000));
    assert_eq!((all[0].1.digests.len(), all[0].1.more), (8, true));
    refusals.writes("jane", "denied-near-miss", String::new, start());
    assert!(refusals.writes("jane", "denied-near-miss", String::new, after(10)));
}
