//! How long a review may take.

use std::time::Duration;

use tokio::time::Instant;

/// What the API server waits where it does not say.
const DEFAULT: Duration = Duration::from_secs(10);
/// Maximum time that it waits.
const MAX_WAIT: Duration = Duration::from_secs(30);
/// Kept for our answer's way back.
const WAY_BACK: Duration = Duration::from_millis(300);
/// Kept for recording what came of a decision that took too long.
const RECORD: Duration = Duration::from_millis(500);
/// With less than this left no spend is begun: its answer might come too late, and the use would be
/// lost.
const SPEND: Duration = Duration::from_secs(1);
/// Kept for the decision after a wait: to read, record and spend.
const DECIDE: Duration = Duration::from_millis(2500);
/// So much before that nobody waits for a request that was filed when its attempt came: so that the
/// same attempt over another transport, which comes right after, finds its window closed.
const CLOSED: Duration = Duration::from_secs(1);

/// When the API server stops waiting for an answer.
#[derive(Debug, Clone, Copy)]
pub struct Deadline {
    ends: Instant,
    timeout: Duration,
}

impl Deadline {
    /// From the `timeout` in the query that the API server adds, such as `10s`.
    pub fn from_query(query: Option<&str>, now: Instant) -> Self {
        let said = query
            .into_iter()
            .flat_map(|query| query.split('&'))
            .find_map(|pair| pair.strip_prefix("timeout="));
        let timeout = said
            .and_then(|text| decide::duration::parse(text, MAX_WAIT).ok())
            .unwrap_or(DEFAULT);
        Self {
            ends: now.checked_add(timeout).unwrap_or(now),
            timeout,
        }
    }

    /// When our answer must be on its way.
    pub fn answer_by(self) -> Instant {
        self.ends.checked_sub(WAY_BACK).unwrap_or(self.ends)
    }

    /// When a decision must have been made: early enough to record what came of it.
    pub fn decide_by(self) -> Instant {
        self.answer_by().checked_sub(RECORD).unwrap_or(self.ends)
    }

    /// When whoever waits for a grant must have it.
    pub fn wait_until(self) -> Instant {
        self.ends.checked_sub(DECIDE).unwrap_or(self.ends)
    }

    /// How long after its filing a request is waited for at all.
    pub fn window(self) -> Duration {
        self.timeout.saturating_sub(DECIDE).saturating_sub(CLOSED)
    }

    /// Whether there is time enough to begin a spend.
    pub fn allows_spend(self) -> bool {
        self.ends.saturating_duration_since(Instant::now()) >= SPEND
    }
}
