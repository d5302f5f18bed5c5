//! Whether a controller can have made what names it as its owner: by the name that it would have
//! given it.
//!
//! Whoever may patch a pod may write any owner into it. Names cannot be changed, and each
//! controller makes its own kind of them (kubernetes: `names.SimpleNameGenerator`, the job
//! controller's `podGenerateNameWithIndex`, the deployment controller's hash of the template).

use jiff::Timestamp;

/// A generated name's base is cut at this length.
const MAX_BASE_LEN: usize = 58;
/// Number of random characters that are appended to it.
const RANDOM: usize = 5;
/// What random parts and hashes are made of.
const ALPHABET: &str = "bcdfghjklmnpqrstvwxz2456789";

/// An object: its name, and when it was created.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Named<'a> {
    /// Its name.
    pub name: &'a str,
    /// When it was created, where the API server says.
    pub created: Option<Timestamp>,
}

/// Whether an owner of this kind can have made a pod.
pub fn made_pod(kind: &str, owner: Named<'_>, pod: Named<'_>) -> bool {
    match kind {
        "ReplicaSet" | "DaemonSet" => {
            is_generated(&format!("{}-", owner.name), pod.name) && is_younger(owner, pod)
        }
        "Job" => is_of_job(owner.name, pod.name) && is_younger(owner, pod),
        // One that is created anew takes over the pods of the one before.
        "StatefulSet" => is_ordinal(owner.name, pod.name),
        _ => false,
    }
}

/// Whether a Deployment can have made a ReplicaSet. It takes over those of an earlier one of its
/// name.
pub fn made_replica_set(deployment: &str, replica_set: &str) -> bool {
    let hash = replica_set
        .strip_prefix(deployment)
        .and_then(|rest| rest.strip_prefix('-'));
    hash.is_some_and(|hash| (1..=10).contains(&hash.len()) && is_random(hash))
}

fn is_younger(owner: Named<'_>, made: Named<'_>) -> bool {
    matches!((owner.created, made.created), (Some(owner), Some(made)) if owner <= made)
}

/// The base, cut, and five random characters.
fn is_generated(base: &str, name: &str) -> bool {
    let base = base.get(..MAX_BASE_LEN).unwrap_or(base);
    name.strip_prefix(base)
        .is_some_and(|rest| rest.len() == RANDOM && is_random(rest))
}

fn is_random(text: &str) -> bool {
    text.chars().all(|c| ALPHABET.contains(c))
}

/// With the index of a pod of an indexed job, or without one.
fn is_of_job(job: &str, pod: &str) -> bool {
    if is_generated(&format!("{job}-"), pod) {
        return true;
    }
    let Some((before, random)) = pod.rsplit_once('-') else {
        return false;
    };
    let Some((_, index)) = before.rsplit_once('-') else {
        return false;
    };
    let appended = format!("-{index}-");
    let room = MAX_BASE_LEN.saturating_sub(appended.len());
    let base = job.get(..room).unwrap_or(job);
    is_number(index)
        && is_random(random)
        && random.len() == RANDOM
        && before == format!("{base}-{index}")
}

fn is_ordinal(set: &str, pod: &str) -> bool {
    let ordinal = pod
        .strip_prefix(set)
        .and_then(|rest| rest.strip_prefix('-'));
    ordinal.is_some_and(is_number)
}

/// A number as it is written: without zeros before it.
fn is_number(text: &str) -> bool {
    text.parse::<u32>()
        .is_ok_and(|number| number.to_string() == text)
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    fn named(name: &str, second: i64) -> Named<'_> {
        Named {
            name,
            created: Some(Timestamp::from_second(second).unwrap()),
        }
    }

    #[rstest]
    #[case("ReplicaSet", "web-7d9f8c5b6d", "web-7d9f8c5b6d-x4k2z", true)]
    #[case("ReplicaSet", "web", "web-7d9f8c5b6d-x4k2z", false)]
    #[case("ReplicaSet", "web-7d9f8c5b6d", "web-7d9f8c5b6d", false)]
    #[case("ReplicaSet", "jane", "vault-0", false)]
    #[case("DaemonSet", "agent", "agent-x4k2z", true)]
    #[case("DaemonSet", "agent", "agent-x4k2", false)]
    #[case("DaemonSet", "agent", "agent-aeiou", false)]
    #[case("StatefulSet", "vault", "vault-0", true)]
    #[case("StatefulSet", "vault", "vault-12", true)]
    #[case("StatefulSet", "vault", "vault-00", false)]
    #[case("StatefulSet", "vault", "vault-x4k2z", false)]
    #[case("StatefulSet", "vau", "vault-0", false)]
    #[case("Job", "import", "import-x4k2z", true)]
    #[case("Job", "import", "import-3-x4k2z", true)]
    #[case("Job", "import", "import-x-x4k2z", false)]
    #[case("Job", "vault", "vault-0", false)]
    #[case("Deployment", "web", "web-x4k2z", false)]
    fn only_the_names_that_a_controller_gives_are_those_of_its_pods(
        #[case] kind: &str,
        #[case] owner: &str,
        #[case] pod: &str,
        #[case] made: bool,
    ) {
        assert_eq!(made_pod(kind, named(owner, 1), named(pod, 2)), made);
    }

    #[rstest]
    fn long_names_are_cut_as_kubernetes_cuts_them(#[values(57, 58, 60, 70)] length: usize) {
        let owner = "a".repeat(length);
        let base: String = format!("{owner}-").chars().take(58).collect();
        assert!(made_pod(
            "ReplicaSet",
            named(&owner, 1),
            named(&format!("{base}x4k2z"), 2)
        ));
        let indexed: String = owner.chars().take(55).collect();
        assert!(made_pod(
            "Job",
            named(&owner, 1),
            named(&format!("{indexed}-7-x4k2z"), 2)
        ));
    }

    #[rstest]
    #[case("ReplicaSet", "web", "web-x4k2z", false)]
    #[case("DaemonSet", "web", "web-x4k2z", false)]
    #[case("Job", "web", "web-x4k2z", false)]
    #[case("StatefulSet", "web", "web-0", true)]
    fn a_pod_that_is_older_was_made_by_another(
        #[case] kind: &str,
        #[case] owner: &str,
        #[case] pod: &str,
        #[case] made: bool,
    ) {
        assert_eq!(made_pod(kind, named(owner, 2), named(pod, 1)), made);
        assert_eq!(
            made_pod(
                kind,
                named(owner, 2),
                Named {
                    name: pod,
                    created: None
                }
            ),
            made
        );
    }

    #[rstest]
    #[case("web", "web-7d9f8c5b6d", true)]
    #[case("my-web", "my-web-5b6d", true)]
    #[case("my", "my-web-5b6d", false)]
    #[case("web", "web", false)]
    #[case("web", "web-", false)]
    #[case("web", "web-7d9f8c5b6d7", false)]
    fn a_replica_set_is_named_after_its_deployment(
        #[case] deployment: &str,
        #[case] set: &str,
        #[case] made: bool,
    ) {
        assert_eq!(made_replica_set(deployment, set), made);
    }
}
