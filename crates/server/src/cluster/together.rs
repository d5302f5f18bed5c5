//! One read for all who wait for it.
//!
//! Whoever asks gets what a read says that began after they asked: as live as a read of their own.
//! But many who ask at once cost the API server, and our memory, two reads and not one each.

use std::{
    sync::atomic::{AtomicU64, Ordering},
    time::Duration,
};

use tokio::{sync::Mutex, time::timeout};

/// How long one read may take: others wait for its end.
pub const READ_TIMEOUT: Duration = Duration::from_secs(3);

/// See the module.
#[derive(Debug, Default)]
pub struct Together<T> {
    begun: AtomicU64,
    /// The number of the last read, and what it said; `None`: it failed.
    last: Mutex<Option<(u64, Option<T>)>>,
}

/// Why a read that began after one asked brought nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum TogetherError {
    /// It took too long, and others wait.
    #[error("the API server did not answer in time")]
    Timeout,
    /// It failed, and was somebody else's.
    #[error("a read for several reviews failed: the first of them says why")]
    Shared,
}

impl<T: Clone> Together<T> {
    /// Reads, or waits for the read of somebody else that begins from now on. None takes longer
    /// than [`READ_TIMEOUT`].
    ///
    /// # Errors
    /// The read failed: for all who asked before it began.
    pub async fn get<E: From<TogetherError>>(
        &self,
        read: impl AsyncFnOnce() -> Result<T, E>,
    ) -> Result<T, E> {
        let before = self.begun.load(Ordering::SeqCst);
        // One after the other, in the order of arrival.
        let mut last = self.last.lock().await;
        if let Some((number, said)) = last.as_ref()
            && *number > before
        {
            return said.clone().ok_or_else(|| TogetherError::Shared.into());
        }
        let number = self.begun.fetch_add(1, Ordering::SeqCst).saturating_add(1);
        let said = timeout(READ_TIMEOUT, read())
            .await
            .unwrap_or_else(|_elapsed| Err(TogetherError::Timeout.into()));
        *last = Some((number, said.as_ref().ok().cloned()));
        said
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, atomic::AtomicUsize};

    use tokio::sync::Semaphore;

    use super::*;

    #[derive(Debug, PartialEq, Eq)]
    enum Failed {
        Own,
        Together(TogetherError),
    }

    impl From<TogetherError> for Failed {
        fn from(error: TogetherError) -> Self {
            Self::Together(error)
        }
    }

    struct Source {
        value: AtomicUsize,
        reads: AtomicUsize,
        /// Each read takes one.
        gate: Semaphore,
    }

    impl Source {
        fn new() -> Arc<Self> {
            Arc::new(Self {
                value: AtomicUsize::new(1),
                reads: AtomicUsize::new(0),
                gate: Semaphore::new(0),
            })
        }

        /// What was true when the read began.
        async fn read(&self) -> Result<usize, Failed> {
            let value = self.value.load(Ordering::SeqCst);
            self.reads.fetch_add(1, Ordering::SeqCst);
            self.gate.acquire().await.unwrap().forget();
            if value == 0 {
                Err(Failed::Own)
            } else {
                Ok(value)
            }
        }
    }

    fn ask(
        together: &Arc<Together<usize>>,
        source: &Arc<Source>,
    ) -> tokio::task::JoinHandle<Result<usize, Failed>> {
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
        assert_eq!(
            ask(&together, &source).await.unwrap(),
            Ok(3),
            "nothing is kept for those who ask later"
        );
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
        assert_eq!(first.await.unwrap(), Err(Failed::Own));
        assert_eq!(second.await.unwrap(), Ok(2));
    }

    #[tokio::test]
    async fn who_waits_for_one_read_fails_with_it_and_costs_no_other() {
        let (together, source) = (Arc::new(Together::default()), Source::new());
        let first = ask(&together, &source);
        until(|| source.reads.load(Ordering::SeqCst) == 1).await;
        source.value.store(0, Ordering::SeqCst);
        let others: Vec<_> = (0..50).map(|_| ask(&together, &source)).collect();
        tokio::task::yield_now().await;
        source.gate.add_permits(1000);
        assert_eq!(first.await.unwrap(), Ok(1));
        for other in others {
            assert!(other.await.unwrap().is_err());
        }
        assert_eq!(source.reads.load(Ordering::SeqCst), 2);
    }

    #[tokio::test(start_paused = true)]
    async fn a_read_that_never_ends_holds_nobody_up_for_long() {
        let (together, source) = (Arc::new(Together::default()), Source::new());
        let first = ask(&together, &source);
        until(|| source.reads.load(Ordering::SeqCst) == 1).await;
        let second = ask(&together, &source);
        assert_eq!(
            first.await.unwrap(),
            Err(Failed::Together(TogetherError::Timeout))
        );
        source.gate.add_permits(1);
        assert_eq!(second.await.unwrap(), Ok(1));
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
