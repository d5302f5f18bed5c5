//! The ids of threats that comments name, and docs/threats.md that says what they mean.

use std::{collections::BTreeSet, fs, io, path::Path};

type Ids = BTreeSet<String>;

/// A letter and a number, as in `D12`.
fn is_id(word: &str) -> bool {
    let mut characters = word.chars();
    let letter = characters.next().is_some_and(|c| c.is_ascii_uppercase());
    let number = characters.as_str();
    letter && !number.is_empty() && number.len() <= 2 && number.chars().all(|c| c.is_ascii_digit())
}

/// The ids with which a comment begins: `// D12, H5` or `// K5: why`.
fn named(line: &str) -> Ids {
    let Some(comment) = line.trim_start().strip_prefix("// ") else {
        return Ids::new();
    };
    let words = comment
        .split(", ")
        .map(|word| word.split([':', ' ']).next().unwrap_or_default());
    words
        .take_while(|word| is_id(word))
        .map(str::to_owned)
        .collect()
}

/// The ids in the first column of the tables of a text: `| B1, B2 | …`.
fn listed(text: &str) -> Ids {
    let cells = text
        .lines()
        .filter_map(|line| line.strip_prefix("| ")?.split(" |").next());
    cells
        .flat_map(|cell| cell.split(", "))
        .filter(|word| is_id(word))
        .map(str::to_owned)
        .collect()
}

fn root() -> &'static Path {
    Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../.."))
}

fn read(path: &str) -> io::Result<String> {
    fs::read_to_string(root().join(path))
}

/// Every id that a comment in the sources below a directory begins with.
fn in_sources(dir: &Path) -> io::Result<Ids> {
    let mut ids = Ids::new();
    for entry in fs::read_dir(dir)? {
        let path = entry?.path();
        if path.is_dir() && path.file_name().is_none_or(|name| name != "target") {
            ids.extend(in_sources(&path)?);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            ids.extend(fs::read_to_string(&path)?.lines().flat_map(named));
        }
    }
    Ok(ids)
}

#[test]
fn every_id_in_a_comment_is_explained_and_every_threat_is_tried_or_said_not_to_be() {
    let explained = listed(&read("docs/threats.md").unwrap());
    let security = read("SECURITY.md").unwrap();
    let untested = listed(security.split("## Threats without a test").nth(1).unwrap());
    let named: Ids = ["crates", "dev"]
        .iter()
        .flat_map(|dir| in_sources(&root().join(dir)).unwrap())
        .collect();
    assert!(named.len() > 100, "{named:?}");
    assert_eq!(
        named.difference(&explained).collect::<Vec<_>>(),
        [""; 0],
        "explain them in docs/threats.md"
    );
    assert_eq!(
        untested.difference(&explained).collect::<Vec<_>>(),
        [""; 0],
        "explain them in docs/threats.md"
    );
    let all: Ids = named.union(&untested).cloned().collect();
    assert_eq!(
        explained.difference(&all).collect::<Vec<_>>(),
        [""; 0],
        "no comment names them, nor SECURITY.md"
    );
}

/// All Rust sources below a directory, one behind the other.
fn sources(dir: &Path) -> io::Result<String> {
    let mut all = String::new();
    for entry in fs::read_dir(dir)? {
        let path = entry?.path();
        if path.is_dir() && path.file_name().is_none_or(|name| name != "target") {
            all.push_str(&sources(&path)?);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            all.push_str(&fs::read_to_string(&path)?);
        }
    }
    Ok(all)
}

#[test]
fn every_test_that_the_threats_name_is_there() {
    let threats = read("docs/threats.md").unwrap();
    let (_, table) = threats.split_once("| who | command | test |").unwrap();
    let rows: Vec<&str> = table
        .lines()
        .skip(2)
        .take_while(|row| row.starts_with("| "))
        .collect();
    assert!(rows.len() > 20, "{rows:#?}");
    let code = ["crates", "dev"].map(|dir| sources(&root().join(dir)).unwrap());
    let code = code.concat();
    let gone: Vec<&str> = rows
        .into_iter()
        .filter(|row| {
            let name = row.rsplit('`').nth(1).unwrap_or_default();
            name.is_empty() || !code.contains(&format!("fn {name}("))
        })
        .collect();
    assert!(gone.is_empty(), "no such test: {gone:#?}");
}

#[test]
fn ids_are_found_where_comments_begin_with_them() {
    let ids = |text: &str| named(text).into_iter().collect::<Vec<_>>().join(" ");
    assert_eq!(ids("    // D12, H5"), "D12 H5");
    assert_eq!(ids("// K5: a padded command, too"), "K5");
    assert_eq!(ids("// What K5 tries"), "");
    assert_eq!(ids("/// K5"), "");
    assert_eq!(ids("// RFC 1123"), "");
    assert_eq!(
        listed("| id | x |\n|---|---|\n| B1, B2 | D3 |")
            .into_iter()
            .collect::<Vec<_>>(),
        ["B1", "B2"]
    );
}
