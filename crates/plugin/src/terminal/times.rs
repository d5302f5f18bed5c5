//! Times for people: local, with the offset, and how long ago or from now.

use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp, Zoned};

/// `16:04 +01:00 (in 42m)`, with the date where that is another day's.
pub fn told(at: Timestamp, now: &Zoned) -> String {
    format!("{} ({})", local(at, now), relative(at, now))
}

/// `16:04 +01:00`, with the date where that is another day's.
pub fn local(at: Timestamp, now: &Zoned) -> String {
    let at = at.to_zoned(now.time_zone().clone());
    let format = if at.date() == now.date() {
        "%H:%M %:z"
    } else {
        "%Y-%m-%d %H:%M %:z"
    };
    at.strftime(format).to_string()
}

/// `in 42m`, `5h ago`, `now`.
pub fn relative(at: Timestamp, now: &Zoned) -> String {
    let away = at.duration_since(now.timestamp());
    match away.as_secs() {
        0 => "now".to_owned(),
        1.. => format!("in {}", rough(away)),
        _ => format!("{} ago", rough(away)),
    }
}

/// A duration in one unit, as kubectl shows ages: `45s`, `12m`, `5h`, `3d`.
pub fn rough(duration: SignedDuration) -> String {
    let seconds = duration.as_secs().saturating_abs();
    let units = [("d", 86_400, 2), ("h", 3600, 3), ("m", 60, 2), ("s", 1, 0)];
    let shown = units.into_iter().find_map(|(unit, length, least)| {
        let count = seconds.checked_div(length)?;
        (count >= least).then(|| format!("{count}{unit}"))
    });
    shown.unwrap_or_default()
}

/// This moment, where the machine is.
pub fn now() -> Zoned {
    Timestamp::now().to_zoned(TimeZone::system())
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    fn now() -> Zoned {
        "2026-01-01T15:22:00+01:00[+01:00]".parse().unwrap()
    }

    #[rstest]
    #[case("2026-01-01T15:04:00Z", "16:04 +01:00 (in 42m)".to_owned())]
    #[case("2026-01-01T14:20:30Z", "15:20 +01:00 (90s ago)".to_owned())]
    #[case("2026-01-01T14:22:00Z", "15:22 +01:00 (now)".to_owned())]
    #[case("2025-12-29T14:22:00Z", "2025-12-29 15:22 +01:00 (3d ago)".to_owned())]
    fn a_time_is_local_and_says_how_far_away_it_is(#[case] at: &str, #[case] told_as: String) {
        assert_eq!(told(at.parse().unwrap(), &now()), told_as);
    }

    #[rstest]
    #[case(0, "0s")]
    #[case(-5, "5s")]
    #[case(119, "119s")]
    #[case(120, "2m")]
    #[case(10_799, "179m")]
    #[case(10_800, "3h")]
    #[case(172_799, "47h")]
    #[case(172_800, "2d")]
    fn a_duration_is_shown_in_one_unit(#[case] seconds: i64, #[case] shown: &str) {
        assert_eq!(rough(SignedDuration::from_secs(seconds)), shown);
    }
}
