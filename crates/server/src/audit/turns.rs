//! Turns at the audit and validation webhooks: nobody has more than a few posts under way at once, however many
//! they cause. Else one user could slow it until it answers nobody in time, and whoever is granted
//! something would be denied. Few wait, too: a wait keeps a place among the reviews.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
};

use decide::identity::share;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// How many posts about a topic there may be at once.
#[derive(Debug, Clone, Copy)]
struct Bounds {
    /// Of one share.
    each: usize,
    /// Of one share that run or wait: each one that waits occupies a place among the reviews.
    waiting_each: usize,
    /// Of all shares; `None`: as many as they have.
    all: Option<OfAll>,
}

/// How many posts of all shares there may be at once.
#[derive(Debug, Clone, Copy)]
struct OfAll {
    /// That run.
    running: usize,
    /// That run or wait, above which only new shares may add one.
    soft_waiting: usize,
    /// That run or wait.
    waiting: usize,
}

/// Of denials: allows never wait behind them.
const DENIALS: Bounds = Bounds {
    each: 2,
    waiting_each: 4,
    all: Some(OfAll {
        running: 8,
        soft_waiting: 32,
        waiting: 64,
    }),
};
/// Of new requests that the validation webhook is asked about: often that is one process that asks
/// another one.
const VALIDATIONS: Bounds = Bounds {
    each: 4,
    waiting_each: 16,
    all: Some(OfAll {
        running: 16,
        soft_waiting: 64,
        waiting: 128,
    }),
};
/// Of anything else.
const OTHERS: Bounds = Bounds {
    each: 16,
    waiting_each: 32,
    all: None,
};

/// What a post is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Topic {
    /// An attempt that is denied: it costs whoever tries nothing.
    Denial,
    /// A new request that may not be valid: to file one that is not costs nothing.
    Validation,
    /// Anything else.
    Other,
}

impl Topic {
    fn bounds(self) -> Bounds {
        match self {
            Self::Denial => DENIALS,
            Self::Validation => VALIDATIONS,
            Self::Other => OTHERS,
        }
    }
}

/// See the module.
#[derive(Debug)]
pub struct Turns {
    denials: Arc<Semaphore>,
    validations: Arc<Semaphore>,
    people: Arc<Mutex<People>>,
}

type People = HashMap<TurnKey, Own>;
/// Whose posts, and about what.
type TurnKey = (String, Topic);

/// What one person has: only those who post or wait have anything.
#[derive(Debug)]
struct Own {
    turns: Arc<Semaphore>,
    visitors: usize,
}

/// A turn; over when this is dropped.
#[derive(Debug)]
pub struct Turn {
    _own: OwnedSemaphorePermit,
    _of_all: Option<OwnedSemaphorePermit>,
    _visitor: Visitor,
}

/// Somebody who posts or waits.
#[derive(Debug)]
struct Visitor {
    people: Arc<Mutex<People>>,
    key: TurnKey,
}

impl Default for Turns {
    fn default() -> Self {
        let of_all = |bounds: Bounds| {
            let running = bounds.all.map_or(Semaphore::MAX_PERMITS, |all| all.running);
            Arc::new(Semaphore::new(running))
        };
        Self {
            denials: of_all(DENIALS),
            validations: of_all(VALIDATIONS),
            people: Arc::default(),
        }
    }
}

impl Turns {
    /// Waits for a turn: in the order of arrival, among one's own first, so that no share keeps
    /// others from theirs. `None`: too many wait already.
    pub async fn take(&self, user: &str, topic: Topic) -> Option<Turn> {
        let (visitor, own) = self.visit((share(user).into_owned(), topic))?;
        let own = own.acquire_owned().await.ok()?;
        let of_all = match topic {
            Topic::Denial => Some(Arc::clone(&self.denials).acquire_owned().await.ok()?),
            Topic::Validation => Some(Arc::clone(&self.validations).acquire_owned().await.ok()?),
            Topic::Other => None,
        };
        Some(Turn {
            _own: own,
            _of_all: of_all,
            _visitor: visitor,
        })
    }

    fn visit(&self, key: TurnKey) -> Option<(Visitor, Arc<Semaphore>)> {
        let bounds = key.1.bounds();
        let mut people = self.people.lock().unwrap_or_else(PoisonError::into_inner);
        let of_all = people
            .iter()
            .filter(|((_, topic), _)| *topic == key.1)
            .map(|(_, own)| own.visitors);
        let of_all = of_all.fold(0, usize::saturating_add);
        let visitors = people.get(&key).map(|own| own.visitors).unwrap_or_default();
        // Who has nobody there yet comes in where others do not.
        let is_full = bounds.all.is_some_and(|all| {
            let most = if visitors == 0 {
                all.waiting
            } else {
                all.soft_waiting
            };
            of_all >= most
        });
        if is_full || visitors >= bounds.waiting_each {
            return None;
        }
        let new = || Own {
            turns: Arc::new(Semaphore::new(bounds.each)),
            visitors: 0,
        };
        let own = people.entry(key.clone()).or_insert_with(new);
        own.visitors = own.visitors.saturating_add(1);
        let turns = Arc::clone(&own.turns);
        drop(people);
        Some((
            Visitor {
                people: Arc::clone(&self.people),
                key,
            },
            turns,
        ))
    }
}

impl Drop for Visitor {
    fn drop(&mut self) {
        let mut people = self.people.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(own) = people.get_mut(&self.key) {
            own.visitors = own.visitors.saturating_sub(1);
            if own.visitors == 0 {
                people.remove(&self.key);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use futures::FutureExt as _;
    use tokio::{task::unconstrained, time::timeout};

    use super::*;

    fn all_at_once(turns: &Turns, users: &[String], topic: Topic) -> Vec<Turn> {
        let mut taken = Vec::new();
        for user in users {
            // Else tokio has a task pause that does much at once.
            if let Some(Some(turn)) = unconstrained(turns.take(user, topic)).now_or_never() {
                taken.push(turn);
            }
        }
        taken
    }

    fn of_all(bounds: Bounds) -> OfAll {
        bounds.all.unwrap()
    }

    // M3
    #[tokio::test]
    async fn one_user_has_a_few_validations_at_once_and_the_others_theirs() {
        let turns = Turns::default();
        let flood = all_at_once(&turns, &many("mallory"), Topic::Validation);
        assert_eq!(flood.len(), VALIDATIONS.each);
        assert!(
            turns
                .take("bob", Topic::Validation)
                .now_or_never()
                .is_some()
        );
        assert!(turns.take("mallory", Topic::Other).now_or_never().is_some());
        let crowd: Vec<String> = (0..64).map(|n| format!("user-{n}")).collect();
        let crowd = all_at_once(&turns, &crowd, Topic::Validation);
        assert_eq!(
            flood.len() + crowd.len(),
            of_all(VALIDATIONS).running,
            "bob has gone"
        );
    }

    fn many(user: &str) -> Vec<String> {
        vec![user.to_owned(); 64]
    }

    // M3
    #[tokio::test]
    async fn one_user_has_a_few_turns_and_the_others_theirs() {
        let turns = Turns::default();
        let flood = all_at_once(&turns, &many("mallory"), Topic::Denial);
        assert_eq!(flood.len(), DENIALS.each);
        let others = all_at_once(&turns, &many("mallory"), Topic::Other);
        assert_eq!(others.len(), OTHERS.each);
        assert!(turns.take("bob", Topic::Denial).now_or_never().is_some());
        assert!(turns.take("bob", Topic::Other).now_or_never().is_some());
    }

    // M3
    #[tokio::test]
    async fn who_waits_is_few_and_the_others_are_told_so_at_once() {
        let turns = Turns::default();
        let users: Vec<String> = (0..40).flat_map(|n| many(&format!("user-{n}"))).collect();
        let mut waiting: Vec<_> = users
            .iter()
            .map(|user| Box::pin(turns.take(user, Topic::Denial)))
            .collect();
        let mut held = Vec::new();
        let mut refused = 0_usize;
        for one in &mut waiting {
            match unconstrained(one.as_mut()).now_or_never() {
                Some(Some(turn)) => held.push(turn),
                Some(None) => refused = refused.saturating_add(1),
                None => {}
            }
        }
        assert_eq!(held.len(), of_all(DENIALS).running);
        // Eight shares have four each; of the others each has one, as long as there is room.
        assert_eq!(refused, users.len() - of_all(DENIALS).waiting);
    }

    #[tokio::test]
    async fn denials_of_everybody_leave_what_is_allowed_alone() {
        let turns = Turns::default();
        let crowd: Vec<String> = (0..64).map(|n| format!("user-{n}")).collect();
        assert_eq!(
            all_at_once(&turns, &crowd, Topic::Denial).len(),
            of_all(DENIALS).running
        );
        assert_eq!(all_at_once(&turns, &crowd, Topic::Other).len(), crowd.len());
    }

    #[tokio::test(start_paused = true)]
    async fn whoever_waits_comes_next_and_whoever_goes_leaves_nothing() {
        let turns = Turns::default();
        let mut held = all_at_once(&turns, &many("mallory"), Topic::Denial);
        assert_eq!(held.len(), DENIALS.each);
        assert!(
            timeout(Duration::from_secs(1), turns.take("mallory", Topic::Denial))
                .await
                .is_err()
        );
        let waiting = turns.take("mallory", Topic::Denial);
        held.pop();
        assert!(timeout(Duration::from_secs(1), waiting).await.is_ok());
        drop(held);
        assert!(turns.people.lock().unwrap().is_empty());
        assert_eq!(turns.denials.available_permits(), of_all(DENIALS).running);
    }
}
