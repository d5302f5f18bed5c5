//! One call of the canary's: as `kubectl exec`, but without an upgrade to a connection.

use std::time::Duration;

use decide::{canary::Finding, text::safe};
use http::{Request, Response, header::WARNING};
use http_body_util::{BodyExt as _, Limited};
use kube::{Client, client::Body};
use serde::Deserialize;
use tokio::time::timeout;

use super::{
    account::{CanaryAccount, POD},
    proof::{Nonce, in_warning},
};
use crate::cluster::seal::Sealer;

/// How long each call may take.
pub const PROBE_TIMEOUT: Duration = Duration::from_secs(5);
/// The API server's answer is a short Status.
const MAX_ANSWER_LEN: usize = 16 * 1024;
/// How long reading its text may take.
const READ_TIMEOUT: Duration = Duration::from_secs(1);
/// Maximum number of characters of its text that are reported.
const MAX_SAID_LEN: usize = 300;

/// What a call came to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Probed {
    /// What it says of the API server.
    pub finding: Finding,
    /// What was answered, for people.
    pub said: String,
}

impl Probed {
    /// Nothing could be learnt.
    pub fn unknown(said: impl Into<String>) -> Self {
        Self {
            finding: Finding::Unknown,
            said: said.into(),
        }
    }
}

/// What the API server says of a refusal.
#[derive(Deserialize)]
struct Status {
    #[serde(default)]
    message: String,
}

/// Calls an API server, and reads whether it asked us.
///
/// # Errors
/// It did not answer.
pub async fn probe(
    client: &Client,
    account: &CanaryAccount,
    sealer: &Sealer,
) -> Result<Probed, kube::Error> {
    let Ok(nonce) = Nonce::new() else {
        return Ok(Probed::unknown("there are no random bytes"));
    };
    let path = format!(
        "/api/v1/namespaces/{}/pods/{POD}/exec?command={nonce}&stdout=true",
        account.namespace
    );
    let request = Request::post(path)
        .body(Body::empty())
        .map_err(kube::Error::HttpError)?;
    let response = client.send(request).await?;
    let status = response.status();
    let is_proven = is_proven(&response, &nonce, sealer);
    let said = format!("{} {}", status.as_u16(), message(response).await);
    Ok(Probed {
        finding: Finding::of(status.as_u16(), is_proven),
        said,
    })
}

fn is_proven(response: &Response<Body>, nonce: &Nonce, sealer: &Sealer) -> bool {
    let warnings = response
        .headers()
        .get_all(WARNING)
        .iter()
        .filter_map(|value| value.to_str().ok());
    warnings
        .filter_map(in_warning)
        .any(|proof| nonce.is_proven_by(proof, sealer))
}

/// What a refusal says, as far as it is told: whoever answers chose it, and how long it takes. What
/// was found stands already.
async fn message(response: Response<Body>) -> String {
    let body = timeout(
        READ_TIMEOUT,
        Limited::new(response.into_body(), MAX_ANSWER_LEN).collect(),
    )
    .await;
    let Ok(Ok(body)) = body else {
        return String::new();
    };
    let message = serde_json::from_slice::<Status>(&body.to_bytes())
        .map(|status| status.message)
        .unwrap_or_default();
    safe(&message.chars().take(MAX_SAID_LEN).collect::<String>())
}
