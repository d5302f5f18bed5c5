//! Whether what was read is what is stored: nobody whom installers have not named may change it on
//! its way.

use decide::text::safe;
use tracing::warn;

use super::Objects;
use crate::{admission::failure::Refused, cluster::mutators::TRUSTED};

impl Objects {
    /// Refuses what gives access while somebody may change it on its way to us: it may not say what
    /// its author wrote.
    pub(super) async fn check_mutators(&self, what: &str) -> Result<(), Refused> {
        let untrusted = self.mutators.untrusted().await?;
        let Some(mutator) = untrusted.first() else {
            return Ok(());
        };
        let (kind, name) = (mutator.kind.name(), &mutator.name);
        warn!(
            kind,
            name,
            uid = mutator.uid,
            generation = mutator.generation,
            "may change our objects, and is not trusted"
        );
        Err(Refused::because(format!(
            "the {kind} {:?} may change a {what} on its way here, or could a moment ago, or may change the list of those whom \
             the installers of kube-request-access trust. It is not on that list, so nothing that gives access is taken until \
             it is gone, or named in the ConfigMap {TRUSTED} (docs/operators.md, \"Who else may change our objects\")",
            safe(name)
        )))
    }
}
