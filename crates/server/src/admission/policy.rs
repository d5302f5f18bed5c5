//! Writing a policy: one that makes no sense, or permits too much, is refused where it is wrong.

use api::{AccessPolicy, policy, review::Review};

use super::{failure::Refused, stamp};

/// Whether a policy can be used as it is.
///
/// # Errors
/// Names the place of the fault.
pub(super) fn check(review: &Review) -> Result<(), Refused> {
    let object: AccessPolicy = stamp::object(review)?;
    match policy::policy(&object) {
        Ok(_understood) => Ok(()),
        Err(fault) => Err(Refused::because(format!("the policy is not valid: {fault}"))),
    }
}
