//! The binary; everything is in the library.

use std::{process::ExitCode, sync::Arc};

use clap::Parser as _;
use server::audit::AuditFile;

// musl's own allocator makes parsing about twenty times slower.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    let args = server::args::Args::parse();
    let audit = args
        .audit_log_file
        .as_deref()
        .map(AuditFile::open)
        .transpose();
    let (audit, fault) = match audit {
        Ok(audit) => (audit.map(Arc::new), None),
        Err(error) => (None, Some(error)),
    };
    server::run::log(args.log_level, audit.clone());
    if let Some(error) = fault {
        return failed(&anyhow::Error::new(error).context("cannot open --audit-log-file"));
    }
    let runtime = match tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
    {
        Ok(runtime) => runtime,
        Err(error) => return failed(&error.into()),
    };
    runtime
        .block_on(server::run::run(args, audit))
        .map_or_else(|error| failed(&error), |()| ExitCode::SUCCESS)
}

fn failed(error: &anyhow::Error) -> ExitCode {
    tracing::error!(error = format!("{error:#}"), "cannot go on");
    ExitCode::FAILURE
}
