//! How much is worked on at once, in reviews and in bytes of memory, in all and for each user. More
//! is refused at once, instead of filling the memory.
//!
//! Small reviews (every exec is one) have room of their own, so that large ones, or clients that
//! only say that they will send one, never take theirs. No user has more than a share of either,
//! and the ServiceAccounts of a namespace have one together. The last part of each is a reserve for
//! those who have little under way: a few users with large reviews never keep the others out.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
};

use axum::http::{HeaderMap, header};
use decide::identity::share;

/// A review of at most this many bytes is small: the longest command that can be granted, and its
/// envelope, are.
const SMALL_BYTES: usize = 64 * 1024;
const MIB: usize = 1024 * 1024;

/// Room for a kind of reviews.
#[derive(Debug, Clone, Copy)]
struct Limit {
    /// Maximum number of reviews at once.
    reviews: usize,
    /// Maximum memory of all, in bytes.
    bytes: usize,
}

/// Room for reviews, in all and for one user.
#[derive(Debug, Clone, Copy)]
struct RoomLimits {
    all: Limit,
    /// Without the reserve.
    open: Limit,
    each: Limit,
    /// Maximum memory of the only review of a user, in bytes: the largest that is looked at.
    only: usize,
    /// What a user may have to take of the reserve, with what they take.
    modest: Limit,
}

impl RoomLimits {
    /// Whether somebody may have so much.
    fn are_kept_by(self, own: Used) -> bool {
        own.fits(self.each) || own.reviews <= 1 && own.bytes <= self.only
    }

    /// Whether there may be so much in all, with what somebody has who takes of it.
    fn have_room_for(self, all: Used, own: Used) -> bool {
        all.fits(self.open) || all.fits(self.all) && own.fits(self.modest)
    }
}

/// Of small reviews: an exec takes some KiB, and a request that people file less than 100.
const MODEST_SMALL: Limit = Limit {
    reviews: 4,
    bytes: MIB / 4,
};
/// Of large ones: a debug container in a pod of 100 KiB takes some 3 MiB.
const MODEST_LARGE: Limit = Limit {
    reviews: 1,
    bytes: 4 * MIB,
};

/// Small reviews that are decided.
const DECIDED_SMALL: RoomLimits = RoomLimits {
    all: Limit {
        reviews: 256,
        bytes: 16 * MIB,
    },
    open: Limit {
        reviews: 192,
        bytes: 12 * MIB,
    },
    each: Limit {
        reviews: 64,
        bytes: 2 * MIB,
    },
    only: 6 * MIB,
    modest: MODEST_SMALL,
};
/// Large ones: a pod of the largest size takes some 18 MiB, twice over.
const DECIDED_LARGE: RoomLimits = RoomLimits {
    all: Limit {
        reviews: 6,
        bytes: 32 * MIB,
    },
    open: Limit {
        reviews: 4,
        bytes: 24 * MIB,
    },
    each: Limit {
        reviews: 1,
        bytes: 24 * MIB,
    },
    only: 24 * MIB,
    modest: MODEST_LARGE,
};
/// Small reviews that are only observed.
const OBSERVED_SMALL: RoomLimits = RoomLimits {
    all: Limit {
        reviews: 256,
        bytes: 8 * MIB,
    },
    open: Limit {
        reviews: 192,
        bytes: 6 * MIB,
    },
    each: Limit {
        reviews: 64,
        bytes: MIB,
    },
    only: 4 * MIB,
    modest: MODEST_SMALL,
};
/// Large ones.
const OBSERVED_LARGE: RoomLimits = RoomLimits {
    all: Limit {
        reviews: 3,
        bytes: 24 * MIB,
    },
    open: Limit {
        reviews: 2,
        bytes: 20 * MIB,
    },
    each: Limit {
        reviews: 1,
        bytes: 20 * MIB,
    },
    only: 20 * MIB,
    modest: MODEST_LARGE,
};

/// Whose share, or which room, is taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Full {
    /// That of the user.
    #[error("too many of your requests are worked on at once")]
    Share,
    /// That of all.
    #[error("too many requests are worked on at once")]
    All,
}

/// Room for reviews.
#[derive(Debug, Clone)]
pub struct Room {
    small: Arc<Pool>,
    large: Arc<Pool>,
}

impl Room {
    /// Room for reviews that are decided: at most 48 MiB.
    pub fn deciding() -> Self {
        Self::with(DECIDED_SMALL, DECIDED_LARGE)
    }

    /// Room for reviews that are only observed: at most 32 MiB.
    pub fn observing() -> Self {
        Self::with(OBSERVED_SMALL, OBSERVED_LARGE)
    }

    /// Room for this many small reviews, and this many large ones, of whichever users.
    pub fn new(small: usize, large: usize) -> Self {
        let of = |limits: RoomLimits, reviews| {
            let number = |limit: Limit| Limit { reviews, ..limit };
            RoomLimits {
                all: number(limits.all),
                open: number(limits.open),
                each: number(limits.each),
                modest: number(limits.modest),
                ..limits
            }
        };
        Self::with(of(DECIDED_SMALL, small), of(DECIDED_LARGE, large))
    }

    fn with(small: RoomLimits, large: RoomLimits) -> Self {
        Self {
            small: Arc::new(Pool::new(small)),
            large: Arc::new(Pool::new(large)),
        }
    }

    /// Takes room for a review of this length and of this memory, both in bytes.
    ///
    /// # Errors
    /// There is none.
    pub fn take(&self, user: &str, length: usize, memory: usize) -> Result<ReviewPlace, Full> {
        let pool = if length <= SMALL_BYTES {
            &self.small
        } else {
            &self.large
        };
        let share = share(user).into_owned();
        pool.add(&share, 1, memory)?;
        Ok(ReviewPlace {
            pool: Arc::clone(pool),
            share,
            memory,
            small: length <= SMALL_BYTES,
        })
    }
}

/// The room that one review takes; free again when this is dropped.
#[derive(Debug)]
pub struct ReviewPlace {
    pool: Arc<Pool>,
    /// Whose share it is of.
    share: String,
    memory: usize,
    small: bool,
}

impl ReviewPlace {
    /// Whether it is one of the many for small reviews.
    pub fn is_small(&self) -> bool {
        self.small
    }

    /// Makes it as large as the review proves to be, in bytes of memory.
    ///
    /// # Errors
    /// There is no room for that.
    pub fn grow(&mut self, memory: usize) -> Result<(), Full> {
        let more = memory.saturating_sub(self.memory);
        self.pool.add(&self.share, 0, more)?;
        self.memory = self.memory.saturating_add(more);
        Ok(())
    }
}

impl Drop for ReviewPlace {
    fn drop(&mut self) {
        self.pool.remove(&self.share, self.memory);
    }
}

#[derive(Debug)]
struct Pool {
    limits: RoomLimits,
    taken: Mutex<Taken>,
}

/// What is taken: only users with reviews under way are in it.
#[derive(Debug, Default)]
struct Taken {
    all: Used,
    users: HashMap<String, Used>,
}

#[derive(Debug, Default, Clone, Copy)]
struct Used {
    reviews: usize,
    bytes: usize,
}

impl Used {
    fn and(self, reviews: usize, bytes: usize) -> Self {
        Self {
            reviews: self.reviews.saturating_add(reviews),
            bytes: self.bytes.saturating_add(bytes),
        }
    }

    fn without(self, reviews: usize, bytes: usize) -> Self {
        Self {
            reviews: self.reviews.saturating_sub(reviews),
            bytes: self.bytes.saturating_sub(bytes),
        }
    }

    fn fits(self, limit: Limit) -> bool {
        self.reviews <= limit.reviews && self.bytes <= limit.bytes
    }
}

impl Pool {
    fn new(limits: RoomLimits) -> Self {
        Self {
            limits,
            taken: Mutex::default(),
        }
    }

    fn add(&self, user: &str, reviews: usize, bytes: usize) -> Result<(), Full> {
        let mut taken = self.taken.lock().unwrap_or_else(PoisonError::into_inner);
        let all = taken.all.and(reviews, bytes);
        let own = taken
            .users
            .get(user)
            .copied()
            .unwrap_or_default()
            .and(reviews, bytes);
        if !self.limits.are_kept_by(own) {
            return Err(Full::Share);
        }
        if !self.limits.have_room_for(all, own) {
            return Err(Full::All);
        }
        taken.all = all;
        taken.users.insert(user.to_owned(), own);
        Ok(())
    }

    fn remove(&self, user: &str, bytes: usize) {
        let mut taken = self.taken.lock().unwrap_or_else(PoisonError::into_inner);
        taken.all = taken.all.without(1, bytes);
        let own = taken
            .users
            .get(user)
            .copied()
            .unwrap_or_default()
            .without(1, bytes);
        if own.reviews == 0 {
            taken.users.remove(user);
        } else {
            taken.users.insert(user.to_owned(), own);
        }
    }
}

/// The length that a request says its body has, in bytes.
pub fn content_length(headers: &HeaderMap) -> Option<usize> {
    headers
        .get(header::CONTENT_LENGTH)?
        .to_str()
        .ok()?
        .parse()
        .ok()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn large_reviews_never_take_the_room_of_small_ones() {
        let room = Room::deciding();
        let large: Vec<ReviewPlace> = (0..6)
            .filter_map(|n| room.take(&format!("user-{n}"), 1 << 20, 1 << 20).ok())
            .collect();
        assert_eq!(
            (large.len(), room.take("jane", 1 << 20, 1).unwrap_err()),
            (6, Full::All)
        );
        assert!(room.take("user-0", 1000, 10_000).is_ok());
        drop(large);
        assert!(room.take("jane", 1 << 20, 1 << 20).is_ok());
    }

    // K1
    #[test]
    fn one_user_never_takes_the_room_of_the_others() {
        for (length, most) in [(1000, 64), (1 << 20, 1)] {
            let room = Room::deciding();
            let taken: Vec<ReviewPlace> = (0..500)
                .filter_map(|_| room.take("mallory", length, 1000).ok())
                .collect();
            assert_eq!(
                (taken.len(), room.take("mallory", length, 1000).unwrap_err()),
                (most, Full::Share)
            );
            assert!(room.take("jane", length, 1000).is_ok());
        }
    }

    // K1
    #[test]
    fn a_few_users_with_the_largest_reviews_never_keep_the_others_out() {
        let room = Room::deciding();
        // As many as there is room for, of as many users as try.
        let fill = |length: usize, memory: usize| -> Vec<ReviewPlace> {
            let takes = |n: usize| {
                room.take(&format!("mallory-{}", n / 64), length, memory)
                    .ok()
            };
            (0..64 * 64).filter_map(takes).collect()
        };
        for (length, memories, usual) in [
            (1000, [5 * MIB, 2 * MIB, MIB, 300 * 1024], 100 * 1024),
            (1 << 20, [23 * MIB, 12 * MIB, 8 * MIB, 5 * MIB], 3 * MIB),
        ] {
            for memory in memories {
                let held = fill(length, memory);
                assert!(!held.is_empty());
                assert_eq!(room.take("mallory", length, memory).unwrap_err(), Full::All);
                let mut place = room.take("jane", length, 1000).unwrap();
                assert_eq!(place.grow(usual), Ok(()), "{memory}");
                let _other = room.take("bob", length, usual).unwrap();
            }
        }
    }

    // K1
    #[test]
    fn many_small_reviews_of_a_few_users_leave_places_to_the_others() {
        let room = Room::deciding();
        let takes = |n: usize| room.take(&format!("mallory-{}", n / 64), 1000, 1000).ok();
        let held: Vec<ReviewPlace> = (0..64 * 4).filter_map(takes).collect();
        assert_eq!(held.len(), 192 + 4, "three shares, and a few of a fourth");
        assert!(room.take("mallory-0", 1000, 1000).is_err());
        assert!(room.take("jane", 1000, 1000).is_ok());
    }

    // M4
    #[test]
    fn the_service_accounts_of_a_namespace_have_one_share_together() {
        let room = Room::deciding();
        let bot = |namespace: &str, n: usize| format!("system:serviceaccount:{namespace}:bot-{n}");
        let taken: Vec<ReviewPlace> = (0..500)
            .filter_map(|n| room.take(&bot("ci", n), 1000, 1000).ok())
            .collect();
        assert_eq!(taken.len(), 64);
        assert!(room.take(&bot("other", 0), 1000, 1000).is_ok());
    }

    #[test]
    fn what_proves_larger_than_there_is_room_for_is_refused_and_keeps_its_place_as_it_was() {
        let room = Room::deciding();
        let mut place = room.take("jane", 1000, 1000).unwrap();
        assert_eq!(place.grow(7 * MIB), Err(Full::Share));
        assert_eq!(place.grow(5 * MIB), Ok(()));
        assert_eq!(room.take("jane", 1000, 2 * MIB).unwrap_err(), Full::Share);
        drop(place);
        assert!(room.take("jane", 1000, 6 * MIB).is_ok());
    }

    proptest! {
        #[test]
        fn what_is_given_back_is_all_that_was_taken(steps in prop::collection::vec((0..3_u8, 1..200_000_usize, 0..4_usize), 0..60)) {
            let room = Room::deciding();
            let mut places: Vec<ReviewPlace> = Vec::new();
            for (user, length, step) in steps {
                match (step, places.len()) {
                    (0, 1..) => drop(places.remove(0)),
                    (1, 1..) => {
                        let _may_fail = places.last_mut().map(|last| last.grow(length.saturating_mul(7)));
                    }
                    _ => places.extend(room.take(&user.to_string(), length, length.saturating_mul(3))),
                }
                for pool in [&room.small, &room.large] {
                    let taken = pool.taken.lock().unwrap();
                    prop_assert!(taken.all.fits(pool.limits.all));
                    let sum = taken.users.values().fold(Used::default(), |sum, one| sum.and(one.reviews, one.bytes));
                    prop_assert_eq!((sum.reviews, sum.bytes), (taken.all.reviews, taken.all.bytes));
                }
            }
            drop(places);
            for pool in [&room.small, &room.large] {
                let taken = pool.taken.lock().unwrap();
                prop_assert!(taken.users.is_empty() && taken.all.reviews == 0 && taken.all.bytes == 0);
            }
        }
    }
}
