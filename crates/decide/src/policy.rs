//! Policies: what needs no request, what needs more than one approval, and what nobody may.
//!
//! Of all policies that match, `Deny` wins, then `Require`, then `Allow`; where none matches, one
//! approval is needed. A restriction matches where it may concern what is done, a permission only
//! where it certainly does.

use std::{collections::BTreeMap, time::Duration};

use regex::{Regex, RegexBuilder};

use crate::{
    access::{Ask, Command, Grant, Request, Validity},
    attempt::{Action, Attempt, Door},
    duration,
    identity::{NamePrefix, Person},
    namespaces::NamespaceGlob,
    policy_id::PolicyId,
    proxy::{ProxyResource, ProxyRule},
};

/// The most approvals that a policy may require.
pub const MAX_APPROVALS: u32 = 16;
/// The longest that a policy may give to review an emergency.
pub const MAX_REVIEW: Duration = Duration::from_hours(720);
/// So large a compiled pattern may be, in bytes.
const LARGEST_PATTERN: usize = 64 * 1024;

/// A policy.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Policy {
    /// Which it is.
    pub id: PolicyId,
    /// For whom.
    pub who: Who,
    /// Where. Empty: everywhere.
    pub namespaces: Vec<NamespaceGlob>,
    /// Which doors. Empty: all.
    pub doors: Vec<Door>,
    /// Which commands of exec. Empty: any.
    pub commands: Vec<CommandRule>,
    /// With `Allow`: what it lets through behind which proxies.
    pub proxies: Vec<ProxyRule>,
    /// What it does.
    pub effect: Effect,
    /// Whom to ask about it.
    pub contact: Option<String>,
}

/// For whom a policy is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Who {
    /// For everybody.
    Everybody,
    /// For these.
    Listed(Vec<Subject>),
}

/// A subject, as RBAC names it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Subject {
    /// A user, by the whole name that the API server gives her. Never a program.
    User(String),
    /// A group.
    Group(String),
    /// A program, by its whole user name. A permission reaches a program by its name only, never by
    /// a group.
    ServiceAccount(String),
}

/// A command that a policy is about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CommandRule {
    /// This one, argument by argument.
    Exactly(Vec<String>),
    /// Any whose first argument is this, byte for byte.
    Program(String),
}

/// What a policy does.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Effect {
    /// Nobody need approve.
    Allow(Allow),
    /// Several must approve, or under conditions.
    Require(Require),
    /// Nobody may.
    Deny {
        /// Why, where the policy is not understood.
        fault: Option<String>,
    },
}

/// What is allowed without an approval.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Allow {
    /// Whether somebody may type into it.
    pub interactive: bool,
    /// Whether a debug container may have rights beyond those of a container of the pod.
    pub privileged: bool,
    /// What a request must say. With a reason or keys, only a request is granted, not the plain
    /// attempt.
    pub terms: Terms,
    /// For emergencies: within this time somebody must review it. Only a request is granted, once
    /// that is written down.
    pub emergency: Option<Duration>,
}

impl Allow {
    /// Whether it needs no request.
    pub(crate) fn is_plain(&self) -> bool {
        self.terms.asks_nothing() && self.emergency.is_none()
    }
}

/// What is required.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Require {
    /// How many people must approve, at least one.
    pub approvals: u32,
    /// Who must: one of each set at least, and nobody else counts. Empty: whoever may answer.
    pub sets: Vec<ApproverSet>,
    /// Whether nobody may type into it.
    pub non_interactive: bool,
    /// What a request must say.
    pub terms: Terms,
}

/// People of whom one must approve.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ApproverSet {
    /// What it is called in texts.
    pub name: String,
    /// The people.
    pub subjects: Vec<Subject>,
}

/// What a request must say.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Terms {
    /// How long the access lasts at most.
    pub valid_for: Option<Duration>,
    /// Which reason it gives.
    pub reason: Option<TextRule>,
    /// Which custom keys it has.
    pub keys: BTreeMap<String, TextRule>,
}

/// What a text must be like.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct TextRule {
    /// The whole of it, where more is wanted than that there is one.
    pub pattern: Option<Pattern>,
    /// What to tell whoever asks.
    pub prompt: Option<String>,
}

/// A regular expression for a whole text.
#[derive(Debug, Clone)]
pub struct Pattern {
    written: String,
    regex: Regex,
}

impl Pattern {
    /// A pattern, in the syntax of Rust's regex crate: RE2's, without look-around.
    ///
    /// # Errors
    /// It is none, or takes too much room.
    pub fn new(written: &str) -> Result<Self, String> {
        let whole = format!("^(?:{written})$");
        // Alone first: with a parenthesis too many it would be another inside of ours.
        let check = |text: &str| {
            RegexBuilder::new(text)
                .size_limit(LARGEST_PATTERN)
                .nest_limit(32)
                .build()
        };
        let fault = |error: regex::Error| {
            if matches!(error, regex::Error::CompiledTooBig(_)) {
                "it takes too much room".to_owned()
            } else {
                "it is not a regular expression (RE2 syntax)".to_owned()
            }
        };
        let regex = check(written).and_then(|_| check(&whole)).map_err(fault)?;
        Ok(Self {
            written: written.to_owned(),
            regex,
        })
    }

    /// As it was written.
    pub fn written(&self) -> &str {
        &self.written
    }
}

impl PartialEq for Pattern {
    fn eq(&self, other: &Self) -> bool {
        self.written == other.written
    }
}

impl Eq for Pattern {}

impl TextRule {
    fn accepts(&self, text: &str) -> bool {
        // As long as the schema lets a reason be; a dry run comes here before that is looked at.
        text.len() <= 4096
            && !text.trim().is_empty()
            && self
                .pattern
                .as_ref()
                .is_none_or(|pattern| pattern.regex.is_match(text))
    }
}

/// What of a request does not meet the terms of a policy. The texts are for whoever asks.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Unmet {
    /// It asks for too long.
    #[error("at most {} (--valid-for)", duration::show(*.most))]
    TooLong {
        /// The longest.
        most: Duration,
    },
    /// No reason, or not such a one.
    #[error("a reason (--reason){}", hint(.rule))]
    Reason {
        /// What it must be like.
        rule: TextRule,
    },
    /// A key is missing or not such a one.
    #[error("the key {key} (--custom-key {key}=…){}", hint(.rule))]
    Key {
        /// Its name.
        key: String,
        /// What its value must be like.
        rule: TextRule,
    },
    /// Somebody could type into it.
    #[error("non-interactive access only (without -i and -t)")]
    Interactive,
}

fn hint(rule: &TextRule) -> String {
    match (&rule.prompt, &rule.pattern) {
        (Some(prompt), _) => format!(": {prompt}"),
        (None, Some(pattern)) => format!(" that matches {}", pattern.written()),
        (None, None) => String::new(),
    }
}

impl Terms {
    /// Whether a request meets them.
    ///
    /// # Errors
    /// The first that it does not.
    pub fn check(&self, request: &Request) -> Result<(), Unmet> {
        if let (Some(most), Validity::For(asked)) = (self.valid_for, request.validity)
            && asked > most
        {
            return Err(Unmet::TooLong { most });
        }
        self.check_texts(request)
    }

    pub(crate) fn check_texts(&self, request: &Request) -> Result<(), Unmet> {
        let reason = request.reason.as_deref().unwrap_or_default();
        if let Some(rule) = self.reason.as_ref().filter(|rule| !rule.accepts(reason)) {
            return Err(Unmet::Reason { rule: rule.clone() });
        }
        let value = |key: &String| {
            request
                .keys
                .get(key)
                .map(String::as_str)
                .unwrap_or_default()
        };
        match self
            .keys
            .iter()
            .find(|(key, rule)| !rule.accepts(value(key)))
        {
            Some((key, rule)) => Err(Unmet::Key {
                key: key.clone(),
                rule: rule.clone(),
            }),
            None => Ok(()),
        }
    }

    fn asks_nothing(&self) -> bool {
        self.reason.is_none() && self.keys.is_empty()
    }
}

/// What somebody does or asks for, as policies look at it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Deed<'a> {
    /// Who, by the whole name that the API server gives her.
    pub username: String,
    /// Her groups.
    pub groups: &'a [String],
    /// Where.
    pub namespace: &'a str,
    /// Through which door.
    pub door: Door,
    /// What runs.
    pub command: Runs<'a>,
    /// Whether somebody can type into it.
    pub interactive: bool,
    /// Whether it is a debug container with rights beyond those of a container of the pod.
    pub privileged: bool,
}

/// What runs, as far as it can be told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Runs<'a> {
    /// This command.
    Exactly(std::borrow::Cow<'a, [String]>),
    /// Whatever is sent.
    Anything,
}

impl<'a> Deed<'a> {
    /// What an attempt does.
    pub fn of(attempt: &'a Attempt) -> Self {
        Self {
            username: attempt.caller.username.clone(),
            groups: &attempt.caller.groups,
            namespace: &attempt.namespace,
            door: attempt.door(),
            command: match &attempt.action {
                Action::Exec(exec) => Runs::Exactly((&exec.command).into()),
                Action::Attach(_) | Action::PortForward | Action::Debug(_) => Runs::Anything,
            },
            interactive: attempt.action.is_interactive(),
            privileged: matches!(&attempt.action, Action::Debug(addition) if !addition.container.is_unprivileged()),
        }
    }

    /// What a request asks for.
    pub fn asked(request: &'a Request, prefix: &NamePrefix) -> Self {
        Self {
            username: prefix.subject(&request.user.name),
            groups: &request.groups,
            namespace: &request.namespace,
            door: request.ask.door(),
            command: match &request.ask {
                Ask::Exec(ask) => match &ask.command {
                    Command::Exactly(argv) => Runs::Exactly(argv.into()),
                    Command::Any => Runs::Anything,
                },
                Ask::Copy(copy) => Runs::Exactly(copy.command().into()),
                Ask::Attach(_) | Ask::PortForward | Ask::Debug(_) => Runs::Anything,
            },
            interactive: request.ask.is_interactive(),
            privileged: matches!(&request.ask, Ask::Debug(ask) if !ask.container.is_unprivileged()),
        }
    }
}

/// A connection through a proxy, as policies look at it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Through<'a> {
    /// Who, by the whole name that the API server gives her.
    pub username: &'a str,
    /// Her groups.
    pub groups: &'a [String],
    /// Where; nodes are nowhere.
    pub namespace: Option<&'a str>,
    /// Whose proxy.
    pub resource: ProxyResource,
    /// The port, where one is named.
    pub port: Option<&'a str>,
    /// The path behind it, from the slash on.
    pub path: &'a str,
}

impl Policy {
    /// Whether it refuses what goes through a proxy: nobody can approve that, and so what requires
    /// something does too.
    pub(crate) fn may_refuse(&self, through: &Through<'_>) -> bool {
        let who = self.may_mean(through.username, through.groups);
        let place = self.namespaces.is_empty()
            || through
                .namespace
                .is_none_or(|namespace| self.is_in(namespace));
        who && place && self.doors.is_empty() && !matches!(self.effect, Effect::Allow(_))
    }

    /// Whether it lets somebody through whom it names, to a path that it names.
    pub(crate) fn lets_through(&self, through: &Through<'_>) -> bool {
        let place = match (through.resource, through.namespace) {
            (ProxyResource::Nodes, None) => true,
            (ProxyResource::Pods | ProxyResource::Services, Some(namespace)) => {
                self.is_in(namespace)
            }
            (ProxyResource::Nodes, Some(_))
            | (ProxyResource::Pods | ProxyResource::Services, None) => false,
        };
        let leads = |rule: &ProxyRule| rule.leads_to(through.resource, through.port, through.path);
        let plain = matches!(&self.effect, Effect::Allow(allow) if allow.is_plain());
        plain
            && self.names(through.username, through.groups)
            && place
            && self.proxies.iter().any(leads)
    }

    /// Whether it is for somebody, as restrictions are.
    fn may_mean(&self, username: &str, groups: &[String]) -> bool {
        match &self.who {
            Who::Everybody => true,
            Who::Listed(subjects) => subjects
                .iter()
                .any(|subject| subject.names(username, groups)),
        }
    }

    /// Whether it names somebody. A permission reaches a program by its name only.
    fn names(&self, username: &str, groups: &[String]) -> bool {
        let Who::Listed(subjects) = &self.who else {
            return false;
        };
        subjects.iter().any(|subject| match subject {
            Subject::Group(_) if is_program(username) => false,
            Subject::User(_) | Subject::Group(_) | Subject::ServiceAccount(_) => {
                subject.names(username, groups)
            }
        })
    }

    fn is_in(&self, namespace: &str) -> bool {
        self.namespaces.iter().any(|glob| glob.includes(namespace))
    }

    /// Whether it may concern what is done: what is not certain does.
    pub(crate) fn may_concern(&self, deed: &Deed<'_>) -> bool {
        let who = self.may_mean(&deed.username, deed.groups);
        let command = self.commands.is_empty()
            || deed.door == Door::Exec
                && match &deed.command {
                    Runs::Exactly(argv) => self.commands.iter().any(|rule| rule.is_for(argv)),
                    Runs::Anything => true,
                };
        who && self.is_here(deed) && command
    }

    /// Whether it certainly is for what is done, by somebody whom it names.
    pub(crate) fn permits(&self, deed: &Deed<'_>, allow: &Allow) -> bool {
        let named = self.names(&deed.username, deed.groups);
        let command = self.commands.is_empty()
            || deed.door == Door::Exec
                && matches!(&deed.command, Runs::Exactly(argv) if self.commands.iter().any(|rule| rule.is_for(argv)));
        let place = !self.namespaces.is_empty() && !self.doors.is_empty() && self.is_here(deed);
        let limits =
            (allow.interactive || !deed.interactive) && (allow.privileged || !deed.privileged);
        named && place && command && limits
    }

    fn is_here(&self, deed: &Deed<'_>) -> bool {
        (self.namespaces.is_empty() || self.is_in(deed.namespace))
            && (self.doors.is_empty() || self.doors.contains(&deed.door))
    }
}

fn is_program(username: &str) -> bool {
    Person {
        name: username.to_owned(),
        uid: None,
    }
    .is_service_account()
}

impl Subject {
    /// Whether it is somebody with this whole name and these groups: compared byte for byte.
    pub fn names(&self, username: &str, groups: &[String]) -> bool {
        match self {
            Self::User(name) => !name.is_empty() && name == username && !is_program(username),
            Self::Group(group) => !group.is_empty() && groups.contains(group),
            Self::ServiceAccount(name) => is_program(name) && name == username,
        }
    }
}

impl CommandRule {
    fn is_for(&self, argv: &[String]) -> bool {
        match self {
            Self::Exactly(exactly) => !exactly.is_empty() && exactly == argv,
            Self::Program(program) => !program.is_empty() && argv.first() == Some(program),
        }
    }
}

impl Require {
    pub(crate) fn counts(&self, grant: &Grant, prefix: &NamePrefix) -> bool {
        self.sets.is_empty() || self.sets.iter().any(|set| set.has(grant, prefix))
    }

    pub(crate) fn is_met_by(&self, grants: &[&Grant], prefix: &NamePrefix) -> bool {
        let mut people: Vec<&Person> = Vec::new();
        for by in grants
            .iter()
            .filter(|grant| self.counts(grant, prefix))
            .filter_map(|grant| grant.by.as_ref())
        {
            // Two names that may be one human's are one approval.
            if !people.iter().any(|known| known.may_be(by)) {
                people.push(by);
            }
        }
        let enough =
            u32::try_from(people.len()).is_ok_and(|people| people >= self.approvals.max(1));
        enough
            && self
                .sets
                .iter()
                .all(|set| grants.iter().any(|grant| set.has(grant, prefix)))
    }
}

impl ApproverSet {
    /// Whether somebody of the set answered, with the groups that she had then. With the prefix,
    /// the name of somebody who never had it would be another's.
    pub(crate) fn has(&self, grant: &Grant, prefix: &NamePrefix) -> bool {
        let Some(by) = &grant.by else { return false };
        let username = prefix.subject(&by.name);
        self.subjects.iter().any(|subject| match subject {
            Subject::User(_) if grant.unprefixed => false,
            Subject::User(_) | Subject::Group(_) | Subject::ServiceAccount(_) => {
                subject.names(&username, &grant.groups)
            }
        })
    }
}
