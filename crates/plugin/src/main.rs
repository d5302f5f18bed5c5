//! `kubectl request …`

use std::cell::Cell;
use std::io::{self, IsTerminal};
use std::path::Path;
use std::process::ExitCode;
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use clap::Parser;
use plugin::Failure;
use plugin::args::Cli;
use plugin::complete;
use plugin::connect::login::Purpose;
use plugin::connect::{self, ConnectionFlags};
use plugin::terminal::exit::Exit;
use plugin::terminal::guard::{Guarded, guarded};
use plugin::terminal::keyboard::{Keyboard, Tty};
use plugin::terminal::kubectl::Next;
use plugin::terminal::picker;
use plugin::terminal::screen::Screen;
use plugin::terminal::times;
use plugin::terminal::update;
use plugin::terminal::{Pick, Terminal};
use tracing_subscriber::EnvFilter;

/// Whoever presses a key does not wait longer.
const COMPLETION_TIMEOUT: Duration = Duration::from_secs(2);

fn main() -> ExitCode {
    if let Some(words) = words_to_complete() {
        return complete(words);
    }
    if std::env::args_os()
        .nth(1)
        .is_some_and(|word| word == update::WORD)
    {
        return learn();
    }
    let cli = Cli::parse();
    log(cli.v);
    let runtime = match tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
    {
        Ok(runtime) => runtime,
        Err(error) => return fail(&format!("error: cannot start: {error}"), Exit::Error),
    };
    match runtime.block_on(perform(cli)) {
        Ok(Next::Done) => {
            update::after_command(io::stderr().is_terminal(), times::now().timestamp());
            Exit::Done.into()
        }
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
    let (mut out, mut err) = (
        Guarded::new(anstream::stdout()),
        Guarded::new(anstream::stderr()),
    );
    let mut input = io::stdin().lock();
    let now = times::now();
    let pick: Option<&Pick> = if picker::is_usable() {
        Some(&picker::pick)
    } else {
        None
    };
    let keyboard: Option<&dyn Keyboard> = if Tty::is_there() { Some(&Tty) } else { None };
    let mut terminal = Terminal {
        out: &mut out,
        err: &mut err,
        input: &mut input,
        shown,
        watched,
        screen: &Screen::of_process,
        drawn: Cell::default(),
        keyboard,
        pick,
        now,
    };
    plugin::run(cli, &mut terminal).await
}

/// What kubectl asks about, where it is kubectl who runs us for that.
fn words_to_complete() -> Option<Vec<String>> {
    let mut words = std::env::args_os().map(|word| word.to_string_lossy().into_owned());
    let program = words.next().unwrap_or_default();
    let mut words = words.peekable();
    let named = Path::new(&program)
        .file_stem()
        .is_some_and(|name| name == complete::PROGRAM);
    let asked = named || words.next_if(|word| word == complete::WORD).is_some();
    asked.then(|| words.collect())
}

/// In a thread of its own, for a login plugin may take its time.
fn complete(words: Vec<String>) -> ExitCode {
    let (sender, answer) = mpsc::channel();
    thread::spawn(move || {
        let Ok(runtime) = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
        else {
            return;
        };
        let reach = |flags: &ConnectionFlags| connect::connect(flags, false, Purpose::Completion);
        // Nobody may listen any more.
        let _too_late = sender.send(runtime.block_on(complete::run(&words, reach)));
    });
    let text = answer
        .recv_timeout(COMPLETION_TIMEOUT)
        .unwrap_or_else(|_too_late| complete::nothing());
    anstream::print!("{text}");
    ExitCode::SUCCESS
}

/// Nobody looks at what comes of it.
fn learn() -> ExitCode {
    let Ok(runtime) = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
    else {
        return ExitCode::FAILURE;
    };
    if runtime.block_on(update::learn()).is_ok() {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    }
}

fn fail(line: &str, exit: Exit) -> ExitCode {
    anstream::eprintln!("{}", guarded(line));
    exit.into()
}

/// kubectl's levels: from 6 on each call to the API server, from 8 on whatever the client has to
/// say.
fn log(level: u8) {
    let filter = match level {
        0..=5 => return,
        6..=7 => "kube_client=debug",
        8.. => "kube_client=trace,hyper_util=debug,rustls=debug",
    };
    tracing_subscriber::fmt()
        .with_env_filter(EnvFilter::new(filter))
        .with_writer(|| Guarded::new(anstream::stderr()))
        .init();
}
