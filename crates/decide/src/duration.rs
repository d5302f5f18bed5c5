//! Durations in Go's syntax (`1h30m`, `90m`, `1h0m0s`), as the original client writes them.
//!
//! The grammar is that of Go's `time.ParseDuration` (documentation of package `time`), made
//! stricter where a duration here would be a mistake: no sign, not zero, whole seconds, each unit
//! once and from large to small.

use std::time::Duration;

/// The longest access anybody can ask for.
pub const MAX_ACCESS: Duration = Duration::from_hours(12);

/// Units from large to small, with their length in seconds.
const UNITS: [(char, u64); 3] = [('h', 3600), ('m', 60), ('s', 1)];

/// Why a text is not a duration that we take.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DurationError {
    /// Not of the form `1h30m`.
    #[error("{text:?} is not a duration: write it like 90m, 1h30m or 45s")]
    Malformed {
        /// What was written.
        text: String,
    },
    /// No time at all.
    #[error("{text:?} is not a valid duration: it must be greater than zero")]
    Zero {
        /// What was written.
        text: String,
    },
    /// Over the limit.
    #[error("{text:?} is longer than the {} that an access may last", show(*limit))]
    TooLong {
        /// What was written.
        text: String,
        /// The limit.
        limit: Duration,
    },
}

/// How long the access lasts, in Go's duration syntax, at most `limit`.
///
/// # Errors
/// Refuses signs, zero, fractions, units below the second, a unit named twice or out of order, and
/// anything over `limit`.
pub fn parse(text: &str, limit: Duration) -> Result<Duration, DurationError> {
    let malformed = || DurationError::Malformed {
        text: text.to_owned(),
    };
    let too_long = || DurationError::TooLong {
        text: text.to_owned(),
        limit,
    };
    let mut rest = text;
    let mut units = UNITS.iter();
    let mut seconds: u64 = 0;
    if text.is_empty() {
        return Err(malformed());
    }
    while !rest.is_empty() {
        let digits = rest
            .find(|c: char| !c.is_ascii_digit())
            .filter(|&at| at > 0)
            .ok_or_else(malformed)?;
        let (number, tail) = rest.split_at(digits);
        let unit = tail.chars().next().ok_or_else(malformed)?;
        // What is left of `units` are the smaller ones: `1h1h` and `1m1h` end here.
        let (_, length) = units
            .find(|(name, _)| *name == unit)
            .ok_or_else(malformed)?;
        let part = number
            .parse::<u64>()
            .ok()
            .and_then(|number| number.checked_mul(*length))
            .ok_or_else(too_long)?;
        seconds = seconds.checked_add(part).ok_or_else(too_long)?;
        rest = tail.strip_prefix(unit).unwrap_or_default();
    }
    match Duration::from_secs(seconds) {
        Duration::ZERO => Err(DurationError::Zero {
            text: text.to_owned(),
        }),
        duration if duration > limit => Err(too_long()),
        duration => Ok(duration),
    }
}

/// A duration for people, in the same syntax: `1h30m`, `45s`, `0s`. Fractions of a second are left
/// out.
pub fn show(duration: Duration) -> String {
    let mut left = duration.as_secs();
    let mut text = String::new();
    for (name, length) in UNITS {
        let count = left.checked_div(length).unwrap_or_default();
        left = left.checked_rem(length).unwrap_or_default();
        if count > 0 {
            text.push_str(&count.to_string());
            text.push(name);
        }
    }
    if text.is_empty() {
        "0s".to_owned()
    } else {
        text
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case("1h0m0s", 3600)]
    #[case("90m", 5400)]
    #[case("1h30m", 5400)]
    #[case("45s", 45)]
    #[case("12h", 43200)]
    fn what_go_writes_is_understood(#[case] text: &str, #[case] seconds: u64) {
        assert_eq!(parse(text, MAX_ACCESS), Ok(Duration::from_secs(seconds)));
    }

    // E13
    #[rstest]
    #[case("")]
    #[case("-1h")]
    #[case("+1h")]
    #[case("1")]
    #[case("h")]
    #[case("1h1h")]
    #[case("1m1h")]
    #[case("1.5h")]
    #[case("100ms")]
    #[case(" 1h")]
    #[case("1h;id")]
    #[case("١h")]
    #[case("1H")]
    #[case("1h30")]
    #[case("1d")]
    fn what_is_no_duration_is_refused(#[case] text: &str) {
        assert_eq!(
            parse(text, MAX_ACCESS),
            Err(DurationError::Malformed {
                text: text.to_owned()
            })
        );
    }

    // E13
    #[rstest]
    #[case("0s")]
    #[case("0h0m0s")]
    fn no_time_at_all_is_refused(#[case] text: &str) {
        assert_eq!(
            parse(text, MAX_ACCESS),
            Err(DurationError::Zero {
                text: text.to_owned()
            })
        );
    }

    // E13
    #[rstest]
    #[case("13h")]
    #[case("12h1s")]
    #[case("9999999999h")]
    #[case("99999999999999999999h")]
    fn more_than_the_limit_is_refused(#[case] text: &str) {
        assert!(matches!(
            parse(text, MAX_ACCESS),
            Err(DurationError::TooLong { .. })
        ));
    }

    #[test]
    fn the_message_names_the_limit() {
        let error = parse("13h", MAX_ACCESS).unwrap_err();
        assert_eq!(
            error.to_string(),
            r#""13h" is longer than the 12h that an access may last"#
        );
    }

    proptest! {
        #[test]
        fn what_is_shown_is_read_back(seconds in 1u64..=43200) {
            let duration = Duration::from_secs(seconds);
            prop_assert_eq!(parse(&show(duration), MAX_ACCESS), Ok(duration));
        }

        #[test]
        fn any_text_is_refused_or_within_the_limit(text in "\\PC{0,20}") {
            if let Ok(duration) = parse(&text, MAX_ACCESS) {
                prop_assert!(duration > Duration::ZERO && duration <= MAX_ACCESS);
            }
        }
    }
}
