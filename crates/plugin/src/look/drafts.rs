//! Policies that would let ServiceAccounts go on with what they did in observe mode, for somebody
//! to review.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use api::policy::{self, AccessPolicy, PolicyCommand, PolicyEffect, PolicyProxy, PolicySubject};
use api::report::{Report, Stopped};
use api::{AccessPolicySpec, names};
use kube::Resource as _;
use serde_json::{Value, json};

use crate::ask::secrets;
use crate::terminal::output;
use decide::text::safe;

/// Maximum number of commands of a policy.
const MAX_COMMANDS: usize = 256;
/// Maximum number of rules for proxies of a policy, each with at least one path.
const MAX_RULES: usize = 16;
const HEAD: &str = "\
# What ServiceAccounts did in observe mode, as policies. Read each before you apply it: what is allowed here needs no
# approval. A command is allowed in every pod and container of the namespace, and what it leads to (a shell, a script in
# the image) with it; a path behind a proxy by every method, of every pod or service of the namespace on that port.
";

/// What one ServiceAccount did in one namespace.
type Group<'a> = ((&'a str, Option<&'a str>), Vec<&'a Stopped>);

/// The policies as YAML, and as comments what no policy can allow.
pub fn of(report: &Report) -> String {
    let mut groups: BTreeMap<(&str, Option<&str>), Vec<&Stopped>> = BTreeMap::new();
    for one in report.stopped.iter().filter(|one| one.attempt.is_program()) {
        groups
            .entry((&one.attempt.user, one.attempt.namespace.as_deref()))
            .or_default()
            .push(one);
    }
    if groups.is_empty() {
        return "# No ServiceAccount would have been stopped.\n".to_owned();
    }
    let mut text = HEAD.to_owned();
    for group in groups {
        write(&group, &mut text);
    }
    text
}

fn write(((user, namespace), seen): &Group<'_>, text: &mut String) {
    let Some(account) = user
        .strip_prefix("system:serviceaccount:")
        .and_then(|rest| rest.split_once(':'))
    else {
        return;
    };
    let (commands, others): (Vec<&Stopped>, Vec<&Stopped>) =
        seen.iter().partition(|one| is_command(one));
    let (proxies, others): (Vec<&Stopped>, Vec<&Stopped>) =
        others.into_iter().partition(|one| is_path(one));
    let spec = AccessPolicySpec {
        effect: PolicyEffect::Allow,
        subjects: Some(vec![PolicySubject {
            kind: "ServiceAccount".to_owned(),
            name: account.1.to_owned(),
            namespace: Some(account.0.to_owned()),
        }]),
        namespaces: namespace.map(|namespace| vec![namespace.to_owned()]),
        subresources: None,
        doors: None,
        commands: None,
        proxies: None,
        interactive: None,
        privileged: None,
        valid_for: None,
        approvals: None,
        approvers: None,
        reason: None,
        keys: None,
        emergency: None,
        contact: None,
    };
    let place = namespace.unwrap_or("nodes");
    let exactly = |one: &&Stopped| PolicyCommand {
        exactly: Some(one.attempt.command.clone()),
        program: None,
    };
    for (number, commands) in commands.chunks(MAX_COMMANDS).enumerate() {
        let allowed = commands.iter().map(exactly).collect();
        let spec = AccessPolicySpec {
            subresources: Some(vec!["exec".to_owned()]),
            commands: Some(allowed),
            ..spec.clone()
        };
        policy_of(&name("exec", user, place, number), spec, commands, text);
    }
    let through = |proxies: &[&Stopped]| AccessPolicySpec {
        proxies: Some(rules(proxies)),
        ..spec.clone()
    };
    // One path that no policy can name must not take the others with it.
    let fault = |one: &Stopped| policy::policy(&AccessPolicy::new("x", through(&[one]))).err();
    let (named, faulty): (Vec<&Stopped>, Vec<&Stopped>) =
        proxies.into_iter().partition(|one| fault(one).is_none());
    for (number, named) in named.chunks(MAX_RULES).enumerate() {
        policy_of(
            &name("proxy", user, place, number),
            through(named),
            named,
            text,
        );
    }
    for one in faulty {
        remark(
            one,
            &fault(one).map(|fault| fault.why).unwrap_or_default(),
            text,
        );
    }
    for one in others {
        remark(one, "no policy can allow it to a ServiceAccount", text);
    }
}

/// The name of a draft; of several for the same account and namespace each has its own.
fn name(kind: &str, user: &str, place: &str, number: usize) -> String {
    let account = user.trim_start_matches("system:serviceaccount:");
    let slug = names::slug(&format!("{kind} {account} {place}"));
    if number == 0 {
        format!("observed-{slug}")
    } else {
        format!("observed-{slug}-{}", number.saturating_add(1))
    }
}

fn is_command(one: &Stopped) -> bool {
    let attempt = &one.attempt;
    attempt.resource == "pods/exec"
        && !attempt.cut
        && !attempt.interactive
        && !attempt.command.is_empty()
}

fn is_path(one: &Stopped) -> bool {
    one.attempt.path.is_some() && !one.attempt.cut
}

/// One rule for each resource and port.
fn rules(proxies: &[&Stopped]) -> Vec<PolicyProxy> {
    let mut rules: BTreeMap<(&str, Option<&str>), Vec<String>> = BTreeMap::new();
    for one in proxies {
        let resource = one.attempt.resource.trim_end_matches("/proxy");
        let path = one.attempt.path.clone().unwrap_or_default();
        rules
            .entry((resource, one.attempt.port.as_deref()))
            .or_default()
            .push(path);
    }
    let rule = |((resource, port), paths): ((&str, Option<&str>), Vec<String>)| PolicyProxy {
        resource: resource.to_owned(),
        // Of a node only the kubelet's port is ever meant.
        ports: port
            .filter(|_| resource != "nodes")
            .map(|port| vec![port.to_owned()]),
        paths,
    };
    rules.into_iter().map(rule).collect()
}

/// A policy that would be taken as it is; else what was seen, and why it would not.
fn policy_of(name: &str, spec: AccessPolicySpec, seen: &[&Stopped], text: &mut String) {
    let object = AccessPolicy::new(name, spec);
    match policy::policy(&object) {
        Ok(_understood) => {
            let times = seen
                .iter()
                .map(|one| one.times)
                .fold(0, u64::saturating_add);
            let _infallible = write!(
                text,
                "---\n# Seen {}.\n{}",
                often(times),
                output::yaml(&without_nothing(&object))
            );
        }
        Err(fault) => seen
            .iter()
            .for_each(|one| remark(one, &fault.to_string(), text)),
    }
}

fn without_nothing(object: &AccessPolicy) -> Value {
    json!({
        "apiVersion": AccessPolicy::api_version(&()),
        "kind": AccessPolicy::kind(&()),
        "metadata": {"name": object.metadata.name},
        "spec": object.spec,
    })
}

fn often(times: u64) -> String {
    if times == 1 {
        "once".to_owned()
    } else {
        format!("{times} times")
    }
}

fn remark(one: &Stopped, why: &str, text: &mut String) {
    let attempt = &one.attempt;
    let mut what = json!({"namespace": attempt.namespace, "resource": attempt.resource});
    let more = match &attempt.path {
        Some(path) => Some(("path", json!(path))),
        None if attempt.command.is_empty() => None,
        None => Some(("command", json!(secrets::mask(&attempt.command)))),
    };
    if let (Some((key, value)), Some(what)) = (more, what.as_object_mut()) {
        what.insert(key.to_owned(), value);
    }
    let line = format!("{}, {}, {what}: {why}", attempt.user, often(one.times));
    let _infallible = write!(text, "---\n# Left out: {}\n", safe(&line));
}
