//! What would become of a request, for whoever asks before she files it: others' grants, and
//! policies, are not hers to read. A dry run with the annotation [`EXPLAIN`] is answered with
//! [`EXPLANATION`](api::contract::annotations::EXPLANATION).

use std::sync::Arc;

use api::{AccessRequest, contract::annotations::EXPLAIN, convert};
use decide::{
    access::{Request, Seal},
    duration, explain,
    ruling::{Foretold, Ruling, Wanted},
    settings::Rules,
    standing::{Candidate, Standing},
    text::safe,
};

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;

use super::Objects;
use crate::admission::Received;

impl Objects {
    /// What is answered to a request that asks; `None`: it does not, or is meant to be stored.
    pub(super) fn explanation(
        &self,
        received: &Received,
        object: &AccessRequest,
    ) -> Option<String> {
        let asked = object
            .metadata
            .annotations
            .as_ref()
            .and_then(|all| all.get(EXPLAIN))
            .is_some_and(|text| text == "true");
        if !asked || !received.request().is_dry_run() {
            return None;
        }
        // What the API server has not written yet.
        let mut object = object.clone();
        object
            .metadata
            .creation_timestamp
            .get_or_insert(Time(self.common.now()));
        object
            .metadata
            .uid
            .get_or_insert_with(|| received.request().uid.clone());
        object.metadata.name.get_or_insert_with(|| "new".to_owned());
        // It would be sealed.
        Some(match convert::request(&object, Seal::Good) {
            Ok(request) => self.explain_request(&request),
            Err(error) => format!("It would be refused: {}.", safe(&error.to_string())),
        })
    }

    fn explain_request(&self, request: &Request) -> String {
        let rules = self.common.rules();
        let ruling = rules.policies.of_request(request, &rules.settings.prefix);
        let mut lines = vec![self.outcome(request, &ruling)];
        lines.extend(ruling.would_grant(request).map(|(missing, review)| {
            let missing = explain::forbids(&missing);
            match review.map(duration::show) {
                Some(within) => format!(
                    "In an emergency, at once: {missing}; it must be reviewed within {within}."
                ),
                None => format!("At once, though: {missing}."),
            }
        }));
        lines.extend(self.earlier(request, &rules));
        lines.join("\n")
    }

    fn outcome(&self, request: &Request, ruling: &Ruling<'_>) -> String {
        let interactive_off =
            request.ask.is_interactive() && !self.common.settings.allow_interactive;
        match ruling.outcome(request, &self.common.settings.prefix) {
            Foretold::Refused(forbidden) => {
                format!(
                    "It would be refused: {}.{}",
                    explain::forbids(&forbidden),
                    explain::contact(&forbidden)
                )
            }
            _ if interactive_off => {
                "It would be refused: the server runs without --allow-interactive.".to_owned()
            }
            Foretold::Allowed(policy) => {
                format!(
                    "No request is needed: policy {} allows it. Run it.",
                    safe(&policy.name)
                )
            }
            Foretold::Granted(granting) => {
                let review = granting.review_within.map(|within| {
                    format!(
                        ", as an emergency: somebody must review it within {}",
                        duration::show(within)
                    )
                });
                let review = review.unwrap_or_default();
                format!(
                    "A request for it would be granted at once, by policy {}{review}.",
                    safe(&granting.policy.name)
                )
            }
            Foretold::Waits(wanted) => self.waits(&wanted, ruling),
        }
    }

    fn waits(&self, wanted: &Wanted, ruling: &Ruling<'_>) -> String {
        let policies: Vec<String> = ruling
            .requiring()
            .map(|policy| safe(&policy.id.name))
            .collect();
        let because = if policies.is_empty() {
            String::new()
        } else {
            format!(" (policy {})", policies.join(", "))
        };
        let who = match (
            wanted.from.as_slice(),
            &self.common.settings.approvers.groups,
        ) {
            ([], None) => "somebody who may answer".to_owned(),
            ([], Some(groups)) => format!("somebody in {}", safe(&groups.join(", "))),
            (sets, _) => format!("one of {}", safe(&sets.join(", and one of "))),
        };
        match wanted.needed {
            0 | 1 => format!("Once it is asked for, {who} must grant it{because}."),
            needed => {
                format!("Once it is asked for, it needs {needed} approvals, by {who}{because}.")
            }
        }
    }

    /// Her own requests for the very same.
    fn earlier(&self, request: &Request, rules: &Rules) -> Vec<String> {
        let same = |other: &Request| other.ask == request.ask && other.target == request.target;
        let hers = self
            .common
            .index
            .candidates(&request.namespace, &request.user);
        let line = |candidate: &Arc<Candidate>| {
            let name = &candidate.request.name;
            match candidate.standing(self.common.now(), rules) {
                Standing::Pending => Some(format!("Your request {name} for it waits.")),
                Standing::Granted(access) => Some(format!(
                    "Your request {name} for it is granted until {}.",
                    access.until
                )),
                Standing::Denied(denial) => Some(format!(
                    "Your request {name} for it was denied by {}.",
                    safe(&denial.by)
                )),
                Standing::Forbidden(_)
                | Standing::Used { .. }
                | Standing::Expired { .. }
                | Standing::Revoked => None,
            }
        };
        hers.iter()
            .filter(|candidate| same(&candidate.request))
            .filter_map(line)
            .collect()
    }
}
