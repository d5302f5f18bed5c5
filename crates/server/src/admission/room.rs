//! How much is worked on at once: more is turned away at once, which denies it, instead of filling the memory.
//!
//! Small reviews (every exec is one) have places of their own, so that large ones, or clients that only say that they
//! will send one, never take theirs.

use std::sync::Arc;

use axum::http::{HeaderMap, header};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// A review of at most so many bytes is small: the longest command that can be granted, and its envelope, are.
const SMALL: usize = 64 * 1024;
/// So many small reviews at once: 16 MiB.
const MOST_SMALL: usize = 256;
/// So many large ones.
const MOST_LARGE: usize = 4;

/// Room for reviews.
#[derive(Debug, Clone)]
pub struct Room {
    small: Arc<Semaphore>,
    large: Arc<Semaphore>,
}

/// The room that one review takes; free again when this is dropped.
#[derive(Debug)]
pub struct Place {
    _permit: OwnedSemaphorePermit,
    /// The most bytes that it may have.
    pub most: usize,
}

impl Place {
    /// Whether it is one of the many for small reviews.
    pub fn is_small(&self) -> bool {
        self.most == SMALL
    }
}

impl Room {
    /// Room for so many small reviews, and so many large ones.
    pub fn new(small: usize, large: usize) -> Self {
        Self { small: Arc::new(Semaphore::new(small)), large: Arc::new(Semaphore::new(large)) }
    }

    /// Takes room for a review of this length, in bytes; one that does not say its length may be the largest.
    pub fn take(&self, length: Option<usize>, largest: usize) -> Option<Place> {
        let small = length.is_some_and(|length| length <= SMALL);
        let (places, most) = if small { (&self.small, SMALL) } else { (&self.large, largest) };
        Some(Place { _permit: Arc::clone(places).try_acquire_owned().ok()?, most })
    }
}

impl Default for Room {
    fn default() -> Self {
        Self::new(MOST_SMALL, MOST_LARGE)
    }
}

/// The length that a request says its body has, in bytes.
pub fn content_length(headers: &HeaderMap) -> Option<usize> {
    headers.get(header::CONTENT_LENGTH)?.to_str().ok()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn large_reviews_never_take_the_places_of_small_ones() {
        let room = Room::default();
        let large: Vec<Place> = (0..4).map(|_| room.take(None, 1 << 23).unwrap()).collect();
        assert!(room.take(Some(1 << 20), 1 << 23).is_none());
        let small: Vec<Place> = (0..MOST_SMALL).map(|_| room.take(Some(1000), 1 << 23).unwrap()).collect();
        assert!(room.take(Some(1000), 1 << 23).is_none());
        drop((large, small));
        assert!(room.take(None, 1 << 23).is_some() && room.take(Some(1), 1 << 23).is_some());
    }
}
