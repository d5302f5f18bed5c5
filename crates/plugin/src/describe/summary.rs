//! What an approver reads of a request: who, where, what, for how long, why, and what approving
//! means.

use api::{AccessGrant, AccessRequest, Phase};
use jiff::{Timestamp, Zoned};
use kube::ResourceExt;

use crate::ask::same;
use crate::describe::history;
use crate::describe::words::{self, shown_duration, user};
use crate::target::Workload;
use crate::terminal::screen::{Reader, Screen, Sheet};
use crate::terminal::times;
use api::describe::{self, Meaning};
use decide::text::{safe, safe_word};

/// Groups are shown when they take no more room than this.
const SHORT: usize = 80;

/// What is said of a request beside what it says itself.
#[derive(Default)]
pub struct Beside<'a> {
    /// The validity that the approver gives instead of the one that is asked for.
    pub shorter: Option<&'a str>,
    /// Which earlier request it names, and what of it is the same.
    pub follows: Option<&'a str>,
    /// The names of all requests that are answered with it, where it is not alone.
    pub group: &'a [String],
}

/// The summary of a request, ending in one sentence that says what approving it means. What others
/// wrote as they liked stands before the facts, and what is most dangerous is the last of those.
pub fn of(request: &AccessRequest, beside: &Beside<'_>, reader: &Reader<'_>) -> String {
    let spec = &request.spec;
    let meaning = Meaning::of(spec);
    let mut sheet = Sheet::new(reader.screen);
    if beside.group.len() > 1 {
        sheet.note("Requests", &beside.group.join(", "));
    }
    if let Some(reason) = &spec.reason {
        sheet.note("Reason", &safe(reason));
    }
    if let Some(keys) = keys(request) {
        sheet.note("Keys", &keys);
    }
    let others = meaning.others();
    for (field, json) in &others {
        sheet.note("Also sets", &format!("{field} {json}"));
    }
    sheet.fact_if_any("Follows", beside.follows);
    sheet.fact("Who", &who(request));
    sheet.fact_if_any("Filed by", filed_by_another(request).as_deref());
    sheet.fact_if_any("Asks for", meaning.asks_for().as_deref());
    sheet.fact(place_label(request), &safe_word(&spec.for_object.name));
    sheet.fact_if_any("Container", meaning.container().as_deref());
    sheet.fact("Namespace", &namespace(request));
    sheet.fact("Cluster", &cluster(request, reader.cluster));
    sheet.fact("How long", &how_long(request, beside.shorter));
    for (label, value) in meaning.lines() {
        sheet.fact(&label, &value);
    }
    let fields: Vec<&str> = others.iter().map(|(field, _)| field.as_str()).collect();
    let fields = (!fields.is_empty()).then(|| format!("{} (above)", fields.join(", ")));
    sheet.fact_if_any("Also sets", fields.as_deref());
    let sentence = sentence(request, &meaning, beside.shorter);
    sheet.text(&match beside.group.len() {
        0 | 1 => sentence,
        count => format!(
            "{sentence} These are {count} identical requests: one answer is for ALL of them."
        ),
    })
}

/// Where a request stands and what became of it, in the same layout. `grants` are the answers, as
/// far as they may be seen.
pub fn standing(
    request: &AccessRequest,
    grants: &[AccessGrant],
    now: &Zoned,
    screen: Screen,
) -> String {
    let mut lines = Lines::new(screen);
    lines.add("Request", &words::exactly(request));
    lines.add("Status", phase(request));
    let status = request.status.clone().unwrap_or_default();
    lines.add_some(
        "Policy",
        status
            .granted_by_policy
            .map(|policy| safe_word(&policy.name))
            .as_deref(),
    );
    let by: Vec<String> = status
        .granted_by
        .iter()
        .map(|name| safe_word(name))
        .collect();
    lines.add_some(
        "Granted by",
        (!by.is_empty()).then(|| by.join(", ")).as_deref(),
    );
    lines.add_some("Approvals", history::approvals(request, grants).as_deref());
    lines.add_some("Emergency", emergency(request, now).as_deref());
    lines.add_some("Reviewed", reviewed(request, now).as_deref());
    let history = history::of(request, grants, now);
    lines.add_some(
        "History",
        (!history.is_empty()).then(|| history.join("\n")).as_deref(),
    );
    lines.text
}

/// The phase as a word. One that nobody has looked at yet is pending.
pub fn phase(request: &AccessRequest) -> &'static str {
    match request.phase() {
        Phase::Pending => "Pending",
        Phase::Granted => "Granted",
        Phase::Denied => "Denied",
        Phase::Used => "Used",
        Phase::Expired => "Expired",
    }
}

/// `by amy at 16:04 +01:00 (2m ago): not in production`.
pub fn denied(request: &AccessRequest, now: &Zoned) -> Option<String> {
    let denied = request.status.as_ref()?.denied.as_ref()?;
    let reason = denied
        .reason
        .as_deref()
        .map(|reason| format!(": {}", words::quoted(reason)))
        .unwrap_or_default();
    Some(format!(
        "by {} at {}{reason}",
        safe_word(&denied.by),
        times::told(denied.at.0, now)
    ))
}

/// The phase, and of an emergency what is missing: `Used, unreviewed`, `Used, OVERDUE`.
pub fn state(request: &AccessRequest, now: Timestamp) -> String {
    let emergency = request
        .status
        .as_ref()
        .and_then(|status| status.emergency.as_ref());
    let phase = phase(request);
    match emergency.filter(|_| request.is_unreviewed()) {
        Some(emergency) if emergency.review_by.0 <= now => format!("{phase}, OVERDUE"),
        Some(_) => format!("{phase}, unreviewed"),
        None => phase.to_owned(),
    }
}

/// `by policy night, to be reviewed until 16:04 +01:00 (in 42m)`.
fn emergency(request: &AccessRequest, now: &Zoned) -> Option<String> {
    let emergency = request.status.as_ref()?.emergency.as_ref()?;
    let by = format!("by policy {}", safe_word(&emergency.policy.name));
    let until = times::told(emergency.review_by.0, now);
    Some(match request.is_unreviewed() {
        true if emergency.review_by.0 <= now.timestamp() => {
            format!("{by}, OVERDUE: to be reviewed until {until}")
        }
        true => format!("{by}, to be reviewed until {until}"),
        false => by,
    })
}

/// `by amy at 16:04 +01:00 (2m ago): as she says`.
pub fn reviewed(request: &AccessRequest, now: &Zoned) -> Option<String> {
    let reviewed = request.status.as_ref()?.reviewed.as_ref()?;
    let reason = reviewed
        .reason
        .as_deref()
        .map(|reason| format!(": {}", words::quoted(reason)))
        .unwrap_or_default();
    Some(format!(
        "by {} at {}{reason}",
        safe_word(&reviewed.by),
        times::told(reviewed.at.0, now)
    ))
}

/// That whoever asked was let in without an approver, and what follows.
fn followed_up(request: &AccessRequest, now: &Zoned) -> String {
    let emergency = request
        .status
        .as_ref()
        .and_then(|status| status.emergency.as_ref());
    let until = emergency
        .filter(|_| request.is_unreviewed())
        .map(|emergency| times::told(emergency.review_by.0, now));
    until
        .map(|until| format!(", as an emergency: somebody must review it until {until}"))
        .unwrap_or_default()
}

/// What whoever asks is told where the same waits, or is granted already.
pub fn found(request: &AccessRequest, now: &Zoned) -> String {
    let name = safe_word(&request.name_any());
    if same::is_granted(request) {
        let (by, lasts, follows) = (by(request), lasts(request, now), followed_up(request, now));
        return format!("request {name} for the same is already granted{by}{lasts}{follows}");
    }
    let since = request
        .creation_timestamp()
        .map(|at| format!(", filed {}", times::relative(at.0, now)));
    let since = since.unwrap_or_default();
    format!(
        "request {name} for the same waits for a grant already{since}: no other is filed (--new files one)"
    )
}

/// That a request can be used.
pub fn granted(request: &AccessRequest, now: &Zoned) -> String {
    let (by, lasts, follows) = (by(request), lasts(request, now), followed_up(request, now));
    let at_once = if follows.is_empty() { "" } else { " at once" };
    format!(
        "request {} is granted{at_once}{by}{lasts}{follows}",
        safe_word(&request.name_any())
    )
}

/// ` by amy`, or ` by policy night-shift`.
fn by(request: &AccessRequest) -> String {
    let status = request.status.clone().unwrap_or_default();
    let by: Vec<String> = status
        .granted_by
        .iter()
        .map(|name| safe_word(name))
        .collect();
    match status.granted_by_policy {
        Some(policy) => format!(" by policy {}", safe_word(&policy.name)),
        None if by.is_empty() => String::new(),
        None => format!(" by {}", by.join(", ")),
    }
}

/// `, for one use`, or `, until 16:04 +01:00 (in 42m)`.
fn lasts(request: &AccessRequest, now: &Zoned) -> String {
    let ends = request
        .status
        .as_ref()
        .and_then(|status| status.expires_at.as_ref());
    match ends {
        _ if is_once(request) => ", for one use".to_owned(),
        Some(ends) => format!(", until {}", times::told(ends.0, now)),
        None => format!(", for {}", validity(request)),
    }
}

/// `deploy/nginx`, or the name of a pod.
pub fn target(request: &AccessRequest) -> String {
    let object = &request.spec.for_object;
    let name = safe_word(&object.name);
    match Workload::of(&object.resource) {
        Some(workload) => format!("{}/{name}", workload.short()),
        None if is_pod(request) => name,
        None => format!("{}/{name}", safe_word(&object.resource.resource)),
    }
}

/// The container that is meant, as far as the request names one.
pub fn container(request: &AccessRequest) -> String {
    Meaning::of(&request.spec)
        .container()
        .unwrap_or_else(|| "-".to_owned())
}

/// The command on one line, or what is done instead of running one, in printable ASCII.
pub fn command_line(request: &AccessRequest) -> String {
    Meaning::of(&request.spec).brief()
}

/// `once`, or how long the access lasts: `1h`.
pub fn validity(request: &AccessRequest) -> String {
    match request
        .spec
        .valid_for
        .as_deref()
        .filter(|text| !text.is_empty())
    {
        None => "once".to_owned(),
        Some(text) => shown_duration(text),
    }
}

fn is_once(request: &AccessRequest) -> bool {
    request
        .spec
        .valid_for
        .as_deref()
        .unwrap_or_default()
        .is_empty()
}

fn is_pod(request: &AccessRequest) -> bool {
    let resource = &request.spec.for_object.resource;
    resource.group.is_empty() && resource.resource == "pods"
}

fn who(request: &AccessRequest) -> String {
    let groups = request
        .spec
        .user_info
        .as_ref()
        .and_then(|user| user.groups.as_deref())
        .unwrap_or_default();
    let shown = groups
        .iter()
        .map(|group| safe_word(group))
        .collect::<Vec<_>>()
        .join(", ");
    match groups.len() {
        0 => user(request),
        _ if shown.len() <= SHORT => format!("{} (groups: {shown})", user(request)),
        count => format!("{} ({count} groups)", user(request)),
    }
}

fn filed_by_another(request: &AccessRequest) -> Option<String> {
    let by = request.spec.created_by.as_ref()?.name();
    let whom = request
        .spec
        .user_info
        .as_ref()
        .map(api::UserInfo::name)
        .unwrap_or_default();
    (!by.is_empty() && by != whom).then(|| safe_word(by))
}

fn place_label(request: &AccessRequest) -> &'static str {
    match Workload::of(&request.spec.for_object.resource) {
        Some(Workload::Deployment) => "Deployment",
        Some(Workload::StatefulSet) => "StatefulSet",
        Some(Workload::DaemonSet) => "DaemonSet",
        Some(Workload::Job) => "Job",
        None if is_pod(request) => "Pod",
        None => "Object",
    }
}

fn place(request: &AccessRequest) -> String {
    let object = &request.spec.for_object;
    let kind = match Workload::of(&object.resource) {
        Some(workload) => workload.singular().to_owned(),
        None if is_pod(request) => "pod".to_owned(),
        None => safe_word(&object.resource.resource),
    };
    format!("{kind} {}", safe_word(&object.name))
}

fn namespace(request: &AccessRequest) -> String {
    safe_word(&request.namespace().unwrap_or_default())
}

/// The cluster by its own name, where the server was given one, and as the kubeconfig has it.
fn cluster(request: &AccessRequest, configured: &str) -> String {
    match request.spec.cluster_name.as_deref() {
        Some(own) if !own.is_empty() => format!("{} (here: {configured})", safe_word(own)),
        Some(_) | None => configured.to_owned(),
    }
}

/// `once`, `for 1h`, and what the approver makes of it.
fn how_long(request: &AccessRequest, shorter: Option<&str>) -> String {
    match (is_once(request), shorter) {
        (true, None) => "once".to_owned(),
        (true, Some(text)) => format!("once, within {}", shown_duration(text)),
        (false, None) => format!("for {}", validity(request)),
        (false, Some(text)) => format!(
            "for {} (asked for {})",
            shown_duration(text),
            validity(request)
        ),
    }
}

fn keys(request: &AccessRequest) -> Option<String> {
    let keys = request
        .spec
        .custom_keys
        .as_ref()
        .filter(|keys| !keys.is_empty())?;
    let pairs: Vec<String> = keys
        .iter()
        .map(|(key, value)| format!("{}={}", safe_word(key), safe_word(value)))
        .collect();
    Some(pairs.join(", "))
}

fn sentence(request: &AccessRequest, meaning: &Meaning, shorter: Option<&str>) -> String {
    let how_long = match (is_once(request), shorter) {
        (true, None) => "once".to_owned(),
        (true, Some(text)) => format!("once, within {} of the grant", shown_duration(text)),
        (false, text) => format!(
            "again and again for {}",
            text.map_or_else(|| validity(request), shown_duration)
        ),
    };
    let means = describe::Means {
        user: user(request),
        how_long,
        place: place(request),
        namespace: namespace(request),
    };
    meaning.sentence(&means)
}

/// Lines of labels and values.
struct Lines {
    screen: Screen,
    text: String,
}

impl Lines {
    fn new(screen: Screen) -> Self {
        Self {
            screen,
            text: String::new(),
        }
    }

    fn add(&mut self, label: &str, value: &str) {
        for row in self.screen.rows(label, value) {
            self.text.push_str(&row);
            self.text.push('\n');
        }
    }

    fn add_some(&mut self, label: &str, value: Option<&str>) {
        if let Some(value) = value {
            self.add(label, value);
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn now() -> Zoned {
        "2026-01-01T01:00:00+00:00[UTC]".parse().unwrap()
    }

    fn request(spec: &Value) -> AccessRequest {
        let metadata = json!({"name": "access-exec-jane-x", "namespace": "default"});
        let object = json!({"apiVersion": "spreadgroup.com/v1", "kind": "AccessRequest", "metadata": metadata, "spec": spec});
        serde_json::from_value(object).unwrap()
    }

    fn plain() -> Value {
        json!({
            "userInfo": {"username": "jane", "groups": ["developers", "system:authenticated"]},
            "forObject": {
                "resource": {"group": "apps", "version": "v1", "resource": "deployments"},
                "subResource": "exec", "name": "nginx", "namespace": "default"
            },
            "execOptions": {"stdout": true, "stderr": true, "container": "nginx", "command": ["cat", "/etc/hostname"]},
            "createdBy": {"username": "jane"}
        })
    }

    fn shown(request: &AccessRequest, shorter: Option<&str>) -> String {
        let cluster = "prod (https://prod:6443)";
        of(
            request,
            &Beside {
                shorter,
                ..Beside::default()
            },
            &Reader {
                screen: Screen::PIPE,
                cluster,
            },
        )
    }

    #[test]
    fn a_plain_request_is_read_on_one_screen() {
        let expected = r#"Who          jane (groups: developers, system:authenticated)
Deployment   nginx
Container    nginx
Namespace    default
Cluster      prod (https://prod:6443)
How long     once
Command      ["cat","/etc/hostname"]

jane can run ["cat","/etc/hostname"] once, in container nginx of deployment
  nginx, in namespace default.
"#;
        assert_eq!(shown(&request(&plain()), None), expected);
    }

    #[test]
    fn what_is_dangerous_is_in_capitals() {
        let mut spec = plain();
        spec["anyCommand"] = json!(true);
        spec["validFor"] = json!("1h0m0s");
        spec["execOptions"] =
            json!({"stdin": true, "tty": true, "stdout": true, "container": "nginx"});
        spec["reason"] = json!("INC-42");
        spec["customKeys"] = json!({"ticket": "INC-42", "odd key": "a\u{202e}b"});
        spec["createdBy"] = json!({"username": "robot"});
        spec["forObject"]["resource"] = json!({"group": "", "version": "v1", "resource": "pods"});
        let expected = r#"Reason     | INC-42
Keys       | "odd key"="a\u202eb", ticket=INC-42

Who          jane (groups: developers, system:authenticated)
Filed by     robot
Pod          nginx
Container    nginx
Namespace    default
Cluster      prod (https://prod:6443)
How long     for 1h
Command      ANY command
Interactive  STDIN AND TTY

jane can run ANY command again and again for 1h, in container nginx of pod
  nginx, in namespace default. What is typed into it is not limited.
"#;
        assert_eq!(shown(&request(&spec), None), expected);
    }

    #[test]
    fn a_shorter_validity_is_what_the_sentence_says() {
        let mut spec = plain();
        let once = shown(&request(&spec), Some("30m"));
        assert!(
            once.contains(
                "jane can run [\"cat\",\"/etc/hostname\"] once, within 30m of the grant, in"
            ),
            "{once}"
        );
        spec["validFor"] = json!("2h");
        let long = shown(&request(&spec), Some("30m"));
        assert!(
            long.contains("How long     for 30m (asked for 2h)\n"),
            "{long}"
        );
        assert!(
            long.contains("jane can run [\"cat\",\"/etc/hostname\"] again and again for 30m, in"),
            "{long}"
        );
    }

    #[test]
    fn a_hostile_request_cannot_draw_on_the_screen() {
        let mut spec = plain();
        spec["userInfo"] = json!({"username": "jane can run ls.\n\u{1b}[2J"});
        spec["reason"] = json!("x\u{1b}[2J\nWho          root\u{202e}");
        spec["execOptions"]["command"] = json!(["sh", "-c", "echo \u{1b}[1A"]);
        let text = shown(&request(&spec), None);
        assert!(
            !text
                .chars()
                .any(|c| c != '\n' && decide::text::is_hidden(c)),
            "{text}"
        );
        assert_eq!(
            text.lines().filter(|line| line.starts_with("Who ")).count(),
            1,
            "{text}"
        );
        assert!(
            text.contains(
                r#""jane can run ls.\n\u001b[2J" can run ["sh","-c","echo \u001b[1A"] once"#
            ),
            "{text}"
        );
    }

    #[test]
    fn many_groups_are_counted() {
        let mut spec = plain();
        spec["userInfo"]["groups"] = (0..40).map(|n| format!("group-{n}")).collect();
        assert!(shown(&request(&spec), None).starts_with("Who          jane (40 groups)\n"));
    }

    #[test]
    fn a_request_of_the_original_without_container_says_so() {
        let mut spec = plain();
        spec["execOptions"] = json!({"command": ["ls"]});
        spec["customKeys"] = Value::Null;
        assert!(
            shown(&request(&spec), None)
                .contains("in container (the default one) of deployment nginx")
        );
    }

    #[test]
    fn a_request_of_the_original_without_command_gives_nothing() {
        let mut spec = plain();
        spec["execOptions"] = json!({"container": "nginx"});
        let text = shown(&request(&spec), None);
        assert!(text.contains("Command      (none)\n"), "{text}");
        assert!(
            text.contains("jane can run nothing once, in container nginx"),
            "{text}"
        );
    }

    #[test]
    fn a_door_that_is_not_known_is_pointed_out() {
        let mut spec = plain();
        spec["forObject"]["subResource"] = json!("proxy");
        let text = shown(&request(&spec), None);
        assert!(
            text.contains(
                "Asks for     what is not understood: forObject.subResource \"proxy\" cannot"
            ),
            "{text}"
        );
        assert!(
            text.ends_with("Nobody knows what jane could do with it: do not grant it.\n"),
            "{text}"
        );
    }

    #[test]
    fn where_a_request_stands_is_told() {
        let mut granted = request(&plain());
        assert_eq!(
            standing(&granted, &[], &now(), Screen::PIPE),
            "Request      access-exec-jane-x\nStatus       Pending\n"
        );
        granted.status = Some(
            serde_json::from_value(json!({
                "phase": "Denied", "grantedBy": ["amy"],
                "denied": {"by": "bob", "at": "2026-01-01T00:00:00Z", "reason": "not\u{7} today"},
            }))
            .unwrap(),
        );
        let expected = "\
Request      access-exec-jane-x
Status       Denied
Granted by   amy
History      00:00 +00:00 (60m ago)  denied by bob: not\\u{7} today
";
        assert_eq!(standing(&granted, &[], &now(), Screen::PIPE), expected);
    }
}
