//! Posts notices of kube-request-access to a chat.

use std::io::{self, IsTerminal};
use std::path::PathBuf;

use clap::Parser;
use receivers::chat::{self, Chat};
use receivers::serve::{self, Options};

/// Posts every notice of kube-request-access to a chat's incoming webhook.
///
/// An example for --notice-url. What goes wrong is written to standard error.
#[derive(Debug, Parser)]
#[command(version)]
struct Args {
    /// File with the URL of the chat's incoming webhook: whoever knows it can post
    #[arg(long, value_name = "FILE")]
    incoming_webhook_url_file: PathBuf,
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
    let chat = Chat::from_file(&args.incoming_webhook_url_file)?;
    serve::run(args.serve, chat::router(chat)).await?;
    Ok(())
}
