//! Who somebody is, by what the API server says of her; never by what she writes herself.

use std::borrow::Cow;

/// Somebody, as a review names her.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Caller {
    /// The user name as the authenticator gives it, with its prefix.
    pub username: String,
    /// The unique id, where the authenticator gives one.
    pub uid: Option<String>,
    /// The groups.
    pub groups: Vec<String>,
}

/// Somebody, as our objects name her: without the authenticator's prefix.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Person {
    /// The name.
    pub name: String,
    /// The unique id, where there is one.
    pub uid: Option<String>,
}

impl Person {
    /// Whether two names may belong to one human: the same name, or the same unique id.
    ///
    /// For refusing only (nobody grants her own request): it errs towards yes.
    pub fn may_be(&self, other: &Self) -> bool {
        self.name == other.name || (self.uid.is_some() && self.uid == other.uid)
    }

    /// Whether this is a program's account and not a human: it answers nobody's request.
    pub fn is_service_account(&self) -> bool {
        self.name.starts_with("system:serviceaccount:")
    }

    /// Whether this is certainly the person meant by `stored`: the same name, byte for byte, and
    /// the same unique id where one was stored. The same name from another authenticator is
    /// somebody else.
    pub fn is(&self, stored: &Self) -> bool {
        self.name == stored.name
            && stored
                .uid
                .as_ref()
                .is_none_or(|uid| self.uid.as_ref() == Some(uid))
    }
}

/// Whose share of what is limited a user takes: everybody their own, but all ServiceAccounts of a
/// namespace one, named as the group of them. Whoever administers a namespace makes as many of
/// these as they like.
///
/// ```
/// # use kra_decide::identity::share;
/// assert_eq!(share("jane"), "jane");
/// assert_eq!(share("system:serviceaccount:ci:bot"), share("system:serviceaccount:ci:other"));
/// assert_eq!(share("system:serviceaccount:ci:bot"), "system:serviceaccounts:ci");
/// ```
pub fn share(username: &str) -> Cow<'_, str> {
    let program = username
        .strip_prefix("system:serviceaccount:")
        .and_then(|rest| rest.split_once(':'));
    program.map_or(Cow::Borrowed(username), |(namespace, _)| {
        Cow::Owned(format!("system:serviceaccounts:{namespace}"))
    })
}

/// The prefix that the cluster's authenticator puts before names (`--username-prefix`).
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct NamePrefix(String);

/// Names of the system's own users, which no authenticator prefixes.
const SYSTEM: &str = "system:";

impl NamePrefix {
    /// A prefix; empty for none.
    pub fn new(prefix: impl Into<String>) -> Self {
        Self(prefix.into())
    }

    /// The name under which objects carry a user that a review names, or `None` where no object can
    /// be hers: the prefix is missing, or taking it away would make a system name of it.
    ///
    /// ```
    /// # use kra_decide::identity::NamePrefix;
    /// let prefix = NamePrefix::new("oidc:");
    /// assert_eq!(prefix.stored("oidc:jane"), Some("jane"));
    /// assert_eq!(prefix.stored("jane"), None);
    /// assert_eq!(prefix.stored("system:serviceaccount:ci:bot"), Some("system:serviceaccount:ci:bot"));
    /// assert_eq!(prefix.stored("oidc:system:admin"), None);
    /// ```
    pub fn stored<'a>(&self, username: &'a str) -> Option<&'a str> {
        if self.0.is_empty() || username.starts_with(SYSTEM) {
            return Some(username).filter(|name| !name.is_empty());
        }
        let name = username.strip_prefix(self.0.as_str())?;
        Some(name).filter(|name| !name.is_empty() && !name.starts_with(SYSTEM))
    }

    /// A name that somebody wrote, with the prefix or without it, as objects carry it.
    pub fn written<'a>(&self, name: &'a str) -> &'a str {
        name.strip_prefix(self.0.as_str()).unwrap_or(name)
    }

    /// The prefix itself; empty for none.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The user name that RBAC knows: the stored name with the prefix back before it.
    pub fn subject(&self, stored: &str) -> String {
        if stored.starts_with(SYSTEM) {
            stored.to_owned()
        } else {
            format!("{}{stored}", self.0)
        }
    }

    /// The caller as objects name her, or `None` where no object can be hers.
    pub fn person(&self, caller: &Caller) -> Option<Person> {
        let name = self.stored(&caller.username)?.to_owned();
        Some(Person {
            name,
            uid: caller.uid.clone(),
        })
    }
}

/// The users and groups that flags list, such as those who need no request.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Listed {
    /// User names, whole: with the authenticator's prefix where they have one.
    pub users: Vec<String>,
    /// Group names, exactly as the authenticator gives them.
    pub groups: Vec<String>,
}

impl Listed {
    /// Whether the caller is one of them: byte for byte, and by her whole name. An entry without
    /// the authenticator's prefix is somebody whom another authenticator knows (a certificate user,
    /// a program), never whoever picks that name at the identity provider.
    pub fn includes(&self, caller: &Caller) -> bool {
        let user = |entry: &String| !entry.is_empty() && *entry == caller.username;
        let group = |entry: &String| !entry.is_empty() && caller.groups.contains(entry);
        self.users.iter().any(user) || self.groups.iter().any(group)
    }
}

/// Who may answer requests, beside what RBAC says (`--approver-group`,
/// `--approver-service-account`).
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Approvers {
    /// Only members of these groups, where they are configured: with an empty list nobody.
    pub groups: Option<Vec<String>>,
    /// The programs that may answer, whole names of service accounts: no other program ever does.
    pub programs: Vec<String>,
}

/// Why somebody may not answer requests.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NoApprover {
    /// A program that is not listed.
    Program,
    /// Not a member of any of the groups.
    Group,
}

impl Approvers {
    /// Whether somebody with these groups may answer requests: names and groups are compared byte
    /// for byte.
    ///
    /// # Errors
    /// She may not.
    pub fn check(&self, groups: &[String], person: &Person) -> Result<(), NoApprover> {
        if person.is_service_account() {
            return if self.lists(&person.name) {
                Ok(())
            } else {
                Err(NoApprover::Program)
            };
        }
        let member = |listed: &Vec<String>| {
            listed
                .iter()
                .any(|group| !group.is_empty() && groups.contains(group))
        };
        if self.groups.as_ref().is_none_or(member) {
            Ok(())
        } else {
            Err(NoApprover::Group)
        }
    }

    fn lists(&self, program: &str) -> bool {
        self.programs.iter().any(|listed| listed == program)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use rstest::rstest;

    use super::*;

    fn person(name: &str, uid: Option<&str>) -> Person {
        Person {
            name: name.to_owned(),
            uid: uid.map(str::to_owned),
        }
    }

    #[rstest]
    #[case("", "jane", Some("jane"))]
    #[case("", "", None)]
    #[case("oidc:", "oidc:", None)]
    #[case("oidc:", "oidc:oidc:jane", Some("oidc:jane"))]
    #[case("oidc:", "jane-oidc:", None)]
    fn a_prefix_is_taken_away_only_where_it_is_one(
        #[case] prefix: &str,
        #[case] username: &str,
        #[case] stored: Option<&str>,
    ) {
        assert_eq!(NamePrefix::new(prefix).stored(username), stored);
    }

    // H12
    #[test]
    fn the_same_name_from_another_authenticator_is_somebody_else() {
        assert!(person("jane", Some("1")).is(&person("jane", Some("1"))));
        assert!(person("jane", Some("1")).is(&person("jane", None)));
        assert!(!person("jane", Some("2")).is(&person("jane", Some("1"))));
        assert!(!person("jane", None).is(&person("jane", Some("1"))));
    }

    #[test]
    fn the_same_uid_under_another_name_may_be_the_same_human() {
        assert!(person("jane", Some("1")).may_be(&person("janet", Some("1"))));
        assert!(!person("jane", None).may_be(&person("janet", None)));
    }

    #[rstest]
    #[case("admin", &[], true)]
    #[case("oidc:admin", &[], false)]
    #[case("admins", &[], false)]
    #[case("x-admin", &[], false)]
    #[case("jane", &["sre"], true)]
    #[case("jane", &["SRE"], false)]
    #[case("jane", &["sre "], false)]
    fn always_allowed_is_compared_byte_for_byte(
        #[case] username: &str,
        #[case] groups: &[&str],
        #[case] is: bool,
    ) {
        let always = Listed {
            users: vec!["admin".into(), String::new()],
            groups: vec!["sre".into()],
        };
        let caller = Caller {
            username: username.to_owned(),
            uid: None,
            groups: groups.iter().map(|&group| group.to_owned()).collect(),
        };
        assert_eq!(always.includes(&caller), is);
    }

    #[rstest]
    #[case("oidc:admin", true)]
    #[case("oidc:oidc:admin", false)]
    #[case("admin", false)]
    fn an_always_allowed_name_with_the_prefix_gets_no_second_one(
        #[case] username: &str,
        #[case] is: bool,
    ) {
        let always = Listed {
            users: vec!["oidc:admin".into()],
            groups: Vec::new(),
        };
        let caller = Caller {
            username: username.to_owned(),
            ..Caller::default()
        };
        assert_eq!(always.includes(&caller), is);
    }

    // H8, H9
    #[rstest]
    #[case::no_groups_are_configured(None, &["devs"], Ok(()))]
    #[case::a_member(Some(&["sre", "oncall"][..]), &["oncall"], Ok(()))]
    #[case::no_member(Some(&["sre"][..]), &["devs"], Err(NoApprover::Group))]
    #[case::another_case(Some(&["sre"][..]), &["SRE"], Err(NoApprover::Group))]
    #[case::a_space(Some(&["sre"][..]), &["sre "], Err(NoApprover::Group))]
    #[case::an_empty_list(Some(&[][..]), &["sre"], Err(NoApprover::Group))]
    #[case::an_empty_name(Some(&[""][..]), &["", "sre"], Err(NoApprover::Group))]
    fn approvers_are_members_of_a_configured_group(
        #[case] configured: Option<&[&str]>,
        #[case] groups: &[&str],
        #[case] outcome: Result<(), NoApprover>,
    ) {
        let owned = |names: &[&str]| {
            names
                .iter()
                .map(|&name| name.to_owned())
                .collect::<Vec<String>>()
        };
        let approvers = Approvers {
            groups: configured.map(owned),
            programs: Vec::new(),
        };
        assert_eq!(
            approvers.check(&owned(groups), &person("amy", None)),
            outcome
        );
    }

    #[test]
    fn programs_answer_only_where_they_are_listed() {
        let bot = person("system:serviceaccount:ci:bot", None);
        let mut approvers = Approvers {
            groups: Some(vec!["sre".to_owned()]),
            programs: Vec::new(),
        };
        assert_eq!(approvers.check(&[], &bot), Err(NoApprover::Program));
        approvers.programs = vec![bot.name.clone()];
        assert_eq!(approvers.check(&[], &bot), Ok(()));
        assert!(
            approvers
                .check(&[], &person("system:serviceaccount:ci:bot2", None))
                .is_err()
        );
    }

    proptest! {
        #[test]
        fn a_stored_name_leads_back_to_the_only_user_it_belongs_to(prefix in "[a-z]{0,4}:?", name in "\\PC{1,20}") {
            let prefix = NamePrefix::new(prefix);
            if let Some(stored) = prefix.stored(&name) {
                prop_assert_eq!(prefix.subject(stored), name);
            }
        }
    }
}
