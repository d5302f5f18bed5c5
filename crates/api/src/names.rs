//! Names of our objects, made from names of people.

use sha2::{Digest, Sha256};

pub use crate::contract::labels::USERNAME as USERNAME_LABEL;

/// What a name that the API server makes random letters for may have before them.
const MAX_PREFIX_LEN: usize = 58;
/// The start of the names of most requests, as the original writes it; it leaves a user's name this
/// much room.
const EXEC_PREFIX: &str = "access-exec-";
/// A DNS subdomain (RFC 1123), as names of objects are.
const MAX_NAME_LEN: usize = 253;
/// Hexadecimal digits of a short hash.
const HASH: usize = 8;
/// Of one that alone tells two requests of a user apart.
const LONG_HASH: usize = 16;
/// Stands for whoever the API server does not name.
pub const NOBODY: &str = "user";

/// A user's name in lower-case letters, digits and dashes: valid in a label and in
/// [`generate_name`].
///
/// A name that had to change gets a short hash, so that two users do not look like one; others stay
/// as they are.
pub fn slug(user: &str) -> String {
    let longest = MAX_PREFIX_LEN
        .saturating_sub(EXEC_PREFIX.len())
        .saturating_sub(1);
    let plain = dashed(user);
    if plain == user && !user.is_empty() && user.len() <= longest {
        return plain;
    }
    let stem = if plain.is_empty() { NOBODY } else { &plain };
    shorten(stem, user, longest)
}

/// The `generateName` of a request: `access-exec-jane-`, as the original writes it.
pub fn generate_name(verb: &str, slug: &str) -> String {
    let room = MAX_PREFIX_LEN
        .saturating_sub("access--".len())
        .saturating_sub(verb.len())
        .saturating_sub(1);
    let slug = if slug.len() <= room {
        slug.to_owned()
    } else {
        shorten(slug, slug, room)
    };
    format!("access-{verb}-{slug}-")
}

/// The name of a request that is filed for a user: always the same for the same `key`.
pub fn derived_name(verb: &str, user: &str, key: &[&str]) -> String {
    let digest = digits(&key.join("\n"), LONG_HASH);
    format!("{}{digest}", generate_name(verb, &slug(user)))
}

/// The name of an answer: `grant-` or `deny-`, and the name of the request.
pub fn answer_name(prefix: &str, request: &str) -> String {
    let name = format!("{prefix}{request}");
    if name.len() <= MAX_NAME_LEN {
        name
    } else {
        shorten(&name, request, MAX_NAME_LEN)
    }
}

/// The name of an answer that no other approver's has: the same, and a short hash of who answers.
pub fn approver_name(prefix: &str, request: &str, approver: &str) -> String {
    let name = format!("{prefix}{request}-{}", short_hash(approver));
    if name.len() <= MAX_NAME_LEN {
        name
    } else {
        shorten(
            &format!("{prefix}{request}"),
            &format!("{request} {approver}"),
            MAX_NAME_LEN,
        )
    }
}

/// Lower case, one dash for whatever is not a letter or digit, none at the ends.
fn dashed(text: &str) -> String {
    let lower = text.to_lowercase();
    let words: Vec<&str> = lower
        .split(|c: char| !c.is_ascii_alphanumeric())
        .filter(|word| !word.is_empty())
        .collect();
    words.join("-")
}

/// `stem`, cut so that it fits with the short hash of `whole` behind it. The stem is ASCII.
fn shorten(stem: &str, whole: &str, longest: usize) -> String {
    let room = longest.saturating_sub(HASH).saturating_sub(1);
    let cut = stem
        .get(..room)
        .unwrap_or(stem)
        .trim_end_matches(['-', '.']);
    format!("{cut}-{}", short_hash(whole))
}

fn short_hash(text: &str) -> String {
    digits(text, HASH)
}

/// The first digits of a hash, in hexadecimal.
fn digits(text: &str, count: usize) -> String {
    let digest = Sha256::digest(text.as_bytes());
    let digits = digest.iter().flat_map(|byte| [byte >> 4, byte & 0x0f]);
    digits
        .take(count)
        .filter_map(|digit| char::from_digit(digit.into(), 16))
        .collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use rstest::rstest;

    use decide::rules::is_name;

    use super::*;

    #[rstest]
    #[case("jane", "access-exec-jane-")]
    #[case("jane-2", "access-exec-jane-2-")]
    fn a_plain_name_stays_as_in_the_original(#[case] user: &str, #[case] name: &str) {
        assert_eq!(generate_name("exec", &slug(user)), name);
    }

    #[rstest]
    #[case("jane@corp.com", "jane-corp-com-")]
    #[case("Jane", "jane-")]
    #[case("arn:aws:iam::1234:role/dev", "arn-aws-iam-1234-role-dev-")]
    #[case("system:serviceaccount:ns:robot", "system-serviceaccount-ns-robot-")]
    #[case("李雷", "user-")]
    #[case("", "user-")]
    #[case("a--b", "a-b-")]
    fn a_name_that_changed_gets_a_hash(#[case] user: &str, #[case] start: &str) {
        let slug = slug(user);
        assert_eq!(slug.strip_prefix(start).map(str::len), Some(HASH), "{slug}");
    }

    #[test]
    fn two_users_whose_names_look_alike_get_different_names() {
        assert_ne!(slug("jane@corp.com"), slug("jane-corp.com"));
        assert_ne!(slug(&"a".repeat(200)), slug(&"a".repeat(201)));
    }

    #[test]
    fn an_answer_is_named_after_the_request() {
        assert_eq!(
            answer_name("grant-", "access-exec-jane-x"),
            "grant-access-exec-jane-x"
        );
        let long = answer_name("grant-", &"a".repeat(253));
        assert_eq!(long.len(), 253);
        assert!(is_name(&long));
    }

    #[test]
    fn an_answer_of_each_approver_has_a_name_of_its_own() {
        let amy = approver_name("grant-", "access-exec-jane-x", "amy");
        assert_eq!(
            amy.strip_prefix("grant-access-exec-jane-x-").map(str::len),
            Some(HASH),
            "{amy}"
        );
        assert_ne!(amy, approver_name("grant-", "access-exec-jane-x", "ann"));
        let long = |last: &str, approver: &str| {
            approver_name("grant-", &("a".repeat(250) + last), approver)
        };
        assert_eq!(long("b", "amy").len(), 253);
        assert!(is_name(&long("b", "amy")));
        assert_ne!(long("b", "amy"), long("c", "amy"));
        assert_ne!(long("b", "amy"), long("b", "ann"));
    }

    #[test]
    fn a_derived_name_depends_on_its_key_alone() {
        let name = |key: &[&str]| derived_name("exec", "jane@corp.com", key);
        assert_eq!(name(&["pod-1", "ls"]), name(&["pod-1", "ls"]));
        assert_ne!(name(&["pod-1", "ls"]), name(&["pod-2", "ls"]));
        assert_ne!(name(&["pod-1", "ls"]), name(&["pod-1", "ls", "earlier"]));
        assert!(name(&["pod-1"]).starts_with("access-exec-jane-corp-com-"));
        assert!(is_name(&derived_name(
            "port-forward",
            &"x".repeat(300),
            &[""]
        )));
    }

    fn is_label_value(text: &str) -> bool {
        text.len() <= 63 && is_name(text)
    }

    proptest! {
        #[test]
        fn whatever_the_user_is_called_her_label_and_name_are_valid(user in "\\PC{0,300}") {
            let slug = slug(&user);
            prop_assert!(is_label_value(&slug), "{slug}");
            for verb in ["exec", "port-forward"] {
                let prefix = generate_name(verb, &slug);
                prop_assert!(prefix.len() <= MAX_PREFIX_LEN);
                let name = format!("{prefix}x4k2z");
                prop_assert!(is_name(&name), "{name}");
            }
        }

        #[test]
        fn an_answer_has_a_valid_name(request in "[a-z0-9]([a-z0-9-]{0,120}[a-z0-9])?([.][a-z0-9]([a-z0-9-]{0,120}[a-z0-9])?)?") {
            prop_assert!(is_name(&answer_name("grant-", &request)));
        }
    }
}
