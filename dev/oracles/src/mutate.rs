//! Changes inputs. Bytes that are JSON are changed as JSON, so that most of what comes out is still
//! a review; what the decoder refuses early is left to the byte-wise mutator of libFuzzer.

use serde_json::{Map, Value, json};

/// Numbers from a seed, the same on every machine (`SplitMix64`).
pub struct Dice(u64);

impl Dice {
    /// Dice that fall as the seed says.
    pub fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// A number.
    pub fn roll(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let z = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// A number below `end`; 0 where there is none.
    pub fn below(&mut self, end: usize) -> usize {
        usize::try_from(self.roll() % u64::try_from(end.max(1)).unwrap()).unwrap()
    }

    fn one_in(&mut self, count: usize) -> bool {
        self.below(count) == 0
    }

    fn pick<T: Copy>(&mut self, all: &[T]) -> T {
        all[self.below(all.len())]
    }
}

/// Bytes, one to four steps from `data`: as JSON where it is some, else byte by byte.
pub fn any(data: &[u8], dice: &mut Dice) -> Vec<u8> {
    let mut changed = data.to_vec();
    for _ in 0..=dice.below(4) {
        changed = match serde_json::from_slice(&changed) {
            Ok(value) if !dice.one_in(8) => json(value, dice),
            _ => bytes(changed, dice),
        };
    }
    changed
}

/// One step from a JSON value.
pub fn json(mut value: Value, dice: &mut Dice) -> Vec<u8> {
    for _ in 0..=dice.below(2) {
        let at = dice.below(count(&value));
        let donor = nth(&mut value.clone(), &mut dice.below(count(&value)))
            .cloned()
            .unwrap_or_default();
        if let Some(place) = nth(&mut value, &mut at.clone()) {
            step(place, donor, dice);
        }
    }
    let text = if dice.one_in(16) {
        serde_json::to_string_pretty(&value)
    } else {
        serde_json::to_string(&value)
    };
    // A key twice in one object: no `Value` has that.
    text.unwrap().replace(TWICE, "").into_bytes()
}

/// Before a key that stands there twice; taken out of the text.
const TWICE: &str = "<twice>";

fn count(value: &Value) -> usize {
    1 + match value {
        Value::Array(list) => list.iter().map(count).sum(),
        Value::Object(fields) => fields.values().map(count).sum(),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => 0,
    }
}

/// The n-th value of a tree, the root first.
fn nth<'a>(value: &'a mut Value, n: &mut usize) -> Option<&'a mut Value> {
    if *n == 0 {
        return Some(value);
    }
    *n -= 1;
    match value {
        Value::Array(list) => list.iter_mut().find_map(|value| nth(value, n)),
        Value::Object(fields) => fields.values_mut().find_map(|value| nth(value, n)),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => None,
    }
}

fn step(place: &mut Value, donor: Value, dice: &mut Dice) {
    if dice.one_in(10) {
        *place = word(dice);
        return;
    }
    if dice.one_in(20) {
        *place = donor;
        return;
    }
    match place {
        Value::Object(fields) => object(fields, donor, dice),
        Value::Array(list) => array(list, donor, dice),
        Value::String(text) => *text = string(text, dice),
        Value::Bool(flag) => *flag = !*flag,
        Value::Null | Value::Number(_) => *place = word(dice),
    }
}

fn object(fields: &mut Map<String, Value>, donor: Value, dice: &mut Dice) {
    let keys: Vec<String> = fields.keys().cloned().collect();
    let key = keys
        .get(dice.below(keys.len()))
        .cloned()
        .unwrap_or_default();
    match dice.below(6) {
        0 => drop(fields.shift_remove(&key)),
        1 => drop(fields.insert(dice.pick(KEYS).to_owned(), word(dice))),
        2 => drop(fields.insert(dice.pick(KEYS).to_owned(), donor)),
        3 => drop(fields.insert(format!("{TWICE}{key}"), donor)),
        4 => {
            let value = fields.shift_remove(&key).unwrap_or_default();
            fields.insert(string(&key, dice), value);
        }
        _ => drop(fields.insert(key, word(dice))),
    }
}

fn array(list: &mut Vec<Value>, donor: Value, dice: &mut Dice) {
    let at = dice.below(list.len() + 1);
    match dice.below(5) {
        0 if at < list.len() => drop(list.remove(at)),
        1 => list.insert(at, word(dice)),
        2 if at < list.len() => list.insert(at, list[at].clone()),
        3 if !list.is_empty() => {
            let middle = at % list.len();
            list.rotate_left(middle);
        }
        _ => list.insert(at, donor),
    }
}

fn string(text: &str, dice: &mut Dice) -> String {
    let mut chars: Vec<char> = text.chars().collect();
    let at = dice.below(chars.len() + 1);
    match dice.below(6) {
        0 if at < chars.len() => drop(chars.remove(at)),
        1 => chars.insert(at, dice.pick(CHARACTERS)),
        2 if at < chars.len() => chars[at] = dice.pick(CHARACTERS),
        3 if at < chars.len() => {
            chars[at] = if chars[at].is_lowercase() {
                chars[at].to_ascii_uppercase()
            } else {
                chars[at].to_ascii_lowercase()
            };
        }
        4 => chars.extend(chars.clone().iter().take(64)),
        _ => return dice.pick(WORDS).to_owned(),
    }
    chars.into_iter().collect()
}

/// A value that means something to somebody.
fn word(dice: &mut Dice) -> Value {
    match dice.below(12) {
        0 => Value::Null,
        1 => json!(dice.one_in(2)),
        2 => json!([]),
        3 => json!({}),
        4 => json!([dice.pick(WORDS)]),
        5 => json!([dice.pick(WORDS), dice.pick(WORDS)]),
        6 => json!(dice.pick(&[0, -1, 1, i64::MAX, i64::MIN, 4_294_967_296])),
        7 => json!(1e300),
        _ => json!(dice.pick(WORDS)),
    }
}

/// One step from bytes.
pub fn bytes(mut data: Vec<u8>, dice: &mut Dice) -> Vec<u8> {
    let at = dice.below(data.len() + 1);
    let end = (at + dice.below(8)).min(data.len());
    match dice.below(6) {
        0 => drop(data.drain(at..end)),
        1 => data.insert(at, u8::try_from(dice.below(256)).unwrap()),
        2 if at < data.len() => data[at] = u8::try_from(dice.below(256)).unwrap(),
        3 => drop(data.splice(at..at, dice.pick(WORDS).bytes())),
        4 => drop(data.splice(at..at, dice.pick(CHARACTERS).to_string().bytes())),
        _ => {
            let copied = data[at..end].to_vec();
            let to = dice.below(data.len() + 1);
            data.splice(to..to, copied);
        }
    }
    data
}

/// Characters with a meaning: to shells, paths, URLs, terminals, JSON, Unicode.
const CHARACTERS: &[char] = &[
    'a',
    'h',
    'm',
    's',
    '0',
    '1',
    '9',
    ' ',
    '/',
    '.',
    '-',
    ':',
    '%',
    '\'',
    '"',
    '\\',
    '$',
    '`',
    '*',
    '~',
    '\n',
    '\t',
    '\r',
    '\0',
    '\u{1b}',
    '\u{7f}',
    '\u{9b}',
    '\u{ad}',
    'é',
    '\u{455}',
    '\u{200b}',
    '\u{202e}',
    '\u{2028}',
    '\u{feff}',
    '\u{fffd}',
    '\u{ffff}',
    '\u{1f600}',
    '\u{e0041}',
    '\u{10ffff}',
    '\u{661}',
    '\u{212a}',
    '\u{131}',
];

/// Keys that reviews, options and objects have, or that look like them.
const KEYS: &[&str] = &[
    "uid",
    "kind",
    "apiVersion",
    "resource",
    "subResource",
    "name",
    "namespace",
    "operation",
    "userInfo",
    "username",
    "groups",
    "extra",
    "object",
    "oldObject",
    "dryRun",
    "options",
    "request",
    "response",
    "stdin",
    "stdout",
    "stderr",
    "tty",
    "container",
    "command",
    "ports",
    "path",
    "metadata",
    "spec",
    "status",
    "ephemeralContainers",
    "image",
    "args",
    "env",
    "securityContext",
    "targetContainerName",
    "volumeMounts",
    "grantFor",
    "grantedBy",
    "requestUID",
    "createdBy",
    "forObject",
    "execOptions",
    "anyCommand",
    "validFor",
    "copy",
    "attach",
    "finalizers",
    "ownerReferences",
    "deletionTimestamp",
    "creationTimestamp",
    "Command",
    "NAMESPACE",
    "user_info",
    "seal",
    "denied",
];

/// Texts that the world of [`crate::scene`] knows, and their neighbours.
const WORDS: &[&str] = &[
    "",
    "CONNECT",
    "UPDATE",
    "CREATE",
    "DELETE",
    "pods",
    "services",
    "nodes",
    "exec",
    "attach",
    "portforward",
    "ephemeralcontainers",
    "proxy",
    "status",
    "accessrequests",
    "accessgrants",
    "spreadgroup.com",
    "v1",
    "v1beta1",
    "admission.k8s.io/v1",
    "admission.k8s.io/v1beta1",
    "AdmissionReview",
    "PodExecOptions",
    "PodAttachOptions",
    "PodPortForwardOptions",
    "PodProxyOptions",
    "jane",
    "JANE",
    "jane ",
    "amy",
    "bob",
    "kim",
    "u-kim",
    "system:masters",
    "system:serviceaccount:kube-system:generic-garbage-collector",
    "system:serviceaccount:ci:bot",
    "default",
    "prod",
    "nginx",
    "two",
    "web-5b6d-x4k2z",
    "web",
    "a",
    "b",
    "live",
    "busybox",
    "date",
    "date\n",
    "cat",
    "/etc/hostname",
    "uptime",
    "hostname",
    "earlier",
    "env",
    "id",
    "trap-pending",
    "trap-denied",
    "trap-own-grant",
    "trap-other-uid",
    "trap-expired",
    "trap-pod",
    "trap-gone",
    "trap-bob",
    "open",
    "open-1",
    "date-1",
    "test",
    "-d",
    "/srv/app-data/notes.txt",
    "tar",
    "-xmf",
    "cf",
    "-",
    "-C",
    "/srv/app-data",
    "/srv",
    "granted",
    "denied",
    "1h",
    "1h30m",
    "12h",
    "0s",
    "99999999999999999999h",
    "1m1h",
    "..",
    ".",
    "../..",
    "//",
    "%2f",
    "https:node-0:10250",
    "nginx:80",
    "004ebe2a-2504-4c84-8abe-9160dd3a0967",
    "two-1",
    "deploy-1",
    "deployments",
    "apps",
    "sh",
    "nginx-1",
];
