//! Where the canary calls, and as whom.

use std::{
    collections::BTreeSet,
    net::{IpAddr, SocketAddr},
    sync::Arc,
    time::Duration,
};

use http::Uri;
use k8s_openapi::api::{
    authentication::v1::{TokenRequest, TokenRequestSpec},
    core::v1::ServiceAccount,
    discovery::v1::EndpointSlice,
};
use kube::{
    Api, Client, Config,
    api::{ListParams, PostParams},
    config::AuthInfo,
};
use tokio::time::{Instant, error::Elapsed, timeout};

use super::{account::CanaryAccount, probe::PROBE_TIMEOUT};

/// Maximum number of API servers that are watched.
const MAX_API_SERVERS: usize = 16;
/// The name that every API server's certificate is valid for.
const SERVER_NAME: &str = "kubernetes.default.svc";
/// How long a token is asked for, in seconds.
const TOKEN_SECONDS: i64 = 3600;
/// When another one is.
const RENEWED_AFTER: Duration = Duration::from_mins(30);

/// Makes a client of the API server at an address, with a token.
pub type Connect = Arc<dyn Fn(&str, &str) -> Result<Client, kube::Error> + Send + Sync>;

/// See the module.
pub struct Targets {
    client: Client,
    connect: Connect,
    token: Option<(String, Instant)>,
}

/// Why no API server can be called.
#[derive(Debug, thiserror::Error)]
pub enum Unreachable {
    /// Their addresses.
    #[error("cannot list the endpointslices of the Service default/kubernetes")]
    Addresses(#[source] kube::Error),
    /// There are none.
    #[error("the endpointslices of the Service default/kubernetes have no address")]
    NoAddress,
    /// The token.
    #[error("cannot get a token of the canary's account")]
    Token(#[source] kube::Error),
    /// The API server does not give one.
    #[error("the API server answered without a token of the canary's account")]
    NoToken,
    /// No answer.
    #[error("the API server does not say in time where API servers are, or gives no token in time")]
    Late(#[from] Elapsed),
}

/// The API server of a configuration, at another address.
pub fn connector(config: Config) -> Connect {
    Arc::new(move |address, token| {
        let uri: Uri = format!("https://{address}")
            .parse()
            .map_err(|error| kube::Error::HttpError(http::Error::from(error)))?;
        let mut config = config.clone();
        (config.cluster_url, config.tls_server_name) = (uri, Some(SERVER_NAME.to_owned()));
        config.auth_info = AuthInfo {
            token: Some(token.to_owned().into()),
            ..AuthInfo::default()
        };
        (config.connect_timeout, config.read_timeout) = (Some(PROBE_TIMEOUT), Some(PROBE_TIMEOUT));
        config.default_retry = false;
        Client::try_from(config)
    })
}

impl Targets {
    /// All that `client`, with our own rights, finds.
    pub fn new(client: Client, connect: Connect) -> Self {
        Self {
            client,
            connect,
            token: None,
        }
    }

    /// A new client of each API server, as the canary: no connection of before is used again.
    ///
    /// # Errors
    /// Their addresses are not known, or there is no token.
    pub async fn clients(
        &mut self,
        account: &CanaryAccount,
    ) -> Result<Vec<(String, Result<Client, kube::Error>)>, Unreachable> {
        let addresses = timeout(PROBE_TIMEOUT, addresses(&self.client)).await??;
        let token = timeout(PROBE_TIMEOUT, self.token(account)).await??;
        let connect = |address: String| {
            let client = (self.connect)(&address, &token);
            (address, client)
        };
        Ok(addresses.into_iter().map(connect).collect())
    }

    /// The next calls are made with another token.
    pub fn forget_token(&mut self) {
        self.token = None;
    }

    async fn token(&mut self, account: &CanaryAccount) -> Result<String, Unreachable> {
        if let Some((token, since)) = &self.token
            && since.elapsed() < RENEWED_AFTER
        {
            return Ok(token.clone());
        }
        let spec = TokenRequestSpec {
            expiration_seconds: Some(TOKEN_SECONDS),
            ..TokenRequestSpec::default()
        };
        let wish = TokenRequest {
            spec,
            ..TokenRequest::default()
        };
        let api: Api<ServiceAccount> = Api::namespaced(self.client.clone(), &account.namespace);
        let given = api
            .create_token_request(&account.name, &PostParams::default(), &wish)
            .await;
        let token = given
            .map_err(Unreachable::Token)?
            .status
            .ok_or(Unreachable::NoToken)?
            .token;
        self.token = Some((token.clone(), Instant::now()));
        Ok(token)
    }
}

/// The addresses of all API servers, as each registers itself.
async fn addresses(client: &Client) -> Result<BTreeSet<String>, Unreachable> {
    let api: Api<EndpointSlice> = Api::namespaced(client.clone(), "default");
    let of_kubernetes = ListParams::default().labels("kubernetes.io/service-name=kubernetes");
    let slices = api
        .list(&of_kubernetes)
        .await
        .map_err(Unreachable::Addresses)?;
    let addresses: BTreeSet<String> = slices
        .items
        .iter()
        .flat_map(in_slice)
        .take(MAX_API_SERVERS)
        .collect();
    if addresses.is_empty() {
        Err(Unreachable::NoAddress)
    } else {
        Ok(addresses)
    }
}

fn in_slice(slice: &EndpointSlice) -> impl Iterator<Item = String> {
    let ports: Vec<u16> = slice
        .ports
        .iter()
        .flatten()
        .filter_map(|port| u16::try_from(port.port?).ok())
        .collect();
    let addresses = slice
        .endpoints
        .iter()
        .flat_map(|endpoint| &endpoint.addresses);
    let ips = addresses.filter_map(|address| address.parse::<IpAddr>().ok());
    ips.flat_map(move |ip| {
        ports
            .clone()
            .into_iter()
            .map(move |port| SocketAddr::new(ip, port).to_string())
    })
}
