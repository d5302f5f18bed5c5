//! Servers as processes on this machine, which end with the one that started them.

use std::{
    fs,
    io::{self, BufReader},
    net::SocketAddr,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::mpsc,
    time::{Duration, Instant},
};

use ureq::{
    Agent,
    tls::{Certificate, RootCerts, TlsConfig},
};

use crate::certificates::Pair;

/// A server must say where it listens within this time.
const PATIENCE: Duration = Duration::from_secs(30);

/// A server that runs; it is killed when this is dropped.
#[derive(Debug)]
pub struct Process {
    child: Child,
    /// Where it listens.
    pub address: SocketAddr,
    /// What it logs.
    pub log: PathBuf,
}

/// Why a server does not run.
#[derive(Debug, thiserror::Error)]
pub enum ProcessError {
    /// A file of it.
    #[error("cannot write {path}")]
    File {
        /// Which.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// It cannot be started.
    #[error("cannot start {program}")]
    Start {
        /// Which.
        program: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// It did not say where it listens, or ended.
    #[error("{program} did not start to listen; its log: {log}")]
    Silent {
        /// Which.
        program: PathBuf,
        /// Its log.
        log: String,
    },
}

/// Writes a certificate and key where a server reads them.
///
/// # Errors
/// They cannot be written.
pub fn write_pair(dir: &Path, pair: &Pair) -> Result<(PathBuf, PathBuf), ProcessError> {
    Ok((
        write(dir, "tls.crt", &pair.certificate)?,
        write(dir, "tls.key", &pair.key)?,
    ))
}

/// Writes a file into a directory, which is made where it is missing.
///
/// # Errors
/// It cannot be written.
pub fn write(dir: &Path, name: &str, content: &str) -> Result<PathBuf, ProcessError> {
    let path = dir.join(name);
    let failed = |source| ProcessError::File {
        path: path.clone(),
        source,
    };
    fs::create_dir_all(dir).map_err(failed)?;
    fs::write(&path, content).map_err(failed)?;
    Ok(path)
}

impl Process {
    /// Starts a server that logs JSON lines to standard error, one of them with the `address` that
    /// it listens on.
    ///
    /// # Errors
    /// It cannot be started, or does not listen in time.
    pub fn start(mut command: Command, log: PathBuf) -> Result<Self, ProcessError> {
        let program = PathBuf::from(command.get_program());
        // It ends with us, however we end.
        let mut setpriv = Command::new("setpriv");
        setpriv
            .args(["--pdeathsig", "KILL"])
            .arg(command.get_program())
            .args(command.get_args());
        for (key, value) in command
            .get_envs()
            .filter_map(|(key, value)| Some((key, value?)))
        {
            setpriv.env(key, value);
        }
        command = setpriv;
        command
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped());
        let (child, lines) = spawn(command, &program, &log)?;
        match lines.recv_timeout(PATIENCE) {
            Ok(address) => Ok(Self {
                child,
                address,
                log,
            }),
            Err(_nothing) => {
                let mut process = Self {
                    child,
                    address: SocketAddr::from(([127, 0, 0, 1], 0)),
                    log,
                };
                process.stop();
                Err(ProcessError::Silent {
                    program,
                    log: fs::read_to_string(&process.log).unwrap_or_default(),
                })
            }
        }
    }

    /// Its process id.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// Kills it, and waits until it is gone.
    pub fn stop(&mut self) {
        // Both fail only where it is gone already.
        let _gone: io::Result<()> = self.child.kill();
        let _reaped = self.child.wait();
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.stop();
    }
}

/// Starts the command from a thread that lives as long as it does (the kernel sends the death
/// signal when the starting thread ends), copies its log to a file, and tells the first address in
/// it.
fn spawn(
    mut command: Command,
    program: &Path,
    log: &Path,
) -> Result<(Child, mpsc::Receiver<SocketAddr>), ProcessError> {
    let (address, addresses) = mpsc::channel();
    let (started, child) = mpsc::channel();
    let file = log.to_owned();
    std::thread::spawn(move || {
        let mut child = match command.spawn() {
            Ok(child) => child,
            Err(error) => return drop(started.send(Err(error))),
        };
        let stderr = child.stderr.take();
        drop(started.send(Ok(child)));
        if let Some(stderr) = stderr {
            copy(BufReader::new(stderr), &file, &address);
        }
    });
    match child.recv().map_err(io::Error::other) {
        Ok(Ok(child)) => Ok((child, addresses)),
        Ok(Err(source)) | Err(source) => Err(ProcessError::Start {
            program: program.to_owned(),
            source,
        }),
    }
}

fn copy(from: impl io::BufRead, to: &Path, address: &mpsc::Sender<SocketAddr>) {
    let Ok(mut file) = fs::File::create(to) else {
        return;
    };
    for line in from.lines().map_while(Result::ok) {
        if io::Write::write_all(&mut file, format!("{line}\n").as_bytes()).is_err() {
            return;
        }
        if let Some(found) = address_in(&line) {
            // Nobody listens any more once the first was told.
            let _: Result<(), mpsc::SendError<SocketAddr>> = address.send(found);
        }
    }
}

/// The address in a line like `{"address":"127.0.0.1:4711"}` or `… address=127.0.0.1:4711`.
fn address_in(line: &str) -> Option<SocketAddr> {
    let (_, rest) = line.split_once("address")?;
    let rest = rest.trim_start_matches(['"', ':', '=', ' ']);
    rest.split(['"', ' ', ',']).next()?.parse().ok()
}

/// Waits until a server answers a GET with success.
///
/// # Errors
/// It does not within half a minute; the text is its last answer.
pub fn wait_until_ready(url: &str, authority: &str) -> Result<(), String> {
    let certificate =
        Certificate::from_pem(authority.as_bytes()).map_err(|error| error.to_string())?;
    let tls = TlsConfig::builder()
        .root_certs(RootCerts::new_with_certs(&[certificate]))
        .build();
    let agent = Agent::config_builder()
        .tls_config(tls)
        .timeout_global(Some(Duration::from_secs(5)))
        .proxy(None)
        .build();
    let agent = agent.new_agent();
    let deadline = Instant::now().checked_add(PATIENCE);
    loop {
        match agent.get(url).call() {
            Ok(_) => return Ok(()),
            Err(error) if deadline.is_none_or(|deadline| Instant::now() >= deadline) => {
                return Err(error.to_string());
            }
            Err(_not_yet) => std::thread::sleep(Duration::from_millis(50)),
        }
    }
}
