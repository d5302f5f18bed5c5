//! `dev/story/run`: the story of this project, played for real with stock kubectl, and every step
//! checked.
//!
//! - [`stage`]: a Kubernetes with kube-request-access in it, jane and amy.
//! - [`terminal`]: a command at a terminal of its own; [`teller`]: what is typed, shown and
//!   expected.
//! - [`stories`]: with plain kubectl, and with the plugin.
//! - [`timing`]: from refused to running, with an approver who answers at once.
//! - [`recording`] → [`screen`] → [`cast`], [`picture`]: what `--record` writes.

mod cast;
mod picture;
mod recording;
mod screen;
mod stage;
mod stories;
mod teller;
mod terminal;
mod timing;

use std::{
    fs,
    io::{self, Write},
    process::ExitCode,
};

use anyhow::{Context as _, bail};
use clap::Parser;

use crate::{recording::Recording, stage::Stage, teller::Teller};

/// Plays the story with stock kubectl, checks every step, and measures it
#[derive(Debug, Parser)]
#[command(name = "dev/story/run", max_term_width = 100)]
struct Arguments {
    /// Play it on what ./scripts/run left running, instead of on a cluster of its own; jane's
    /// requests there are deleted
    #[arg(long)]
    running: bool,
    /// How often "from refused to running" is measured
    #[arg(long, default_value_t = 5, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    rounds: u32,
    /// Fail where half of the rounds take longer than this
    #[arg(long, value_name = "SECONDS")]
    require_seconds: Option<f64>,
    /// Type as people do, and write docs/story.cast and docs/story.svg
    #[arg(long)]
    record: bool,
}

fn main() -> ExitCode {
    match run(&Arguments::parse(), &mut io::stdout()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            // Nothing is left to tell of a broken standard error.
            let _: io::Result<()> = writeln!(io::stderr(), "error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(arguments: &Arguments, out: &mut impl Write) -> anyhow::Result<()> {
    let stage = if arguments.running {
        Stage::running()?
    } else {
        Stage::of_its_own()?
    };
    let played = play(arguments, &stage, out);
    let cleared = stage.clear();
    played.and(cleared)
}

fn play(arguments: &Arguments, stage: &Stage, out: &mut impl Write) -> anyhow::Result<()> {
    writeln!(out, "\n## With plain kubectl\n")?;
    stories::plain(&mut Teller::new(stage, out, false))?;
    writeln!(out, "\n## With the plugin\n")?;
    let mut teller = Teller::new(stage, out, arguments.record);
    stories::plugin(&mut teller)?;
    let recording = teller.recording();
    writeln!(
        out,
        "\n## From refused to running, with an approver who answers at once\n"
    )?;
    let times = timing::measure(stage, arguments.rounds, out)?;
    if let Some(most) = arguments.require_seconds
        && times.median.as_secs_f64() > most
    {
        bail!(
            "from refused to running takes {:.2} s, more than {most} s",
            times.median.as_secs_f64()
        );
    }
    if arguments.record {
        write(&recording, stage)?;
        writeln!(out, "\nWritten: docs/story.cast, docs/story.svg")?;
    }
    Ok(writeln!(out, "\nThe story happened as it should.")?)
}

fn write(recording: &Recording, stage: &Stage) -> anyhow::Result<()> {
    let docs = run::checkout().join("docs");
    for (name, content) in [
        ("story.cast", cast::cast(recording)),
        ("story.svg", picture::svg(recording)),
    ] {
        if let Some(path) = stage
            .paths()
            .into_iter()
            .find(|path| content.contains(path))
        {
            bail!("{name} would show {path}, which is of this machine");
        }
        let path = docs.join(name);
        fs::write(&path, content).with_context(|| format!("cannot write {}", path.display()))?;
    }
    Ok(())
}
