//! Waiting for a condition.

use std::thread;
use std::time::{Duration, Instant};

/// How often a condition is looked at.
const INTERVAL: Duration = Duration::from_millis(20);

/// Looks until `condition` holds; `false` when it does not within `patience`.
pub(crate) fn until(patience: Duration, mut condition: impl FnMut() -> bool) -> bool {
    let deadline = Instant::now().checked_add(patience);
    loop {
        if condition() {
            return true;
        }
        if deadline.is_none_or(|deadline| Instant::now() >= deadline) {
            return false;
        }
        thread::sleep(INTERVAL);
    }
}

/// Looks until `condition` holds or fails; `Ok(false)` when neither within `patience`.
pub(crate) fn until_ok<E>(
    patience: Duration,
    mut condition: impl FnMut() -> Result<bool, E>,
) -> Result<bool, E> {
    let mut outcome = Ok(false);
    until(patience, || {
        outcome = condition();
        !matches!(outcome, Ok(false))
    });
    outcome
}
