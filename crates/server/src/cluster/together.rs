//! One read for all who wait for it.
//!
//! Whoever asks gets what a read says that began after they asked: as live as a read of their own. But many who ask at once
//! cost the API server, and our memory, two reads and not one each.

use std::sync::atomic::{AtomicU64, Ordering};

use tokio::sync::Mutex;

/// See the module.
#[derive(Debug, Default)]
pub struct Together<T> {
    begun: AtomicU64,
    /// The number of the last read that succeeded, and what it said.
    last: Mutex<Option<(u64, T)>>,
}

impl<T: Clone> Together<T> {
    /// Reads, or waits for the read of somebody else that begins from now on.
    ///
    /// # Errors
    /// Those of one's own read: nobody fails by somebody else's.
    pub async fn get<E>(&self, read: impl AsyncFnOnce() -> Result<T, E>) -> Result<T, E> {
        let before = self.begun.load(Ordering::SeqCst);
        // One after the other, in the order of arrival.
        let mut last = self.last.lock().await;
        if let Some((number, said)) = last.as_ref()
            && *number > before
        {
            return Ok(said.clone());
        }
        let number = self.begun.fetch_add(1, Ordering::SeqCst).saturating_add(1);
        let said = read().await?;
        *last = Some((number, said.clone()));
        Ok(said)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, atomic::AtomicUsize};

    use tokio::sync::Semaphore;

    use super::*;

    struct Source {
        value: AtomicUsize,
        reads: AtomicUsize,
        /// Each read takes one.
        gate: Semaphore,
    }

    impl Source {
        fn new() -> Arc<Self> {
            Arc::new(Self { value: AtomicUsize::new(1), reads: AtomicUsize::new(0), gate: Semaphore::new(0) })
        }

        /// What was true when the read began.
        async fn read(&self) -> Result<usize, &'static str> {
            let value = self.value.load(Ordering::SeqCst);
            self.reads.fetch_add(1, Ordering::SeqCst);
            self.gate.acquire().await.unwrap().forget();
            if value == 0 { Err("failed") } else { Ok(value) }
        }
    }

    fn ask(
        together: &Arc<Together<usize>>,
        source: &Arc<Source>,
    ) -> tokio::task::JoinHandle<Result<usize, &'static str>> {
        let (together, source) = (Arc::clone(together), Arc::clone(source));
        tokio::spawn(async move { together.get(async || source.read().await).await })
    }

    async fn until(is_so: impl Fn() -> bool) {
        while !is_so() {
            tokio::task::yield_now().await;
        }
    }

    // M11
    #[tokio::test]
    async fn many_at_once_are_two_reads_and_nobody_hears_what_was_before_they_asked() {
        let (together, source) = (Arc::new(Together::default()), Source::new());
        let first = ask(&together, &source);
        until(|| source.reads.load(Ordering::SeqCst) == 1).await;
        // The first read has begun; what changes now it need not see, and they must.
        source.value.store(2, Ordering::SeqCst);
        let others: Vec<_> = (0..100).map(|_| ask(&together, &source)).collect();
        tokio::task::yield_now().await;
        source.gate.add_permits(1000);
        assert_eq!(first.await.unwrap(), Ok(1));
        for other in others {
            assert_eq!(other.await.unwrap(), Ok(2));
        }
        assert_eq!(source.reads.load(Ordering::SeqCst), 2);
        source.value.store(3, Ordering::SeqCst);
        assert_eq!(ask(&together, &source).await.unwrap(), Ok(3), "nothing is kept for those who ask later");
    }

    #[tokio::test]
    async fn nobody_fails_by_somebody_elses_read() {
        let (together, source) = (Arc::new(Together::default()), Source::new());
        source.value.store(0, Ordering::SeqCst);
        let first = ask(&together, &source);
        until(|| source.reads.load(Ordering::SeqCst) == 1).await;
        let second = ask(&together, &source);
        source.value.store(2, Ordering::SeqCst);
        source.gate.add_permits(1000);
        assert_eq!(first.await.unwrap(), Err("failed"));
        assert_eq!(second.await.unwrap(), Ok(2));
    }

    #[tokio::test]
    async fn whoever_is_gone_in_the_middle_of_a_read_leaves_it_to_the_next() {
        let (together, source) = (Arc::new(Together::default()), Source::new());
        let first = ask(&together, &source);
        until(|| source.reads.load(Ordering::SeqCst) == 1).await;
        let second = ask(&together, &source);
        first.abort();
        assert!(first.await.is_err());
        source.gate.add_permits(1000);
        assert_eq!(second.await.unwrap(), Ok(1));
    }
}
