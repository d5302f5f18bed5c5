//! What a world's server is made of, apart from what tests look at.

use std::sync::Arc;

use decide::mutators::Kind;
use server::{
    admission::WaitingRoom,
    audit::Webhook,
    canary::reviews::CanaryReviews,
    cluster::{mutators::Mutators, seal::Sealer},
    controllers::{
        self,
        filing::{self, Filer},
        notices::{About, Notices},
    },
    metrics::Metrics,
};
use tokio::sync::watch;

use crate::fake_api::FakeApi;

/// What knows the mutating webhooks and policies, of which there are none.
pub(crate) fn mutators(api: &FakeApi) -> Arc<Mutators> {
    let mutators = Arc::new(Mutators::new(api.client(), "kube-request-access"));
    for kind in [Kind::Webhook, Kind::Policy] {
        mutators.watches(kind, true);
    }
    mutators
}

/// Who is told what becomes of requests.
pub(crate) fn notices(webhook: Webhook, api: &FakeApi) -> Notices {
    let about = About {
        cluster: "prod".to_owned(),
        template: None,
    };
    Notices::start(&Arc::new(webhook), about, &api.client(), Metrics::new())
}

/// Places to wait in, and the controller that files for whoever waits.
pub(crate) fn waiting(
    context: controllers::ControllerContext,
    ready: watch::Receiver<bool>,
) -> WaitingRoom {
    let (filer, filings) = Filer::new();
    tokio::spawn(filing::run(filings, Arc::new(context)));
    WaitingRoom::new(filer, ready)
}

/// The canary's account as it is shipped.
pub(crate) fn canary(sealer: Arc<Sealer>) -> CanaryReviews {
    CanaryReviews {
        account: "kube-request-access:kube-request-access-canary"
            .parse()
            .unwrap(),
        sealer,
    }
}
