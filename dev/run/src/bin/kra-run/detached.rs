//! `--detach`: the owner of the cluster as a process of its own.

use std::{
    fs::{self, File},
    io::{self, Write as _},
    process::{Child, Command, Stdio},
    time::Duration,
};

use anyhow::{Context as _, bail};
use kra_run::{session::Session, signals::Ending};

use crate::Out;

/// Starts the owner in a session of its own, shows what it says until all is up, and leaves it
/// running.
pub(crate) fn start(session: &Session, out: &mut Out) -> anyhow::Result<()> {
    session.must_be_free()?;
    session.forget()?;
    let ending = Ending::listen(|| {})?;
    ending.in_order();
    let mut owner = spawn(session)?;
    // Opened once: when the start fails, the file is removed before its last lines are read.
    let mut log = File::open(session.log())?;
    loop {
        let is_ready = session.is_ready();
        let ended = owner.try_wait()?;
        io::copy(&mut log, out)?;
        out.flush()?;
        match ended {
            Some(status) => bail!("it did not start ({status})"),
            None if is_ready => return Ok(()),
            None if ending.is_asked_within(Duration::from_millis(100)) => {
                session.stop()?;
                bail!("stopped");
            }
            None => {}
        }
    }
}

fn spawn(session: &Session) -> anyhow::Result<Child> {
    fs::create_dir_all(session.dir())?;
    let log = File::create(session.log())?;
    let arguments = std::env::args_os().skip(1).map(|word| {
        if word == "--detach" {
            "--owner".into()
        } else {
            word
        }
    });
    let mut owner = Command::new("setsid");
    owner.arg(std::env::current_exe()?).args(arguments);
    owner
        .stdin(Stdio::null())
        .stdout(log.try_clone()?)
        .stderr(log);
    owner
        .spawn()
        .context("cannot start the process that owns the cluster")
}
