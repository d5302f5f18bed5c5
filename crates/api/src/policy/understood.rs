//! What policies mean to `decide`, or where they are wrong.

use std::time::Duration;

use decide::{
    attempt::Door,
    duration::{self, DurationError, MAX_ACCESS},
    namespaces::NamespaceGlob,
    policy::{
        Allow, ApproverSet, CommandRule, Effect, MAX_APPROVALS, MAX_REVIEW, Pattern, Policy,
        Require, Subject, Terms, TextRule, Who,
    },
    policy_id::PolicyId,
    proxy::{ProxyPath, ProxyResource, ProxyRule},
};
use kube::ResourceExt as _;

use super::{
    AccessPolicy, AccessPolicySpec, PolicyApprovers, PolicyCommand, PolicyEffect, PolicyProxy,
    PolicySubject, PolicyText,
};

/// Where a policy is wrong, and why.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{at}: {why}")]
pub struct PolicyFault {
    /// The field: `spec.subresources[1]`.
    pub at: String,
    /// What is wrong with it.
    pub why: String,
}

fn fault<T>(at: impl Into<String>, why: impl Into<String>) -> Result<T, PolicyFault> {
    Err(PolicyFault {
        at: at.into(),
        why: why.into(),
    })
}

/// A policy as a value.
///
/// # Errors
/// The first place where it makes no sense, or permits more than a policy may.
pub fn policy(object: &AccessPolicy) -> Result<Policy, PolicyFault> {
    let spec = &object.spec;
    let policy = Policy {
        id: id(object),
        who: match &spec.subjects {
            None => Who::Everybody,
            Some(listed) => Who::Listed(subjects(listed, "spec.subjects")?),
        },
        namespaces: namespaces(spec)?,
        doors: doors(spec)?,
        commands: commands(spec)?,
        proxies: proxies(spec)?,
        effect: effect(spec)?,
        contact: spec.contact.clone().filter(|contact| !contact.is_empty()),
    };
    check_texts(spec)?;
    if spec.effect == PolicyEffect::Allow {
        check_allow(&policy)?;
    }
    Ok(policy)
}

/// What stands for a policy that is not understood: nothing where it could only permit, else a
/// denial of all.
pub fn in_place_of(id: PolicyId, effect: Option<&str>, why: &str) -> Option<Policy> {
    let effect = match effect {
        Some("Allow") => return None,
        Some(_) | None => Effect::Deny {
            fault: Some(why.to_owned()),
        },
    };
    let who = Who::Everybody;
    let (namespaces, doors, commands, proxies) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
    Some(Policy {
        id,
        who,
        namespaces,
        doors,
        commands,
        proxies,
        effect,
        contact: None,
    })
}

/// Which policy an object is.
pub fn id(object: &AccessPolicy) -> PolicyId {
    PolicyId {
        name: object.name_any(),
        uid: object.uid().unwrap_or_default(),
        generation: object.metadata.generation.unwrap_or_default(),
    }
}

fn subjects(listed: &[PolicySubject], at: &str) -> Result<Vec<Subject>, PolicyFault> {
    if listed.is_empty() {
        return fault(
            at,
            "an empty list is nobody: leave it out, or name somebody",
        );
    }
    listed
        .iter()
        .enumerate()
        .map(|(number, one)| subject(one, &format!("{at}[{number}]")))
        .collect()
}

fn subject(one: &PolicySubject, at: &str) -> Result<Subject, PolicyFault> {
    const PROGRAM: &str = "system:serviceaccount:";
    let namespace = one.namespace.as_deref().unwrap_or_default();
    match (one.kind.as_str(), namespace) {
        ("ServiceAccount", "") => fault(at, "a ServiceAccount needs its namespace"),
        ("ServiceAccount", namespace) => {
            let word = |text: &str| {
                text.chars()
                    .all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || "-.".contains(c))
            };
            if !word(namespace) || !word(&one.name) {
                return fault(
                    at,
                    "name and namespace of a ServiceAccount are its own, without a star",
                );
            }
            Ok(Subject::ServiceAccount(format!(
                "{PROGRAM}{namespace}:{}",
                one.name
            )))
        }
        ("User" | "Group", namespace) if !namespace.is_empty() => {
            fault(at, "only a ServiceAccount has a namespace")
        }
        ("User", _) if one.name.starts_with(PROGRAM) => {
            fault(at, "write a ServiceAccount by its kind, name and namespace")
        }
        ("User", _) => Ok(Subject::User(one.name.clone())),
        ("Group", _) => Ok(Subject::Group(one.name.clone())),
        (kind, _) => fault(
            format!("{at}.kind"),
            format!("{kind:?} is none of User, Group, ServiceAccount"),
        ),
    }
}

fn namespaces(spec: &AccessPolicySpec) -> Result<Vec<NamespaceGlob>, PolicyFault> {
    let Some(listed) = &spec.namespaces else {
        return Ok(Vec::new());
    };
    if listed.is_empty() {
        return fault(
            "spec.namespaces",
            "an empty list is nowhere: leave it out, or name a namespace",
        );
    }
    let known = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-' || c == '*';
    match listed
        .iter()
        .enumerate()
        .find(|(_, name)| name.is_empty() || !name.chars().all(known))
    {
        Some((number, name)) => fault(
            format!("spec.namespaces[{number}]"),
            format!("{name:?} is no name of a namespace, in which * may stand for any text"),
        ),
        None => Ok(listed.iter().map(|name| name.as_str().into()).collect()),
    }
}

fn doors(spec: &AccessPolicySpec) -> Result<Vec<Door>, PolicyFault> {
    if spec.doors.is_some() {
        return fault("spec.doors", "it is called subresources now");
    }
    let Some(listed) = &spec.subresources else {
        return Ok(Vec::new());
    };
    if listed.is_empty() {
        return fault(
            "spec.subresources",
            "an empty list is no subresource: leave it out, or name one",
        );
    }
    let door = |(number, name): (usize, &String)| match Door::of(name) {
        Some(door) => Ok(door),
        None => fault(
            format!("spec.subresources[{number}]"),
            format!(
                "{name:?} is no subresource of pods that is gated: exec, attach, portforward, ephemeralcontainers"
            ),
        ),
    };
    listed.iter().enumerate().map(door).collect()
}

fn commands(spec: &AccessPolicySpec) -> Result<Vec<CommandRule>, PolicyFault> {
    let Some(listed) = &spec.commands else {
        return Ok(Vec::new());
    };
    if listed.is_empty() {
        return fault(
            "spec.commands",
            "an empty list is no command: leave it out, or name one",
        );
    }
    let exec_only = spec
        .subresources
        .as_ref()
        .is_some_and(|doors| *doors == [Door::Exec.subresource()]);
    if !exec_only {
        return fault(
            "spec.commands",
            "only exec has a command that is seen: say subresources: [exec], and write another policy for others",
        );
    }
    let rule = |(number, one): (usize, &PolicyCommand)| match (&one.exactly, &one.program) {
        (Some(argv), None) if !argv.is_empty() => Ok(CommandRule::Exactly(argv.clone())),
        (None, Some(program)) if !program.is_empty() => Ok(CommandRule::Program(program.clone())),
        _ => fault(
            format!("spec.commands[{number}]"),
            "say either exactly or program",
        ),
    };
    listed.iter().enumerate().map(rule).collect()
}

fn proxies(spec: &AccessPolicySpec) -> Result<Vec<ProxyRule>, PolicyFault> {
    let Some(listed) = &spec.proxies else {
        return Ok(Vec::new());
    };
    if spec.effect != PolicyEffect::Allow {
        return fault(
            "spec.proxies",
            "proxies are refused unless an Allow names them",
        );
    }
    if spec.reason.is_some() || spec.keys.is_some() {
        return fault(
            "spec.proxies",
            "nobody can ask for them, and so no reason or key can be wanted",
        );
    }
    listed
        .iter()
        .enumerate()
        .map(|(number, one)| proxy(one, &format!("spec.proxies[{number}]")))
        .collect()
}

fn proxy(one: &PolicyProxy, at: &str) -> Result<ProxyRule, PolicyFault> {
    let Some(resource) = ProxyResource::of(&one.resource) else {
        return fault(
            format!("{at}.resource"),
            format!("{:?} is none of pods, services, nodes", one.resource),
        );
    };
    let path = |(number, text): (usize, &String)| match ProxyPath::read(text, resource) {
        Ok(path) => Ok(path),
        Err(error) => fault(format!("{at}.paths[{number}]"), error.to_string()),
    };
    if resource == ProxyResource::Nodes && one.ports.is_some() {
        return fault(
            format!("{at}.ports"),
            "of a node only the kubelet's own port can be let through: leave it out",
        );
    }
    let ports = one.ports.clone().unwrap_or_default();
    Ok(ProxyRule {
        resource,
        ports,
        paths: one
            .paths
            .iter()
            .enumerate()
            .map(path)
            .collect::<Result<_, _>>()?,
    })
}

fn effect(spec: &AccessPolicySpec) -> Result<Effect, PolicyFault> {
    let is_require = spec.effect == PolicyEffect::Require;
    if !is_require && spec.approvals.is_some() {
        return fault("spec.approvals", "only a Require has approvals");
    }
    if !is_require && spec.approvers.is_some() {
        return fault("spec.approvers", "only a Require has approvers");
    }
    if spec.effect != PolicyEffect::Allow && spec.privileged.is_some() {
        return fault(
            "spec.privileged",
            "only an Allow lets privileged containers in",
        );
    }
    let emergency = emergency(spec)?;
    match spec.effect {
        PolicyEffect::Allow => Ok(Effect::Allow(Allow {
            interactive: spec.interactive == Some(true),
            privileged: spec.privileged == Some(true),
            terms: terms(spec)?,
            emergency,
        })),
        PolicyEffect::Require => {
            if spec.interactive == Some(true) {
                return fault(
                    "spec.interactive",
                    "a Require only restricts: say false, or leave it out",
                );
            }
            let sets = sets(spec)?;
            let non_interactive = spec.interactive == Some(false);
            Ok(Effect::Require(Require {
                approvals: approvals(spec, sets.len())?,
                sets,
                non_interactive,
                terms: terms(spec)?,
            }))
        }
        PolicyEffect::Deny => {
            let extra = spec.reason.is_some() || spec.keys.is_some() || spec.valid_for.is_some();
            if extra || spec.interactive.is_some() {
                return fault(
                    "spec",
                    "a Deny has no interactive, validFor, reason or keys: it refuses whatever is said",
                );
            }
            Ok(Effect::Deny { fault: None })
        }
    }
}

/// Within which time an emergency must be reviewed; only where a request with a reason is what is
/// granted.
fn emergency(spec: &AccessPolicySpec) -> Result<Option<Duration>, PolicyFault> {
    let Some(emergency) = &spec.emergency else {
        return Ok(None);
    };
    if spec.effect != PolicyEffect::Allow {
        return fault("spec.emergency", "only an Allow is for emergencies");
    }
    if spec.proxies.is_some() {
        return fault(
            "spec.emergency",
            "an emergency is a request, and nobody can ask for proxies: leave one out",
        );
    }
    if spec.reason.is_none() {
        return fault(
            "spec.reason",
            "an emergency must give a reason: say reason: {}, or what it must be like",
        );
    }
    let at = "spec.emergency.reviewWithin";
    match duration::parse(&emergency.review_within, MAX_REVIEW) {
        Ok(within) => Ok(Some(within)),
        Err(DurationError::TooLong { .. }) => fault(at, "at most 720h"),
        Err(error) => fault(at, error.to_string()),
    }
}

/// As many people as sets, at least: else one who is in all of them would do.
fn approvals(spec: &AccessPolicySpec, sets: usize) -> Result<u32, PolicyFault> {
    let least = u32::try_from(sets).unwrap_or(MAX_APPROVALS).max(1);
    let approvals = spec.approvals.unwrap_or(least);
    if !(1..=MAX_APPROVALS).contains(&approvals) {
        return fault("spec.approvals", format!("from 1 to {MAX_APPROVALS}"));
    }
    if approvals < least {
        return fault(
            "spec.approvals",
            format!("with {sets} sets of approvers at least {least}: one person may be in several"),
        );
    }
    Ok(approvals)
}

fn sets(spec: &AccessPolicySpec) -> Result<Vec<ApproverSet>, PolicyFault> {
    let listed = spec.approvers.iter().flatten().enumerate();
    let set = |(number, one): (usize, &PolicyApprovers)| {
        let subjects = subjects(&one.subjects, &format!("spec.approvers[{number}].subjects"))?;
        Ok(ApproverSet {
            name: one.name.clone(),
            subjects,
        })
    };
    if spec.approvers.as_ref().is_some_and(Vec::is_empty) {
        return fault(
            "spec.approvers",
            "an empty list is nobody: leave it out, or name a set",
        );
    }
    listed.map(set).collect()
}

fn terms(spec: &AccessPolicySpec) -> Result<Terms, PolicyFault> {
    let valid_for = spec.valid_for.as_deref().filter(|text| !text.is_empty());
    let valid_for = match valid_for
        .map(|text| duration::parse(text, MAX_ACCESS))
        .transpose()
    {
        Ok(valid_for) => valid_for,
        Err(error) => return fault("spec.validFor", error.to_string()),
    };
    let reason = spec
        .reason
        .as_ref()
        .map(|text| text_rule(text.pattern.as_ref(), text.prompt.as_ref(), "spec.reason"));
    if spec.keys.as_ref().is_some_and(Vec::is_empty) {
        return fault(
            "spec.keys",
            "an empty list wants nothing: leave it out, or name a key",
        );
    }
    let mut keys = std::collections::BTreeMap::new();
    for (number, key) in spec.keys.iter().flatten().enumerate() {
        let at = format!("spec.keys[{number}]");
        let rule = text_rule(key.pattern.as_ref(), key.prompt.as_ref(), &at)?;
        if keys.insert(key.name.clone(), rule).is_some() {
            return fault(at, format!("the key {:?} stands there twice", key.name));
        }
    }
    Ok(Terms {
        valid_for,
        reason: reason.transpose()?,
        keys,
    })
}

fn text_rule(
    pattern: Option<&String>,
    prompt: Option<&String>,
    at: &str,
) -> Result<TextRule, PolicyFault> {
    let pattern = pattern
        .filter(|pattern| !pattern.is_empty())
        .map(|pattern| Pattern::new(pattern))
        .transpose();
    match pattern {
        Ok(pattern) => Ok(TextRule {
            pattern,
            prompt: prompt.filter(|prompt| !prompt.is_empty()).cloned(),
        }),
        Err(why) => fault(format!("{at}.pattern"), why),
    }
}

/// Texts that people read must show as they are.
fn check_texts(spec: &AccessPolicySpec) -> Result<(), PolicyFault> {
    let prompt = |text: &PolicyText| text.prompt.clone();
    let keys = spec.keys.iter().flatten().flat_map(|key| {
        [
            Some(key.name.clone()),
            key.prompt.clone(),
            key.pattern.clone(),
        ]
    });
    let sets = spec
        .approvers
        .iter()
        .flatten()
        .map(|set| Some(set.name.clone()));
    let pattern = spec
        .reason
        .as_ref()
        .and_then(|reason| reason.pattern.clone());
    let texts = [
        spec.contact.clone(),
        spec.reason.as_ref().and_then(prompt),
        pattern,
    ];
    for text in texts.into_iter().chain(keys).chain(sets).flatten() {
        if let Err(error) = decide::rules::check_text("a text", &text) {
            return fault("spec", error.to_string());
        }
    }
    Ok(())
}

/// What permits says where and what; to a program exactly what.
fn check_allow(policy: &Policy) -> Result<(), PolicyFault> {
    let Who::Listed(subjects) = &policy.who else {
        return fault("spec.subjects", "an Allow must say for whom");
    };
    let somewhere = |rule: &ProxyRule| rule.resource != ProxyResource::Nodes;
    let needs_namespace = !policy.doors.is_empty()
        || policy.proxies.is_empty()
        || policy.proxies.iter().any(somewhere);
    if policy.namespaces.is_empty() && needs_namespace {
        return fault("spec.namespaces", "an Allow must say where");
    }
    if policy.doors.is_empty() && policy.proxies.is_empty() {
        return fault("spec.subresources", "an Allow must say which");
    }
    if !subjects
        .iter()
        .any(|subject| matches!(subject, Subject::ServiceAccount(_)))
    {
        return Ok(());
    }
    if matches!(&policy.effect, Effect::Allow(allow) if allow.emergency.is_some()) {
        return fault(
            "spec.subjects",
            "emergencies are for people: name no ServiceAccount",
        );
    }
    let exactly = |rule: &CommandRule| matches!(rule, CommandRule::Exactly(_));
    if !policy.doors.is_empty()
        && (policy.commands.is_empty() || !policy.commands.iter().all(exactly))
    {
        return fault(
            "spec.commands",
            "an Allow for a ServiceAccount must name its commands exactly (subresources: [exec], exactly)",
        );
    }
    if policy.namespaces.iter().any(NamespaceGlob::is_everywhere) {
        return fault(
            "spec.namespaces",
            "an Allow for a ServiceAccount must name its namespaces",
        );
    }
    match &policy.effect {
        Effect::Allow(allow) if allow.interactive => fault(
            "spec.interactive",
            "a ServiceAccount types nothing: leave it out",
        ),
        Effect::Allow(_) | Effect::Require(_) | Effect::Deny { .. } => Ok(()),
    }
}
