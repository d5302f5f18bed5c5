//! Says whether a request for access may be filed.

use std::io::{self, IsTerminal};

use clap::Parser;
use receivers::serve::{self, Options};
use receivers::validation;

/// Refuses requests for access whose custom key `example-key` is set to anything but
/// `must-match-this-key`.
///
/// An example for --extended-validation-webhook-url. Answers and errors are written to standard
/// error.
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
    serve::run(args.serve, validation::router()).await?;
    Ok(())
}
