//! `kubectl request …`

use std::io::{self, IsTerminal};
use std::process::ExitCode;

use clap::Parser;
use plugin::Failure;
use plugin::args::Cli;
use plugin::exit::Exit;
use plugin::kubectl::Next;
use plugin::terminal::Terminal;
use plugin::times;
use tracing_subscriber::EnvFilter;

fn main() -> ExitCode {
    let cli = Cli::parse();
    log(cli.v);
    let runtime = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return fail(&format!("error: cannot start: {error}"), Exit::Error),
    };
    match runtime.block_on(perform(cli)) {
        Ok(Next::Done) => Exit::Done.into(),
        Ok(Next::Run(line)) => {
            // Kubectl, or nothing, runs from here on.
            drop(runtime);
            let error = line.run();
            fail(&format!("error: {error}"), Exit::Error)
        }
        Err(failure) if failure.is_broken_pipe() => Exit::Error.into(),
        Err(failure) => fail(&failure.line(), failure.exit()),
    }
}

async fn perform(cli: Cli) -> Result<Next, Failure> {
    let (shown, watched) = (io::stdout().is_terminal(), io::stderr().is_terminal());
    let (mut out, mut err, mut input) = (anstream::stdout(), anstream::stderr(), io::stdin().lock());
    let now = times::now();
    let mut terminal = Terminal { out: &mut out, err: &mut err, input: &mut input, shown, watched, now };
    plugin::run(cli, &mut terminal).await
}

fn fail(line: &str, exit: Exit) -> ExitCode {
    anstream::eprintln!("{line}");
    exit.into()
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
