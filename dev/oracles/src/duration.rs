//! Durations: what is taken means what Go says, and nothing but the strict form is taken.

use std::time::Duration;

use decide::duration::{DurationError, MAX_ACCESS, parse, show};

/// Takes a text as a duration, under several limits.
pub fn check(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    for limit in [
        MAX_ACCESS,
        Duration::from_secs(30),
        Duration::from_hours(1),
        Duration::MAX,
    ] {
        let parsed = parse(&text, limit);
        match (strict(&text), &parsed) {
            (None, Err(DurationError::Malformed { .. } | DurationError::TooLong { .. }))
            | (Some(0), Err(DurationError::Zero { .. })) => {}
            (Some(seconds), Err(DurationError::TooLong { .. })) => {
                assert!(seconds > limit.as_secs().into(), "{text:?}");
            }

            (Some(seconds), Ok(duration)) => {
                assert_eq!(u128::from(duration.as_secs()), seconds, "{text:?}");
                assert!(seconds > 0 && *duration <= limit, "{text:?}");
            }
            (expected, got) => panic!("{text:?} up to {limit:?}: {expected:?} seconds, {got:?}"),
        }
        if let Ok(duration) = parsed {
            assert_eq!(
                parse(&show(duration), limit),
                Ok(duration),
                "shown as {:?}",
                show(duration)
            );
            if let Some(nanos) = go(&text) {
                assert_eq!(
                    duration.as_nanos(),
                    nanos,
                    "{text:?} means something else to Go"
                );
            } else {
                assert!(
                    duration.as_nanos() > i64::MAX as u128,
                    "Go refuses {text:?}"
                );
            }
        }
    }
}

/// `[Nh][Nm][Ns]`, at least one of them, in seconds; a number that is too large counts as the
/// largest.
fn strict(text: &str) -> Option<u128> {
    let (mut rest, mut sum) = (text, Some(0u128));
    let mut parts = 0;
    for (unit, length) in [("h", 3600), ("m", 60), ("s", 1)] {
        let Some((number, tail)) = rest.split_once(unit) else {
            continue;
        };
        if number.is_empty() || !number.bytes().all(|byte| byte.is_ascii_digit()) {
            continue;
        }
        let digit = |n: u128, byte: u8| n.checked_mul(10)?.checked_add((byte - b'0').into());
        let seconds = number
            .bytes()
            .try_fold(0, digit)
            .and_then(|number| number.checked_mul(length));
        sum = sum
            .zip(seconds)
            .and_then(|(sum, seconds)| sum.checked_add(seconds));
        rest = tail;
        parts += 1;
    }
    (rest.is_empty() && parts > 0).then(|| sum.unwrap_or(u128::MAX))
}

/// Go's `time.ParseDuration` without its signs, in nanoseconds.
fn go(text: &str) -> Option<u128> {
    let mut rest = text;
    let mut sum = 0u128;
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !c.is_ascii_digit() && c != '.')?;
        let (number, tail) = rest.split_at(digits);
        let end = tail
            .find(|c: char| c.is_ascii_digit() || c == '.')
            .unwrap_or(tail.len());
        let (unit, tail) = tail.split_at(end);
        let (_, nanos) = GO_UNITS.into_iter().find(|(name, _)| *name == unit)?;
        sum = sum.checked_add(number.parse::<u128>().ok()?.checked_mul(nanos)?)?;
        rest = tail;
    }
    (!text.is_empty() && sum <= i64::MAX as u128).then_some(sum)
}

const GO_UNITS: [(&str, u128); 8] = [
    ("ns", 1),
    ("us", 1_000),
    ("µs", 1_000),
    ("μs", 1_000),
    ("ms", 1_000_000),
    ("s", 1_000_000_000),
    ("m", 60_000_000_000),
    ("h", 3_600_000_000_000),
];
