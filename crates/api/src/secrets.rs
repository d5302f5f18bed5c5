//! Texts that look like passwords. They are part of what is asked for, and so stored, logged and read
//! by approvers: the plugin asks before it files them, and lists and notices mask them. Nothing else
//! does: an approver reads what will run.
//!
//! What is looked for, in each word of each argument, of the reason, of the custom keys and of a debug
//! container's environment:
//!
//! - `--password=…`, `--token=…` and the like, or the argument behind such a flag;
//! - `PGPASSWORD=…`, `MYSQL_PWD=…`, `API_TOKEN=…`: names that end so;
//! - the flags by which well-known programs take one: `mysql -pSECRET`, `curl -u jane:SECRET`,
//!   `redis-cli -a SECRET`, `sshpass -p SECRET`, `vault login SECRET`;
//! - `Authorization: Bearer …` and other headers that log in;
//! - `PASSWORD '…'` and `IDENTIFIED BY '…'` of SQL;
//! - `scheme://user:password@host`;
//! - keys that are known by their beginning, and private keys. The beginnings and lengths are those of
//!   the rules that gitleaks ships (`config/gitleaks.toml`).

use decide::access::Ask;

use crate::{AccessRequestSpec, convert};

/// Stands for what is not shown.
const MASK: &str = "***";
/// What names of passwords end in, in lower case and without dashes or underscores.
const NAMES: [&str; 13] = [
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
    "privatekey",
    "authkey",
    "sessionid",
];
/// Names that are secret by themselves, or behind a dash or an underscore: `DB_PASS`, not `bypass`.
const SHORT_NAMES: [&str; 3] = ["pass", "cookie", "session"];
/// How a program takes a password on its command line.
struct Taking {
    programs: &'static [&'static str],
    flags: &'static [&'static str],
    /// Whether it may stand in the word of the flag, as in `-pSECRET`.
    joined: bool,
    /// Whether it may be the next word.
    next: bool,
    /// Whether only what stands behind a colon is secret, as in `jane:SECRET`.
    behind_colon: bool,
}

const TAKING: [Taking; 7] = [
    // With a space, `-p` asks for the password, and the next word is a database.
    Taking {
        programs: &[
            "mysql",
            "mysqldump",
            "mysqladmin",
            "mariadb",
            "mariadb-dump",
            "mariadb-admin",
        ],
        flags: &["-p"],
        joined: true,
        next: false,
        behind_colon: false,
    },
    Taking {
        programs: &["curl"],
        flags: &["-u", "--user", "-U", "--proxy-user"],
        joined: true,
        next: true,
        behind_colon: true,
    },
    Taking {
        programs: &["redis-cli", "valkey-cli"],
        flags: &["-a", "--pass"],
        joined: false,
        next: true,
        behind_colon: false,
    },
    Taking {
        programs: &["sshpass", "mongo", "mongosh", "mongodump", "mongorestore"],
        flags: &["-p"],
        joined: true,
        next: true,
        behind_colon: false,
    },
    Taking {
        programs: &["ldapsearch", "ldapadd", "ldapmodify", "ldappasswd"],
        flags: &["-w"],
        joined: true,
        next: true,
        behind_colon: false,
    },
    // `vault login TOKEN`.
    Taking {
        programs: &["vault", "bao"],
        flags: &["login"],
        joined: false,
        next: true,
        behind_colon: false,
    },
    Taking {
        programs: &["docker", "podman", "crane", "helm", "skopeo"],
        flags: &["-p"],
        joined: false,
        next: true,
        behind_colon: false,
    },
];
/// Headers that log in, in lower case. Of those with a scheme the word behind it is secret.
const HEADERS: [&str; 7] = [
    "cookie:",
    "authorization:",
    "proxy-authorization:",
    "x-api-key:",
    "x-auth-token:",
    "x-vault-token:",
    "private-token:",
];
const SCHEMES: [&str; 3] = ["bearer", "basic", "token"];
/// How keys begin, and how long they are at least.
const KEYS: [(&str, usize); 26] = [
    ("AKIA", 20),
    ("ASIA", 20),
    ("AIza", 39),
    ("ghp_", 36),
    ("gho_", 36),
    ("ghu_", 36),
    ("ghs_", 36),
    ("ghr_", 36),
    ("github_pat_", 36),
    ("glpat-", 20),
    ("xoxb-", 20),
    ("xoxp-", 20),
    ("xoxa-", 20),
    ("xapp-", 20),
    ("sk_live_", 24),
    ("rk_live_", 24),
    ("sk-ant-", 40),
    ("sk-proj-", 40),
    ("npm_", 40),
    ("pypi-", 50),
    ("dckr_pat_", 36),
    ("dop_v1_", 70),
    ("hvs.", 24),
    ("SG.", 60),
    ("AGE-SECRET-KEY-1", 60),
    ("eyJ", 60),
];
/// How private keys begin, in the PEM format.
const PRIVATE_KEY: &str = "PRIVATE KEY-----";

/// The first text of a request that looks like a password, masked. `None`: none does.
pub fn suspect(spec: &AccessRequestSpec) -> Option<String> {
    let masked = masked(spec);
    texts(spec)
        .into_iter()
        .zip(texts(&masked))
        .find(|(given, masked)| given != masked)
        .map(|(_, masked)| masked)
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
        for variable in container.env.iter_mut().flatten() {
            mask_named(&variable.name, variable.value.as_mut());
        }
    }
    for (key, value) in masked.custom_keys.iter_mut().flatten() {
        mask_named(key, Some(value));
    }
    if let Some(reason) = &mut masked.reason {
        *reason = Context::default().argument(reason);
    }
    masked
}

/// Masks a value whose name says that it is secret, or that looks so itself.
fn mask_named(name: &str, value: Option<&mut String>) {
    let Some(value) = value.filter(|value| !value.is_empty()) else {
        return;
    };
    *value = if is_secret(name) {
        MASK.to_owned()
    } else {
        Context::default().argument(value)
    };
}

/// Masks what follows on each other in one command line: `mysql` in one, its `-p…` in the next.
fn mask_one_after_the_other<'a>(argvs: impl IntoIterator<Item = &'a mut Vec<String>>) {
    let mut context = Context::default();
    for argument in argvs.into_iter().flatten() {
        *argument = context.argument(argument);
    }
}

/// All texts of a request in which somebody could have written a password, in the same order.
fn texts(spec: &AccessRequestSpec) -> Vec<String> {
    let container = spec.ephemeral_container.as_ref();
    let exec = spec
        .exec_options
        .as_ref()
        .and_then(|options| options.command.as_ref());
    let (command, arguments) =
        container.map_or((None, None), |c| (c.command.as_ref(), c.args.as_ref()));
    let argvs = [exec, command, arguments].into_iter().flatten().flatten();
    let variables = container
        .and_then(|container| container.env.as_ref())
        .into_iter()
        .flatten()
        .map(|variable| {
            let value = variable.value.as_deref().unwrap_or_default();
            format!("{}={value}", variable.name)
        });
    let keys = spec.custom_keys.iter().flatten();
    let keys = keys.map(|(key, value)| format!("{key}={value}"));
    argvs
        .cloned()
        .chain(variables)
        .chain(keys)
        .chain(spec.reason.clone())
        .collect()
}

/// A text without what looks like passwords.
pub fn masked_text(text: &str) -> String {
    Context::default().argument(text)
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
    /// How the program takes a password.
    taking: Option<&'static Taking>,
    next: Next,
    /// The quote that ends a secret of several words.
    quote: Option<char>,
}

/// What the next word is.
#[derive(Default, Clone, Copy, PartialEq, Eq)]
enum Next {
    #[default]
    Anything,
    /// A password, unless it is a flag.
    Secret,
    /// A user, a colon, and a password.
    BehindColon,
    /// What a header says: a scheme and a secret, or a secret.
    Header,
    /// A password, where it is quoted: SQL.
    Quoted,
    /// `BY`, behind which one is quoted.
    By,
}

impl Context {
    /// An argument may be a line for a shell: each word of it is looked at, and what is between
    /// them kept.
    fn argument(&mut self, argument: &str) -> String {
        if let Some((before, _)) = argument.split_once(PRIVATE_KEY) {
            return format!("{before}{PRIVATE_KEY}{MASK}");
        }
        self.quote = None;
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
        if let Some(quote) = self.quote {
            self.quote = Some(quote).filter(|_| !word.contains(quote));
            return MASK.to_owned();
        }
        let bare = word.trim_matches(['"', '\'']);
        match std::mem::take(&mut self.next) {
            Next::Secret if !word.starts_with('-') => return self.secret(word),
            Next::Quoted if word.starts_with(['\'', '"']) => return self.secret(word),
            Next::By if bare.eq_ignore_ascii_case("by") => {
                self.next = Next::Quoted;
                return word.to_owned();
            }
            Next::BehindColon if !word.starts_with('-') => return behind_colon(word),
            Next::Header if SCHEMES.contains(&bare.to_ascii_lowercase().as_str()) => {
                self.next = Next::Secret;
                return word.to_owned();
            }
            Next::Header => return MASK.to_owned(),
            Next::Anything | Next::Secret | Next::BehindColon | Next::Quoted | Next::By => {}
        }
        let program = bare.rsplit('/').next().unwrap_or(bare);
        if let Some(taking) = TAKING.iter().find(|one| one.programs.contains(&program)) {
            self.taking = Some(taking);
            return word.to_owned();
        }
        if let Some(masked) = self.flag(word) {
            return masked;
        }
        if let Some(masked) = self.assignment(word) {
            return masked;
        }
        if HEADERS.contains(&bare.to_ascii_lowercase().as_str()) {
            self.next = Next::Header;
            return word.to_owned();
        }
        if word.starts_with("--") && is_secret(word) {
            self.next = Next::Secret;
        } else if bare.eq_ignore_ascii_case("password") {
            self.next = Next::Quoted;
        } else if bare.eq_ignore_ascii_case("identified") {
            self.next = Next::By;
        }
        in_url(word)
            .or_else(|| key(word))
            .unwrap_or_else(|| word.to_owned())
    }

    /// `NAME=SECRET`, `"name":"SECRET"`, `--from-literal=name=SECRET`, and `name:` before a secret:
    /// with a name of a secret anywhere in the word.
    fn assignment(&mut self, word: &str) -> Option<String> {
        let is_name = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c);
        for (at, _) in word.match_indices(['=', ':']) {
            let (before, after) = (word.get(..at)?, word.get(at..)?.get(1..)?);
            let name = before.trim_end_matches(['"', '\'']);
            let start = name.rfind(|c| !is_name(c)).map_or(0, |at| {
                at.saturating_add(
                    name.get(at..)
                        .and_then(|rest| rest.chars().next())
                        .map_or(1, char::len_utf8),
                )
            });
            let name = name.get(start..)?;
            // Of an address the host follows.
            if !is_secret(name) || after.starts_with("//") {
                continue;
            }
            if after.trim_matches(['"', '\'']).is_empty() {
                if word.get(at..)?.starts_with(':') || !after.is_empty() {
                    self.next = Next::Secret;
                }
                return Some(word.to_owned());
            }
            let separator = word.get(at..)?.get(..1)?;
            return Some(format!("{before}{separator}{}", self.secret(after)));
        }
        None
    }

    /// A secret, and all words up to the quote that ends it.
    fn secret(&mut self, value: &str) -> String {
        let mut characters = value.chars();
        self.quote = characters
            .next()
            .filter(|first| ['\'', '"'].contains(first))
            .filter(|quote| !characters.as_str().contains(*quote));
        MASK.to_owned()
    }

    /// A word that is a flag by which the program takes a password.
    fn flag(&mut self, word: &str) -> Option<String> {
        let taking = self.taking?;
        let (flag, value) = taking
            .flags
            .iter()
            .find_map(|flag| Some((flag, word.strip_prefix(flag)?)))?;
        if value.is_empty() {
            if taking.next {
                self.next = if taking.behind_colon {
                    Next::BehindColon
                } else {
                    Next::Secret
                };
            }
            return Some(word.to_owned());
        }
        let joined = taking.joined && !flag.starts_with("--");
        let value = match value.strip_prefix('=') {
            Some(value) if flag.starts_with("--") => value,
            Some(_) | None if joined => value,
            Some(_) | None => return None,
        };
        let masked = if taking.behind_colon {
            behind_colon(value)
        } else {
            MASK.to_owned()
        };
        let before = word.strip_suffix(value).unwrap_or_default();
        Some(format!("{before}{masked}"))
    }
}

/// `jane:SECRET` as `jane:***`. Without a colon the program asks.
fn behind_colon(word: &str) -> String {
    match word.split_once(':') {
        Some((user, password)) if !password.is_empty() => format!("{user}:{MASK}"),
        Some(_) | None => word.to_owned(),
    }
}

fn is_secret(name: &str) -> bool {
    let plain: String = name
        .chars()
        .filter(char::is_ascii_alphanumeric)
        .collect::<String>()
        .to_ascii_lowercase();
    let last = name
        .rsplit(['-', '_', '.'])
        .next()
        .unwrap_or(name)
        .to_ascii_lowercase();
    NAMES.iter().any(|ending| plain.ends_with(ending)) || SHORT_NAMES.contains(&last.as_str())
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
    #[case("curl -u jane:hunter2 https://host", "curl -u jane:*** https://host")]
    #[case("curl -ujane:hunter2 https://host", "curl -ujane:*** https://host")]
    #[case("curl --user=jane:hunter2 host", "curl --user=jane:*** host")]
    #[case("redis-cli -a hunter2 ping", "redis-cli -a *** ping")]
    #[case("sshpass -p hunter2 ssh host", "sshpass -p *** ssh host")]
    #[case("sshpass -phunter2 ssh host", "sshpass -p*** ssh host")]
    #[case("mongosh -u root -p hunter2", "mongosh -u root -p ***")]
    #[case("docker login -u jane -p hunter2", "docker login -u jane -p ***")]
    #[case(
        "curl -H Authorization: Bearer abc host",
        "curl -H Authorization: Bearer *** host"
    )]
    #[case("curl -H X-Api-Key: abc host", "curl -H X-Api-Key: *** host")]
    #[case("curl -H Cookie: abc host", "curl -H Cookie: *** host")]
    #[case(
        r#"curl -d {"password":"hunter2"} host"#,
        r#"curl -d {"password":*** host"#
    )]
    #[case("env DB_PASS=hunter2 app", "env DB_PASS=*** app")]
    #[case("openssl rsa -passin pass:hunter2", "openssl rsa -passin pass:***")]
    #[case("vault login s.hunter2", "vault login ***")]
    #[case(
        "vault login -method=userpass username=jane password=hunter2",
        "vault login -method=userpass username=jane password=***"
    )]
    #[case(
        "vault kv put secret/db password=hunter2",
        "vault kv put secret/db password=***"
    )]
    #[case("ALTER USER app PASSWORD 'hunter2'", "ALTER USER app PASSWORD ***")]
    #[case(
        "CREATE USER a IDENTIFIED BY 'hunter2';",
        "CREATE USER a IDENTIFIED BY ***"
    )]
    #[case("env PRIVATE_KEY=abc app", "env PRIVATE_KEY=*** app")]
    #[case(
        "kubectl create secret generic x --from-literal=password=hunter2",
        "kubectl create secret generic x --from-literal=password=***"
    )]
    #[case(
        "login with password: hunter2 please",
        "login with password: *** please"
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
    #[case("curl -u jane https://host")]
    #[case("redis-cli -h host ping")]
    #[case("echo -a b -p c -u d:e")]
    #[case("env BYPASS=1 COMPASS=north app")]
    #[case("curl https://token.example/a")]
    #[case("docker run -p8080:80 nginx")]
    #[case("select password from users order by 'name'")]
    #[case("vault status")]
    #[case("grep -i password /var/log/app.log")]
    fn what_does_not_stays(#[case] given: &str) {
        assert_eq!(mask(&words(given)), words(given));
    }

    // P11
    #[rstest]
    #[case(
        "ALTER ROLE app WITH password 'hunter 2 s' VALID",
        "ALTER ROLE app WITH password *** *** *** VALID"
    )]
    #[case(
        "PGPASSWORD='hunter 2secret' psql -c x",
        "PGPASSWORD=*** *** psql -c x"
    )]
    #[case("sh -c \"TOKEN='a b", "sh -c \"TOKEN=*** ***")]
    fn a_quoted_password_is_masked_to_its_closing_quote(#[case] given: &str, #[case] masked: &str) {
        assert_eq!(masked_text(given), masked);
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

    // P11
    #[rstest]
    #[case(serde_json::json!({"reason": "with password=hunter2 as agreed"}), "with password=*** as agreed")]
    #[case(serde_json::json!({"customKeys": {"api-token": "abc", "ticket": "INC-42"}}), "api-token=***")]
    #[case(serde_json::json!({"ephemeralContainer": {"image": "box", "env": [{"name": "DB_PASSWORD", "value": "x"}]}}), "DB_PASSWORD=***")]
    #[case(serde_json::json!({"execOptions": {"command": ["sh", "-c", "echo '-----BEGIN PRIVATE KEY-----\nabc'"]}}), "echo '-----BEGIN PRIVATE KEY-----***")]
    #[case(serde_json::json!({"execOptions": {"command": ["curl", "-H", "Authorization: Bearer abc"]}}), "Authorization: Bearer ***")]
    fn a_password_is_suspected_wherever_somebody_can_write_one(
        #[case] more: serde_json::Value,
        #[case] suspected: &str,
    ) {
        assert_eq!(suspect(&spec(&more)).as_deref(), Some(suspected));
    }

    #[test]
    fn a_request_without_one_is_not_suspected() {
        let more = serde_json::json!({
            "reason": "INC-42: the password of the database is wrong", "customKeys": {"ticket": "INC-42"},
            "execOptions": {"command": ["cat", "/etc/passwd"]},
        });
        assert_eq!(suspect(&spec(&more)), None);
    }

    proptest! {
        #[test]
        fn masking_keeps_the_number_of_arguments(argv in prop::collection::vec(any::<String>(), 0..6)) {
            prop_assert_eq!(mask(&argv).len(), argv.len());
        }
    }
}
