//! Which reviews are believed to be the API server's: whoever else posts one might use up what was
//! granted to others, and have attempts recorded that nobody made.
//!
//! By a secret in the path, by a client certificate, or by both. What is not believed is answered
//! as a path that does not exist. The secret stands in no log and no error: nothing here, nor in
//! the router, may show a request's path.

use std::{
    net::SocketAddr,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use rustls::pki_types::CertificateDer;
use tokio::time::Instant;
use tracing::warn;

use super::endpoint::Way;
use super::{client_authority::ClientAuthority, review_path::ReviewPaths};

/// How often a log says that something was not believed.
const LOG_INTERVAL: Duration = Duration::from_mins(1);

/// Which reviews are believed. Where both are set, both are needed.
#[derive(Debug, Clone)]
pub struct Authentication {
    paths: Option<Arc<ReviewPaths>>,
    clients: Option<Arc<ClientAuthority>>,
    said: Arc<Mutex<Option<Instant>>>,
}

/// Who is at the other end of a connection; put into the extensions of each of its requests.
#[derive(Debug, Clone)]
pub struct Peer {
    /// Its address.
    pub address: SocketAddr,
    /// The certificate that it has proved to hold the key of, and its intermediates; none where it
    /// showed none.
    pub certificates: Arc<[CertificateDer<'static>]>,
}

impl Authentication {
    /// Believes reviews on the paths or by the certificates given, and all of them where neither
    /// is.
    pub fn new(paths: Option<Arc<ReviewPaths>>, clients: Option<Arc<ClientAuthority>>) -> Self {
        Self {
            paths,
            clients,
            said: Arc::default(),
        }
    }

    /// Believes every review.
    pub fn open() -> Self {
        Self::new(None, None)
    }

    /// Whether every review is believed.
    pub fn is_open(&self) -> bool {
        self.paths.is_none() && self.clients.is_none()
    }

    /// Which way a review on this path has come, as it was sent: undecoded. `None`: not to be
    /// believed, or no such path.
    pub fn way(&self, path: &str, peer: Option<&Peer>) -> Option<Way> {
        if let Some(clients) = &self.clients
            && !peer.is_some_and(|peer| clients.believes(&peer.certificates))
        {
            return None;
        }
        match &self.paths {
            Some(paths) => paths.way(path),
            None => well_known(path),
        }
    }

    /// Logs that something was not believed; once a minute, since whoever sends it may send much.
    pub fn complain(&self, peer: Option<&Peer>) {
        let mut said = self.said.lock().unwrap_or_else(PoisonError::into_inner);
        if said.is_some_and(|said| said.elapsed() < LOG_INTERVAL) {
            return;
        }
        *said = Some(Instant::now());
        let from = peer.map(|peer| peer.address.to_string());
        warn!(
            from,
            "unauthenticated review rejected (404): wrong path or client certificate (logged at most once a minute)"
        );
    }
}

/// The original's path is `/`.
fn well_known(path: &str) -> Option<Way> {
    match path {
        "/" | "/validate" => Some(Way::Validate),
        "/mutate" => Some(Way::Mutate),
        "/observe" => Some(Way::Observe),
        _ => None,
    }
}
