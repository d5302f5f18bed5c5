//! Arguments that look like passwords. They are part of what is asked for, and so stored, logged
//! and read by approvers: whoever asks is warned, and lists and notices mask them. Nothing else
//! does: an approver reads what will run.
//!
//! What is looked for, in each word of each argument:
//!
//! - `--password=…`, `--token=…` and the like, or the argument behind such a flag;
//! - `PGPASSWORD=…`, `MYSQL_PWD=…`, `API_TOKEN=…`: names that end so;
//! - `-pSECRET` of `mysql` and its relatives;
//! - `scheme://user:password@host`;
//! - keys that are known by their beginning: AWS (`AKIA…`), GitHub, GitLab, Slack, JSON web tokens.

use decide::access::Ask;

use crate::{AccessRequestSpec, convert};

/// Stands for what is not shown.
const MASK: &str = "***";
/// What names of passwords end in, in lower case and without dashes or underscores.
const NAMES: [&str; 10] = [
    "password",
    "passwd",
    "passphrase",
    "pwd",
    "secret",
    "token",
    "apikey",
    "accesskey",
    "secretkey",
    "credentials",
];
/// Programs whose `-p` is followed by a password in the same word.
const MYSQL: [&str; 6] = [
    "mysql",
    "mysqldump",
    "mysqladmin",
    "mariadb",
    "mariadb-dump",
    "mariadb-admin",
];
/// How keys begin, and how long they are at least.
const KEYS: [(&str, usize); 10] = [
    ("AKIA", 20),
    ("ASIA", 20),
    ("ghp_", 36),
    ("gho_", 36),
    ("ghs_", 36),
    ("github_pat_", 36),
    ("glpat-", 20),
    ("xoxb-", 20),
    ("xoxp-", 20),
    ("eyJ", 60),
];

/// The first argument of what would run that looks like a password, masked. `None`: none does.
pub fn suspect(spec: &AccessRequestSpec) -> Option<String> {
    let masked = masked(spec);
    argvs(spec)
        .into_iter()
        .zip(argvs(&masked))
        .flat_map(|(given, masked)| given.iter().zip(masked))
        .find(|(given, masked)| given != masked)
        .map(|(_, masked)| masked.clone())
}

/// The same request, without what looks like passwords.
pub fn masked(spec: &AccessRequestSpec) -> AccessRequestSpec {
    let mut masked = spec.clone();
    // The command of a copy follows from its paths, or is not understood any more.
    if !matches!(convert::ask(spec), Ok(Ask::Copy(_))) {
        let exec = masked
            .exec_options
            .as_mut()
            .and_then(|options| options.command.as_mut());
        mask_one_after_the_other(exec);
    }
    if let Some(container) = &mut masked.ephemeral_container {
        mask_one_after_the_other(
            [&mut container.command, &mut container.args]
                .into_iter()
                .flatten(),
        );
    }
    masked
}

/// Masks what follows on each other in one command line: `mysql` in one, its `-p…` in the next.
fn mask_one_after_the_other<'a>(argvs: impl IntoIterator<Item = &'a mut Vec<String>>) {
    let mut context = Context::default();
    for argument in argvs.into_iter().flatten() {
        *argument = context.argument(argument);
    }
}

fn argvs(spec: &AccessRequestSpec) -> Vec<&Vec<String>> {
    let container = spec.ephemeral_container.as_ref();
    let exec = spec
        .exec_options
        .as_ref()
        .and_then(|options| options.command.as_ref());
    let (command, arguments) =
        container.map_or((None, None), |c| (c.command.as_ref(), c.args.as_ref()));
    [exec, command, arguments].into_iter().flatten().collect()
}

/// A command without what looks like passwords.
pub fn mask(argv: &[String]) -> Vec<String> {
    let mut masked = argv.to_vec();
    mask_one_after_the_other([&mut masked]);
    masked
}

/// What the words before say about the next one.
#[derive(Default)]
struct Context {
    mysql: bool,
    named: bool,
}

impl Context {
    /// An argument may be a line for a shell: each word of it is looked at, and what is between
    /// them kept.
    fn argument(&mut self, argument: &str) -> String {
        argument
            .split_inclusive(char::is_whitespace)
            .map(|piece| {
                let word = piece.trim_end();
                let gap = piece.get(word.len()..).unwrap_or_default();
                if word.is_empty() {
                    piece.to_owned()
                } else {
                    self.word(word) + gap
                }
            })
            .collect()
    }

    fn word(&mut self, word: &str) -> String {
        let named = std::mem::take(&mut self.named);
        let program = word
            .rsplit('/')
            .next()
            .unwrap_or(word)
            .trim_matches(['"', '\'']);
        self.mysql |= MYSQL.contains(&program);
        if named && !word.starts_with('-') {
            return MASK.to_owned();
        }
        if let Some((name, value)) = word.split_once('=')
            && is_secret(name)
        {
            return if value.is_empty() {
                word.to_owned()
            } else {
                format!("{name}={MASK}")
            };
        }
        if self.mysql && word.starts_with("-p") && word.len() > 2 {
            return format!("-p{MASK}");
        }
        self.named = word.starts_with("--") && is_secret(word);
        in_url(word)
            .or_else(|| key(word))
            .unwrap_or_else(|| word.to_owned())
    }
}

fn is_secret(name: &str) -> bool {
    let plain: String = name
        .chars()
        .filter(char::is_ascii_alphanumeric)
        .collect::<String>()
        .to_ascii_lowercase();
    NAMES.iter().any(|ending| plain.ends_with(ending))
}

/// `https://jane:secret@host/` as `https://jane:***@host/`.
fn in_url(word: &str) -> Option<String> {
    let (scheme, rest) = word.split_once("://")?;
    let (authority, _) = rest.split_once('/').unwrap_or((rest, ""));
    let (user, host) = authority.rsplit_once('@')?;
    let (user, password) = user
        .split_once(':')
        .filter(|(_, password)| !password.is_empty())?;
    let before = [scheme, "://", user, ":"].concat();
    let after = word.get(before.len().checked_add(password.len())?..)?;
    debug_assert!(after.starts_with('@') && after.contains(host));
    Some(format!("{before}{MASK}{after}"))
}

/// A key inside of a word, with whatever follows it.
fn key(word: &str) -> Option<String> {
    KEYS.iter().find_map(|(start, length)| {
        let (before, after) = word.split_once(start)?;
        let boundary = !before.ends_with(|c: char| c.is_ascii_alphanumeric());
        let goes_on = after
            .chars()
            .take_while(|c| c.is_ascii_alphanumeric() || "-_.".contains(*c))
            .count();
        let long = goes_on.saturating_add(start.len()) >= *length;
        (boundary && long).then(|| format!("{before}{start}{MASK}"))
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use rstest::rstest;

    use super::*;

    fn words(line: &str) -> Vec<String> {
        line.split(' ').map(str::to_owned).collect()
    }

    #[rstest]
    #[case("psql --password=hunter2 -h db", "psql --password=*** -h db")]
    #[case("tool --api-token hunter2 list", "tool --api-token *** list")]
    #[case("env PGPASSWORD=hunter2 psql", "env PGPASSWORD=*** psql")]
    #[case("env MYSQL_PWD=hunter2 mysql", "env MYSQL_PWD=*** mysql")]
    #[case("/usr/bin/mysql -u root -phunter2", "/usr/bin/mysql -u root -p***")]
    #[case("curl https://jane:hunter2@host/a@b", "curl https://jane:***@host/a@b")]
    #[case("env X=AKIAIOSFODNN7EXAMPLE aws", "env X=AKIA*** aws")]
    #[case(
        "env AWS_SECRET_ACCESS_KEY=wJalr aws",
        "env AWS_SECRET_ACCESS_KEY=*** aws"
    )]
    fn what_looks_like_a_password_is_masked(#[case] given: &str, #[case] masked: &str) {
        assert_eq!(mask(&words(given)).join(" "), masked);
        let line = ["sh".to_owned(), "-c".to_owned(), given.to_owned()];
        assert_eq!(mask(&line)[2], masked);
    }

    #[rstest]
    #[case("cat /etc/passwd")]
    #[case("mkdir -p /tmp/a")]
    #[case("mysql -p")]
    #[case("nc -p8080 host")]
    #[case("tool --password= --token")]
    #[case("curl https://host:8443/a@b:c")]
    #[case("echo AKIA eyJ ghp_x")]
    #[case("tool --tokenizer=bpe --pwdless")]
    fn what_does_not_stays(#[case] given: &str) {
        assert_eq!(mask(&words(given)), words(given));
    }

    fn spec(spec: &serde_json::Value) -> AccessRequestSpec {
        let mut all = serde_json::json!({"forObject": {"resource": {"group": "", "version": "v1", "resource": "pods"},
            "subResource": "exec", "name": "web-0"}});
        all.as_object_mut()
            .unwrap()
            .extend(spec.as_object().unwrap().clone());
        serde_json::from_value(all).unwrap()
    }

    #[test]
    fn a_copy_stays_the_copy_that_it_is_whatever_its_paths_look_like() {
        let copy = spec(
            &serde_json::json!({"copy": {"direction": "from", "path": "/data/token=1/x"},
            "execOptions": {"container": "web", "command": ["tar", "cf", "-", "/data/token=1/x"]}}),
        );
        assert!(matches!(convert::ask(&masked(&copy)), Ok(Ask::Copy(_))));
    }

    #[test]
    fn a_password_among_the_arguments_of_a_container_is_known_by_its_command() {
        let mut debug = spec(&serde_json::json!({"ephemeralContainer":
            {"image": "mysql", "command": ["mysql"], "args": ["-phunter2"]}}));
        debug.for_object.sub_resource = "ephemeralcontainers".to_owned();
        assert_eq!(
            masked(&debug).ephemeral_container.unwrap().args.unwrap(),
            ["-p***"]
        );
    }

    proptest! {
        #[test]
        fn masking_keeps_the_number_of_arguments(argv in prop::collection::vec(any::<String>(), 0..6)) {
            prop_assert_eq!(mask(&argv).len(), argv.len());
        }
    }
}
