//! Writing a policy: one that makes no sense, or permits too much, is refused where it is wrong.

use api::{AccessPolicy, contract::annotations::SEAL, policy};
use serde_json::value::RawValue;
use tracing::info;

use super::{Objects, decoding};
use crate::{
    admission::{
        Received,
        failure::{self, Refused},
    },
    cluster::seal::annotated,
};

impl Objects {
    /// Whether a policy can be used as it is, and is sealed where it was to be sealed.
    ///
    /// # Errors
    /// Names the place of the fault.
    pub(in crate::admission) async fn write_policy(
        &self,
        received: &Received,
    ) -> Result<(), Refused> {
        self.check_policy_owner(received)?;
        let object: AccessPolicy = decoding::object(received)?;
        policy::policy(&object)
            .map_err(|fault| Refused::because(format!("the policy is not valid: {fault}")))?;
        let request = received.request();
        let sealed = self.common.ledger.sealer().policy(&object).is_good();
        if !sealed && !request.is_dry_run() {
            self.check_unsealed(received, &object)?;
        }
        let renewal = received.caller.username == self.own_name;
        if sealed && !renewal && !request.is_dry_run() {
            self.check_mutators("policy").await?;
        }
        let (uid, user, policy) = (
            &request.uid,
            &received.caller.username,
            policy::id(&object).name,
        );
        let object = request
            .object
            .as_deref()
            .map(RawValue::get)
            .unwrap_or_default();
        info!(target: "audit", uid, user, policy, sealed, object, dry_run = request.is_dry_run(), "policy admitted");
        Ok(())
    }

    /// Refuses whoever does not own the policies. The lock does so too, but whoever can take its
    /// binding away for a moment would have policies sealed that stay.
    ///
    /// The server itself only renews good seals: it changes nothing that a policy says, and seals
    /// none that no owner wrote.
    pub(in crate::admission) fn check_policy_owner(
        &self,
        received: &Received,
    ) -> Result<(), Refused> {
        let caller = &received.caller;
        if self.policy_owners.includes(caller)
            || caller.username == self.own_name && self.is_renewal(received)?
        {
            return Ok(());
        }
        let user = &caller.username;
        Err(Refused::because(format!(
            "access policies are written by their owners only, and {user:?} is not one (--policy-owner-group and \
             --policy-owner-user of the server): --as=kube-request-access:policy-owner \
             --as-group=kube-request-access:policy-owners, see docs/policies.md"
        )))
    }

    fn is_renewal(&self, received: &Received) -> Result<bool, Refused> {
        let sealer = self.common.ledger.sealer();
        // Where nothing is sealed there is nothing to renew, and nothing to forge.
        let was_good =
            decoding::old_policy(received)?.is_some_and(|old| sealer.policy(&old).is_good());
        Ok(was_good && decoding::is_same_policy(received)?)
    }

    /// Only a policy without a good seal may be changed and stay without one.
    fn check_unsealed(&self, received: &Received, object: &AccessPolicy) -> Result<(), Refused> {
        match decoding::old_policy(received)? {
            Some(old) if !self.common.ledger.sealer().policy(&old).is_good() => {
                if annotated(&old.metadata) == annotated(&object.metadata) {
                    return Ok(());
                }
                let now = old.metadata.resource_version.unwrap_or_default();
                Err(Refused::because(format!(
                    "{SEAL} must be the resourceVersion of the policy that you have read, and that is {now:?} now: read it \
                     again"
                )))
            }
            Some(_) | None => Err(failure::unsealed("policy")),
        }
    }
}
