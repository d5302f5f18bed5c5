//! How many requests people may have: nobody fills the store, or our memory, and nobody takes all
//! the room from others.
//!
//! All of it is known from what the watch shows of all replicas' objects; nothing is listed for it.
//! Replicas that admit at the same moment may together go beyond a limit, by what they have in
//! flight then.

use std::sync::Arc;

use decide::{access::Request, standing::Candidate};

use super::{
    Objects,
    arrivals::{Coming, Sum},
};
use crate::{
    admission::failure::Refused,
    cluster::index::{Fullest, Held, gauges::Most},
};

/// Maximum number of bytes that the open requests of one user in one namespace may take together.
const MAX_OPEN_BYTES: usize = 1024 * 1024;
/// Maximum number of bytes that all requests of one user may take of memory, over all namespaces.
const MAX_HELD_BYTES: usize = 4 * 1024 * 1024;
/// How much all requests of one user may take of the store, for each that there may be: a usual one
/// takes some 2 KiB.
const STORED_BYTES_EACH: usize = 8 * 1024;
/// Which part of the room that is left one user may have of the open requests of all: the fuller it
/// is, the less. So some room is left for whoever has none, until very many have theirs (the
/// dynamic thresholds of Choudhury and Hahne, for buffers that many share).
const SHARE_OF_ROOM: usize = 8;

/// How many requests there may be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RequestLimits {
    /// Open ones of one user, over all namespaces (`--max-open-requests-per-user`).
    pub open_per_user: usize,
    /// Open ones of all users together (`--max-open-requests-in-all`).
    pub open_in_all: usize,
    /// All of one user, what is over included (`--max-kept-requests`).
    pub kept: usize,
}

impl RequestLimits {
    /// How many bytes all requests of one user may take where they are stored.
    pub fn stored_bytes(&self) -> usize {
        self.kept
            .saturating_mul(STORED_BYTES_EACH)
            .max(MAX_HELD_BYTES)
    }

    /// The most that there may be of each.
    pub fn most(&self) -> Most {
        Most {
            of_one: Fullest {
                open: self.open_per_user,
                requests: self.kept,
                stored: self.stored_bytes(),
            },
            open_in_all: self.open_in_all,
        }
    }

    /// How many open requests one user may have, where there are `open` in all.
    fn share(&self, open: usize) -> usize {
        let room = self.open_in_all.saturating_sub(open);
        room.div_ceil(SHARE_OF_ROOM)
    }
}

/// The open requests of a user.
struct Open {
    here: Sum,
    all: Sum,
    /// The one that was filed first, of those in the same namespace where there are any.
    oldest: Option<Arc<Candidate>>,
}

impl Open {
    fn of(candidates: &[Arc<Candidate>], namespace: &str) -> Self {
        let is_here = |one: &&Arc<Candidate>| one.request.namespace == namespace;
        let add = |sum: Sum, one: &Arc<Candidate>| sum.and(one.request.size);
        Self {
            here: candidates.iter().filter(is_here).fold(Sum::default(), add),
            all: candidates.iter().fold(Sum::default(), add),
            oldest: candidates
                .iter()
                .min_by_key(|one| (one.request.namespace != namespace, one.request.created))
                .cloned(),
        }
    }

    fn with(self, coming: Coming) -> Self {
        let plus = |one: Sum, other: Sum| Sum {
            count: one.count.saturating_add(other.count),
            bytes: one.bytes.saturating_add(other.bytes),
        };
        Self {
            here: plus(self.here, coming.here),
            all: plus(self.all, coming.all),
            ..self
        }
    }
}

impl Objects {
    /// Whether the user has few enough requests, in number and in bytes, and files them slowly
    /// enough. What is admitted counts from now on, before the watch shows it.
    pub(super) fn admit_one_more(&self, request: &Request) -> Result<(), Refused> {
        self.check_held(request)?;
        let mut open = self.common.index.open_of(&request.user.name);
        open.retain(|candidate| candidate.request.uid != request.uid);
        let known: Vec<&str> = open
            .iter()
            .map(|candidate| candidate.request.uid.as_str())
            .collect();
        let there = Open::of(&open, &request.namespace);
        self.arrivals.admit(request, &known, |coming| {
            self.check_room(request, &there.with(coming))?;
            self.check_rate(&request.user.name)
        })
    }

    fn check_room(&self, request: &Request, open: &Open) -> Result<(), Refused> {
        let bytes = open.here.bytes.saturating_add(request.size);
        let (here, all) = (open.here.count, open.all.count);
        let (most_here, most) = (self.common.max_open_requests, self.limits.open_per_user);
        let share = self.limits.share(self.common.index.counts().open);
        let namespace = format!("in namespace {}", request.namespace);
        let everywhere = "in all namespaces";
        let (has, place, most) = if bytes > MAX_OPEN_BYTES {
            let has = format!("open requests of {bytes} bytes with this one");
            (has, namespace.as_str(), format!("{MAX_OPEN_BYTES} bytes"))
        } else if here >= most_here {
            let most = format!("{most_here} (--max-open-requests)");
            (format!("{here} open requests"), namespace.as_str(), most)
        } else if all >= most {
            let most = format!("{most} (--max-open-requests-per-user)");
            (format!("{all} open requests"), everywhere, most)
        } else if all >= share {
            // How many others have is not theirs to know.
            let most = format!(
                "{share} now, because all users together are near their limit (--max-open-requests-in-all)"
            );
            (format!("{all} open requests"), everywhere, most)
        } else {
            return Ok(());
        };
        let oldest = open.oldest.as_ref().map(|oldest| {
            let (name, namespace) = (&oldest.request.name, &oldest.request.namespace);
            format!(" (the oldest is {name} in namespace {namespace})")
        });
        Err(Refused::because(format!(
            "{:?} has {has} {place}; the maximum is {most}: delete those that nobody needs any more{}, and have \
             emergencies reviewed",
            request.user.name,
            oldest.unwrap_or_default(),
        )))
    }

    fn check_rate(&self, user: &str) -> Result<(), Refused> {
        self.rate.take(user).map_err(|wait| {
            Refused::because(format!(
                "{user:?} files more than {} requests a minute (--max-requests-per-minute): try again in {} s",
                self.rate.per_minute(),
                wait.as_secs().saturating_add(1)
            ))
        })
    }

    /// The same over all namespaces, and of what is over too: that stays stored for
    /// `--keep-finished`.
    fn check_held(&self, request: &Request) -> Result<(), Refused> {
        let user = &request.user.name;
        self.check_stored(user, request.size)?;
        let Held {
            requests, bytes, ..
        } = self.common.index.held(user);
        let bytes = bytes.saturating_add(request.size);
        let (has, most) = if requests >= self.limits.kept {
            (format!("{requests} requests"), self.limits.kept.to_string())
        } else if bytes > MAX_HELD_BYTES {
            (
                format!("requests of {bytes} bytes with this one"),
                format!("{MAX_HELD_BYTES} bytes"),
            )
        } else {
            return Ok(());
        };
        Err(Refused::because(format!(
            "{user:?} has {has} in all namespaces, those that are over included; the maximum is {most}: delete those that \
             nobody needs any more, or ask whoever runs the cluster (--max-kept-requests, --keep-finished)"
        )))
    }

    /// Whether there is room in the store for so much more of a user, what is over included: every
    /// list of each replica reads it all.
    pub(super) fn check_stored(&self, user: &str, more: usize) -> Result<(), Refused> {
        let most = self.limits.stored_bytes();
        let bytes = self.common.index.held(user).stored.saturating_add(more);
        if bytes <= most {
            return Ok(());
        }
        Err(Refused::because(format!(
            "the requests of {user:?} in all namespaces would take {bytes} bytes where they are stored, those that are over \
             included; the maximum is {most} bytes ({STORED_BYTES_EACH} for each of --max-kept-requests): delete those that \
             nobody needs any more, file smaller ones, or ask whoever runs the cluster (--max-kept-requests, --keep-finished)"
        )))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_fuller_it_is_the_smaller_is_the_share_and_it_is_none_only_at_the_end() {
        let limits = RequestLimits {
            open_per_user: 200,
            open_in_all: 5_000,
            kept: 2_000,
        };
        let shares: Vec<usize> = [0, 2_500, 4_900, 4_999, 5_000, 6_000]
            .into_iter()
            .map(|open| limits.share(open))
            .collect();
        assert_eq!(shares, [625, 313, 13, 1, 0, 0]);
    }
}
