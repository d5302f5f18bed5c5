//! Commands as people see them: as JSON, escaped so that two different commands never look the
//! same, and as a line to paste into a POSIX shell.

use std::fmt::Write as _;

/// One argument a line from this many characters on.
const LONG: usize = 100;

/// A command on one line, as a JSON array: `["cat","/etc/hostname"]`.
///
/// Injective: different commands never look the same. Whatever is not printable ASCII is shown by
/// its code points (`\u00e9`, beyond the basic plane as a surrogate pair), so letters that look
/// alike, text that runs right to left and characters without width all show what they are.
pub fn show(argv: &[String]) -> String {
    let arguments: Vec<String> = argv.iter().map(|argument| quote_json(argument)).collect();
    format!("[{}]", arguments.join(","))
}

/// A command for the screen of an approver: on one line when short, else one argument a line.
/// Nothing is cut.
pub fn show_block(argv: &[String]) -> String {
    let line = show(argv);
    if line.len() <= LONG {
        return line;
    }
    let arguments: Vec<String> = argv
        .iter()
        .map(|argument| format!("  {}", quote_json(argument)))
        .collect();
    format!("[\n{}\n]", arguments.join(",\n"))
}

/// One argument as a JSON string in printable ASCII.
pub fn quote_json(argument: &str) -> String {
    let mut quoted = String::with_capacity(argument.len().saturating_add(2));
    quoted.push('"');
    for c in argument.chars() {
        match c {
            '"' => quoted.push_str("\\\""),
            '\\' => quoted.push_str("\\\\"),
            '\n' => quoted.push_str("\\n"),
            '\t' => quoted.push_str("\\t"),
            ' '..='~' => quoted.push(c),
            _ => escape(c, &mut quoted),
        }
    }
    quoted.push('"');
    quoted
}

fn escape(c: char, into: &mut String) {
    for unit in c.encode_utf16(&mut [0; 2]) {
        // Writing to a String cannot fail.
        let _: std::fmt::Result = write!(into, "\\u{unit:04x}");
    }
}

/// A command as a line that a POSIX shell splits into the very same arguments.
pub fn shell_line<S: AsRef<str>>(argv: &[S]) -> String {
    let arguments: Vec<String> = argv
        .iter()
        .map(|argument| quote_posix(argument.as_ref()))
        .collect();
    arguments.join(" ")
}

/// One argument, quoted for a POSIX shell where it needs to be (POSIX.1-2024, Shell Command
/// Language, 2.2.2).
pub fn quote_posix(argument: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "%+,-./:=@_".contains(c);
    if !argument.is_empty() && argument.chars().all(plain) {
        return argument.to_owned();
    }
    format!("'{}'", argument.replace('\'', r"'\''"))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use rstest::rstest;

    use super::*;

    fn argv(arguments: &[&str]) -> Vec<String> {
        arguments
            .iter()
            .map(|&argument| argument.to_owned())
            .collect()
    }

    // G3
    #[rstest]
    #[case(&["cat", "/etc/hostname"], r#"["cat","/etc/hostname"]"#)]
    #[case(&["a b"], r#"["a b"]"#)]
    #[case(&["a", "b"], r#"["a","b"]"#)]
    #[case(&["\u{455}h"], r#"["\u0455h"]"#)]
    #[case(&["\u{1b}[2J"], r#"["\u001b[2J"]"#)]
    #[case(&["line\nline\ttab"], r#"["line\nline\ttab"]"#)]
    #[case(&["\u{202e}", "\u{1f600}"], r#"["\u202e","\ud83d\ude00"]"#)]
    #[case(&[], "[]")]
    fn a_command_is_shown_as_escaped_json(#[case] command: &[&str], #[case] shown: &str) {
        assert_eq!(show(&argv(command)), shown);
    }

    // G4
    #[test]
    fn a_long_command_is_shown_one_argument_a_line_and_whole() {
        let command = argv(&["sh", "-c", &"x".repeat(5000)]);
        let shown = show_block(&command);
        assert_eq!(shown.lines().count(), 5);
        assert!(shown.contains(&"x".repeat(5000)));
    }

    #[rstest]
    #[case("ls", "ls")]
    #[case("", "''")]
    #[case("it's", r"'it'\''s'")]
    #[case("$(id)", "'$(id)'")]
    #[case("a b", "'a b'")]
    #[case("~", "'~'")]
    #[case("*", "'*'")]
    fn an_argument_is_quoted_where_a_shell_would_change_it(
        #[case] argument: &str,
        #[case] quoted: &str,
    ) {
        assert_eq!(quote_posix(argument), quoted);
    }

    proptest! {
        // G5
        #[test]
        fn two_commands_that_look_the_same_are_the_same(
            one in prop::collection::vec(any::<String>(), 0..4),
            other in prop::collection::vec(any::<String>(), 0..4),
        ) {
            prop_assert_eq!(show(&one) == show(&other), one == other);
            prop_assert_eq!(show_block(&one) == show_block(&other), one == other);
        }

        #[test]
        fn a_shown_command_is_printable_ascii(command in prop::collection::vec(any::<String>(), 0..4)) {
            prop_assert!(show(&command).chars().all(|c| (' '..='~').contains(&c)));
        }
    }
}
