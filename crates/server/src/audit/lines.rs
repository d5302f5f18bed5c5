//! Lines of the log: JSON, and never longer than [`decide::record`] lets them be, whatever anybody
//! writes into a field.

use std::{
    collections::BTreeMap,
    fmt::{self, Debug},
    sync::{Mutex, PoisonError},
};

use decide::record::{self, LeftOut, MAX_DENIED_LEN, MAX_LINE_LEN, Refusals, Value};
use jiff::Timestamp;
use tracing::{
    Event, Subscriber,
    field::{Field, Visit},
    warn,
};
use tracing_subscriber::{
    fmt::{FmtContext, FormatEvent, FormatFields, format::Writer},
    registry::LookupSpan,
};

/// Writes events as bounded lines of JSON.
#[derive(Debug, Clone, Copy)]
pub struct Lines;

impl<S, N> FormatEvent<S, N> for Lines
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> FormatFields<'a> + 'static,
{
    fn format_event(
        &self,
        _: &FmtContext<'_, S, N>,
        mut writer: Writer<'_>,
        event: &Event<'_>,
    ) -> fmt::Result {
        let metadata = event.metadata();
        let text = |value: &str| Value::Text(value.to_owned());
        let mut fields = Fields(vec![
            ("timestamp", text(&format!("{:.6}", Timestamp::now()))),
            ("level", text(metadata.level().as_str())),
        ]);
        event.record(&mut fields);
        fields.0.push(("target", text(metadata.target())));
        writer.write_str(&record::line(&fields.0, longest(&fields.0)))
    }
}

/// Less for what was denied, which whoever is denied chose.
fn longest(fields: &[record::Field<'_>]) -> usize {
    let is_denial = |(name, value): &record::Field<'_>| matches!(value, Value::Text(text) if *name == "decision" && text.starts_with("denied"));
    if fields.iter().any(is_denial) {
        MAX_DENIED_LEN
    } else {
        MAX_LINE_LEN
    }
}

struct Fields(Vec<(&'static str, Value)>);

impl Visit for Fields {
    fn record_str(&mut self, field: &Field, value: &str) {
        self.0.push((field.name(), Value::Text(value.to_owned())));
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.0.push((field.name(), Value::Flag(value)));
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.0.push((field.name(), Value::Number(value.into())));
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.0.push((field.name(), Value::Number(value.into())));
    }

    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        self.0
            .push((field.name(), Value::Text(format!("{value:?}"))));
    }
}

/// Says which refusals are written, and counts the others (see [`Refusals`]).
#[derive(Debug, Default)]
pub struct Limits(Mutex<Refusals>);

impl Limits {
    /// Whether a refusal of this user is to be written; else it is counted. `what` is what was
    /// tried.
    pub fn writes(
        &self,
        user: &str,
        kind: &'static str,
        what: impl FnOnce() -> String,
        now: Timestamp,
    ) -> bool {
        self.0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .writes(user, kind, what, now)
    }

    /// Writes what was left out since this was called last, a line for each user.
    pub fn tell(&self, now: Timestamp) {
        let all = self
            .0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take(now);
        for (user, left_out) in all {
            tell(user.as_deref(), &left_out);
        }
    }
}

fn tell(user: Option<&str>, left_out: &LeftOut) {
    let LeftOut {
        count,
        kinds,
        first,
        last,
        digests,
        more,
        users,
    } = left_out;
    let users = (!users.is_empty()).then(|| {
        users
            .iter()
            .map(String::as_str)
            .collect::<Vec<_>>()
            .join(" ")
    });
    let kinds = kinds_of(kinds);
    let digests = digests
        .iter()
        .map(String::as_str)
        .collect::<Vec<_>>()
        .join(" ");
    warn!(
        target: "audit",
        user, users, others = user.is_none(), decision = "left-out", count, kinds, %first, %last, digests, more_digests = more,
        "refusals, dry runs, filings and withdrawals that were counted and not written one by one"
    );
}

/// How many of which kind: `denied-near-miss=3 refused=1`.
fn kinds_of(kinds: &BTreeMap<&'static str, u64>) -> String {
    kinds
        .iter()
        .map(|(kind, count)| format!("{kind}={count}"))
        .collect::<Vec<_>>()
        .join(" ")
}

#[cfg(test)]
mod tests {
    use std::{
        io::{self, Write},
        sync::Arc,
    };

    use tracing::{error, info, subscriber::with_default};

    use super::*;

    #[derive(Clone, Default)]
    struct Written(Arc<Mutex<Vec<u8>>>);

    impl Write for Written {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().write(bytes)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    /// The lines that are written meanwhile, each of which is whole JSON.
    fn lines(write: impl FnOnce()) -> Vec<(usize, serde_json::Value)> {
        let written = Written::default();
        let to = written.clone();
        let subscriber = tracing_subscriber::fmt()
            .event_format(Lines)
            .with_writer(move || to.clone())
            .finish();
        with_default(subscriber, write);
        let bytes = written.0.lock().unwrap().clone();
        let text = String::from_utf8(bytes).unwrap();
        text.lines()
            .map(|line| {
                (
                    line.len().saturating_add(1),
                    serde_json::from_str(line).unwrap(),
                )
            })
            .collect()
    }

    // K5
    #[test]
    fn no_line_of_the_log_is_longer_than_its_bound_whoever_writes_it() {
        let long = "\u{1}".repeat(300_000);
        let lines = lines(|| {
            info!(target: "audit", user = "jane", command = long, decision = "denied-unclear", "attempt");
            info!(target: "audit", user = "jane", command = long, decision = "granted", dry_run = false, n = 3_u64, "attempt");
            error!(error = %long, "no audit line");
        });
        let lengths: Vec<usize> = lines.iter().map(|(length, _)| *length).collect();
        assert!(
            lengths[0] <= 2048 && lengths[1] <= 8192 && lengths[2] <= 8192,
            "{lengths:?}"
        );
        let (_, granted) = &lines[1];
        assert_eq!(granted["message"], "attempt");
        assert_eq!(granted["command_bytes"], 300_000);
        assert_eq!(granted["command_sha256"], record::digest(long.as_bytes()));
        assert_eq!(
            (&granted["dry_run"], &granted["n"]),
            (&false.into(), &3.into())
        );
        assert_eq!(
            (&granted["target"], &granted["level"]),
            (&"audit".into(), &"INFO".into())
        );
    }

    // K5
    #[test]
    fn what_is_left_out_is_told_in_one_line() {
        let limits = Limits::default();
        let now = Timestamp::UNIX_EPOCH;
        let lines = lines(|| {
            for _ in 0..200 {
                limits.writes("jane", "denied-no-request", || "ls".to_owned(), now);
            }
            limits.tell(now);
            limits.tell(now);
        });
        let [(_, line)] = lines.as_slice() else {
            panic!("{lines:?}")
        };
        assert_eq!(
            (&line["user"], &line["count"], &line["kinds"]),
            (&"jane".into(), &140.into(), &"denied-no-request=140".into())
        );
    }
}
