//! Servers that run as processes of their own, so that they can be stopped, killed and followed by
//! others.

use std::{
    fs,
    net::TcpStream,
    path::PathBuf,
    process::Command,
    sync::{
        Mutex, MutexGuard, OnceLock, PoisonError,
        atomic::{AtomicU32, Ordering},
    },
};

use run::local::Process;

use crate::world::{Wish, World, eventually};

/// The server in the first one's place, once there is one.
pub type Successor = Option<Process>;

/// A server and receivers of its own, as processes that can be stopped; for one test at a time.
pub fn fragile() -> (&'static World, MutexGuard<'static, Successor>) {
    static WORLD: OnceLock<World> = OnceLock::new();
    static TURN: Mutex<Successor> = Mutex::new(None);
    let turn = TURN.lock().unwrap_or_else(PoisonError::into_inner);
    (
        WORLD.get_or_init(|| {
            World::start(Wish {
                receivers: true,
                ..Wish::default()
            })
        }),
        turn,
    )
}

/// The server that runs there now.
pub fn current<'a>(world: &'a World, successor: &'a Successor) -> &'a Process {
    successor
        .as_ref()
        .or(world.installed.server.as_ref())
        .unwrap()
}

/// Kills the server, and starts another in its place.
pub fn restart(world: &World, successor: &mut Successor) {
    let server = current(world, successor);
    let (like_it, address) = (like(server, world), server.address);
    signal(server, "-KILL");
    eventually("its end", || TcpStream::connect(address).is_err());
    *successor = Some(Process::start(like_it, server_log(world)).unwrap());
}

/// A log of its own for the next server.
pub fn server_log(world: &World) -> PathBuf {
    static NUMBER: AtomicU32 = AtomicU32::new(1);
    world.cluster.dir().join(format!(
        "server-again-{}.log",
        NUMBER.fetch_add(1, Ordering::Relaxed)
    ))
}

/// What stands behind a flag of a server.
pub fn flag(server: &Process, name: &str) -> Option<String> {
    let line = fs::read_to_string(format!("/proc/{}/cmdline", server.id())).ok()?;
    line.split('\0')
        .find_map(|word| word.strip_prefix(name)?.strip_prefix('='))
        .map(str::to_owned)
}

/// Sends a signal: `-KILL`.
pub fn signal(process: &Process, name: &str) {
    signal_to(process.id(), name);
}

/// Sends a signal to a process by its number.
pub fn signal_to(pid: u32, name: &str) {
    let sent = Command::new("kill")
        .args([name, &pid.to_string()])
        .status()
        .unwrap();
    assert!(sent.success());
}

/// The command of a server that listens where this one does.
pub fn like(server: &Process, world: &World) -> Command {
    let line = fs::read(format!("/proc/{}/cmdline", server.id())).unwrap();
    let words = line
        .split(|&byte| byte == 0)
        .map(|word| String::from_utf8_lossy(word).into_owned());
    let mut words = words.filter(|word| !word.is_empty());
    let mut command = Command::new(words.next().unwrap());
    command.args(words.filter(|word| !word.starts_with("--address=")));
    command
        .arg(format!("--address={}", server.address))
        .env("KUBECONFIG", world.cluster.admin_kubeconfig());
    command
}
