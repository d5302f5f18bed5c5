//! What appeared on whose terminal, and when.

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use crate::stage::Person;

/// Nobody wants to watch a terminal on which nothing happens for longer.
const MAX_PAUSE: Duration = Duration::from_millis(1500);

/// What a piece of text is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Prompt,
    Typed,
    Said,
}

/// Something that appeared.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Event {
    pub(crate) at: Duration,
    pub(crate) on: Person,
    pub(crate) kind: Kind,
    pub(crate) text: String,
}

/// See the module. Clones write into the same.
#[derive(Debug, Clone)]
pub(crate) struct Recording {
    began: Instant,
    events: Arc<Mutex<Vec<Event>>>,
}

impl Recording {
    /// Begins now.
    pub(crate) fn new() -> Self {
        Self {
            began: Instant::now(),
            events: Arc::default(),
        }
    }

    /// Something appears now.
    pub(crate) fn add(&self, on: Person, kind: Kind, text: &str) {
        let mut events = self.events.lock().unwrap_or_else(PoisonError::into_inner);
        events.push(Event {
            at: self.began.elapsed(),
            on,
            kind,
            text: text.to_owned(),
        });
    }

    /// All of it, with long pauses cut short.
    pub(crate) fn events(&self) -> Vec<Event> {
        let events = self.events.lock().unwrap_or_else(PoisonError::into_inner);
        without_long_pauses(events.clone())
    }
}

fn without_long_pauses(mut events: Vec<Event>) -> Vec<Event> {
    let (mut before, mut now) = (Duration::ZERO, Duration::ZERO);
    for event in &mut events {
        now = now.saturating_add(event.at.saturating_sub(before).min(MAX_PAUSE));
        before = event.at;
        event.at = now;
    }
    events
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_pause_is_cut_and_all_after_it_comes_sooner() {
        let event = |at| Event {
            at,
            on: Person::Amy,
            kind: Kind::Said,
            text: String::new(),
        };
        let [half, late, later] = [500, 60_000, 60_250].map(Duration::from_millis);
        let events = without_long_pauses([half, late, later].map(event).to_vec());
        let times: Vec<u128> = events.iter().map(|event| event.at.as_millis()).collect();
        assert_eq!(times, [500, 2000, 2250]);
    }
}
