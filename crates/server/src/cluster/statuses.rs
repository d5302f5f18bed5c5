//! Adds a fact to the status of a request, on what is stored now: all else in it stays as it is.
//! Nothing is decided by what is written here.

use std::time::Duration;

use api::{AccessRequest, AccessRequestStatus};
use kube::{Api, Client, api::PostParams};
use tokio::time::{error::Elapsed, sleep, timeout};
use tracing::debug;

/// How long the write is tried.
const WRITE_TIMEOUT: Duration = Duration::from_secs(30);
/// The first pause between two tries; each is twice as long, up to a second.
const FIRST_PAUSE: Duration = Duration::from_millis(50);
/// The longest pause.
const MAX_PAUSE: Duration = Duration::from_secs(1);

/// Which request.
#[derive(Debug, Clone, Copy)]
pub struct Which<'a> {
    /// Its namespace.
    pub namespace: &'a str,
    /// Its name.
    pub name: &'a str,
    /// Its UID: another request of that name is left alone.
    pub uid: &'a str,
}

/// Changes the status as `change` has it, which returns whether there is anything to write, and
/// tries for a while.
///
/// # Errors
/// The API server did not take it in 30 seconds.
pub async fn amend_patiently(
    client: &Client,
    which: Which<'_>,
    change: impl Fn(&mut AccessRequestStatus) -> bool,
) -> Result<(), Elapsed> {
    let api: Api<AccessRequest> = Api::namespaced(client.clone(), which.namespace);
    let written = async {
        let mut pause = FIRST_PAUSE;
        while let Err(error) = amend(&api, which, &change).await {
            debug!(
                request = which.name,
                error = crate::chain(&error),
                "the status is not written yet"
            );
            sleep(pause).await;
            pause = pause.saturating_mul(2).min(MAX_PAUSE);
        }
    };
    timeout(WRITE_TIMEOUT, written).await
}

async fn amend(
    api: &Api<AccessRequest>,
    which: Which<'_>,
    change: impl Fn(&mut AccessRequestStatus) -> bool,
) -> Result<(), kube::Error> {
    let Some(mut object) = api.get_opt(which.name).await? else {
        return Ok(());
    };
    if object.metadata.uid.as_deref() != Some(which.uid)
        || !object.status.as_mut().is_some_and(change)
    {
        return Ok(());
    }
    match api
        .replace_status(which.name, &PostParams::default(), &object)
        .await
    {
        Err(kube::Error::Api(status)) if status.is_not_found() => Ok(()),
        other => other.map(drop),
    }
}
