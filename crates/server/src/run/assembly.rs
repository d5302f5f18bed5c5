//! What admission is made of.

use std::sync::Arc;

use jiff::Timestamp;

use crate::{
    admission::{
        Admission, Arrivals, Common, FilingRate, Gate, Objects, WaitingRoom, gate::turns::Turns,
    },
    args::Args,
    audit::Extensions,
    canary::reviews::CanaryReviews,
    cluster::{
        clients::Clients, index::Index, ledger::Ledger, mutators::Mutators, outcomes::Outcomes,
        policies::PolicyStore, records::Records, seal::Sealer,
    },
    controllers::report::{self, Observations},
};

/// What admission shares with the watches, and hands on to what is done behind it.
pub(super) struct Handles {
    pub(super) index: Arc<Index>,
    pub(super) policies: Arc<PolicyStore>,
    pub(super) outcomes: Outcomes,
    pub(super) waiting: Option<WaitingRoom>,
    pub(super) observations: Observations,
    pub(super) mutators: Arc<Mutators>,
}

/// Puts admission together.
pub(super) fn assemble(
    args: &Args,
    clients: &Clients,
    (extensions, sealer): (&Arc<Extensions>, &Arc<Sealer>),
    handles: Handles,
    own_name: String,
) -> Admission {
    let Handles {
        index,
        policies,
        outcomes,
        waiting,
        observations,
        mutators,
    } = handles;
    let common = Arc::new(Common {
        index,
        ledger: Ledger::new(
            clients.decisions.clone(),
            clients.pulse.clone(),
            Arc::clone(sealer),
        ),
        extensions: Arc::clone(extensions),
        settings: Arc::new(args.settings()),
        policies,
        always_allowed: args.always_allowed(),
        max_open_requests: args.max_open_requests,
        cluster_name: args.cluster_name.clone(),
        limits: Arc::default(),
        clock: Arc::new(Timestamp::now),
    });
    let canary = |account| CanaryReviews {
        account,
        sealer: Arc::clone(sealer),
    };
    let gate = Gate {
        common: Arc::clone(&common),
        outcomes,
        turns: Turns::default(),
        waiting,
        observations,
        canary: args.canary_service_account.clone().map(canary),
    };
    let records = Records::new(
        clients.decisions.clone(),
        report::namespace(&own_name),
        args.keep(),
    );
    let objects = Objects {
        common,
        records,
        arrivals: Arrivals::default(),
        policy_owners: args.policy_owners(),
        limits: args.request_limits(),
        rate: FilingRate::new(args.max_requests_per_minute),
        in_band_wait: args.in_band_wait,
        mutators,
        own_name,
    };
    Admission { gate, objects }
}
