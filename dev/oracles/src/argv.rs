//! Commands as people see them: nothing is lost, nothing looks like something else.

use decide::argv::{quote_json, quote_posix, shell_line, show, show_block};

/// Shows a command in every way, and reads it back.
pub fn check(data: &[u8]) {
    let argv = crate::texts::texts(data);
    let (line, block) = (show(&argv), show_block(&argv));
    for shown in [&line, &block] {
        // Whatever can be read back is shown injectively.
        assert_eq!(
            serde_json::from_str::<Vec<String>>(shown).unwrap(),
            argv,
            "{shown}"
        );
        assert!(
            shown.chars().all(|c| (' '..='~').contains(&c) || c == '\n'),
            "{shown:?}"
        );
    }
    assert!(!line.contains('\n'));
    for argument in &argv {
        assert_eq!(
            serde_json::from_str::<String>(&quote_json(argument)).unwrap(),
            *argument
        );
        assert_eq!(
            split(&quote_posix(argument)).as_deref(),
            Some(std::slice::from_ref(argument))
        );
    }
    assert_eq!(split(&shell_line(&argv)), Some(argv));
}

/// A line split as a POSIX shell does (Shell Command Language, 2.2 and 2.3); `None` where it would
/// do anything but split: expand, substitute, redirect, take a word for its own.
fn split(line: &str) -> Option<Vec<String>> {
    let mut words = Vec::new();
    let mut word: Option<String> = None;
    let mut chars = line.chars();
    while let Some(c) = chars.next() {
        match c {
            ' ' => words.extend(word.take()),
            '\'' => {
                let quoted = word.get_or_insert_default();
                loop {
                    match chars.next()? {
                        '\'' => break,
                        c => quoted.push(c),
                    }
                }
            }
            '\\' => word
                .get_or_insert_default()
                .push(chars.next().filter(|c| *c != '\n')?),
            c if c.is_ascii_alphanumeric() || "%+,-./:=@_".contains(c) => {
                word.get_or_insert_default().push(c);
            }
            _ => return None,
        }
    }
    words.extend(word);
    Some(words)
}
