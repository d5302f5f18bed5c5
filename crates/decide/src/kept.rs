//! Records that outlive what they are about: how long one may be, and how many there may be.

use std::{collections::BTreeMap, time::Duration};

use jiff::Timestamp;

use crate::{
    access::after,
    record::{digest, quoted},
};

/// Longest record, in bytes.
pub const MAX_LEN: usize = 8 * 1024;
/// Longest record that stands whole in a line of the log, where its quotes are escaped.
pub const MAX_LEN_IN_LOG: usize = 3 * 1024;
/// Maximum number of records of one person in one namespace.
pub const MAX_RECORDS_OF_ONE: usize = 50;
/// Maximum number of records in all.
pub const MAX_RECORDS: usize = 1000;
/// No part is cut to less, in bytes: the note about a part that was cut takes as much.
const MIN_PART_LEN: usize = 128;

/// A part of a record: its name, which is ours, and what it says, as JSON.
pub type Part<'a> = (&'a str, String);

/// The parts as one JSON object of at most `most` bytes, where it has no more than some dozen of
/// them. Of the longest parts only the beginning stands there, as a text, with length and digest of
/// the whole.
pub fn document(parts: &[Part<'_>], most: usize) -> String {
    let parts: Vec<_> = parts
        .iter()
        .map(|(name, json)| (*name, json.as_str(), digest(json.as_bytes())))
        .collect();
    let mut limit = most;
    loop {
        let text = object(&parts, limit);
        if text.len() <= most || limit <= MIN_PART_LEN {
            return text;
        }
        limit = limit.saturating_mul(7).saturating_div(8);
    }
}

fn object(parts: &[(&str, &str, String)], limit: usize) -> String {
    let limit = limit.max(MIN_PART_LEN);
    let part = |(name, json, sha256): &(&str, &str, String)| {
        let name = quoted(name, usize::MAX);
        if json.len() <= limit {
            format!("{name}:{json}")
        } else {
            format!("{name}:{}", cut(json, sha256, limit))
        }
    };
    format!(
        "{{{}}}",
        parts.iter().map(part).collect::<Vec<_>>().join(",")
    )
}

fn cut(json: &str, sha256: &str, limit: usize) -> String {
    let beginning = quoted(json, limit.saturating_sub(MIN_PART_LEN));
    format!(
        r#"{{"cut":{beginning},"bytes":{},"sha256":"{sha256}"}}"#,
        json.len()
    )
}

/// A record that there is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Kept {
    /// Its name.
    pub name: String,
    /// Of which namespace.
    pub namespace: String,
    /// Of which person.
    pub person: String,
    /// Since when.
    pub since: Timestamp,
}

/// The names of those to be deleted: what is too old, and of what is too many the oldest. Where
/// there are too many in all, it is for the persons who have the most, in all namespaces together,
/// to have fewer: nobody pushes out others' records.
pub fn surplus(records: &[Kept], keep: Duration, now: Timestamp) -> Vec<String> {
    let (mut gone, fresh): (Vec<&Kept>, Vec<&Kept>) = records
        .iter()
        .partition(|record| after(record.since, keep) <= now);
    let of_one = newest_of_each(fresh, MAX_RECORDS_OF_ONE, &mut gone, |record| {
        (&record.person, &record.namespace)
    });
    let mut counts: BTreeMap<&String, usize> = BTreeMap::new();
    for record in &of_one {
        let count = counts.entry(&record.person).or_default();
        *count = count.saturating_add(1);
    }
    let left_with = |most: usize| {
        counts
            .values()
            .fold(0_usize, |sum, count| sum.saturating_add((*count).min(most)))
    };
    let share = (1..=MAX_RECORDS)
        .rev()
        .find(|share| left_with(*share) <= MAX_RECORDS)
        .unwrap_or(1);
    let mut left = newest_of_each(of_one, share, &mut gone, |record| &record.person);
    // More persons than places.
    sort(&mut left);
    gone.extend(left.split_off(MAX_RECORDS.min(left.len())));
    gone.into_iter().map(|record| record.name.clone()).collect()
}

/// The newest `most` of each group; the others are gone.
fn newest_of_each<'a, K: Ord>(
    records: Vec<&'a Kept>,
    most: usize,
    gone: &mut Vec<&'a Kept>,
    group: impl Fn(&'a Kept) -> K,
) -> Vec<&'a Kept> {
    let mut groups: BTreeMap<K, Vec<&Kept>> = BTreeMap::new();
    for record in records {
        groups.entry(group(record)).or_default().push(record);
    }
    let mut left = Vec::new();
    for mut own in groups.into_values() {
        sort(&mut own);
        gone.extend(own.split_off(most.min(own.len())));
        left.extend(own);
    }
    left
}

/// The newest first.
fn sort(records: &mut [&Kept]) {
    records.sort_by(|one, other| (other.since, &other.name).cmp(&(one.since, &one.name)));
}
