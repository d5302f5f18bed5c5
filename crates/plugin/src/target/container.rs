//! Which container a request is for, chosen as kubectl chooses it.

use k8s_openapi::api::core::v1::PodSpec;

use decide::text::safe_word;

/// The annotation of a pod, or of a workload's pod template, that names the container which is
/// meant when none is.
pub const DEFAULT_CONTAINER: &str = "kubectl.kubernetes.io/default-container";

/// A container, and what is worth telling about the choice.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Choice {
    /// Its name.
    pub name: String,
    /// For standard error: what was chosen where several were possible, as kubectl tells it.
    pub note: Option<String>,
}

/// Why there is no container to choose.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ContainerError {
    /// No container of that name.
    #[error("container {} not found in {place}: it has {}", safe_word(asked), there.join(", "))]
    NotThere {
        /// The name that was asked for.
        asked: String,
        /// The pod or workload.
        place: String,
        /// The containers there are.
        there: Vec<String>,
    },
    /// No container at all.
    #[error("{place} has no containers")]
    Empty {
        /// The pod or workload.
        place: String,
    },
}

/// The container named by `-c`, else by the annotation, else the first. `place` is the pod or
/// workload, for messages.
///
/// # Errors
/// When there is none, or none of the name that was asked for.
pub fn choose(
    place: &str,
    spec: &PodSpec,
    annotated: Option<&str>,
    asked: Option<&str>,
) -> Result<Choice, ContainerError> {
    let first = spec
        .containers
        .first()
        .ok_or_else(|| ContainerError::Empty {
            place: place.to_owned(),
        })?;
    match (asked, annotated) {
        (Some(asked), _) if has(spec, asked) => Ok(Choice {
            name: asked.to_owned(),
            note: None,
        }),
        (Some(asked), _) => Err(ContainerError::NotThere {
            asked: asked.to_owned(),
            place: place.to_owned(),
            there: listed(spec),
        }),
        (None, Some(annotated)) if has(spec, annotated) => Ok(Choice {
            name: annotated.to_owned(),
            note: None,
        }),
        (None, _) => Ok(Choice {
            name: first.name.clone(),
            note: defaulted(&first.name, spec),
        }),
    }
}

fn defaulted(name: &str, spec: &PodSpec) -> Option<String> {
    let all = listed(spec);
    (all.len() > 1).then(|| format!("Defaulted container {name:?} out of: {}", all.join(", ")))
}

/// Whether a pod has a container of that name, of whatever sort.
pub fn has(spec: &PodSpec, name: &str) -> bool {
    all(spec).any(|(there, _)| there == name)
}

fn listed(spec: &PodSpec) -> Vec<String> {
    all(spec)
        .map(|(name, kind)| format!("{}{kind}", safe_word(name)))
        .collect()
}

/// Names of all containers, each with how kubectl marks its sort.
fn all(spec: &PodSpec) -> impl Iterator<Item = (&str, &'static str)> {
    let plain = spec
        .containers
        .iter()
        .map(|container| (container.name.as_str(), ""));
    let init = spec
        .init_containers
        .iter()
        .flatten()
        .map(|container| (container.name.as_str(), " (init)"));
    let ephemeral = spec
        .ephemeral_containers
        .iter()
        .flatten()
        .map(|container| (container.name.as_str(), " (ephem)"));
    plain.chain(init).chain(ephemeral)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn two() -> PodSpec {
        serde_json::from_value(json!({
            "containers": [{"name": "nginx"}, {"name": "proxy"}],
            "initContainers": [{"name": "setup"}],
            "ephemeralContainers": [{"name": "debugger"}],
        }))
        .unwrap()
    }

    #[test]
    fn the_first_container_is_chosen_and_the_choice_is_told() {
        let choice = choose("pod web", &two(), None, None).unwrap();
        assert_eq!(choice.name, "nginx");
        assert_eq!(
            choice.note.as_deref(),
            Some(
                r#"Defaulted container "nginx" out of: nginx, proxy, setup (init), debugger (ephem)"#
            )
        );
    }

    #[test]
    fn the_annotation_goes_before_the_first() {
        let choice = choose("pod web", &two(), Some("proxy"), None).unwrap();
        assert_eq!(
            choice,
            Choice {
                name: "proxy".to_owned(),
                note: None
            }
        );
    }

    #[test]
    fn an_annotation_that_names_nothing_is_passed_over() {
        assert_eq!(
            choose("pod web", &two(), Some("gone"), None).unwrap().name,
            "nginx"
        );
    }

    #[test]
    fn a_container_that_is_asked_for_goes_before_all() {
        assert_eq!(
            choose("pod web", &two(), Some("proxy"), Some("debugger"))
                .unwrap()
                .name,
            "debugger"
        );
    }

    #[test]
    fn a_container_that_is_not_there_is_refused_with_those_that_are() {
        let error = choose("pod web", &two(), Some("proxy"), Some("ngnix")).unwrap_err();
        assert_eq!(
            error.to_string(),
            "container ngnix not found in pod web: it has nginx, proxy, setup (init), debugger (ephem)"
        );
    }

    #[test]
    fn a_pod_without_containers_is_refused() {
        let error = choose("pod web", &PodSpec::default(), None, None).unwrap_err();
        assert_eq!(error.to_string(), "pod web has no containers");
    }
}
