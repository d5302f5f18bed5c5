//! One call after the other, and what is told of them.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use decide::canary::{Finding, Watched, together};
use futures::future::join_all;
use kube::Client;
use ring::rand::{SecureRandom as _, SystemRandom};
use tokio::{
    sync::watch,
    time::{sleep, timeout},
};
use tracing::error;

use super::{
    account::CanaryAccount,
    gauges::CanaryGauges,
    probe::{PROBE_TIMEOUT, Probed, probe},
    speaking::CanarySpeaker,
    targets::{Targets, Unreachable},
};
use crate::{clock::Clock, cluster::seal::Sealer};

/// The pause between two rounds, and up to 15 s on top: replicas do not call all at once.
const ROUND_INTERVAL: Duration = Duration::from_secs(25);
/// The pause before something unclear is looked at again.
const RETRY_INTERVAL: Duration = Duration::from_secs(10);
/// What is watched while no API server's address is known.
const NOWHERE: &str = "none";

/// Calls in rounds: see the module above.
pub struct Canary {
    /// Who it is.
    pub account: CanaryAccount,
    /// What proofs are looked at with.
    pub sealer: Arc<Sealer>,
    /// Where it calls.
    pub targets: Targets,
    /// How it tells.
    pub speaker: CanarySpeaker,
    /// The metrics.
    pub gauges: CanaryGauges,
    /// The clock.
    pub clock: Clock,
    /// What is known of each API server, by its address.
    pub watched: BTreeMap<String, Watched>,
}

/// Begins to call in rounds, from when we can be asked.
pub fn start(canary: Canary, ready: watch::Receiver<bool>) {
    tokio::spawn(async move {
        if let Err(error) = tokio::spawn(run(canary, ready)).await {
            error!(%error, "nobody notices any more when an API server does not ask this server: restart it");
        }
    });
}

async fn run(mut canary: Canary, mut ready: watch::Receiver<bool>) {
    if ready.wait_for(|ready| *ready).await.is_err() {
        return;
    }
    loop {
        canary.round().await;
        let is_unsure = canary.watched.values().any(Watched::is_unsure);
        sleep(if is_unsure { RETRY_INTERVAL } else { pause() }).await;
    }
}

fn pause() -> Duration {
    let mut byte = [0];
    // Without random bytes it is the longest.
    let random = SystemRandom::new()
        .fill(&mut byte)
        .map_or(u8::MAX, |()| u8::from_be_bytes(byte));
    ROUND_INTERVAL.saturating_add(Duration::from_millis(60).saturating_mul(u32::from(random)))
}

impl Canary {
    /// Calls every API server once, and tells what has changed.
    pub async fn round(&mut self) {
        let probed = self.probe_all().await;
        let now = (self.clock)();
        let gone: Vec<String> = self
            .watched
            .keys()
            .filter(|one| !probed.contains_key(*one))
            .cloned()
            .collect();
        for address in gone {
            self.watched.remove(&address);
            self.gauges.forget(&address);
        }
        for (address, Probed { finding, said }) in probed {
            let watched = self
                .watched
                .entry(address.clone())
                .or_insert_with(|| Watched::new(now));
            let news = watched.found(finding, now);
            self.gauges.show(&address, watched);
            if let Some(news) = news {
                self.speaker
                    .tell(news, &address, &said, watched.silent_for(now))
                    .await;
            }
        }
        let stands = together(self.watched.values().map(Watched::stands));
        self.speaker.stand(stands, now).await;
    }

    async fn probe_all(&mut self) -> BTreeMap<String, Probed> {
        let clients = match self.targets.clients(&self.account).await {
            Ok(clients) => clients,
            Err(error) => return self.unreachable(&error),
        };
        let (account, sealer) = (&self.account, &*self.sealer);
        let calls = clients.into_iter().map(|(address, client)| async move {
            let probed = match client {
                Ok(client) => call(&client, account, sealer).await,
                Err(error) => Probed::unknown(crate::chain(&error)),
            };
            (address, probed)
        });
        let probed: BTreeMap<String, Probed> = join_all(calls).await.into_iter().collect();
        // It may be the token's fault.
        if probed.values().any(|one| one.finding == Finding::Unknown) {
            self.targets.forget_token();
        }
        probed
    }

    /// Nothing is learnt of any of them.
    fn unreachable(&self, error: &Unreachable) -> BTreeMap<String, Probed> {
        let known = self.watched.keys().cloned();
        let nowhere = self.watched.is_empty().then(|| NOWHERE.to_owned());
        known
            .chain(nowhere)
            .map(|address| (address, Probed::unknown(crate::chain(error))))
            .collect()
    }
}

async fn call(client: &Client, account: &CanaryAccount, sealer: &Sealer) -> Probed {
    match timeout(PROBE_TIMEOUT, probe(client, account, sealer)).await {
        Ok(Ok(probed)) => probed,
        Ok(Err(error)) => Probed::unknown(crate::chain(&error)),
        Err(_elapsed) => Probed::unknown("no answer in time"),
    }
}
