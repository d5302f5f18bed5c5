//! Writing a policy: one that makes no sense, or permits too much, is refused where it is wrong.

use api::{AccessPolicy, policy, review::Review};

use serde_json::value::RawValue;
use tracing::info;

use super::{failure::Refused, stamp};

/// Whether a policy can be used as it is.
///
/// # Errors
/// Names the place of the fault.
pub(super) fn check(review: &Review) -> Result<(), Refused> {
    let object: AccessPolicy = stamp::object(review)?;
    match policy::policy(&object) {
        Ok(_understood) => {
            let request = &review.request;
            let (uid, user, policy) = (&request.uid, request.user_info.name(), policy::id(&object).name);
            let object = request.object.as_deref().map(RawValue::get).unwrap_or_default();
            info!(target: "audit", uid, user, policy, object, dry_run = request.is_dry_run(), "policy admitted");
            Ok(())
        }
        Err(fault) => Err(Refused::because(format!("the policy is not valid: {fault}"))),
    }
}
