//! Which denied attempts may wait for a grant (`--in-band-wait`), and until when.
//!
//! An attempt waits only while its request is young. So the second review of a refused attempt
//! (kubectl tries again over SPDY) is answered at once, by whichever replica, without anybody
//! remembering the first.

use std::time::Duration;

use jiff::Timestamp;

use crate::{
    access::{Ask, AttachAsk, Command, ExecAsk, OUTCOME, Request, after},
    attempt::{Action, Attempt},
    identity::Person,
    rules,
    settings::Rules,
    standing::Standing,
    verdict::{Denied, Miss},
};

/// What a denied attempt may wait for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wait {
    /// For an answer to its request, which was filed then.
    ForAnswer {
        /// When the request was created.
        since: Timestamp,
    },
    /// For a request to be filed first: nothing is there that could be granted.
    ForRequest,
}

/// What an attempt that was denied may wait for, if for anything.
///
/// Not to be told of a denial, nor that something else was granted: these are answers. Not for a
/// debug container: its update would hold one of the API server's places for ordinary requests. And
/// not right after a use, which may be this very attempt's, over the other transport.
pub fn wait(attempt: &Attempt, denied: &Denied, now: Timestamp) -> Option<Wait> {
    if matches!(attempt.action, Action::Debug(_)) {
        return None;
    }
    match denied {
        Denied::NoRequest => Some(Wait::ForRequest),
        Denied::Near {
            miss: Miss::Waiting { since, .. },
            ..
        } => Some(Wait::ForAnswer { since: *since }),
        Denied::Near {
            miss: Miss::Over(standing),
            ..
        } => is_past(standing, now).then_some(Wait::ForRequest),
        Denied::Near {
            miss: Miss::Differs { .. } | Miss::Pod(_),
            ..
        }
        | Denied::InteractiveOff
        | Denied::Forbidden(_) => None,
    }
}

/// Whether a request for an attempt, as it would be filed for somebody, could be granted at all:
/// nothing is filed, and nobody waits, where the answer is known. A reason or key that a policy
/// wants cannot be given in band.
pub fn could_be_filed(attempt: &Attempt, person: &Person, now: Timestamp, rules: &Rules) -> bool {
    let Some(request) = request(attempt, person, now) else {
        return false;
    };
    let ruling = rules.policies.of_request(&request, &rules.settings.prefix);
    rules.settings.may_request(person)
        && rules::check(&request, &rules.settings).is_ok()
        && rules::is_name(&attempt.pod)
        && ruling.refuses(&request, true).is_none()
}

fn request(attempt: &Attempt, person: &Person, now: Timestamp) -> Option<Request> {
    let ask = match &attempt.action {
        Action::Exec(exec) => Ask::Exec(ExecAsk {
            container: exec.container.clone(),
            command: Command::Exactly(exec.command.clone()),
            stdin: exec.stdin,
            tty: exec.tty,
        }),
        Action::Attach(attach) => Ask::Attach(AttachAsk {
            container: attach.container.clone(),
            stdin: attach.stdin,
            tty: attach.tty,
        }),
        Action::PortForward => Ask::PortForward,
        Action::Debug(_) => return None,
    };
    let (namespace, groups) = (attempt.namespace.clone(), attempt.caller.groups.clone());
    Some(Request::draft(
        namespace,
        person.clone(),
        groups,
        attempt.pod.clone(),
        ask,
        now,
    ))
}

/// Whether a request says nothing about the present: another may follow it.
pub fn is_past(standing: &Standing, now: Timestamp) -> bool {
    match standing {
        Standing::Used { last, .. } => now >= after(last.at, OUTCOME),
        Standing::Expired { .. } => true,
        Standing::Pending
        | Standing::Granted(_)
        | Standing::Denied(_)
        | Standing::Forbidden(_)
        | Standing::Revoked => false,
    }
}

/// How long an attempt may still wait for the answer to a request that was filed `since`; `window`:
/// how long reviews can be held in all. `None`: not any more.
pub fn remaining(since: Timestamp, window: Duration, now: Timestamp) -> Option<Duration> {
    let left = after(since, window).duration_since(now);
    // One from the future is not believed for longer than one of now.
    Duration::try_from(left)
        .ok()
        .filter(|left| !left.is_zero())
        .map(|left| left.min(window))
}

#[cfg(test)]
mod tests {
    use jiff::ToSpan as _;

    use super::*;
    use crate::{
        access::{Denial, Outcome, Use},
        attempt::{Door, Exec},
        identity::Caller,
    };

    fn now() -> Timestamp {
        "2026-11-25T12:00:00Z".parse().unwrap()
    }

    fn attempt() -> Attempt {
        Attempt {
            review_uid: "r".to_owned(),
            caller: Caller::default(),
            namespace: "n".to_owned(),
            pod: "p".to_owned(),
            action: Action::Exec(Exec::default()),
        }
    }

    fn over(standing: Standing) -> Denied {
        Denied::Near {
            request: "ask".to_owned(),
            miss: Miss::Over(standing),
        }
    }

    fn used(seconds_ago: i64) -> Denied {
        let last = Use {
            review_uid: "r0".to_owned(),
            at: now().checked_sub(seconds_ago.seconds()).unwrap(),
            door: Door::Exec,
            pod_uid: "u".to_owned(),
            container: None,
            outcome: Some(Outcome::Answered),
        };
        over(Standing::Used {
            last,
            by: vec!["amy".to_owned()],
        })
    }

    #[test]
    fn where_nothing_is_there_a_request_may_be_filed() {
        assert_eq!(
            wait(&attempt(), &Denied::NoRequest, now()),
            Some(Wait::ForRequest)
        );
        assert_eq!(
            wait(
                &attempt(),
                &over(Standing::Expired {
                    at: now(),
                    by: vec![]
                }),
                now()
            ),
            Some(Wait::ForRequest)
        );
    }

    #[test]
    fn a_use_of_a_moment_ago_may_be_this_attempts_own() {
        assert_eq!(wait(&attempt(), &used(44), now()), None);
        assert_eq!(wait(&attempt(), &used(45), now()), Some(Wait::ForRequest));
    }

    #[test]
    fn a_denial_is_an_answer() {
        let denial = Denial {
            by: "amy".to_owned(),
            at: now(),
            reason: None,
        };
        assert_eq!(
            wait(&attempt(), &over(Standing::Denied(denial)), now()),
            None
        );
        assert_eq!(wait(&attempt(), &over(Standing::Revoked), now()), None);
        assert_eq!(wait(&attempt(), &Denied::InteractiveOff, now()), None);
    }

    #[test]
    fn nobody_waits_longer_than_the_window_after_her_request_was_filed() {
        let window = Duration::from_secs(20);
        let ago =
            |seconds: i64| remaining(now().checked_sub(seconds.seconds()).unwrap(), window, now());
        assert_eq!(ago(0), Some(window));
        assert_eq!(ago(19), Some(Duration::from_secs(1)));
        assert_eq!(ago(20), None);
        assert_eq!(ago(3600), None);
        assert_eq!(ago(-60), Some(window), "clocks differ");
        assert_eq!(remaining(now(), Duration::ZERO, now()), None);
    }
}
