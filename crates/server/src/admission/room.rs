//! How much is worked on at once: more is turned away at once, which denies it, instead of filling the memory.

use std::sync::Arc;

use axum::http::{HeaderMap, header};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// So many reviews at once.
const MOST_REVIEWS: usize = 256;
/// So many bytes of reviews at once, in KiB. Decoded, a review takes a few times its length.
const MOST_KIB: usize = 32 * 1024;

/// Room for reviews.
#[derive(Debug, Clone)]
pub struct Room {
    reviews: Arc<Semaphore>,
    kib: Arc<Semaphore>,
    largest: usize,
}

/// The room that one review takes; free again when this is dropped.
#[derive(Debug)]
pub struct Place {
    _review: OwnedSemaphorePermit,
    _kib: OwnedSemaphorePermit,
}

impl Room {
    /// Room for reviews of at most `largest` bytes each.
    pub fn new(largest: usize) -> Self {
        Self { reviews: Arc::new(Semaphore::new(MOST_REVIEWS)), kib: Arc::new(Semaphore::new(MOST_KIB)), largest }
    }

    /// Takes room for a review of this length, in bytes; one that does not say its length may be the largest.
    pub fn take(&self, length: Option<usize>) -> Option<Place> {
        let kib = u32::try_from(length.unwrap_or(self.largest).div_ceil(1024)).ok()?;
        Some(Place {
            _review: Arc::clone(&self.reviews).try_acquire_owned().ok()?,
            _kib: Arc::clone(&self.kib).try_acquire_many_owned(kib).ok()?,
        })
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
    fn room_is_taken_by_number_and_by_length_and_given_back() {
        let room = Room::new(8 * 1024 * 1024);
        let large: Vec<Place> = (0..4).map(|_| room.take(None).unwrap()).collect();
        assert!(room.take(Some(1)).is_none());
        drop(large);
        let small: Vec<Place> = (0..MOST_REVIEWS).map(|_| room.take(Some(1000)).unwrap()).collect();
        assert!(room.take(Some(1)).is_none());
        drop(small);
        assert!(room.take(None).is_some());
    }
}
