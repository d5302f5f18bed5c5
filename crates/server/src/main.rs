//! The binary; everything is in the library.

use std::process::ExitCode;

use clap::Parser as _;

// musl's own allocator makes parsing about twenty times slower.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    let args = server::args::Args::parse();
    server::run::log(args.log_level);
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return failed(&error.into()),
    };
    runtime.block_on(server::run::run(args)).map_or_else(|error| failed(&error), |()| ExitCode::SUCCESS)
}

fn failed(error: &anyhow::Error) -> ExitCode {
    tracing::error!(error = format!("{error:#}"), "cannot go on");
    ExitCode::FAILURE
}
