//! All targets.

use crate::{argv, copy, duration, pod_update, proxy, review};

/// A target: takes an input, panics where it finds something.
pub type Target = fn(&[u8]);

/// All targets, by name.
pub const TARGETS: [(&str, Target); 6] = [
    ("argv", argv::check),
    ("copy", copy::check),
    ("duration", duration::check),
    ("pod_update", pod_update::check),
    ("proxy", proxy::check),
    ("review", review::check),
];
