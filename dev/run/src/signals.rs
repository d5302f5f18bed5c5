//! ^C, TERM and a closed terminal: while something starts they end this process at once, once it is
//! up in order.

use std::{
    io,
    process::exit,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
        mpsc::{self, RecvTimeoutError},
    },
    thread,
    time::Duration,
};

use signal_hook::{
    consts::{SIGHUP, SIGINT, SIGTERM},
    iterator::Signals,
};

/// Tells when this process is to end.
#[derive(Debug)]
pub struct Ending {
    in_order: Arc<AtomicBool>,
    asked: mpsc::Receiver<()>,
}

impl Ending {
    /// Begins to listen. A signal runs `clean_up` and ends this process, until [`Self::in_order`]
    /// is called.
    ///
    /// # Errors
    /// Signals cannot be caught.
    pub fn listen(clean_up: impl Fn() + Send + 'static) -> io::Result<Self> {
        let mut signals = Signals::new([SIGHUP, SIGINT, SIGTERM])?;
        let (ask, asked) = mpsc::channel();
        let in_order = Arc::new(AtomicBool::new(false));
        let is_in_order = Arc::clone(&in_order);
        thread::spawn(move || {
            for signal in signals.forever() {
                // Only the first is for an end in order: whoever repeats it does not want to wait.
                if is_in_order.swap(false, Ordering::SeqCst) && ask.send(()).is_ok() {
                    continue;
                }
                clean_up();
                exit(signal.saturating_add(128));
            }
        });
        Ok(Self { in_order, asked })
    }

    /// From now on the first signal is only told, by the functions below.
    pub fn in_order(&self) {
        self.in_order.store(true, Ordering::SeqCst);
    }

    /// Waits for a signal, no longer than this; answers whether one came.
    pub fn is_asked_within(&self, patience: Duration) -> bool {
        !matches!(
            self.asked.recv_timeout(patience),
            Err(RecvTimeoutError::Timeout)
        )
    }

    /// Waits for a signal.
    pub fn wait(&self) {
        // It fails only where nobody listens for signals any more.
        let _asked = self.asked.recv();
    }
}
