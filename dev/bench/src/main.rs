//! `kra-bench`: measures admission webhooks. `scripts/bench` builds and runs it.

mod args;

use std::{
    fs,
    io::{self, Write as _},
    process::ExitCode,
    time::Duration,
};

use anyhow::Context as _;
use args::{Cli, Load, Output, Verb};
use bench::{
    connection::{Target, Trust, certificates},
    load::{self, Plan, Work},
    pace::Pace,
    process,
    report::Report,
    review::Template,
    suite,
};
use clap::Parser as _;
use rustls::pki_types::{PrivateKeyDer, pem::PemObject as _};

// musl's own allocator would measure itself.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    let result = match Cli::parse().command {
        Verb::Load(load) => measure(&load),
        Verb::Suite(suite) => suite::run(&suite.settings()),
    };
    match result {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            // Nothing is left to tell of a broken standard error.
            let _: io::Result<()> = writeln!(io::stderr(), "error: {error:#}");
            ExitCode::from(2)
        }
    }
}

/// Whether every shot was answered as it should be.
fn measure(load: &Load) -> anyhow::Result<bool> {
    let templates = load.review.iter().map(|path| {
        let text = fs::read(path).with_context(|| format!("cannot read {}", path.display()))?;
        Template::parse(&text).with_context(|| format!("{} cannot be sent", path.display()))
    });
    let plan = Plan {
        work: Work::Reviews(templates.collect::<anyhow::Result<_>>()?),
        target: Target::new(&load.url, trust(load)?)?,
        expected: load.expect.map(Into::into),
        connections: load.connections.get().into(),
        pace: pace(load),
        threads: load.threads.get().into(),
        cores: load.cores.clone(),
        pid: load.pid,
        beside: Vec::new(),
    };
    if let Some(pid) = load.pid {
        process::usage(pid)?;
    }
    let report = Report::new(&load::run(plan)?);
    let text = match load.output {
        Output::Table => report.table(),
        Output::Json => format!("{}\n", serde_json::to_string_pretty(&report)?),
    };
    io::stdout().write_all(text.as_bytes())?;
    Ok(report.failed() == 0 && report.answers > 0)
}

/// A number of reviews is a number of reviews: then none is sent only to warm up.
fn pace(load: &Load) -> Pace {
    let (duration, warm_up) = match load.requests {
        Some(_) => (None, Duration::ZERO),
        None => (Some(load.duration), load.warm_up),
    };
    Pace {
        rate: load.rate,
        duration,
        shots: load.requests,
        warm_up,
        timeout: load.timeout,
    }
}

fn trust(load: &Load) -> anyhow::Result<Trust> {
    let authorities = match &load.ca {
        Some(path) => {
            let pem = fs::read(path).with_context(|| format!("cannot read {}", path.display()))?;
            Some(certificates(&pem, path.clone())?)
        }
        None => None,
    };
    let client = match (&load.client_cert, &load.client_key) {
        (Some(certificate), Some(key)) => {
            let pem = fs::read(certificate)
                .with_context(|| format!("cannot read {}", certificate.display()))?;
            let key_of = PrivateKeyDer::from_pem_file(key)
                .with_context(|| format!("cannot read {} as a private key", key.display()))?;
            Some((certificates(&pem, certificate.clone())?, key_of))
        }
        _ => None,
    };
    Ok(Trust {
        authorities,
        client,
    })
}
