//! What a request may say at all: bounds, and texts in which nothing hides.

use crate::{
    access::{Ask, Command, Request},
    attempt::Action,
    copy::Copy,
    debug::DebugContainer,
    settings::Settings,
    text::is_hidden,
};

/// Most arguments of a command.
pub const MAX_ARGUMENTS: usize = 256;
/// Longest argument, in bytes.
pub const MAX_ARGUMENT_LEN: usize = 4 * 1024;
/// Longest command, in bytes, all arguments together.
pub const MAX_COMMAND_LEN: usize = 32 * 1024;

/// Longest name of a container, in bytes.
pub const MAX_NAME_LEN: usize = 253;

/// Why a request is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// A command without arguments.
    #[error("the command is empty: name one, or ask for any with anyCommand: true (--any-command)")]
    NoCommand,
    /// Too many arguments.
    #[error("the command has {count} arguments; the maximum is {MAX_ARGUMENTS}")]
    TooManyArguments {
        /// How many there are.
        count: usize,
    },
    /// An argument is too long.
    #[error(
        "argument {number} of the command has {length} bytes; the maximum is {MAX_ARGUMENT_LEN}"
    )]
    ArgumentTooLong {
        /// Which, counted from 1.
        number: usize,
        /// Its length in bytes.
        length: usize,
    },
    /// All arguments together are too long.
    #[error("the command has {length} bytes; the maximum is {MAX_COMMAND_LEN}")]
    CommandTooLong {
        /// Its length in bytes.
        length: usize,
    },
    /// The name of a container is too long.
    #[error("the name of the container has {length} bytes; the maximum is {MAX_NAME_LEN}")]
    NameTooLong {
        /// Its length in bytes.
        length: usize,
    },
    /// The name of an image is too long.
    #[error("the name of the image has {length} bytes; the maximum is {MAX_ARGUMENT_LEN}")]
    ImageTooLong {
        /// Its length in bytes.
        length: usize,
    },
    /// The program's name could be mistaken for another.
    #[error(
        "the program {program} has letters beyond ASCII, which can look like others: write it in ASCII"
    )]
    ProgramNotAscii {
        /// The name, escaped.
        program: String,
    },
    /// What should be a name is none.
    #[error("{field} is not the name of an object (lower case letters, digits, - and .)")]
    NoName {
        /// Where.
        field: &'static str,
    },
    /// Something in a text would not show.
    #[error(
        "{field} has a character that does not show or changes how text shows (U+{code:04X}): take it out"
    )]
    Hidden {
        /// Where.
        field: String,
        /// The character's code point.
        code: u32,
    },
    /// Files would be unpacked where `kubectl cp` would not.
    #[error(
        "copy.directory must be copy.path itself or the directory that it is in, and copy.path as kubectl cp sends it, \
         without a slash at the end"
    )]
    CopyElsewhere,
    /// A path that is none to tar.
    #[error(
        "copy.path begins with \"-\", so that tar would take it for an option: write ./ before it"
    )]
    CopyOption,
    /// An ephemeral container without an image.
    #[error("ephemeralContainer.image is missing: name the image to debug with")]
    NoImage,
    /// Interactive use is switched off.
    #[error(
        "standard input and terminals (-i, -t) cannot be granted here: the server runs without --allow-interactive"
    )]
    InteractiveOff,
}

/// Whether a request can be granted and used at all.
///
/// # Errors
/// Says what must change before it can.
pub fn check(request: &Request, settings: &Settings) -> Result<(), Refusal> {
    if request.ask.is_interactive() && !settings.allow_interactive {
        return Err(Refusal::InteractiveOff);
    }
    check_name("forObject.name", &request.target.name)?;
    check_text("container", request.ask.container().unwrap_or_default())?;
    match &request.ask {
        Ask::Exec(ask) => match &ask.command {
            Command::Any => Ok(()),
            Command::Exactly(argv) => check_command(argv),
        },
        Ask::Copy(copy) => check_copy(copy),
        Ask::Debug(ask) => check_debug(&ask.container),
        Ask::Attach(_) | Ask::PortForward => Ok(()),
    }
}

/// Whether an attempt keeps to the bounds of requests. What does not is refused to everybody:
/// nobody could have asked for it, and it would not be told whole in the line about it.
///
/// # Errors
/// Says which bound it exceeds.
pub fn check_attempt(action: &Action) -> Result<(), Refusal> {
    let container = action.container().unwrap_or_default();
    if container.len() > MAX_NAME_LEN {
        return Err(Refusal::NameTooLong {
            length: container.len(),
        });
    }
    match action {
        Action::Exec(exec) => check_bounds(&exec.command),
        Action::Attach(_) | Action::PortForward => Ok(()),
        Action::Debug(addition) => {
            let added = &addition.container;
            if added.image.len() > MAX_ARGUMENT_LEN {
                return Err(Refusal::ImageTooLong {
                    length: added.image.len(),
                });
            }
            check_bounds(&added.command)?;
            check_bounds(&added.args)
        }
    }
}

fn check_copy(copy: &Copy) -> Result<(), Refusal> {
    check_text("copy.path", &copy.path)?;
    check_text("copy.directory", &copy.directory)?;
    if copy.path.starts_with('-') {
        return Err(Refusal::CopyOption);
    }
    if !copy.is_consistent() {
        return Err(Refusal::CopyElsewhere);
    }
    check_command(&copy.command())
}

fn check_debug(container: &DebugContainer) -> Result<(), Refusal> {
    if container.image.is_empty() {
        return Err(Refusal::NoImage);
    }
    check_text("ephemeralContainer.image", &container.image)?;
    check_text(
        "ephemeralContainer.name",
        container.name.as_deref().unwrap_or_default(),
    )?;
    for argv in [&container.command, &container.args] {
        if !argv.is_empty() {
            check_command(argv)?;
        }
    }
    for (field, json) in &container.others {
        check_text(&format!("ephemeralContainer.{field}"), json)?;
    }
    Ok(())
}

/// Bounds on number and size of arguments.
fn check_bounds(argv: &[String]) -> Result<(), Refusal> {
    if argv.len() > MAX_ARGUMENTS {
        return Err(Refusal::TooManyArguments { count: argv.len() });
    }
    if let Some((number, argument)) = (1..)
        .zip(argv)
        .find(|(_, argument)| argument.len() > MAX_ARGUMENT_LEN)
    {
        return Err(Refusal::ArgumentTooLong {
            number,
            length: argument.len(),
        });
    }
    let length = argv.iter().map(String::len).sum();
    if length > MAX_COMMAND_LEN {
        return Err(Refusal::CommandTooLong { length });
    }
    Ok(())
}

fn check_command(argv: &[String]) -> Result<(), Refusal> {
    let program = argv
        .first()
        .filter(|program| !program.is_empty())
        .ok_or(Refusal::NoCommand)?;
    check_bounds(argv)?;
    for (number, argument) in (1..).zip(argv) {
        let lines = |c: char| c == '\n' || c == '\t';
        visible(
            &format!("argument {number} of the command"),
            argument,
            lines,
        )?;
    }
    if !program.is_ascii() {
        return Err(Refusal::ProgramNotAscii {
            program: crate::argv::quote_json(program),
        });
    }
    Ok(())
}

/// Whether a text can be the name of an object: a DNS subdomain (RFC 1123). Anything else could be
/// read as another path of the API server.
pub fn is_name(text: &str) -> bool {
    let label = |label: &str| {
        let plain = label
            .chars()
            .all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-');
        !label.is_empty() && plain && !label.starts_with('-') && !label.ends_with('-')
    };
    text.len() <= 253 && text.split('.').all(label)
}

/// Refuses a text that cannot be the name of an object.
///
/// # Errors
/// It cannot.
pub fn check_name(field: &'static str, text: &str) -> Result<(), Refusal> {
    check_text(field, text)?;
    if is_name(text) {
        Ok(())
    } else {
        Err(Refusal::NoName { field })
    }
}

/// Whether every character of a text for people (a reason, a key) shows as itself.
///
/// # Errors
/// Names the first character that does not.
pub fn check_text(field: &str, text: &str) -> Result<(), Refusal> {
    // What makes an emoji of a letter is no place to hide.
    visible(field, text, |c| c == '\u{fe0f}')
}

fn visible(field: &str, text: &str, except: impl Fn(char) -> bool) -> Result<(), Refusal> {
    match text.chars().find(|&c| is_hidden(c) && !except(c)) {
        Some(c) => Err(Refusal::Hidden {
            field: field.to_owned(),
            code: u32::from(c),
        }),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    fn argv(arguments: &[&str]) -> Vec<String> {
        arguments
            .iter()
            .map(|&argument| argument.to_owned())
            .collect()
    }

    #[rstest]
    #[case(&["sh", "-c", "ls\n\tid"])]
    #[case(&["echo", "", "Grüße", "\u{0455}h"])]
    #[case(&["printf", "a  b"])]
    fn an_ordinary_command_may_be_asked_for(#[case] command: &[&str]) {
        assert_eq!(check_command(&argv(command)), Ok(()));
    }

    // F3, G1, G2, G3
    #[rstest]
    #[case(&[], Refusal::NoCommand)]
    #[case(&[""], Refusal::NoCommand)]
    #[case(&["\u{0455}h"], Refusal::ProgramNotAscii { program: r#""\u0455h""#.to_owned() })]
    #[case(&["echo", "\u{1b}[2J"], hidden(2, 0x1b))]
    #[case(&["echo", "\u{9b}2J"], hidden(2, 0x9b))]
    #[case(&["echo", "a\u{8}b"], hidden(2, 8))]
    #[case(&["echo", "\0"], hidden(2, 0))]
    #[case(&["echo", "\r"], hidden(2, 0xd))]
    #[case(&["echo", "\u{202e}x"], hidden(2, 0x202e))]
    #[case(&["echo", "\u{200b}"], hidden(2, 0x200b))]
    #[case(&["echo", "\u{a0}"], hidden(2, 0xa0))]
    #[case(&["echo", "\u{e0041}"], hidden(2, 0xe0041))]
    #[case(&["echo", "\u{fffd}"], hidden(2, 0xfffd))]
    #[case(&["e\u{200d}cho"], hidden(1, 0x200d))]
    fn a_command_that_hides_something_is_refused(
        #[case] command: &[&str],
        #[case] refusal: Refusal,
    ) {
        assert_eq!(check_command(&argv(command)), Err(refusal));
    }

    fn hidden(number: usize, code: u32) -> Refusal {
        Refusal::Hidden {
            field: format!("argument {number} of the command"),
            code,
        }
    }

    #[rstest]
    #[case("web-0", true)]
    #[case("a.b", true)]
    #[case("7", true)]
    #[case("", false)]
    #[case("web#frontend", false)]
    #[case("web?x", false)]
    #[case("web/status", false)]
    #[case("%77eb", false)]
    #[case("..", false)]
    #[case("a..b", false)]
    #[case("-a", false)]
    #[case("a-", false)]
    #[case("Web", false)]
    #[case("we b", false)]
    fn only_what_can_be_no_other_path_is_a_name(#[case] text: &str, #[case] name: bool) {
        assert_eq!(is_name(text), name);
        assert!(is_name(&"a".repeat(253)));
        assert!(!is_name(&"a".repeat(254)));
    }

    // F21, G4
    #[test]
    fn bounds_are_exact() {
        let many = |count: usize| vec!["x".to_owned(); count];
        assert_eq!(check_command(&many(MAX_ARGUMENTS)), Ok(()));
        assert_eq!(
            check_command(&many(257)),
            Err(Refusal::TooManyArguments { count: 257 })
        );
        assert_eq!(check_command(&["x".repeat(MAX_ARGUMENT_LEN)]), Ok(()));
        let long = ["x".repeat(4097)];
        assert_eq!(
            check_command(&long),
            Err(Refusal::ArgumentTooLong {
                number: 1,
                length: 4097
            })
        );
        assert_eq!(check_command(&vec!["x".repeat(4096); 8]), Ok(()));
        assert_eq!(
            check_command(&vec!["x".repeat(4096); 9]),
            Err(Refusal::CommandTooLong { length: 36864 })
        );
    }

    #[test]
    fn a_reason_may_be_in_any_language_but_hides_nothing() {
        assert_eq!(
            check_text("reason", "Störung #42 — 部署失敗 🚒 ⚠\u{fe0f}"),
            Ok(())
        );
        assert!(check_text("reason", "line\nbreak").is_err());
        assert!(check_text("reason", "\u{202e}evil").is_err());
    }
}
