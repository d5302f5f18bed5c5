//! What writes of our own objects are decided with.

use std::sync::Arc;

use decide::identity::Listed;

use super::{arrivals::Arrivals, limits::RequestLimits, rate::FilingRate};
use crate::{
    admission::Common,
    cluster::{mutators::Mutators, records::Records},
};

/// Everything that answers a write of one of our objects.
pub struct Objects {
    /// What attempts are looked at with, too.
    pub common: Arc<Common>,
    /// What is kept of requests that are deleted.
    pub records: Records,
    /// Requests that were admitted a moment ago.
    pub arrivals: Arrivals,
    /// Who may write policies.
    pub policy_owners: Listed,
    /// How many requests there may be.
    pub limits: RequestLimits,
    /// How fast they may be filed.
    pub rate: FilingRate,
    /// Whether the server itself files requests, for attempts that wait (`--in-band-wait`).
    pub in_band_wait: bool,
    /// Who may change our objects on their way.
    pub mutators: Arc<Mutators>,
    /// The name of this server's own account.
    pub own_name: String,
}
