//! Records of what was deleted: whole JSON, never long, never too many, and nobody pushes out
//! others'.

use std::{collections::BTreeSet, time::Duration};

use jiff::Timestamp;
use kra_decide::{
    kept::{Kept, MAX_LEN, MAX_LEN_IN_LOG, MAX_RECORDS, MAX_RECORDS_OF_ONE, document, surplus},
    record::digest,
};
use proptest::prelude::*;

const DAY: Duration = Duration::from_hours(24);

fn json() -> impl Strategy<Value = String> {
    let piece = prop_oneof![
        Just("a"),
        Just("\""),
        Just("\\"),
        Just("\u{1}"),
        Just("\u{10ffff}"),
        Just("\u{2028}")
    ];
    (piece, 0..40_000_usize)
        .prop_map(|(piece, times)| serde_json::json!({"text": piece.repeat(times)}).to_string())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(100))]

    // K17
    #[test]
    fn a_record_is_always_whole_json_and_never_longer_than_its_bound(
        parts in proptest::collection::vec(json(), 1..12),
        most in prop_oneof![Just(MAX_LEN), Just(MAX_LEN_IN_LOG)],
    ) {
        let names: Vec<String> = (0..parts.len()).map(|number| format!("part{number}")).collect();
        let named: Vec<(&str, String)> = names.iter().map(String::as_str).zip(parts).collect();
        let text = document(&named, most);
        prop_assert!(text.len() <= most);
        let read: serde_json::Value = serde_json::from_str(&text).unwrap();
        for (name, json) in &named {
            let is_whole = read[name] == serde_json::from_str::<serde_json::Value>(json).unwrap();
            let is_cut = read[name]["bytes"] == json.len()
                && read[name]["sha256"] == digest(json.as_bytes())
                && read[name]["cut"].as_str().is_some_and(|beginning| json.starts_with(beginning));
            prop_assert!(is_whole || is_cut, "{}", read[name]);
        }
    }

    // K17
    #[test]
    fn what_is_left_is_never_too_much_and_nobodys_share_is_taken_by_others(
        counts in proptest::collection::vec(0..120_usize, 0..60),
    ) {
        let people = counts.iter().enumerate();
        let all: Vec<Kept> = people.flat_map(|(one, count)| records(&format!("jane{one}"), *count)).collect();
        let gone: BTreeSet<String> = surplus(&all, DAY, at(0)).into_iter().collect();
        let left = |one: usize| all.iter().filter(|record| is_of(record, one) && !gone.contains(&record.name)).count();
        let kept: Vec<usize> = (0..counts.len()).map(left).collect();
        prop_assert!(kept.iter().sum::<usize>() <= MAX_RECORDS);
        let most = kept.iter().max().copied().unwrap_or(0);
        for (kept, had) in kept.iter().zip(&counts) {
            prop_assert!(*kept <= MAX_RECORDS_OF_ONE && (kept == had || kept == &most), "{kept} of {had}, and {most}");
        }
    }
}

fn is_of(record: &Kept, one: usize) -> bool {
    record.person == format!("jane{one}")
}

fn at(second: i64) -> Timestamp {
    Timestamp::from_second(1_800_000_000 + second).unwrap()
}

/// So many of one person, a second apart, the first one the newest.
fn records(person: &str, count: usize) -> Vec<Kept> {
    let record = |number: usize| Kept {
        name: format!("{person}-{number}"),
        namespace: "shop".to_owned(),
        person: person.to_owned(),
        since: at(-i64::try_from(number).unwrap()),
    };
    (0..count).map(record).collect()
}

#[test]
fn a_short_record_stands_there_as_it_is() {
    let parts = [("by", r#""jane""#.to_owned()), ("uses", "[]".to_owned())];
    assert_eq!(document(&parts, MAX_LEN), r#"{"by":"jane","uses":[]}"#);
}

// K17
#[test]
fn of_too_many_the_oldest_of_that_person_and_namespace_go_first() {
    let mut all = records("jane", MAX_RECORDS_OF_ONE + 2);
    let mut elsewhere = records("jane", 1);
    elsewhere[0].namespace = "bank".to_owned();
    elsewhere[0].name = "elsewhere".to_owned();
    all.extend(records("amy", 3).into_iter().chain(elsewhere));
    let mut gone = surplus(&all, DAY, at(0));
    gone.sort();
    assert_eq!(gone, ["jane-50", "jane-51"]);
}

// K17
#[test]
fn a_person_with_many_namespaces_pushes_out_their_own_records_and_nobody_elses() {
    let mallorys = (0..40).flat_map(|number| {
        let mut records = records(&format!("mallory-in-{number}"), MAX_RECORDS_OF_ONE);
        for record in &mut records {
            (record.person, record.namespace) = ("mallory".to_owned(), format!("own-{number}"));
        }
        records
    });
    let all: Vec<Kept> = records("jane", MAX_RECORDS_OF_ONE)
        .into_iter()
        .chain(mallorys)
        .collect();
    let gone = surplus(&all, DAY, at(0));
    assert_eq!(gone.len(), all.len() - MAX_RECORDS);
    assert!(gone.iter().all(|name| name.starts_with("mallory")));
}

// K17
#[test]
fn of_more_people_than_places_the_oldest_go() {
    let mut all: Vec<Kept> = (0..MAX_RECORDS)
        .flat_map(|one| records(&format!("jane{one}"), 1))
        .collect();
    all[17].since = at(-5);
    all.extend(records("amy", 1));
    assert_eq!(surplus(&all, DAY, at(0)), ["jane17-0"]);
}

#[test]
fn records_go_after_the_time_of_finished_requests() {
    let all = records("jane", 3);
    assert_eq!(surplus(&all, Duration::from_secs(10), at(8)), ["jane-2"]);
    assert_eq!(
        surplus(&all, Duration::from_secs(10), at(7)),
        Vec::<String>::new()
    );
}
