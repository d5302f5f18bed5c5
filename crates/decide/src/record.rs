//! What is written down: lines of JSON that are always whole and never long, and what is counted
//! instead of written.
//!
//! Whoever is refused chooses what stands in the line about it. So a line has a bound, and of what
//! is cut from it the length and the digest stand there; and of one user's refusals only so many
//! are written, and the others counted.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt::Write as _,
};

use jiff::{SignedDuration, Timestamp};
use sha2::{Digest as _, Sha256};

use crate::identity::share;

/// Longest line, in bytes, with its end: container runtimes split lines at 16 KiB.
pub const MAX_LINE_LEN: usize = 8 * 1024;
/// Longest line about something that was denied, in bytes, with its end.
pub const MAX_DENIED_LEN: usize = 2 * 1024;
/// Longest text that stands whole in a line, as JSON: beside it are the names of whom, where and
/// why.
pub const MAX_WHOLE_LEN: usize = 6 * 1024;
/// Minimum of the bound on a line, in bytes.
const MIN_LINE_LEN: usize = 256;
/// Number of refusals of one user that are written without a pause.
const BURST: i64 = 60;
/// Seconds after which one more is written.
const REFILL_SECONDS: i64 = 5;
/// Maximum number of users that are told apart; further ones share one count.
const MAX_USERS: usize = 1024;
/// Maximum number of digests of omitted refusals that are kept.
const MAX_DIGESTS: usize = 8;
/// Longest user name that is kept as it is, in bytes.
const MAX_USER_LEN: usize = 256;

/// What a field of a line says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Value {
    /// A text. Only texts are cut.
    Text(String),
    /// Yes or no.
    Flag(bool),
    /// A whole number.
    Number(i128),
}

/// A field of a line: its name, which is ours, and what it says.
pub type Field<'a> = (&'a str, Value);

/// The SHA-256 of bytes, in hexadecimal.
pub fn digest(bytes: &[u8]) -> String {
    let mut hex = String::with_capacity(64);
    for byte in Sha256::digest(bytes) {
        // Writing to a String cannot fail.
        let _: std::fmt::Result = write!(hex, "{byte:02x}");
    }
    hex
}

/// The fields as one JSON object on a line of at most `most` bytes, with its end. The longest texts
/// are cut to what fits; beside a text `command` that was cut stand its length in `command_bytes`
/// and its digest in `command_sha256`.
pub fn line(fields: &[Field<'_>], most: usize) -> String {
    let most = most.max(MIN_LINE_LEN);
    let sizes: Vec<Size> = fields.iter().map(Size::of).collect();
    let fits = |limit: usize| length(&sizes, limit) <= most;
    let limit = if fits(usize::MAX) {
        Some(usize::MAX)
    } else {
        fits(0).then(|| widest(most, fits))
    };
    let text = match limit {
        Some(limit) => object(fields, limit),
        // None of our lines has so many fields.
        None => object(
            &[
                (
                    "message",
                    Value::Text("a line with too many fields".to_owned()),
                ),
                (
                    "line_sha256",
                    Value::Text(digest(object(fields, usize::MAX).as_bytes())),
                ),
            ],
            usize::MAX,
        ),
    };
    text + "\n"
}

/// How many bytes a field takes.
struct Size {
    /// What stands there in any case.
    key: usize,
    /// The text, escaped and quoted; nothing for what is never cut.
    text: usize,
    /// What is added when the text is cut.
    note: usize,
}

impl Size {
    fn of((name, value): &Field<'_>) -> Self {
        // Quotes, colon, comma.
        let key = quoted(name, usize::MAX).len().saturating_add(2);
        match value {
            Value::Text(text) => {
                let note = note(name, text.len(), "").len().saturating_add(64);
                Self {
                    key,
                    text: quoted_length(text),
                    note,
                }
            }
            Value::Flag(_) | Value::Number(_) => Self {
                key: key.saturating_add(plain(value).len()),
                text: 0,
                note: 0,
            },
        }
    }

    fn with(&self, limit: usize) -> usize {
        let limit = limit.max(2);
        let text = if self.text <= limit {
            self.text
        } else {
            limit.saturating_add(self.note)
        };
        self.key.saturating_add(text)
    }
}

/// The length of a line whose texts are cut to `limit`, at most.
fn length(sizes: &[Size], limit: usize) -> usize {
    // Braces and the end of the line.
    sizes
        .iter()
        .fold(3, |sum, size| sum.saturating_add(size.with(limit)))
}

/// A limit that fits, about the widest; 0 is known to fit.
fn widest(most: usize, fits: impl Fn(usize) -> bool) -> usize {
    let (mut good, mut bad) = (0_usize, most);
    while bad.saturating_sub(good) > 1 {
        let middle = good.midpoint(bad);
        if fits(middle) {
            good = middle;
        } else {
            bad = middle;
        }
    }
    good
}

fn object(fields: &[Field<'_>], limit: usize) -> String {
    // Quotes there are in any case.
    let limit = limit.max(2);
    let mut text = String::from("{");
    for (name, value) in fields {
        if text.len() > 1 {
            text.push(',');
        }
        text.push_str(&quoted(name, usize::MAX));
        text.push(':');
        match value {
            Value::Text(said) if quoted_length(said) > limit => {
                text.push_str(&quoted(said, limit));
                text.push_str(&note(name, said.len(), &digest(said.as_bytes())));
            }
            Value::Text(said) => text.push_str(&quoted(said, usize::MAX)),
            Value::Flag(_) | Value::Number(_) => text.push_str(&plain(value)),
        }
    }
    text.push('}');
    text
}

fn plain(value: &Value) -> String {
    match value {
        Value::Text(_) => String::new(),
        Value::Flag(flag) => flag.to_string(),
        Value::Number(number) => number.to_string(),
    }
}

/// What is said of a text that was cut.
fn note(name: &str, bytes: usize, sha256: &str) -> String {
    let (length, digest) = (
        quoted(&format!("{name}_bytes"), usize::MAX),
        quoted(&format!("{name}_sha256"), usize::MAX),
    );
    format!(",{length}:{bytes},{digest}:\"{sha256}\"")
}

/// A text as a JSON string of at most `limit` bytes: as many of its characters as fit.
pub(crate) fn quoted(text: &str, limit: usize) -> String {
    let mut quoted = String::from("\"");
    for c in text.chars() {
        let before = quoted.len();
        match c {
            '"' => quoted.push_str("\\\""),
            '\\' => quoted.push_str("\\\\"),
            '\n' => quoted.push_str("\\n"),
            '\t' => quoted.push_str("\\t"),
            c if is_escaped(c) => {
                // Writing to a String cannot fail.
                let _: std::fmt::Result = write!(quoted, "\\u{:04x}", u32::from(c));
            }
            c => quoted.push(c),
        }
        // The closing quote needs its place.
        if quoted.len() >= limit {
            quoted.truncate(before);
            break;
        }
    }
    quoted.push('"');
    quoted
}

/// Whether a text stands whole in a line of [`MAX_LINE_LEN`].
pub fn is_whole(text: &str) -> bool {
    quoted_length(text) <= MAX_WHOLE_LEN
}

fn quoted_length(text: &str) -> usize {
    let length = |c: char| match c {
        '"' | '\\' | '\n' | '\t' => 2,
        c if is_escaped(c) => 6,
        c => c.len_utf8(),
    };
    text.chars()
        .fold(2, |sum: usize, c| sum.saturating_add(length(c)))
}

/// Controls, and what some readers take for the end of a line.
fn is_escaped(c: char) -> bool {
    c.is_control() || c == '\u{2028}' || c == '\u{2029}'
}

/// Which refusals are written, and which are counted. A refusal is never lost in silence; what is
/// allowed does not come here.
#[derive(Debug, Default)]
pub struct Refusals {
    users: BTreeMap<String, Account>,
    /// Of those for whom there was no place.
    others: Option<Account>,
}

#[derive(Debug)]
struct Account {
    /// How many more may be written.
    left: i64,
    refilled: Timestamp,
    left_out: Option<LeftOut>,
}

/// Refusals of one user that were counted and not written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LeftOut {
    /// How many.
    pub count: u64,
    /// How many of which kind.
    pub kinds: BTreeMap<&'static str, u64>,
    /// When the first one was.
    pub first: Timestamp,
    /// When the last one was.
    pub last: Timestamp,
    /// The beginnings of digests of what was tried: the first few that differ.
    pub digests: BTreeSet<String>,
    /// Whether there were more that differ.
    pub more: bool,
    /// The first few users, where several have one share: ServiceAccounts of a namespace.
    pub users: BTreeSet<String>,
}

impl Refusals {
    /// Whether a refusal is to be written; else it is counted. `what` is what was tried.
    pub fn writes(
        &mut self,
        user: &str,
        kind: &'static str,
        what: impl FnOnce() -> String,
        now: Timestamp,
    ) -> bool {
        let account = self.account(user, now);
        account.refill(now);
        if account.left > 0 {
            account.left = account.left.saturating_sub(1);
            return true;
        }
        account.count(user, kind, &what(), now);
        false
    }

    /// What was left out since this was asked last, by user; without a name: of users beyond those
    /// that are told apart.
    pub fn take(&mut self, now: Timestamp) -> Vec<(Option<String>, LeftOut)> {
        let taken = |user: Option<&String>, account: &mut Account| {
            account.refill(now);
            account
                .left_out
                .take()
                .map(|left_out| (user.cloned(), left_out))
        };
        let mut all: Vec<_> = self
            .users
            .iter_mut()
            .filter_map(|(user, account)| taken(Some(user), account))
            .collect();
        all.extend(self.others.as_mut().and_then(|others| taken(None, others)));
        self.users.retain(|_, account| account.left < BURST);
        all
    }

    fn account(&mut self, user: &str, now: Timestamp) -> &mut Account {
        let user = share(user).into_owned();
        let user = if user.len() > MAX_USER_LEN {
            digest(user.as_bytes())
        } else {
            user
        };
        if self.users.len() >= MAX_USERS && !self.users.contains_key(&user) {
            self.users.retain(|_, account| {
                account.refill(now);
                account.left < BURST || account.left_out.is_some()
            });
            if self.users.len() >= MAX_USERS {
                return self.others.get_or_insert_with(|| Account::full(now));
            }
        }
        self.users.entry(user).or_insert_with(|| Account::full(now))
    }
}

impl Account {
    fn full(now: Timestamp) -> Self {
        Self {
            left: BURST,
            refilled: now,
            left_out: None,
        }
    }

    fn refill(&mut self, now: Timestamp) {
        let seconds = now.duration_since(self.refilled).as_secs();
        if seconds < 0 {
            // The clock was turned back.
            self.refilled = now;
            return;
        }
        let more = seconds.checked_div(REFILL_SECONDS).unwrap_or_default();
        self.left = self.left.saturating_add(more).min(BURST);
        let taken = SignedDuration::from_secs(more.saturating_mul(REFILL_SECONDS));
        self.refilled = self.refilled.checked_add(taken).unwrap_or(now);
    }

    fn count(&mut self, user: &str, kind: &'static str, what: &str, now: Timestamp) {
        let left_out = self.left_out.get_or_insert_with(|| LeftOut {
            count: 0,
            kinds: BTreeMap::new(),
            first: now,
            last: now,
            digests: BTreeSet::new(),
            more: false,
            users: BTreeSet::new(),
        });
        if share(user) != user && user.len() <= MAX_USER_LEN && left_out.users.len() < MAX_DIGESTS {
            left_out.users.insert(user.to_owned());
        }
        left_out.count = left_out.count.saturating_add(1);
        let of_kind = left_out.kinds.entry(kind).or_default();
        *of_kind = of_kind.saturating_add(1);
        left_out.last = now;
        let digest: String = digest(what.as_bytes()).chars().take(16).collect();
        if left_out.digests.len() < MAX_DIGESTS {
            left_out.digests.insert(digest);
        } else if !left_out.digests.contains(&digest) {
            left_out.more = true;
        }
    }
}
