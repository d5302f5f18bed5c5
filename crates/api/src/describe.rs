//! What a request asks for, in words: the one place that says each of the five kinds, for the
//! plugin's screens and tables and for notices.
//!
//! Nothing is cut, and nothing that somebody wrote stands there unescaped: different requests never
//! read the same.

use std::fmt::Write as _;

use decide::{
    access::{Ask, AttachAsk, DebugAsk},
    argv,
    copy::{Copy, Direction},
    debug::{DebugContainer, Profile, SECURITY_CONTEXT},
    text::{safe, safe_word},
};

use crate::{
    AccessRequestSpec, ExecOptions,
    convert::{self, ConvertError},
    pod_update::is_privileged,
};

/// Maximum number of characters of a command in a sentence, which has no room for more.
const MAX_IN_SENTENCE: usize = 60;

/// What a request asks for.
pub enum Meaning {
    /// To run something.
    Exec(ExecOptions, bool),
    /// To copy.
    Copy(Copy),
    /// To attach.
    Attach(AttachAsk),
    /// To forward ports, and which ones are wanted.
    PortForward(Vec<i32>),
    /// To add a debug container.
    Debug(DebugAsk),
    /// Something that this version cannot read, and why.
    Unknown(String),
}

/// What a sentence is made of beside the door: each safe to show.
pub struct Means {
    /// Who asks.
    pub user: String,
    /// `once`, or `again and again for 1h`.
    pub how_long: String,
    /// `pod nginx`.
    pub place: String,
    /// The namespace.
    pub namespace: String,
}

impl Meaning {
    /// What a spec means.
    pub fn of(spec: &AccessRequestSpec) -> Self {
        let options = || spec.exec_options.clone().unwrap_or_default();
        match convert::ask(spec) {
            // Requests of the original may have no command; what meant any command there means none
            // here.
            Ok(Ask::Exec(_)) | Err(ConvertError::NoCommand) => {
                Self::Exec(options(), spec.any_command == Some(true))
            }
            Ok(Ask::Copy(copy)) => Self::Copy(copy),
            Ok(Ask::Attach(ask)) => Self::Attach(ask),
            Ok(Ask::PortForward) => {
                let ports = spec
                    .port_forward_options
                    .as_ref()
                    .and_then(|options| options.ports.clone());
                Self::PortForward(ports.unwrap_or_default())
            }
            Ok(Ask::Debug(ask)) => Self::Debug(ask),
            Err(error) => Self::Unknown(safe(&error.to_string())),
        }
    }

    /// What is asked for in a few words, where it is not a command.
    pub fn asks_for(&self) -> Option<String> {
        match self {
            Self::Exec(..) => None,
            Self::Copy(Copy {
                direction: Direction::To,
                ..
            }) => Some("cp INTO the container".to_owned()),
            Self::Copy(_) => Some("cp out of the container".to_owned()),
            Self::Attach(_) => Some("attach to what runs in the container".to_owned()),
            Self::PortForward(_) => Some("port-forward to ANY port".to_owned()),
            Self::Debug(_) => Some("debug with another container in the pod".to_owned()),
            Self::Unknown(why) => Some(format!("what is not understood: {why}")),
        }
    }

    /// The container that is meant, where the door leads into one.
    pub fn container(&self) -> Option<String> {
        let shown = |name: Option<&str>| {
            let name = name.filter(|name| !name.is_empty());
            Some(name.map_or_else(|| "(the default one)".to_owned(), safe_word))
        };
        match self {
            Self::Exec(options, _) => shown(options.container.as_deref()),
            Self::Copy(copy) => shown(copy.container.as_deref()),
            Self::Attach(ask) => shown(ask.container.as_deref()),
            Self::PortForward(_) | Self::Debug(_) | Self::Unknown(_) => None,
        }
    }

    /// All that is asked for, by label.
    pub fn lines(&self) -> Vec<(String, String)> {
        match self {
            Self::Exec(options, any) => {
                let (stdin, tty) = (options.stdin == Some(true), options.tty == Some(true));
                with_interactive(
                    vec![line("Command", command(options, *any, argv::show_block))],
                    stdin,
                    tty,
                )
            }
            Self::Copy(copy) => copy_lines(copy),
            Self::Attach(ask) => with_interactive(Vec::new(), ask.stdin, ask.tty),
            Self::PortForward(ports) => vec![line("Ports", format!("ANY ({})", wanted(ports)))],
            Self::Debug(ask) => debug_lines(ask),
            Self::Unknown(_) => Vec::new(),
        }
    }

    /// What a debug container sets beside what the other lines say: the field of core/v1, and its
    /// JSON.
    pub fn others(&self) -> Vec<(String, String)> {
        let Self::Debug(ask) = self else {
            return Vec::new();
        };
        let others = ask.container.others.iter();
        others
            .filter(|(field, _)| *field != SECURITY_CONTEXT)
            .map(|(field, json)| (safe_word(field), ascii(json)))
            .collect()
    }

    /// The same on one line, for a table.
    pub fn brief(&self) -> String {
        match self {
            Self::Exec(options, any) => {
                let (stdin, tty) = (options.stdin == Some(true), options.tty == Some(true));
                brief_with_interactive(command(options, *any, argv::show), stdin, tty)
            }
            Self::Copy(Copy {
                direction: Direction::To,
                path,
                directory,
                ..
            }) => {
                format!(
                    "cp to {}, unpacked in {}",
                    argv::quote_json(path),
                    argv::quote_json(directory)
                )
            }
            Self::Copy(copy) => format!("cp from {}", argv::quote_json(&copy.path)),
            Self::Attach(ask) => brief_with_interactive("attach".to_owned(), ask.stdin, ask.tty),
            Self::PortForward(ports) => format!("port-forward ANY ({})", wanted(ports)),
            Self::Debug(ask) => debug_brief(ask),
            Self::Unknown(_) => "(not understood)".to_owned(),
        }
    }

    /// What would run or be done, on one line, for whoever sees nothing else of it: a notice.
    pub fn summary(&self) -> String {
        match self {
            Self::Exec(options, any) => command(options, *any, argv::show),
            Self::Copy(Copy {
                direction: Direction::To,
                path,
                directory,
                ..
            }) => {
                format!(
                    "cp INTO {}, unpacked in {}",
                    argv::quote_json(path),
                    argv::quote_json(directory)
                )
            }
            Self::Copy(copy) => format!("cp out of {}", argv::quote_json(&copy.path)),
            Self::Attach(_) => "attach to what runs".to_owned(),
            Self::PortForward(ports) if ports.is_empty() => "ANY port".to_owned(),
            Self::PortForward(ports) => format!("ANY port ({})", wanted(ports)),
            Self::Debug(ask) => debug_summary(ask),
            Self::Unknown(why) => format!("what is not understood: {why}"),
        }
    }

    /// What approving means, and what cannot be limited.
    pub fn sentence(&self, means: &Means) -> String {
        let Means {
            user,
            how_long,
            place,
            namespace,
        } = means;
        let container = self.container().unwrap_or_default();
        let at = format!("container {container} of {place}");
        match self {
            Self::Exec(options, any) => {
                let what = match options.command.as_deref().unwrap_or_default() {
                    _ if *any => "ANY command".to_owned(),
                    [] => "nothing".to_owned(),
                    argv => program(argv),
                };
                let open = open(options.stdin == Some(true) || options.tty == Some(true));
                format!(
                    "{user} can run {what} {how_long}, in {at}, in namespace {namespace}.{open}"
                )
            }
            Self::Copy(copy) => copy_sentence(copy, means, &at),
            Self::Attach(ask) => {
                let types = if ask.stdin || ask.tty {
                    " and TYPE INTO it"
                } else {
                    ""
                };
                let open = open(ask.stdin || ask.tty);
                format!(
                    "{user} can attach to {at} {how_long}, in namespace {namespace}: see what it prints{types}.{open}"
                )
            }
            Self::PortForward(_) => format!(
                "{user} can forward ports to {place} {how_long}, in namespace {namespace}. Ports CANNOT be limited: \
                 any port of the pod can be reached, for as long as that kubectl runs."
            ),
            Self::Debug(ask) => debug_sentence(ask, means),
            Self::Unknown(_) => {
                format!("Nobody knows what {user} could do with it: do not grant it.")
            }
        }
    }
}

fn line(label: &str, value: String) -> (String, String) {
    (label.to_owned(), value)
}

fn command(options: &ExecOptions, any: bool, show: fn(&[String]) -> String) -> String {
    match options.command.as_deref().unwrap_or_default() {
        _ if any => "ANY command".to_owned(),
        [] => "(none)".to_owned(),
        argv => show(argv),
    }
}

/// The beginning of a text that a sentence has no room for.
fn beginning(text: &str) -> String {
    if text.chars().count() <= MAX_IN_SENTENCE {
        return text.to_owned();
    }
    text.chars()
        .take(MAX_IN_SENTENCE)
        .chain(['\u{2026}'])
        .collect()
}

/// A command inside a sentence: whole, or its beginning, and how much there is of it.
fn program(argv: &[String]) -> String {
    let shown = argv::show(argv);
    if shown.len() <= MAX_IN_SENTENCE {
        return shown;
    }
    let kept: String = shown.chars().take(MAX_IN_SENTENCE).collect();
    let bytes: usize = argv.iter().map(String::len).sum();
    format!("{kept}\u{2026} ({} arguments, {bytes} bytes)", argv.len())
}

fn interactive(stdin: bool, tty: bool) -> Option<&'static str> {
    match (stdin, tty) {
        (true, true) => Some("STDIN AND TTY"),
        (true, false) => Some("STDIN"),
        (false, true) => Some("TTY"),
        (false, false) => None,
    }
}

fn with_interactive(
    mut lines: Vec<(String, String)>,
    stdin: bool,
    tty: bool,
) -> Vec<(String, String)> {
    lines.extend(
        interactive(stdin, tty).map(|interactive| line("Interactive", interactive.to_owned())),
    );
    lines
}

fn brief_with_interactive(brief: String, stdin: bool, tty: bool) -> String {
    match interactive(stdin, tty) {
        Some(interactive) => format!("{brief}, {interactive}"),
        None => brief,
    }
}

fn open(interactive: bool) -> &'static str {
    if interactive {
        " What is typed into it is not limited."
    } else {
        ""
    }
}

fn wanted(ports: &[i32]) -> String {
    match ports {
        [] => "none is named".to_owned(),
        ports => format!(
            "wanted: {}",
            ports
                .iter()
                .map(i32::to_string)
                .collect::<Vec<_>>()
                .join(", ")
        ),
    }
}

fn copy_lines(copy: &Copy) -> Vec<(String, String)> {
    let mut lines = vec![line("Path", argv::quote_json(&copy.path))];
    if copy.direction == Direction::To {
        lines.push(line("Unpacked in", argv::quote_json(&copy.directory)));
    }
    lines.push(line("Command", argv::show_block(&copy.command())));
    lines
}

fn copy_sentence(copy: &Copy, means: &Means, at: &str) -> String {
    let Means {
        user,
        how_long,
        namespace,
        ..
    } = means;
    match copy.direction {
        Direction::To => {
            let below = match copy.directory.as_str() {
                "/" => "in it".to_owned(),
                "." => "below the directory in which its commands start".to_owned(),
                directory => format!("below {}", argv::quote_json(directory)),
            };
            format!(
                "{user} can copy into {at} {how_long}, in namespace {namespace}, and so write ANY file {below}. What \
                 is copied there cannot be limited."
            )
        }
        Direction::From => format!(
            "{user} can copy this out of {at} {how_long}, in namespace {namespace}: if it is a directory, with all \
             that is below it."
        ),
    }
}

fn debug_lines(ask: &DebugAsk) -> Vec<(String, String)> {
    let container = &ask.container;
    let sees = container
        .target
        .as_deref()
        .map(|target| format!("the processes of container {}", safe_word(target)));
    let of_image = |argv: &[String]| {
        if argv.is_empty() {
            "(the image's)".to_owned()
        } else {
            argv::show_block(argv)
        }
    };
    let mut lines = vec![
        line(
            "Named",
            container
                .name
                .as_deref()
                .map_or_else(|| "(any name)".to_owned(), safe_word),
        ),
        line(
            "Sees",
            sees.unwrap_or_else(|| "its own processes".to_owned()),
        ),
        line("Attach", if ask.attach { "yes" } else { "no" }.to_owned()),
    ];
    lines = with_interactive(lines, container.stdin, container.tty);
    lines.push(line("Image", argv::quote_json(&container.image)));
    lines.push(line("Command", of_image(&container.command)));
    if !container.args.is_empty() {
        lines.push(line("Arguments", argv::show_block(&container.args)));
    }
    lines.push(line("Rights", rights(container)));
    lines
}

fn rights(container: &DebugContainer) -> String {
    let Some(profile) = container.profile() else {
        let json = container
            .others
            .get(SECURITY_CONTEXT)
            .map(String::as_str)
            .unwrap_or_default();
        let privileged = if is_privileged(container) {
            "PRIVILEGED: root on the node "
        } else {
            ""
        };
        return format!("{privileged}{}", ascii(json));
    };
    let words = match profile {
        Profile::General => "can trace processes (SYS_PTRACE)",
        Profile::Baseline => "none of its own",
        Profile::Restricted => "not root, no capabilities",
        Profile::Netadmin => "can change the NETWORK (NET_ADMIN, NET_RAW)",
        Profile::Sysadmin => "PRIVILEGED: root on the node",
    };
    format!("{words} (profile {})", profile.name())
}

fn debug_brief(ask: &DebugAsk) -> String {
    let container = &ask.container;
    let privileged = if is_privileged(container) {
        "PRIVILEGED "
    } else {
        ""
    };
    let argv = container
        .command
        .iter()
        .chain(&container.args)
        .cloned()
        .collect::<Vec<_>>();
    let argv = if argv.is_empty() {
        String::new()
    } else {
        format!(" {}", argv::show(&argv))
    };
    let attach = if ask.attach { ", attach" } else { "" };
    format!(
        "debug {privileged}{}{argv}{attach}",
        argv::quote_json(&container.image)
    )
}

/// What `kubectl debug` would add to the pod, and what it could do there.
fn debug_summary(ask: &DebugAsk) -> String {
    let container = &ask.container;
    let root = if is_privileged(container) {
        "PRIVILEGED container (root on the node)"
    } else {
        "container"
    };
    let argv: Vec<String> = container
        .command
        .iter()
        .chain(&container.args)
        .cloned()
        .collect();
    let running = if argv.is_empty() {
        "the image's own command".to_owned()
    } else {
        argv::show(&argv)
    };
    let rights = container.profile().map_or_else(
        || "rights of its own".to_owned(),
        |profile| format!("profile {}", profile.name()),
    );
    let sees = container
        .target
        .as_deref()
        .map(|target| format!(", that sees the processes of {}", safe_word(target)));
    let others: Vec<String> = container
        .others
        .keys()
        .filter(|field| *field != SECURITY_CONTEXT)
        .map(|field| safe_word(field))
        .collect();
    let more = if others.is_empty() {
        String::new()
    } else {
        format!(", with {}", others.join(", "))
    };
    let attach = if ask.attach { ", and attach to it" } else { "" };
    let image = argv::quote_json(&container.image);
    format!(
        "a {root} of image {image} running {running}, {rights}{}{more}{attach}",
        sees.unwrap_or_default()
    )
}

fn debug_sentence(ask: &DebugAsk, means: &Means) -> String {
    let Means {
        user,
        how_long,
        place,
        namespace,
    } = means;
    let container = &ask.container;
    let image = beginning(&argv::quote_json(&container.image));
    let attach = if ask.attach { ", and attach to it" } else { "" };
    let sees = container
        .target
        .as_deref()
        .map(|target| format!(" and the processes of container {}", safe_word(target)));
    let privileged = if is_privileged(container) {
        " It is PRIVILEGED, which is ROOT ON THE NODE."
    } else {
        ""
    };
    let open = open(container.is_interactive());
    format!(
        "{user} can add a container of image {image} to {place} {how_long}{attach}, in namespace {namespace}. What runs in it cannot \
         be limited: it shares the network of the pod{}.{privileged}{open}",
        sees.unwrap_or_default()
    )
}

/// JSON in printable ASCII: outside of its strings there is nothing else.
fn ascii(json: &str) -> String {
    let mut shown = String::with_capacity(json.len());
    for c in json.chars() {
        match c {
            ' '..='~' => shown.push(c),
            c => escape(c, &mut shown),
        }
    }
    shown
}

fn escape(c: char, into: &mut String) {
    for unit in c.encode_utf16(&mut [0; 2]) {
        // Writing to a String cannot fail.
        let _: std::fmt::Result = write!(into, "\\u{unit:04x}");
    }
}
