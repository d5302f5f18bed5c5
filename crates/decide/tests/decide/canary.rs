//! What is told of an API server, by what is found of it one after the other.

use kra_decide::canary::{Finding, News, Watched, together};
use proptest::prelude::*;
use rstest::rstest;

use super::build::at;

/// What is told after each of these, half a minute apart.
fn told(findings: &[Finding]) -> Vec<Option<News>> {
    let mut watched = Watched::new(at(0));
    (0..)
        .step_by(30)
        .zip(findings)
        .map(|(seconds, finding)| watched.found(*finding, at(seconds)))
        .collect()
}

use Finding::{Asked, NotAsked, Unknown};

// K2, C13
#[rstest]
#[case::proven(403, true, Asked)]
#[case::proven_and_let_through(404, true, Asked)]
#[case::no_such_pod(404, false, NotAsked)]
#[case::connected(101, false, NotAsked)]
#[case::done(200, false, NotAsked)]
#[case::refused_by_somebody_else(403, false, Unknown)]
#[case::not_signed_in(401, false, Unknown)]
#[case::overloaded(429, false, Unknown)]
#[case::broken(500, false, Unknown)]
#[case::starting(503, false, Unknown)]
#[case::something_else(302, false, Unknown)]
fn an_answer_says_whether_we_were_asked(
    #[case] status: u16,
    #[case] is_proven: bool,
    #[case] finding: Finding,
) {
    assert_eq!(Finding::of(status, is_proven), finding);
}

// K2, C13
#[test]
fn an_api_server_that_asks_no_more_is_told_of_at_once() {
    assert_eq!(
        told(&[Asked, NotAsked, NotAsked]),
        [None, Some(News::NotAsked), None]
    );
}

#[test]
fn one_that_never_asked_is_told_of_at_the_second_look() {
    assert_eq!(told(&[NotAsked, NotAsked]), [None, Some(News::NotAsked)]);
    assert_eq!(told(&[NotAsked, Asked, Asked]), [None, None, None]);
    let mut watched = Watched::new(at(0));
    watched.found(NotAsked, at(0));
    assert!(watched.is_unsure(), "it is looked at again soon");
}

#[test]
fn one_that_cannot_be_reached_is_told_of_after_two_minutes_and_as_something_else() {
    assert_eq!(
        told(&[Asked, Unknown, Unknown, Unknown, Unknown]),
        [None, None, None, None, Some(News::Unknown)]
    );
    assert_eq!(
        told(&[Unknown; 5]),
        [None, None, None, None, Some(News::Unknown)]
    );
    assert_eq!(told(&[Asked, Unknown, Unknown, Unknown, Asked]), [None; 5]);
}

#[test]
fn silence_does_not_hide_that_it_did_not_ask() {
    let all = [Asked, NotAsked, Unknown, Unknown, Unknown, Unknown];
    assert_eq!(
        told(&all),
        [None, Some(News::NotAsked), None, None, None, None]
    );
    assert_eq!(
        told(&[
            Unknown, Unknown, Unknown, Unknown, Unknown, NotAsked, NotAsked
        ])[6],
        Some(News::NotAsked)
    );
}

#[test]
fn three_proofs_in_a_row_end_an_alarm() {
    let all = [Asked, NotAsked, Asked, Asked, Asked];
    assert_eq!(
        told(&all),
        [
            None,
            Some(News::NotAsked),
            None,
            None,
            Some(News::AskedAgain)
        ]
    );
}

// Behind one address there may be several.
#[test]
fn one_of_several_that_does_not_ask_is_told_of_once_and_stays_told_of() {
    let flapping = [
        NotAsked, Asked, NotAsked, Asked, Asked, NotAsked, Asked, NotAsked,
    ];
    let told: Vec<News> = told(&flapping).into_iter().flatten().collect();
    assert_eq!(told, [News::NotAsked]);
}

#[test]
fn what_goes_on_is_told_again_every_ten_minutes() {
    let told = told(&[NotAsked; 44]);
    let when: Vec<usize> = told
        .iter()
        .enumerate()
        .filter_map(|(index, news)| news.map(|_| index))
        .collect();
    assert_eq!(when, [1, 21, 41]);
}

#[test]
fn all_together_stand_as_the_worst_of_them() {
    assert_eq!(together([]), Unknown);
    assert_eq!(together([Asked, Asked]), Asked);
    assert_eq!(together([Asked, Unknown]), Unknown);
    assert_eq!(together([NotAsked, Unknown, Asked]), NotAsked);
}

proptest! {
    /// Whatever else is found, one that was proven once and then is not is told of with the next
    /// look.
    #[test]
    fn whoever_does_not_ask_stands_so(
        before in prop::collection::vec(prop::sample::select(vec![Asked, NotAsked, Unknown]), 0..20),
        after in prop::collection::vec(prop::sample::select(vec![NotAsked, Unknown]), 0..20),
    ) {
        let mut watched = Watched::new(at(0));
        let all = before.into_iter().chain([Asked, NotAsked]).chain(after);
        for (seconds, finding) in (0..).step_by(30).zip(all) {
            watched.found(finding, at(seconds));
        }
        prop_assert_ne!(watched.stands(), Asked);
    }
}
