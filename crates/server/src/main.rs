//! The binary; everything is in the library.

use clap::Parser as _;

// musl's own allocator makes parsing about twenty times slower.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> anyhow::Result<()> {
    let args = server::args::Args::parse();
    server::run::log(args.log_level);
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    runtime
        .block_on(server::run::run(args))
        .inspect_err(|error| tracing::error!(error = format!("{error:#}"), "stopped"))
}
