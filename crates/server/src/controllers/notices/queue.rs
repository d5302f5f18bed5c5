//! What waits to be sent: a lane for each person whom it is about, and each lane in its turn, so
//! that somebody who files thousands of requests delays notices about themselves only.

use std::{
    collections::{BTreeMap, VecDeque},
    sync::Arc,
    time::Duration,
};

use tokio::time::Instant;

/// Maximum number of notices that wait.
const MAX_NOTICES: usize = 1000;
/// Maximum size of all notices that wait, in bytes: the largest request makes a notice of tens of
/// KiB.
const MAX_BYTES: usize = 4 * 1024 * 1024;
/// How many times sending one notice is tried.
const MAX_TRIES: u32 = 5;
/// The pause after the first try; each is twice as long.
const FIRST_PAUSE: Duration = Duration::from_secs(1);

/// Something that waits.
pub(super) trait QueueItem {
    /// The same for what would be sent twice.
    fn id(&self) -> &str;
    /// What it takes of memory, in bytes.
    fn size(&self) -> usize;
}

/// The queue.
#[derive(Debug)]
pub(super) struct Queue<T> {
    lanes: BTreeMap<String, Lane<T>>,
    /// The persons with a lane; whoever has waited for longest comes first.
    turns: VecDeque<String>,
    most: usize,
    most_bytes: usize,
}

/// What waits about one person, in order. The first may be on its way.
#[derive(Debug)]
struct Lane<T> {
    waiting: VecDeque<Arc<T>>,
    /// How often the first was tried in vain.
    failures: u32,
    /// Until when the first is not tried again.
    pause: Option<Instant>,
}

/// What is to be done.
#[derive(Debug)]
pub(super) enum Next<T> {
    /// Send this, which is about this person, and say what became of it.
    Send(String, Arc<T>),
    /// Wait until then: what was tried in vain is tried again.
    WaitUntil(Instant),
    /// Nothing waits.
    Nothing,
}

/// What an attempt to send something came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum SendOutcome {
    /// It does not wait any more: it was taken, or never will be.
    Done,
    /// It may be taken later.
    NotNow,
}

impl<T: QueueItem> Queue<T> {
    /// An empty one.
    pub(super) fn new() -> Self {
        Self {
            lanes: BTreeMap::new(),
            turns: VecDeque::new(),
            most: MAX_NOTICES,
            most_bytes: MAX_BYTES,
        }
    }

    /// Puts something behind all that is about this person, but if it waits there already. Returns
    /// what has no room any more: the newest of whoever holds most.
    pub(super) fn put(&mut self, person: &str, item: T) -> Vec<Arc<T>> {
        if !self.lanes.contains_key(person) {
            self.turns.push_back(person.to_owned());
            self.lanes.insert(
                person.to_owned(),
                Lane {
                    waiting: VecDeque::new(),
                    failures: 0,
                    pause: None,
                },
            );
        }
        let Some(lane) = self.lanes.get_mut(person) else {
            return Vec::new();
        };
        if !lane.waiting.iter().any(|other| other.id() == item.id()) {
            lane.waiting.push_back(Arc::new(item));
        }
        let mut dropped = Vec::new();
        while self.is_too_much() {
            let Some(newest) = self.drop_newest(person) else {
                break;
            };
            dropped.push(newest);
        }
        dropped
    }

    /// What is to be sent at this time. It stays first in its lane until [`Queue::tried`] is told
    /// of it.
    pub(super) fn next(&mut self, now: Instant) -> Next<T> {
        let ready = |person: &String| {
            self.lanes
                .get(person)
                .is_some_and(|lane| lane.pause.is_none_or(|at| at <= now))
        };
        if let Some(person) = self
            .turns
            .iter()
            .position(ready)
            .and_then(|at| self.turns.remove(at))
        {
            self.turns.push_back(person.clone());
            if let Some(first) = self
                .lanes
                .get(&person)
                .and_then(|lane| lane.waiting.front())
            {
                return Next::Send(person, Arc::clone(first));
            }
        }
        let soonest = self.lanes.values().filter_map(|lane| lane.pause).min();
        soonest.map_or(Next::Nothing, Next::WaitUntil)
    }

    /// Says what became of what [`Queue::next`] gave. False: it was tried too often, and waits no
    /// more.
    pub(super) fn tried(&mut self, person: &str, tried: SendOutcome, now: Instant) -> bool {
        let Some(lane) = self.lanes.get_mut(person) else {
            return true;
        };
        if tried == SendOutcome::NotNow {
            let pause = FIRST_PAUSE.saturating_mul(2_u32.saturating_pow(lane.failures));
            lane.failures = lane.failures.saturating_add(1);
            if lane.failures < MAX_TRIES {
                lane.pause = now.checked_add(pause);
                return true;
            }
        }
        lane.waiting.pop_front();
        (lane.failures, lane.pause) = (0, None);
        self.forget_if_empty(person);
        tried == SendOutcome::Done
    }

    fn is_too_much(&self) -> bool {
        let all = || self.lanes.values().flat_map(|lane| &lane.waiting);
        all().count() > self.most
            || all().map(|item| item.size()).fold(0, usize::saturating_add) > self.most_bytes
    }

    /// Drops the newest of whoever holds most. What is first in a lane may be on its way, and
    /// stays, but in the lane of whoever was put last.
    fn drop_newest(&mut self, last: &str) -> Option<Arc<T>> {
        let may = |(person, lane): &(&String, &Lane<T>)| lane.waiting.len() > 1 || *person == last;
        let held = |lane: &Lane<T>| {
            lane.waiting
                .iter()
                .map(|item| item.size())
                .fold(0, usize::saturating_add)
        };
        let (person, _) = self
            .lanes
            .iter()
            .filter(may)
            .max_by_key(|(_, lane)| (held(lane), lane.waiting.len()))?;
        let person = person.clone();
        let newest = self.lanes.get_mut(&person)?.waiting.pop_back();
        self.forget_if_empty(&person);
        newest
    }

    fn forget_if_empty(&mut self, person: &str) {
        if self
            .lanes
            .get(person)
            .is_some_and(|lane| lane.waiting.is_empty())
        {
            self.lanes.remove(person);
            self.turns.retain(|other| other != person);
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[derive(Debug)]
    struct Note(String, usize);

    impl QueueItem for Note {
        fn id(&self) -> &str {
            &self.0
        }

        fn size(&self) -> usize {
            self.1
        }
    }

    fn queue(most: usize, most_bytes: usize) -> Queue<Note> {
        Queue {
            most,
            most_bytes,
            ..Queue::new()
        }
    }

    fn put(queue: &mut Queue<Note>, person: &str, id: &str) -> Vec<String> {
        queue
            .put(person, Note(id.to_owned(), 1))
            .iter()
            .map(|note| note.0.clone())
            .collect()
    }

    /// Sends all that can be sent at this time.
    fn sent(queue: &mut Queue<Note>, now: Instant) -> Vec<String> {
        let mut sent = Vec::new();
        while let Next::Send(person, note) = queue.next(now) {
            sent.push(note.0.clone());
            queue.tried(&person, SendOutcome::Done, now);
        }
        sent
    }

    // K10
    #[test]
    fn each_person_has_a_turn_however_many_notices_another_one_causes() {
        let mut queue = queue(100, 100);
        for id in ["e1", "e2", "e3", "e4"] {
            put(&mut queue, "eve", id);
        }
        put(&mut queue, "jane", "j1");
        put(&mut queue, "jane", "j2");
        assert_eq!(
            sent(&mut queue, Instant::now()),
            ["e1", "j1", "e2", "j2", "e3", "e4"]
        );
    }

    // K10
    #[test]
    fn where_there_is_no_room_the_newest_of_whoever_holds_most_goes() {
        let mut queue = queue(3, 100);
        assert!(
            ["e1", "e2", "e3"]
                .iter()
                .all(|id| put(&mut queue, "eve", id).is_empty())
        );
        assert_eq!(put(&mut queue, "jane", "j1"), ["e3"]);
        assert_eq!(put(&mut queue, "eve", "e4"), ["e4"]);
        assert_eq!(put(&mut queue, "bob", "b1"), ["e2"]);
        assert_eq!(
            put(&mut queue, "amy", "a1"),
            ["a1"],
            "everybody has one, and any of them may be on its way"
        );
        assert_eq!(sent(&mut queue, Instant::now()), ["e1", "j1", "b1"]);
    }

    #[test]
    fn bytes_are_bounded_too_and_what_is_longer_than_all_room_is_dropped_alone() {
        let mut queue = queue(100, 10);
        assert!(queue.put("jane", Note("j1".to_owned(), 4)).is_empty());
        let dropped = queue.put("eve", Note("e1".to_owned(), 11));
        assert_eq!(
            dropped.iter().map(|note| &note.0).collect::<Vec<_>>(),
            ["e1"]
        );
        assert_eq!(sent(&mut queue, Instant::now()), ["j1"]);
    }

    #[test]
    fn what_waits_already_or_is_on_its_way_is_not_put_twice() {
        let (mut queue, now) = (queue(100, 100), Instant::now());
        put(&mut queue, "jane", "j1");
        let Next::Send(person, _) = queue.next(now) else {
            panic!("it waits")
        };
        put(&mut queue, "jane", "j1");
        queue.tried(&person, SendOutcome::Done, now);
        assert!(sent(&mut queue, now).is_empty());
    }

    #[test]
    fn what_is_not_taken_now_is_tried_five_times_with_growing_pauses_while_others_go_on() {
        let (mut queue, start) = (queue(100, 100), Instant::now());
        put(&mut queue, "jane", "j1");
        put(&mut queue, "jane", "j2");
        let mut now = start;
        let mut tries = Vec::new();
        loop {
            match queue.next(now) {
                Next::Send(person, note) if note.0 == "j1" => {
                    tries.push(now.duration_since(start).as_secs());
                    queue.tried(&person, SendOutcome::NotNow, now);
                    put(&mut queue, "bob", "b");
                    let Next::Send(other, note) = queue.next(now) else {
                        panic!("another person's waits")
                    };
                    assert_eq!(
                        (other.as_str(), note.0.as_str()),
                        if tries.len() < 5 {
                            ("bob", "b")
                        } else {
                            ("jane", "j2")
                        }
                    );
                    queue.tried(&other, SendOutcome::Done, now);
                }
                Next::WaitUntil(at) => now = at,
                Next::Send(person, _) => {
                    queue.tried(&person, SendOutcome::Done, now);
                }
                Next::Nothing => break,
            }
        }
        assert_eq!(tries, [0, 1, 3, 7, 15]);
    }

    proptest! {
        #[test]
        fn it_never_holds_more_than_its_bounds_and_drops_nothing_while_there_is_room(
            puts in proptest::collection::vec((0_u8..5, 0_usize..8), 0..60)
        ) {
            let mut queue = queue(7, 20);
            let (mut count, mut bytes) = (0_usize, 0_usize);
            for (index, (person, size)) in puts.into_iter().enumerate() {
                let dropped = queue.put(&person.to_string(), Note(index.to_string(), size));
                let (had, held) = (count.saturating_add(1), bytes.saturating_add(size));
                prop_assert_eq!(dropped.is_empty(), had <= 7 && held <= 20);
                count = had.saturating_sub(dropped.len());
                bytes = held.saturating_sub(dropped.iter().map(|note| note.1).sum());
                prop_assert!(count <= 7 && bytes <= 20);
            }
            prop_assert_eq!(sent(&mut queue, Instant::now()).len(), count);
        }
    }
}
