//! What a request is for, as it is typed: `POD` or `TYPE/NAME`.

use api::GroupVersionResource;
use kube::core::ApiResource;

use decide::rules::is_name;
use decide::text::safe_word;

/// A pod, or the workload that runs it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Target {
    /// A pod, by name.
    Pod(String),
    /// A workload, by kind and name.
    Workload(Workload, String),
}

/// The kinds of workloads that a request can name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Workload {
    /// apps/v1 Deployment.
    Deployment,
    /// apps/v1 `StatefulSet`.
    StatefulSet,
    /// apps/v1 `DaemonSet`.
    DaemonSet,
    /// batch/v1 Job.
    Job,
}

/// Why a target is none.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TargetError {
    /// A kind whose pods cannot be requested.
    #[error(
        "access cannot be requested for {}: name a pod (POD or pod/NAME), or a workload \
         (deployment/NAME, statefulset/NAME, daemonset/NAME, job/NAME)",
        safe_word(text)
    )]
    UnknownKind {
        /// What was typed.
        text: String,
    },
    /// Not the name of any object.
    #[error(
        "{} is not the name of an object: a name has lower-case letters, digits, '-' and '.'",
        safe_word(text)
    )]
    BadName {
        /// What was typed.
        text: String,
    },
}

impl Target {
    /// Understands `POD`, `pod/NAME` and `TYPE/NAME`, with kubectl's plurals and short names.
    ///
    /// # Errors
    /// When the kind is another one, or the name cannot be that of an object.
    pub fn parse(text: &str) -> Result<Self, TargetError> {
        let (kind, name) = text.split_once('/').unwrap_or(("pod", text));
        if !is_name(name) {
            return Err(TargetError::BadName {
                text: text.to_owned(),
            });
        }
        match kind.to_ascii_lowercase().as_str() {
            "pod" | "pods" | "po" => Ok(Self::Pod(name.to_owned())),
            kind => match Workload::parse(kind) {
                Some(workload) => Ok(Self::Workload(workload, name.to_owned())),
                None => Err(TargetError::UnknownKind {
                    text: text.to_owned(),
                }),
            },
        }
    }
}

impl Workload {
    pub(crate) const ALL: [Self; 4] = [
        Self::Deployment,
        Self::StatefulSet,
        Self::DaemonSet,
        Self::Job,
    ];

    fn parse(kind: &str) -> Option<Self> {
        Self::ALL
            .into_iter()
            .find(|workload| workload.is_called(kind))
    }

    /// Which workload a stored resource is. `None`: a pod, or something this version does not know.
    pub fn of(resource: &GroupVersionResource) -> Option<Self> {
        Self::ALL.into_iter().find(|workload| {
            workload.group() == resource.group && workload.plural() == resource.resource
        })
    }

    /// As kubectl does: singular, plural, short name, each with or without the group behind it.
    fn is_called(self, kind: &str) -> bool {
        let (plain, group) = kind.split_once('.').unwrap_or((kind, self.group()));
        let versioned = format!("v1.{}", self.group());
        let known = [self.singular(), self.plural(), self.short()].contains(&plain);
        known && (group == self.group() || group == versioned)
    }

    /// `deployment`.
    pub fn singular(self) -> &'static str {
        match self {
            Self::Deployment => "deployment",
            Self::StatefulSet => "statefulset",
            Self::DaemonSet => "daemonset",
            Self::Job => "job",
        }
    }

    /// `deploy`.
    pub fn short(self) -> &'static str {
        match self {
            Self::Deployment => "deploy",
            Self::StatefulSet => "sts",
            Self::DaemonSet => "ds",
            Self::Job => "job",
        }
    }

    fn plural(self) -> &'static str {
        match self {
            Self::Deployment => "deployments",
            Self::StatefulSet => "statefulsets",
            Self::DaemonSet => "daemonsets",
            Self::Job => "jobs",
        }
    }

    fn kind(self) -> &'static str {
        match self {
            Self::Deployment => "Deployment",
            Self::StatefulSet => "StatefulSet",
            Self::DaemonSet => "DaemonSet",
            Self::Job => "Job",
        }
    }

    fn group(self) -> &'static str {
        match self {
            Self::Deployment | Self::StatefulSet | Self::DaemonSet => "apps",
            Self::Job => "batch",
        }
    }

    /// As it is stored in a request.
    pub fn resource(self) -> GroupVersionResource {
        GroupVersionResource {
            group: self.group().to_owned(),
            version: "v1".to_owned(),
            resource: self.plural().to_owned(),
        }
    }

    /// As the client asks for it.
    pub fn api_resource(self) -> ApiResource {
        ApiResource {
            group: self.group().to_owned(),
            version: "v1".to_owned(),
            api_version: format!("{}/v1", self.group()),
            kind: self.kind().to_owned(),
            plural: self.plural().to_owned(),
        }
    }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case("nginx")]
    #[case("pod/nginx")]
    #[case("pods/nginx")]
    #[case("po/nginx")]
    fn a_pod_is_named_as_kubectl_names_it(#[case] text: &str) {
        assert_eq!(Target::parse(text), Ok(Target::Pod("nginx".to_owned())));
    }

    #[rstest]
    #[case("deploy/nginx", Workload::Deployment)]
    #[case("deployment/nginx", Workload::Deployment)]
    #[case("deployments/nginx", Workload::Deployment)]
    #[case("deployments.apps/nginx", Workload::Deployment)]
    #[case("deployment.v1.apps/nginx", Workload::Deployment)]
    #[case("Deployment/nginx", Workload::Deployment)]
    #[case("sts/nginx", Workload::StatefulSet)]
    #[case("statefulset/nginx", Workload::StatefulSet)]
    #[case("ds/nginx", Workload::DaemonSet)]
    #[case("daemonsets/nginx", Workload::DaemonSet)]
    #[case("job/nginx", Workload::Job)]
    #[case("jobs.batch/nginx", Workload::Job)]
    fn a_workload_is_named_as_kubectl_names_it(#[case] text: &str, #[case] workload: Workload) {
        assert_eq!(
            Target::parse(text),
            Ok(Target::Workload(workload, "nginx".to_owned()))
        );
    }

    #[rstest]
    #[case("rs/nginx")]
    #[case("replicaset/nginx")]
    #[case("svc/nginx")]
    #[case("deploy.batch/nginx")]
    #[case("/nginx")]
    fn another_kind_is_refused_and_told_what_there_is(#[case] text: &str) {
        let error = Target::parse(text).unwrap_err();
        assert_eq!(
            error,
            TargetError::UnknownKind {
                text: text.to_owned()
            }
        );
        assert!(error.to_string().contains("statefulset/NAME"), "{error}");
    }

    #[rstest]
    #[case("")]
    #[case("deploy/")]
    #[case("deploy/a/b")]
    #[case("..")]
    #[case("a b")]
    #[case("pod/\u{1b}[2J")]
    fn what_cannot_be_a_name_is_refused(#[case] text: &str) {
        assert_eq!(
            Target::parse(text),
            Err(TargetError::BadName {
                text: text.to_owned()
            })
        );
    }

    #[test]
    fn what_is_stored_is_found_again() {
        for workload in Workload::ALL {
            assert_eq!(Workload::of(&workload.resource()), Some(workload));
        }
        assert_eq!(Workload::of(&GroupVersionResource::pods()), None);
    }
}
