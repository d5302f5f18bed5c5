//! What attempts are decided with.

use std::sync::Arc;

use super::{places::WaitingRoom, turns::Turns};
use crate::{
    admission::Common, canary::reviews::CanaryReviews, cluster::outcomes::Outcomes,
    controllers::report::Observations,
};

/// Everything that answers an attempt.
pub struct Gate {
    /// What our own objects are looked at with, too.
    pub common: Arc<Common>,
    /// What writes down that a use was answered.
    pub outcomes: Outcomes,
    /// How many attempts are confirmed at once.
    pub turns: Turns,
    /// Where denied attempts wait for a grant; `None`: they do not (`--in-band-wait`).
    pub waiting: Option<WaitingRoom>,
    /// Keeps what observe mode sees.
    pub observations: Observations,
    /// By which attempts API servers are watched; `None`: by none (`--canary-service-account`).
    pub canary: Option<CanaryReviews>,
}
