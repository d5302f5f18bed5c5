//! No circle of files: in every crate, what a file uses stands below it.
//!
//! A file is a module; modules within a file belong to it, and tests are left out. A file uses
//! another one where a `use` or a path names something in it. That a module declares another one by
//! `mod`, or hands on what is in it by `pub use`, is no use.

mod source;

use std::{
    collections::{BTreeMap, BTreeSet},
    fs, io,
    path::{Path, PathBuf},
};

use source::is_test;
use syn::{
    ItemMod, ItemUse, UseTree, Visibility,
    visit::{self, Visit},
};

/// The longest file, in lines.
const MAX_LINES: usize = 800;

type Module = Vec<String>;
/// What uses what, by the names of files.
type Uses = BTreeMap<String, BTreeSet<String>>;

/// The files of one crate, by their module.
#[derive(Default)]
struct Sources(BTreeMap<Module, (String, String)>);

impl Sources {
    fn add(&mut self, path: &str, text: &str) {
        let mut module: Module = path
            .trim_end_matches(".rs")
            .split('/')
            .map(str::to_owned)
            .collect();
        if module.last().is_some_and(|name| name == "mod") || path == "lib.rs" {
            module.pop();
        }
        self.0.insert(module, (path.to_owned(), text.to_owned()));
    }

    /// The sources below a directory.
    fn read(root: &Path) -> io::Result<Self> {
        let mut sources = Self::default();
        let mut dirs = vec![root.to_owned()];
        while let Some(dir) = dirs.pop() {
            for entry in fs::read_dir(dir)? {
                let path = entry?.path();
                if path.is_dir() {
                    dirs.push(path);
                } else if path.extension().is_some_and(|extension| extension == "rs") {
                    let name = path
                        .strip_prefix(root)
                        .unwrap_or(&path)
                        .display()
                        .to_string();
                    sources.add(&name, &fs::read_to_string(&path)?);
                }
            }
        }
        Ok(sources)
    }

    fn uses(&self) -> syn::Result<Uses> {
        let mut uses = Uses::new();
        for (module, (path, text)) in &self.0 {
            let mut reader = Reader { paths: Vec::new() };
            reader.visit_file(&syn::parse_file(text)?);
            let files = reader
                .paths
                .iter()
                .filter_map(|named| self.file_of(module, named));
            uses.insert(path.clone(), files.filter(|file| file != path).collect());
        }
        Ok(uses)
    }

    /// The file in which a path ends, seen from a module: the longest beginning of it that is one.
    fn file_of(&self, module: &Module, path: &[String]) -> Option<String> {
        let absolute = self.absolute(module, path)?;
        (0..=absolute.len())
            .rev()
            .find_map(|length| self.0.get(absolute.get(..length)?))
            .map(|(path, _)| path.clone())
    }

    /// A path from the root of the crate on; `None`: it is not in this crate.
    fn absolute(&self, module: &Module, path: &[String]) -> Option<Module> {
        let mut from = module.clone();
        let mut rest = path;
        match rest.first()?.as_str() {
            "crate" => {
                from.clear();
                rest = rest.get(1..)?;
            }
            "self" => rest = rest.get(1..)?,
            "super" => {
                while rest.first().is_some_and(|word| word == "super") {
                    from.pop();
                    rest = rest.get(1..)?;
                }
            }
            // A module of one's own; anything else is another crate's, or stands in a `use`.
            name => {
                let mut child = module.clone();
                child.push(name.to_owned());
                self.0.get(&child)?;
            }
        }
        from.extend(rest.iter().cloned());
        Some(from)
    }
}

/// Collects what a file names.
struct Reader {
    paths: Vec<Vec<String>>,
}

fn flatten(tree: &UseTree, before: &[String], into: &mut Vec<Vec<String>>) {
    let with = |name: String| before.iter().cloned().chain([name]).collect::<Vec<_>>();
    match tree {
        UseTree::Path(path) => flatten(&path.tree, &with(path.ident.to_string()), into),
        UseTree::Name(name) if name.ident == "self" => into.push(before.to_vec()),
        UseTree::Name(name) => into.push(with(name.ident.to_string())),
        UseTree::Rename(name) => into.push(with(name.ident.to_string())),
        UseTree::Glob(_) => into.push(before.to_vec()),
        UseTree::Group(group) => group
            .items
            .iter()
            .for_each(|item| flatten(item, before, into)),
    }
}

impl<'ast> Visit<'ast> for Reader {
    fn visit_item_mod(&mut self, item: &'ast ItemMod) {
        if !is_test(&item.attrs) {
            visit::visit_item_mod(self, item);
        }
    }

    fn visit_item_use(&mut self, item: &'ast ItemUse) {
        if matches!(item.vis, Visibility::Inherited) {
            flatten(&item.tree, &[], &mut self.paths);
        }
    }

    fn visit_path(&mut self, path: &'ast syn::Path) {
        let words: Vec<String> = path
            .segments
            .iter()
            .map(|segment| segment.ident.to_string())
            .collect();
        let begins = words
            .first()
            .is_some_and(|word| ["crate", "self", "super"].contains(&word.as_str()));
        if words.len() > 1
            && (begins
                || words
                    .first()
                    .is_some_and(|word| word.chars().all(char::is_lowercase)))
        {
            self.paths.push(words);
        }
        visit::visit_path(self, path);
    }
}

/// What can be reached from a file.
fn reached(uses: &Uses, from: &str) -> BTreeSet<String> {
    let mut seen = BTreeSet::new();
    let mut next: Vec<&String> = uses.get(from).into_iter().flatten().collect();
    while let Some(file) = next.pop() {
        if seen.insert(file.clone()) {
            next.extend(uses.get(file).into_iter().flatten());
        }
    }
    seen
}

/// The circles, each with its files and what of these uses what.
fn circles(uses: &Uses) -> Vec<String> {
    let reach: BTreeMap<&String, BTreeSet<String>> = uses
        .keys()
        .map(|file| (file, reached(uses, file)))
        .collect();
    let mut circles = BTreeSet::new();
    for (file, all) in &reach {
        if all.contains(*file) {
            let with: BTreeSet<&String> = all
                .iter()
                .filter(|other| reach.get(other).is_some_and(|back| back.contains(*file)))
                .collect();
            let ties = with.iter().flat_map(|one| {
                let others = uses
                    .get(*one)
                    .into_iter()
                    .flatten()
                    .filter(|other| with.contains(other));
                others.map(move |other| format!("  {one} uses {other}\n"))
            });
            circles.insert(ties.collect::<String>());
        }
    }
    circles.into_iter().collect()
}

/// The roots of all crates.
fn crates() -> io::Result<Vec<PathBuf>> {
    let root = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../.."));
    let mut all = Vec::new();
    for parent in ["crates", "dev"] {
        for entry in fs::read_dir(root.join(parent))? {
            let source = entry?.path().join("src");
            if source.is_dir() {
                all.push(source);
            }
        }
    }
    Ok(all)
}

#[test]
fn no_crate_has_a_circle_of_files() {
    let mut found = Vec::new();
    let crates = crates().unwrap();
    assert!(crates.len() > 8, "{crates:?}");
    for root in crates {
        let uses = Sources::read(&root).unwrap().uses().unwrap();
        for circle in circles(&uses) {
            found.push(format!("{}:\n{circle}", root.display()));
        }
    }
    assert!(found.is_empty(), "circles of files:\n{}", found.concat());
}

#[test]
fn no_file_grows_beyond_what_a_reader_keeps_in_mind() {
    let mut long = Vec::new();
    for root in crates().unwrap() {
        for (path, text) in Sources::read(&root).unwrap().0.into_values() {
            if text.lines().count() > MAX_LINES {
                long.push(format!(
                    "{}/{path}: {} lines",
                    root.display(),
                    text.lines().count()
                ));
            }
        }
    }
    assert!(long.is_empty(), "{long:#?}");
}

#[test]
fn a_circle_is_found_however_it_is_tied() {
    let circles_of = |files: &[(&str, &str)]| {
        let mut sources = Sources::default();
        for (path, text) in files {
            sources.add(path, text);
        }
        circles(&sources.uses().unwrap()).concat()
    };
    let tied = circles_of(&[
        ("lib.rs", "mod a; mod b; mod c;"),
        ("a.rs", "use crate::b::B; pub struct A(B);"),
        (
            "b.rs",
            "pub struct B; pub fn back() -> super::c::C { loop {} }",
        ),
        (
            "c.rs",
            "use super::{a::A as Other, b}; pub struct C(Other);",
        ),
    ]);
    assert_eq!(
        tied,
        "  a.rs uses b.rs\n  b.rs uses c.rs\n  c.rs uses a.rs\n  c.rs uses b.rs\n"
    );
    let front = circles_of(&[
        ("lib.rs", "mod a;"),
        ("a/mod.rs", "mod deep; use deep::Deep; pub struct A(Deep);"),
        ("a/deep.rs", "pub struct Deep(Option<Box<super::A>>);"),
    ]);
    assert_eq!(
        front,
        "  a/deep.rs uses a/mod.rs\n  a/mod.rs uses a/deep.rs\n"
    );
    // Neither tests nor what is only handed on.
    let none = circles_of(&[
        ("lib.rs", "mod a; pub use a::A;"),
        (
            "a.rs",
            "pub struct A; #[cfg(test)] mod tests { use crate::A; }",
        ),
    ]);
    assert_eq!(none, "");
}
