//! Our own objects, as a review brings them.

use api::{AccessPolicy, review::Operation};
use serde::{Deserialize, de::DeserializeOwned};
use serde_json::value::RawValue;

use crate::admission::{
    Received,
    failure::{self, Refused},
};

/// The new object of a review.
pub(super) fn object<T: DeserializeOwned>(received: &Received) -> Result<T, Refused> {
    serde_json::from_str(raw(received)?.get()).map_err(|error| failure::unreadable(&error))
}

fn raw(received: &Received) -> Result<&RawValue, Refused> {
    received
        .request()
        .object
        .as_deref()
        .ok_or_else(|| Refused::because("the review of a creation has no object"))
}

/// The policy that an update changes; `None` for a creation.
pub(super) fn old_policy(received: &Received) -> Result<Option<AccessPolicy>, Refused> {
    let old = received
        .request()
        .old_object
        .as_deref()
        .filter(|_| received.request().operation == Operation::Update);
    old.map(|old| serde_json::from_str(old.get()))
        .transpose()
        .map_err(|error| failure::unreadable(&error))
}

/// Whether an update changes nothing that a policy says. A creation or deletion does.
pub(super) fn is_same_policy(received: &Received) -> Result<bool, Refused> {
    #[derive(Deserialize, PartialEq)]
    struct Content {
        spec: serde_json::Value,
    }
    let content = |object: Option<&RawValue>| {
        object
            .map(|object| serde_json::from_str::<Content>(object.get()))
            .transpose()
            .map_err(|error| failure::unreadable(&error))
    };
    let request = received.request();
    let same = content(request.old_object.as_deref())? == content(request.object.as_deref())?;
    Ok(same && request.operation == Operation::Update)
}
