//! Ephemeral containers, as `kubectl debug` adds them.

use std::collections::BTreeMap;

use crate::argv;

/// How a field that is not there is shown.
const NOTHING: &str = "nothing";

/// An ephemeral container: what is asked for, what is tried, or what a pod has.
///
/// What core/v1 has beyond the fields that people speak of is kept in [`Self::others`], as JSON in
/// a form in which equal meanings are equal texts. Nothing of a container is ever left out of a
/// comparison.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct DebugContainer {
    /// Its name. Where a request has none, any will do.
    pub name: Option<String>,
    /// The image.
    pub image: String,
    /// The container whose processes it sees.
    pub target: Option<String>,
    /// The entrypoint; the image's where it is empty.
    pub command: Vec<String>,
    /// The arguments; the image's where both are empty.
    pub args: Vec<String>,
    /// Whether standard input is kept open.
    pub stdin: bool,
    /// Whether it has a terminal.
    pub tty: bool,
    /// All other fields, by name, each as JSON: `securityContext`, `env`, ….
    pub others: BTreeMap<String, String>,
}

impl DebugContainer {
    /// Whether somebody who attaches could type into it.
    pub fn is_interactive(&self) -> bool {
        self.stdin || self.tty
    }

    /// The fields, as core/v1 names them, in which another container differs from this one that was
    /// asked for. Its name only where one was asked for; less than was asked for (no terminal, no
    /// standard input) is no difference.
    pub fn differences(&self, other: &Self) -> Vec<String> {
        let fields = [
            ("name", self.name.is_some() && self.name != other.name),
            ("image", self.image != other.image),
            ("targetContainerName", self.target != other.target),
            ("command", self.command != other.command),
            ("args", self.args != other.args),
            ("stdin", other.stdin && !self.stdin),
            ("tty", other.tty && !self.tty),
        ];
        let mut differences: Vec<String> = fields
            .into_iter()
            .filter(|(_, differs)| *differs)
            .map(|(field, _)| field.to_owned())
            .collect();
        let names = self.others.keys().chain(
            other
                .others
                .keys()
                .filter(|name| !self.others.contains_key(*name)),
        );
        differences.extend(
            names
                .filter(|name| self.others.get(*name) != other.others.get(*name))
                .cloned(),
        );
        differences
    }

    /// What a field says, as core/v1 names it, as JSON.
    pub fn field(&self, name: &str) -> String {
        let text = |text: Option<&String>| {
            text.map_or_else(|| NOTHING.to_owned(), |text| argv::quote_json(text))
        };
        match name {
            "name" => text(self.name.as_ref()),
            "image" => argv::quote_json(&self.image),
            "targetContainerName" => text(self.target.as_ref()),
            "command" => argv::show(&self.command),
            "args" => argv::show(&self.args),
            "stdin" => self.stdin.to_string(),
            "tty" => self.tty.to_string(),
            other => self
                .others
                .get(other)
                .cloned()
                .unwrap_or_else(|| NOTHING.to_owned()),
        }
    }

    /// Whether it has no more rights than a container of the pod may have: those of the profiles
    /// general, baseline and restricted. Whatever else is set counts as more.
    pub fn is_unprivileged(&self) -> bool {
        matches!(
            self.profile(),
            Some(Profile::General | Profile::Baseline | Profile::Restricted)
        )
    }

    /// All that it sets beside image, command and arguments, as one JSON object: whose processes it
    /// sees, and the fields of core/v1 that people seldom speak of. Empty: nothing.
    pub fn beside(&self) -> String {
        let target = self
            .target
            .as_ref()
            .map(|target| ("targetContainerName", argv::quote_json(target)));
        let others = self
            .others
            .iter()
            .map(|(field, json)| (field.as_str(), json.clone()));
        let fields: Vec<String> = target
            .into_iter()
            .chain(others)
            .map(|(field, json)| format!("{}:{json}", argv::quote_json(field)))
            .collect();
        if fields.is_empty() {
            String::new()
        } else {
            format!("{{{}}}", fields.join(","))
        }
    }

    /// The `--profile` of `kubectl debug` that gives this container its rights; `None` where no
    /// profile does.
    pub fn profile(&self) -> Option<Profile> {
        let rights = self.others.get(SECURITY_CONTEXT).map(String::as_str);
        Profile::ALL
            .into_iter()
            .find(|profile| profile.security_context() == rights)
    }
}

/// The field that profiles write.
pub const SECURITY_CONTEXT: &str = "securityContext";

/// The profiles of `kubectl debug`, and what each makes of an ephemeral container (kubectl 1.37,
/// `pkg/cmd/debug/profiles.go`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Profile {
    /// Processes can be traced. What kubectl takes where none is named.
    General,
    /// No rights of its own.
    Baseline,
    /// What the Pod Security Standard *restricted* wants.
    Restricted,
    /// The network can be changed.
    Netadmin,
    /// Everything: root on the node.
    Sysadmin,
}

impl Profile {
    /// All of them.
    pub const ALL: [Self; 5] = [
        Self::General,
        Self::Baseline,
        Self::Restricted,
        Self::Netadmin,
        Self::Sysadmin,
    ];

    /// Its name.
    pub fn name(self) -> &'static str {
        match self {
            Self::General => "general",
            Self::Baseline => "baseline",
            Self::Restricted => "restricted",
            Self::Netadmin => "netadmin",
            Self::Sysadmin => "sysadmin",
        }
    }

    /// The `securityContext` that it writes, as JSON with sorted keys.
    pub fn security_context(self) -> Option<&'static str> {
        match self {
            Self::General => Some(r#"{"capabilities":{"add":["SYS_PTRACE"]}}"#),
            Self::Baseline => None,
            Self::Restricted => Some(
                r#"{"allowPrivilegeEscalation":false,"capabilities":{"drop":["ALL"]},"runAsNonRoot":true,"seccompProfile":{"type":"RuntimeDefault"}}"#,
            ),
            Self::Netadmin => Some(r#"{"capabilities":{"add":["NET_ADMIN","NET_RAW"]}}"#),
            Self::Sysadmin => Some(r#"{"privileged":true}"#),
        }
    }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    #[test]
    fn all_that_a_container_sets_is_one_json_object() {
        let mut container = asked();
        container
            .others
            .insert("env".to_owned(), r#"[{"name":"A","value":"b"}]"#.to_owned());
        let beside = container.beside();
        assert!(
            beside
                .starts_with(r#"{"targetContainerName":"nginx","env":[{"name":"A","value":"b"}]"#),
            "{beside}"
        );
        assert_eq!(DebugContainer::default().beside(), "");
    }

    fn asked() -> DebugContainer {
        DebugContainer {
            image: "busybox".to_owned(),
            target: Some("nginx".to_owned()),
            stdin: true,
            others: BTreeMap::from([(
                SECURITY_CONTEXT.to_owned(),
                r#"{"privileged":true}"#.to_owned(),
            )]),
            ..DebugContainer::default()
        }
    }

    #[rstest]
    #[case::another_image(|c: &mut DebugContainer| c.image = "evil".to_owned(), "image")]
    #[case::another_target(|c: &mut DebugContainer| c.target = None, "targetContainerName")]
    #[case::a_command(|c: &mut DebugContainer| c.command = vec!["sh".to_owned()], "command")]
    #[case::arguments(|c: &mut DebugContainer| c.args = vec!["-c".to_owned()], "args")]
    #[case::a_terminal(|c: &mut DebugContainer| c.tty = true, "tty")]
    #[case::fewer_rights(|c: &mut DebugContainer| c.others.clear(), SECURITY_CONTEXT)]
    #[case::something_new(|c: &mut DebugContainer| drop(c.others.insert("env".to_owned(), "[1]".to_owned())), "env")]
    fn whatever_differs_is_named(#[case] change: fn(&mut DebugContainer), #[case] field: &str) {
        let mut other = asked();
        change(&mut other);
        assert_eq!(asked().differences(&other), [field]);
    }

    #[test]
    fn any_name_will_do_unless_one_was_asked_for() {
        let named = DebugContainer {
            name: Some("debugger-x".to_owned()),
            ..asked()
        };
        assert!(asked().differences(&named).is_empty());
        assert_eq!(
            named.differences(&DebugContainer {
                name: Some("other".to_owned()),
                ..asked()
            }),
            ["name"]
        );
    }

    #[test]
    fn less_standard_input_is_no_difference() {
        assert!(
            asked()
                .differences(&DebugContainer {
                    stdin: false,
                    ..asked()
                })
                .is_empty()
        );
    }

    #[test]
    fn a_profile_is_known_by_the_rights_it_gives() {
        assert_eq!(asked().profile(), Some(Profile::Sysadmin));
        assert_eq!(DebugContainer::default().profile(), Some(Profile::Baseline));
        let own = BTreeMap::from([(SECURITY_CONTEXT.to_owned(), r#"{"runAsUser":0}"#.to_owned())]);
        assert_eq!(
            DebugContainer {
                others: own,
                ..asked()
            }
            .profile(),
            None
        );
    }
}
