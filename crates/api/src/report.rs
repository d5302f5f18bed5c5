//! What attempts in observe mode came to: kept in a Secret, and shown by `kubectl request report`.
//!
//! Of people's commands only the program is kept: what they type may be secret. Of a program's
//! account whole commands are: what it does is written down in a policy. That is why it is a
//! Secret: whoever may view a namespace reads all but these.

use std::collections::BTreeMap;

use decide::proxy::ProxyName;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

/// The Secret, in the namespace of the server.
pub const NAME: &str = "kube-request-access-observed";
/// The key in it.
pub const KEY: &str = "report.json";
/// Maximum number of different attempts that are kept: those that were not seen for longest are
/// forgotten first.
const MAX_ATTEMPTS: usize = 2000;
/// Maximum size of the report, in bytes: a Secret takes 1 MiB.
const MAX_REPORT_BYTES: usize = 700 * 1024;
/// Of one user so many different attempts are kept: nobody's push out all others.
const MAX_OF_ONE: usize = 250;
/// Of so many users it is kept how much was forgotten.
const MAX_FORGOTTEN: usize = 100;
/// Commands that take more bytes as JSON, or have more arguments than a policy takes, are kept by
/// their program only.
const MAX_COMMAND_LEN: usize = 2048;
const MAX_ARGUMENTS: usize = 256;
/// Names of what was not looked at are cut.
const MAX_NAME_LEN: usize = 512;
/// Paths that are longer than a policy takes are cut.
const MAX_PATH_LEN: usize = 1024;

/// What is kept.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Report {
    /// When the first attempt was seen.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub since: Option<Timestamp>,
    /// How many attempts would have passed: they were granted, allowed by a policy, or always
    /// allowed.
    pub passed: u64,
    /// How many attempts are not among those below, because there were too many different ones.
    pub forgotten: u64,
    /// Whose attempts these were: of the users with most of them, how many.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub forgotten_of: BTreeMap<String, u64>,
    /// What would have been stopped.
    pub stopped: Vec<Stopped>,
}

/// Attempts that would have been stopped.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Stopped {
    /// What was tried, by whom.
    #[serde(flatten)]
    pub attempt: Observed,
    /// How often.
    pub times: u64,
    /// When it was seen first.
    pub first: Timestamp,
    /// When it was seen last.
    pub last: Timestamp,
}

/// What somebody tried.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Observed {
    /// The user name, as the authenticator gives it.
    pub user: String,
    /// The namespace; none for nodes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub namespace: Option<String>,
    /// The resource and subresource: `pods/exec`. Reports from before 0.2.0 call it `door`.
    #[serde(alias = "door")]
    pub resource: String,
    /// The command of an exec.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub command: Vec<String>,
    /// Whether there was more of the command.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub cut: bool,
    /// Whether somebody could type into it.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub interactive: bool,
    /// The port behind the name of a proxy.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub port: Option<String>,
    /// The path behind a proxy.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub path: Option<String>,
}

impl Observed {
    /// An attempt through a door of pods.
    pub fn door(
        user: &str,
        namespace: &str,
        door: &str,
        command: &[String],
        interactive: bool,
    ) -> Self {
        let size = || serde_json::to_string(command).map_or(MAX_COMMAND_LEN, |text| text.len());
        let whole = is_program(user) && command.len() <= MAX_ARGUMENTS && size() < MAX_COMMAND_LEN;
        let kept: Vec<String> = if whole {
            command.to_vec()
        } else {
            let program = command
                .first()
                .map(|program| program.chars().take(256).collect());
            program.into_iter().collect()
        };
        Self {
            user: user.to_owned(),
            namespace: Some(namespace.to_owned()),
            resource: format!("pods/{door}"),
            cut: kept != command,
            command: kept,
            interactive,
            port: None,
            path: None,
        }
    }

    /// An attempt through a proxy; `to`: what it leads to, where that is understood.
    pub fn proxy(
        user: &str,
        namespace: Option<&str>,
        resource: &str,
        to: Option<(&ProxyName, &str)>,
    ) -> Self {
        Self {
            user: user.to_owned(),
            namespace: namespace.map(str::to_owned),
            resource: format!("{resource}/proxy"),
            command: Vec::new(),
            cut: to.is_none_or(|(_, path)| path.len() > MAX_PATH_LEN),
            interactive: false,
            port: to.and_then(|(name, _)| name.port.clone()),
            path: to.map(|(_, path)| path.chars().take(MAX_PATH_LEN).collect()),
        }
    }

    /// An attempt that was too large to be looked at, or one too many at once; `door` is resource
    /// and subresource.
    pub fn unread(user: &str, namespace: Option<&str>, door: &str) -> Self {
        let cut = |text: &str| text.chars().take(MAX_NAME_LEN).collect::<String>();
        Self {
            user: cut(user),
            namespace: namespace.map(cut),
            resource: cut(door),
            command: Vec::new(),
            cut: true,
            interactive: false,
            port: None,
            path: None,
        }
    }

    /// Whether it was a ServiceAccount.
    pub fn is_program(&self) -> bool {
        is_program(&self.user)
    }
}

fn is_program(user: &str) -> bool {
    user.starts_with("system:serviceaccount:")
}

impl Report {
    /// A report of one attempt.
    pub fn of(attempt: Observed, passes: bool, at: Timestamp) -> Self {
        let stopped = if passes {
            vec![]
        } else {
            vec![Stopped {
                attempt,
                times: 1,
                first: at,
                last: at,
            }]
        };
        Self {
            since: Some(at),
            passed: u64::from(passes),
            stopped,
            ..Self::default()
        }
    }

    /// A report of attempts that nobody had time to look at.
    pub fn of_forgotten(attempts: u64) -> Self {
        Self {
            forgotten: attempts,
            ..Self::default()
        }
    }

    /// All together, the newest of them where they are too many. In which order they come does not
    /// matter, as long as nothing is forgotten.
    pub fn all(reports: impl IntoIterator<Item = Self>) -> Self {
        let (mut sum, mut stopped) = (Self::default(), BTreeMap::<Observed, Stopped>::new());
        for report in reports {
            sum.since = sum.since.into_iter().chain(report.since).min();
            sum.passed = sum.passed.saturating_add(report.passed);
            sum.forgotten = sum.forgotten.saturating_add(report.forgotten);
            for (user, times) in report.forgotten_of {
                sum.forgets(user, times);
            }
            for one in report.stopped {
                let known = stopped
                    .entry(one.attempt.clone())
                    .or_insert_with(|| Stopped {
                        times: 0,
                        ..one.clone()
                    });
                known.times = known.times.saturating_add(one.times);
                known.first = known.first.min(one.first);
                known.last = known.last.max(one.last);
            }
        }
        sum.stopped = stopped.into_values().collect();
        sum.forget();
        sum
    }

    /// The newest stay: of each user so many, and of all so many, and so large.
    fn forget(&mut self) {
        self.stopped.sort_by_key(|one| std::cmp::Reverse(one.last));
        let (mut of_users, mut count, mut size) =
            (BTreeMap::<String, usize>::new(), 0_usize, 0_usize);
        let mut forgotten = Vec::new();
        self.stopped.retain(|one| {
            let of_user = of_users.entry(one.attempt.user.clone()).or_default();
            let grown = serde_json::to_string(one)
                .map_or(MAX_REPORT_BYTES, |text| text.len())
                .saturating_add(size);
            let kept = *of_user < MAX_OF_ONE && count < MAX_ATTEMPTS && grown <= MAX_REPORT_BYTES;
            if kept {
                *of_user = of_user.saturating_add(1);
                count = count.saturating_add(1);
                size = grown;
            } else {
                forgotten.push((one.attempt.user.clone(), one.times));
            }
            kept
        });
        for (user, times) in forgotten {
            self.forgotten = self.forgotten.saturating_add(times);
            self.forgets(user, times);
        }
        while self.forgotten_of.len() > MAX_FORGOTTEN {
            let least = self
                .forgotten_of
                .iter()
                .min_by_key(|(_, times)| **times)
                .map(|(user, _)| user.clone());
            least.and_then(|user| self.forgotten_of.remove(&user));
        }
        self.stopped
            .sort_by(|one, other| one.attempt.cmp(&other.attempt));
    }

    fn forgets(&mut self, user: String, times: u64) {
        let of_user = self.forgotten_of.entry(user).or_default();
        *of_user = of_user.saturating_add(times);
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const BOT: &str = "system:serviceaccount:ci:bot";

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(1_800_000_000_i64.saturating_add(second)).unwrap()
    }

    fn exec(user: &str, command: &[&str]) -> Observed {
        let command: Vec<String> = command.iter().map(|word| (*word).to_owned()).collect();
        Observed::door(user, "shop", "exec", &command, false)
    }

    #[test]
    fn of_a_persons_command_only_the_program_is_kept() {
        let seen = exec("jane", &["psql", "-psecret"]);
        assert_eq!((seen.command, seen.cut), (vec!["psql".to_owned()], true));
        let seen = exec(BOT, &["pg_dump", "shop"]);
        assert_eq!((seen.command.len(), seen.cut), (2, false));
        let seen = exec(BOT, &["sh", "-c", &"x".repeat(3000)]);
        assert_eq!((seen.command, seen.cut), (vec!["sh".to_owned()], true));
    }

    #[test]
    fn the_same_attempt_is_counted() {
        let report = Report::all([
            Report::of(exec(BOT, &["date"]), false, at(5)),
            Report::of(exec(BOT, &["date"]), false, at(1)),
            Report::of(exec("jane", &["date"]), true, at(9)),
        ]);
        assert_eq!((report.since, report.passed), (Some(at(1)), 1));
        let [one] = report.stopped.as_slice() else {
            panic!("{report:?}")
        };
        assert_eq!((one.times, one.first, one.last), (2, at(1), at(5)));
    }

    #[test]
    fn it_never_grows_out_of_a_secret_and_says_how_much_it_forgot() {
        let user = |n: i64| format!("{BOT}-{}", n % 20);
        let one = |n: i64| {
            Report::of(
                exec(&user(n), &[&n.to_string(), &"x".repeat(1000)]),
                false,
                at(n),
            )
        };
        let before = Report::all((0..1500).map(one));
        let report = Report::all((1500..3000).map(one).chain([before]));
        assert!(serde_json::to_string(&report).unwrap().len() < 1024 * 1024);
        let kept = u64::try_from(report.stopped.len()).unwrap();
        assert!(
            kept > 500 && kept + report.forgotten == 3000,
            "{kept} {}",
            report.forgotten
        );
        assert!(
            report
                .stopped
                .iter()
                .any(|one| one.attempt.command[0] == "2999"),
            "the newest are kept"
        );
    }

    #[test]
    fn one_user_does_not_push_out_the_others() {
        let hers = |n: i64| Report::of(exec("mallory", &[&n.to_string()]), false, at(n));
        let report = Report::all((1..1000).map(hers).chain([Report::of(
            exec(BOT, &["date"]),
            false,
            at(0),
        )]));
        assert!(report.stopped.iter().any(|one| one.attempt.user == BOT));
        assert_eq!((report.stopped.len(), report.forgotten), (251, 749));
        assert_eq!(
            report.forgotten_of,
            BTreeMap::from([("mallory".to_owned(), 749)]),
            "it says whose were left out"
        );
    }

    // K15
    #[test]
    fn whose_attempts_were_left_out_is_kept_of_those_with_most() {
        let of = |user: i64, n: i64| {
            Report::of(
                exec(&format!("mallory-{user:03}"), &[&n.to_string()]),
                false,
                at(n),
            )
        };
        let theirs =
            |user: i64| Report::all((0..251_i64.saturating_add(user)).map(|n| of(user, n)));
        let report = Report::all((0..130).map(theirs));
        assert_eq!(report.forgotten_of.len(), 100);
        assert!(
            report.forgotten_of.contains_key("mallory-129")
                && !report.forgotten_of.contains_key("mallory-000")
        );
        assert!(serde_json::to_string(&report).unwrap().len() < 1024 * 1024);
    }

    #[test]
    fn what_is_kept_of_one_attempt_is_bounded() {
        let many = vec![""; 100_000];
        for words in [many.as_slice(), &["\u{0}"; 256], &["x"; 257]] {
            let seen = exec(BOT, words);
            assert!(
                seen.cut && seen.command.len() == 1,
                "{}",
                seen.command.len()
            );
        }
        let name = ProxyName {
            scheme: None,
            name: "web".to_owned(),
            port: None,
        };
        let seen = Observed::proxy(BOT, Some("shop"), "pods", Some((&name, &"/x".repeat(1000))));
        assert!(seen.cut && seen.path.unwrap().len() == 1024);
    }

    proptest! {
        #[test]
        fn in_which_order_reports_come_does_not_matter(seconds in prop::collection::vec((0..5_i64, any::<bool>()), 0..20)) {
            let one = |(n, passes): &(i64, bool)| Report::of(exec(BOT, &[&n.to_string()]), *passes, at(*n));
            let there = Report::all(seconds.iter().map(one));
            let back = seconds.iter().rev().map(one).fold(Report::default(), |sum, one| Report::all([one, sum]));
            prop_assert_eq!(&there, &back);
            let text = serde_json::to_string(&there).unwrap();
            prop_assert_eq!(serde_json::from_str::<Report>(&text).unwrap(), there);
        }
    }
}
