//! `kubectl request …`

use std::io::{self, IsTerminal};
use std::process::ExitCode;

use clap::Parser;
use plugin::args::Cli;
use plugin::terminal::Terminal;
use tracing_subscriber::EnvFilter;

fn main() -> ExitCode {
    let cli = Cli::parse();
    log(cli.v);
    let runtime = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return fail(&format!("error: cannot start: {error}")),
    };
    let (mut out, mut err, mut input) = (anstream::stdout(), anstream::stderr(), io::stdin().lock());
    let mut terminal = Terminal { out: &mut out, err: &mut err, input: &mut input };
    match runtime.block_on(plugin::run(cli, &mut terminal, io::stderr().is_terminal())) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) if failure.is_broken_pipe() => ExitCode::FAILURE,
        Err(failure) => fail(&failure.line()),
    }
}

fn fail(line: &str) -> ExitCode {
    anstream::eprintln!("{line}");
    ExitCode::FAILURE
}

/// kubectl's levels: from 6 on each call to the API server, from 8 on whatever the client has to say.
fn log(level: u8) {
    let filter = match level {
        0..=5 => return,
        6..=7 => "kube_client=debug",
        8.. => "kube_client=trace,hyper_util=debug,rustls=debug",
    };
    tracing_subscriber::fmt().with_env_filter(EnvFilter::new(filter)).with_writer(anstream::stderr).init();
}
