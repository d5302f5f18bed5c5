//! `cargo run -p kra-generate` writes the generated files; with `-- --check` it only names those
//! that differ.

use std::{io::Write as _, path::Path, process::ExitCode};

use anyhow::bail;
use generate::Artefact;

fn main() -> anyhow::Result<ExitCode> {
    // This package lies two levels below the root of the repository.
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match arguments
        .iter()
        .map(String::as_str)
        .collect::<Vec<_>>()
        .as_slice()
    {
        [] => write(&root),
        ["--check"] => check(&root),
        _ => bail!("usage: kra-generate [--check]"),
    }
}

fn write(root: &Path) -> anyhow::Result<ExitCode> {
    generate::all()?
        .iter()
        .try_for_each(|artefact| artefact.write(root))?;
    Ok(ExitCode::SUCCESS)
}

fn check(root: &Path) -> anyhow::Result<ExitCode> {
    let mut code = ExitCode::SUCCESS;
    for artefact in generate::all()? {
        if !artefact.is_current(root)? {
            report(&artefact)?;
            code = ExitCode::FAILURE;
        }
    }
    Ok(code)
}

fn report(artefact: &Artefact) -> std::io::Result<()> {
    let path = artefact.path.display();
    writeln!(
        std::io::stderr(),
        "{path} is not what the types say now: run `cargo run -p kra-generate`"
    )
}
