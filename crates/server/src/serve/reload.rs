//! Files that are read again when they change.
//!
//! By looking at their bytes at an interval, never by inotify: on a Secret volume the path is a
//! chain of symbolic links that are swapped, and a watch on the file sees the first swap only.

use std::{path::PathBuf, time::Duration};

use tokio::time::{MissedTickBehavior, interval};
use tracing::{error, info};

/// How often files are looked at.
const LOOK_INTERVAL: Duration = Duration::from_secs(10);

/// Calls `load` whenever the bytes of `files` have changed. A load that fails is logged and tried
/// again at the next look; what was in use stays in use. Never ends.
pub async fn on_change<E: std::error::Error>(
    files: Vec<PathBuf>,
    load: impl Fn() -> Result<(), E>,
) {
    let mut seen = read(&files).await;
    let mut ticks = interval(LOOK_INTERVAL);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        let now = read(&files).await;
        if now == seen {
            continue;
        }
        match load() {
            Ok(()) => {
                info!(?files, "read again because they changed");
                seen = now;
            }
            Err(error) => error!(
                ?files,
                error = crate::chain(&error),
                "changed, but cannot be used"
            ),
        }
    }
}

async fn read(files: &[PathBuf]) -> Vec<Option<Vec<u8>>> {
    let mut all = Vec::with_capacity(files.len());
    for file in files {
        all.push(tokio::fs::read(file).await.ok());
    }
    all
}
