//! Writes the audit events of kube-request-access to standard output.

use std::io::{self, IsTerminal};

use clap::Parser;
use receivers::audit::{self, Journal};
use receivers::serve::{self, Options};

/// Writes every audit event of kube-request-access to standard output, as one line of JSON.
///
/// An example for --audit-webhook-url. What goes wrong is written to standard error.
#[derive(Debug, Parser)]
#[command(version)]
struct Args {
    #[command(flatten)]
    serve: Options,
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let args = Args::parse();
    tracing_subscriber::fmt()
        .with_writer(io::stderr)
        .with_ansi(io::stderr().is_terminal())
        .init();
    serve::run(args.serve, audit::router(Journal::new(io::stdout()))).await?;
    Ok(())
}
