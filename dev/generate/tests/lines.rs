//! The lines that the plugin tells people to type come from one maker (`Hint`), each from one place.
//!
//! Who runs them is in the plugin's tests: a match over all of `Hint`, so that a new line without a
//! test does not compile. Here is what that match cannot see: a line that is written elsewhere, and one
//! that is told in a second place, where it may lead elsewhere.

mod source;

use std::{collections::BTreeMap, fs, io, path::Path};

use source::is_test;
use syn::{
    Attribute, ExprPath, ItemConst, ItemMod, LitStr, Macro,
    visit::{self, Visit},
};

const MAKER: &str = "terminal/lines.rs";

/// What is a program's name or a mention, and no line.
const MENTIONS: [&str; 9] = [
    // The name of the program, in its own help.
    "kubectl request",
    // Which version there is.
    "kubectl request {latest} is available (you have {own}). Unset {ON} to turn this notice off",
    // What kubectl itself does once a request is granted.
    "kubectl debug takes a pod: once this is granted, name one that the workload runs",
    // What kubectl makes of flags.
    "kubectl attach uses a terminal (-t) only with -i: none is asked for",
    "container {container} has a terminal, which kubectl attach -i uses: it is asked for too",
    "--retries makes kubectl run another command, with sh -c, which a request to copy is not for: leave it out, here and with kubectl cp",
    "the request is for pod {pod} behind service {service}: once it is granted, name that pod to kubectl port-forward, for kubectl may choose another one behind the service",
    // The beginning of a line that the maker leads here.
    "  kubectl request ",
    "  kubectl request {verb} {flags} -n {rest}{}",
];

/// What of kubectl is typed. Names behind `kubectl` that are none of these are prose.
const VERBS: [&str; 17] = [
    "annotate",
    "api-resources",
    "apply",
    "attach",
    "auth",
    "config",
    "cp",
    "create",
    "debug",
    "delete",
    "describe",
    "exec",
    "get",
    "label",
    "logs",
    "port-forward",
    "request",
];

/// What is found in one file.
#[derive(Default)]
struct Found {
    /// Texts that look like lines.
    written: Vec<String>,
    /// The hints that are told, by name.
    told: Vec<String>,
}

/// Whether there is something to type in a text: `kubectl` and one of its verbs, or one that is put in.
fn has_line(text: &str) -> bool {
    text.split("kubectl ").skip(1).any(|behind| {
        let verb: String = behind
            .chars()
            .take_while(|c| c.is_ascii_lowercase() || *c == '-')
            .collect();
        behind.starts_with('{') || VERBS.contains(&verb.as_str())
    })
}

impl Found {
    fn text(&mut self, text: &str) {
        if has_line(text) && !MENTIONS.contains(&text) {
            self.written.push(text.to_owned());
        }
    }

    /// Texts stand in the tokens of macros and attributes as well.
    fn tokens(&mut self, tokens: &str) {
        if let Ok(tokens) = tokens.parse::<proc_macro2::TokenStream>() {
            self.stream(tokens);
        }
    }

    fn stream(&mut self, tokens: proc_macro2::TokenStream) {
        let mut last: [String; 3] = Default::default();
        for token in tokens {
            match &token {
                proc_macro2::TokenTree::Group(group) => self.stream(group.stream()),
                proc_macro2::TokenTree::Literal(literal) => {
                    if let Ok(text) = syn::parse_str::<LitStr>(&literal.to_string()) {
                        self.text(&text.value());
                    }
                }
                proc_macro2::TokenTree::Ident(name)
                    if last == ["Hint", ":", ":"].map(str::to_owned) =>
                {
                    self.told.push(name.to_string());
                }
                proc_macro2::TokenTree::Ident(_) | proc_macro2::TokenTree::Punct(_) => {}
            }
            last.rotate_left(1);
            last[2] = token.to_string();
        }
    }
}

impl<'ast> Visit<'ast> for Found {
    fn visit_item_mod(&mut self, item: &'ast ItemMod) {
        if !is_test(&item.attrs) {
            visit::visit_item_mod(self, item);
        }
    }

    /// Examples of the help are typed by whoever knows what they stand for.
    fn visit_item_const(&mut self, item: &'ast ItemConst) {
        if item.ident != "EXAMPLES" {
            visit::visit_item_const(self, item);
        }
    }

    fn visit_attribute(&mut self, attribute: &'ast Attribute) {
        if attribute.path().is_ident("doc") {
            return;
        }
        if let syn::Meta::List(list) = &attribute.meta {
            self.tokens(&list.tokens.to_string());
        }
    }

    fn visit_macro(&mut self, called: &'ast Macro) {
        self.tokens(&called.tokens.to_string());
    }

    fn visit_lit_str(&mut self, text: &'ast LitStr) {
        self.text(&text.value());
    }

    fn visit_expr_path(&mut self, path: &'ast ExprPath) {
        let words: Vec<String> = path
            .path
            .segments
            .iter()
            .map(|segment| segment.ident.to_string())
            .collect();
        if let [.., of, hint] = words.as_slice()
            && of == "Hint"
        {
            self.told.push(hint.clone());
        }
    }
}

fn found(text: &str) -> syn::Result<Found> {
    let mut found = Found::default();
    found.visit_file(&syn::parse_file(text)?);
    Ok(found)
}

/// The sources of the plugin, by their names.
fn sources(dir: &Path, below: &str, into: &mut BTreeMap<String, String>) -> io::Result<()> {
    for entry in fs::read_dir(dir)? {
        let path = entry?.path();
        let name = format!("{below}{}", path.file_name().unwrap_or_default().display());
        if path.is_dir() {
            sources(&path, &format!("{name}/"), into)?;
        } else if Path::new(&name)
            .extension()
            .is_some_and(|extension| extension == "rs")
        {
            into.insert(name, fs::read_to_string(&path)?);
        }
    }
    Ok(())
}

// P3
#[test]
fn a_line_to_type_is_made_by_the_one_maker_and_told_in_one_place() {
    let root = Path::new(concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/../../crates/plugin/src"
    ));
    let mut files = BTreeMap::new();
    sources(root, "", &mut files).unwrap();
    let maker = files.get(MAKER).unwrap();
    let file = syn::parse_file(maker).unwrap();
    let hints = file.items.iter().find_map(|item| {
        if let syn::Item::Enum(hint) = item
            && hint.ident == "Hint"
        {
            return Some(&hint.variants);
        }
        None
    });
    let hints: Vec<String> = hints
        .unwrap()
        .iter()
        .map(|variant| variant.ident.to_string())
        .collect();
    let mut told: BTreeMap<String, Vec<&str>> = hints
        .iter()
        .map(|hint| (hint.clone(), Vec::new()))
        .collect();
    let mut written = Vec::new();
    for (name, text) in &files {
        let found = found(text).unwrap();
        written.extend(
            found
                .written
                .into_iter()
                .map(|line| format!("{name}: {line}")),
        );
        for hint in found.told {
            told.entry(hint).or_default().push(name);
        }
    }
    assert!(
        written.is_empty(),
        "told past the maker, {MAKER}: {written:#?}"
    );
    told.retain(|_, places| places.len() != 1);
    assert!(
        told.is_empty(),
        "told nowhere, or in several places: {told:#?}"
    );
}

#[test]
fn lines_are_found_wherever_they_are_written() {
    let of = |text: &str| {
        let found = found(text).unwrap();
        (found.written.len(), found.told.join(" "))
    };
    assert_eq!(of("fn f() { g(\"See 'kubectl request list'\") }").0, 1);
    assert_eq!(
        of("fn f() { write!(out, \"{}: kubectl delete acg {}\", a, b) }").0,
        1
    );
    assert_eq!(of("fn f() { format!(\"kubectl {verb}\") }").0, 1);
    assert_eq!(of("#[error(\"type: kubectl exec {name}\")] struct E;").0, 1);
    assert_eq!(of("enum E { #[error(\"see 'kubectl get pods'\")] A }").0, 1);
    assert_eq!(
        of("/// kubectl get pods\nfn f() { g(\"kubectl has removed it\") }").0,
        0
    );
    assert_eq!(
        of("#[cfg(test)] mod tests { const A: &str = \"kubectl get pods\"; }").0,
        0
    );
    assert_eq!(of("const EXAMPLES: &str = \"kubectl request list\";").0, 0);
    assert_eq!(
        of("fn f() { told(Hint::A); h!(x, kubectl::told(c, Hint::B, n)) }").1,
        "A B"
    );
}
