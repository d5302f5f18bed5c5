//! Our own objects, as a review brings them.

use api::{
    AccessPolicy,
    review::{Operation, Review},
};
use serde::{Deserialize, de::DeserializeOwned};
use serde_json::value::RawValue;

use crate::admission::failure::{self, Refused};

/// The new object of a review.
pub(super) fn object<T: DeserializeOwned>(review: &Review) -> Result<T, Refused> {
    serde_json::from_str(raw(review)?.get()).map_err(|error| failure::unreadable(&error))
}

fn raw(review: &Review) -> Result<&RawValue, Refused> {
    review
        .request
        .object
        .as_deref()
        .ok_or_else(|| Refused::because("the review of a creation has no object"))
}

/// The policy that an update changes; `None` for a creation.
pub(super) fn old_policy(review: &Review) -> Result<Option<AccessPolicy>, Refused> {
    let old = review
        .request
        .old_object
        .as_deref()
        .filter(|_| review.request.operation == Operation::Update);
    old.map(|old| serde_json::from_str(old.get()))
        .transpose()
        .map_err(|error| failure::unreadable(&error))
}

/// Whether an update changes nothing that a policy says. A creation or deletion does.
pub(super) fn is_same_policy(review: &Review) -> Result<bool, Refused> {
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
    let request = &review.request;
    let same = content(request.old_object.as_deref())? == content(request.object.as_deref())?;
    Ok(same && request.operation == Operation::Update)
}
