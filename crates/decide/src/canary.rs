//! Whether an API server still asks us, by what it answers to a call that it must ask us about and
//! that nobody may make.

use std::{fmt, time::Duration};

use jiff::{SignedDuration, Timestamp};

use crate::access::after;

/// How long nothing may be known of an API server before that is reported.
pub const UNKNOWN_AFTER: Duration = Duration::from_mins(2);
/// What goes on is told again after this time.
pub const AGAIN_AFTER: Duration = Duration::from_mins(10);
/// Number of consecutive proofs that end an alarm: of several API servers behind one address, one
/// may not ask.
const PROOFS_TO_CLEAR: u32 = 3;

/// What an answer says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Finding {
    /// We were asked: it carries our proof.
    Asked,
    /// We were not: the call is past admission, and nobody of ours has seen it.
    NotAsked,
    /// Neither: there is none, or it is of somebody who comes before us.
    Unknown,
}

impl Finding {
    /// Reads an answer by its HTTP status, and whether it carried our proof. The pod is looked up
    /// after admission, so only a call that nobody refused learns that there is none.
    pub fn of(status: u16, is_proven: bool) -> Self {
        match status {
            _ if is_proven => Self::Asked,
            101 | 200..=299 | 404 => Self::NotAsked,
            _ => Self::Unknown,
        }
    }
}

/// What has to be told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum News {
    /// It does not ask us.
    NotAsked,
    /// Nothing has been known for too long.
    Unknown,
    /// It asks us again.
    AskedAgain,
}

impl fmt::Display for News {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NotAsked => "NotAsked",
            Self::Unknown => "NotKnown",
            Self::AskedAgain => "AskedAgain",
        })
    }
}

/// What is known of an API server.
#[derive(Debug, Clone)]
pub struct Watched {
    since: Timestamp,
    asked: Option<Timestamp>,
    /// Since the last proof.
    misses: u32,
    /// In a row.
    proofs: u32,
    latest: Finding,
    alarm: Option<(News, Timestamp)>,
}

impl Watched {
    /// One of which nothing is known yet.
    pub fn new(now: Timestamp) -> Self {
        Self {
            since: now,
            asked: None,
            misses: 0,
            proofs: 0,
            latest: Finding::Unknown,
            alarm: None,
        }
    }

    /// Takes in what was found, and says what has to be told.
    pub fn found(&mut self, finding: Finding, now: Timestamp) -> Option<News> {
        self.latest = finding;
        match finding {
            Finding::Asked => self.proven(now),
            Finding::NotAsked => {
                (self.misses, self.proofs) = (self.misses.saturating_add(1), 0);
                if self.is_unsure() {
                    None
                } else {
                    self.tell(News::NotAsked, now)
                }
            }
            Finding::Unknown => {
                self.proofs = 0;
                // What is worse and not over goes on.
                let news = self.alarm.map_or(News::Unknown, |(told, _)| told);
                if now < after(self.asked.unwrap_or(self.since), UNKNOWN_AFTER) {
                    None
                } else {
                    self.tell(news, now)
                }
            }
        }
    }

    fn proven(&mut self, now: Timestamp) -> Option<News> {
        (self.asked, self.misses, self.proofs) = (Some(now), 0, self.proofs.saturating_add(1));
        if self.proofs < PROOFS_TO_CLEAR {
            return None;
        }
        self.alarm.take().map(|_over| News::AskedAgain)
    }

    fn tell(&mut self, news: News, now: Timestamp) -> Option<News> {
        let is_new = self
            .alarm
            .is_none_or(|(told, at)| told != news || now >= after(at, AGAIN_AFTER));
        is_new.then(|| {
            self.alarm = Some((news, now));
            news
        })
    }

    /// Whether it has not asked us, and was looked at only once: during an installation webhooks
    /// come after servers.
    pub fn is_unsure(&self) -> bool {
        self.asked.is_none() && self.misses == 1
    }

    /// What was found last.
    pub fn latest(&self) -> Finding {
        self.latest
    }

    /// When it asked us last.
    pub fn asked(&self) -> Option<Timestamp> {
        self.asked
    }

    /// How it stands: what was told and is not over, or whether it asks us; unknown where that is
    /// not clear yet.
    pub fn stands(&self) -> Finding {
        match self.alarm {
            Some((News::NotAsked, _)) => Finding::NotAsked,
            None if self.asked.is_some() => Finding::Asked,
            Some((News::Unknown | News::AskedAgain, _)) | None => Finding::Unknown,
        }
    }

    /// For how long it has not asked us.
    pub fn silent_for(&self, now: Timestamp) -> SignedDuration {
        now.duration_since(self.asked.unwrap_or(self.since))
    }
}

/// How all stand together: as the worst of them; unknown where there are none.
pub fn together(all: impl IntoIterator<Item = Finding>) -> Finding {
    let worst = |finding: &Finding| match finding {
        Finding::Asked => 0,
        Finding::Unknown => 1,
        Finding::NotAsked => 2,
    };
    all.into_iter()
        .max_by_key(worst)
        .unwrap_or(Finding::Unknown)
}
