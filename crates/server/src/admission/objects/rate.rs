//! How fast people may file.

use std::{
    collections::HashMap,
    sync::{Mutex, PoisonError},
    time::Duration,
};

use tokio::time::Instant;

/// How many requests each person may file in a minute: all of them at once, and then one after the
/// other (the generic cell rate algorithm of ATM, ITU-T I.371).
#[derive(Debug)]
pub struct FilingRate {
    per_minute: u32,
    /// When each person will have waited for all that they filed.
    paid: Mutex<HashMap<String, Instant>>,
}

impl FilingRate {
    /// `per_minute`: at least one.
    pub fn new(per_minute: u32) -> Self {
        Self {
            per_minute: per_minute.max(1),
            paid: Mutex::default(),
        }
    }

    /// The maximum per minute.
    pub(super) fn per_minute(&self) -> u32 {
        self.per_minute
    }

    /// Counts one more of a person.
    ///
    /// # Errors
    /// It is too many; after this time there is room for it.
    pub(super) fn take(&self, user: &str) -> Result<(), Duration> {
        const MINUTE: Duration = Duration::from_mins(1);
        let each = MINUTE.checked_div(self.per_minute).unwrap_or(MINUTE);
        let now = Instant::now();
        let mut paid = self.paid.lock().unwrap_or_else(PoisonError::into_inner);
        // Whoever has waited long enough is as one who never filed.
        paid.retain(|_, until| *until > now);
        let until = paid.get(user).copied().unwrap_or(now);
        let next = until.checked_add(each).unwrap_or(until);
        let ahead = next.saturating_duration_since(now);
        if ahead > MINUTE {
            return Err(ahead.saturating_sub(MINUTE));
        }
        paid.insert(user.to_owned(), next);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use tokio::time::advance;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_person_files_a_minutes_worth_at_once_and_others_go_on() {
        let rate = FilingRate::new(30);
        for _ in 0..30 {
            rate.take("jane").unwrap();
        }
        let wait = rate.take("jane").unwrap_err();
        assert_eq!(wait, Duration::from_secs(2));
        rate.take("tom").unwrap();
        advance(wait).await;
        rate.take("jane").unwrap();
        rate.take("jane").unwrap_err();
        advance(Duration::from_mins(2)).await;
        rate.take("jane").unwrap();
        assert_eq!(rate.paid.lock().unwrap().len(), 1, "tom is forgotten");
    }
}
