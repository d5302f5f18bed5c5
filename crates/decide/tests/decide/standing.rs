//! Where a request stands, to the second.

use std::time::Duration;

use kra_decide::{
    access::Validity,
    standing::{Access, Standing},
};
use rstest::rstest;

use crate::build::{UNUSED, argv, at, candidate, for_an_hour, grant, rules, rules_with};

const HOUR: i64 = 3600;
const UNUSED_ENDS: i64 = 48 * HOUR;

fn access(until: i64) -> Standing {
    Standing::Granted(Access {
        until: at(until),
        since: at(60),
        by: argv(&["amy"]),
        grants: argv(&["grant-1"]),
        policy: None,
    })
}

fn expired(end: i64, by: &[&str]) -> Standing {
    Standing::Expired {
        at: at(end),
        by: argv(by),
    }
}

// E14
#[rstest]
#[case::a_second_before(60 + HOUR - 1, access(60 + HOUR))]
#[case::at_the_end(60 + HOUR, expired(60 + HOUR, &["amy"]))]
#[case::a_second_after(60 + HOUR + 1, expired(60 + HOUR, &["amy"]))]
fn the_end_of_a_timed_access_is_not_part_of_it(#[case] now: i64, #[case] standing: Standing) {
    assert_eq!(for_an_hour().standing(at(now), &rules()), standing);
}

#[rstest]
#[case::a_second_before(UNUSED_ENDS - 1, access(UNUSED_ENDS))]
#[case::at_the_end(UNUSED_ENDS, expired(UNUSED_ENDS, &["amy"]))]
#[case::a_second_after(UNUSED_ENDS + 1, expired(UNUSED_ENDS, &["amy"]))]
fn a_single_use_lapses_counted_from_the_request(#[case] now: i64, #[case] standing: Standing) {
    assert_eq!(candidate().standing(at(now), &rules()), standing);
}

#[rstest]
#[case::a_second_before(UNUSED_ENDS - 1, Standing::Pending)]
#[case::at_the_end(UNUSED_ENDS, expired(UNUSED_ENDS, &[]))]
fn a_request_that_nobody_answers_lapses(#[case] now: i64, #[case] standing: Standing) {
    let mut unanswered = candidate();
    unanswered.grants.clear();
    assert_eq!(unanswered.standing(at(now), &rules()), standing);
}

#[rstest]
#[case::shorter(Duration::from_mins(10), 60 + 600)]
#[case::as_long(Duration::from_hours(1), 60 + HOUR)]
#[case::longer_changes_nothing(Duration::from_hours(2), 60 + HOUR)]
fn a_grant_can_only_shorten_a_timed_access(#[case] valid_for: Duration, #[case] end: i64) {
    let mut candidate = for_an_hour();
    candidate.grants[0].valid_for = Some(valid_for);
    assert_eq!(candidate.standing(at(end - 1), &rules()), access(end));
    assert_eq!(
        candidate.standing(at(end), &rules()),
        expired(end, &["amy"])
    );
}

#[rstest]
#[case::shorter(Duration::from_mins(10), 60 + 600)]
#[case::longer_changes_nothing(Duration::from_hours(100), UNUSED_ENDS)]
fn a_grant_can_only_shorten_a_single_use(#[case] valid_for: Duration, #[case] end: i64) {
    let mut candidate = candidate();
    candidate.grants[0].valid_for = Some(valid_for);
    assert_eq!(candidate.standing(at(end - 1), &rules()), access(end));
    assert_eq!(
        candidate.standing(at(end), &rules()),
        expired(end, &["amy"])
    );
}

#[test]
fn of_two_grants_the_one_that_ends_last_decides() {
    let mut candidate = for_an_hour();
    candidate.grants[0].valid_for = Some(Duration::from_mins(1));
    candidate.grants.push(grant());
    assert!(matches!(
        candidate.standing(at(60 + HOUR - 1), &rules()),
        Standing::Granted(_)
    ));
    assert!(matches!(
        candidate.standing(at(60 + HOUR), &rules()),
        Standing::Expired { .. }
    ));
}

#[rstest]
#[case::a_timed_access(Validity::For(Duration::MAX), UNUSED)]
#[case::a_single_use(Validity::Once, Duration::MAX)]
fn a_time_beyond_the_calendar_ends_an_access(#[case] validity: Validity, #[case] unused: Duration) {
    let mut candidate = candidate();
    candidate.request.validity = validity;
    assert!(matches!(
        candidate.standing(at(61), &rules_with(|settings| settings.unused = unused)),
        Standing::Expired { .. }
    ));
}

#[test]
fn a_validity_beyond_the_calendar_in_a_grant_ends_its_access() {
    let mut candidate = for_an_hour();
    candidate.grants[0].valid_for = Some(Duration::MAX);
    assert!(matches!(
        candidate.standing(at(61), &rules()),
        Standing::Expired { .. }
    ));
}
