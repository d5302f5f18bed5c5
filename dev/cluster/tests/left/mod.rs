//! What a cluster leaves on the machine: nothing, one hopes.

use std::fs;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant};

use kra_cluster::{Cluster, Node};

const PATIENCE: Duration = Duration::from_secs(20);

/// By what a cluster can be recognised once it is gone.
pub(crate) struct Traces {
    pub(crate) dir: PathBuf,
    number: String,
    has_containers: bool,
}

impl Traces {
    pub(crate) fn of(cluster: &Cluster) -> Self {
        let state: serde_json::Value =
            serde_json::from_slice(&fs::read(cluster.dir().join("cluster.json")).unwrap()).unwrap();
        let has_containers = cluster.node() == Node::Containers;
        let traces = Self {
            dir: cluster.dir().to_owned(),
            number: state["number"].to_string(),
            has_containers,
        };
        let (processes, mounts, cgroups) = (traces.processes(), traces.mounts(), traces.cgroups());
        assert!(
            processes.len() >= 4,
            "the test cannot see the cluster's processes: {processes:?}"
        );
        assert!(
            !has_containers || (!mounts.is_empty() && !cgroups.is_empty()),
            "{mounts:?} {cgroups:?}"
        );
        traces
    }

    /// Waits until nothing is left, and fails with what is.
    pub(crate) fn are_gone(&self) {
        become_empty(|| {
            let entry = Path::new("/run/kra-cluster").join(&self.number);
            // Another cluster may have taken the number since: then the entry names that one's
            // directory.
            let ours = fs::read_to_string(entry)
                .is_ok_and(|text| text.contains(self.dir.to_str().unwrap()));
            let files = [
                self.dir.exists().then_some("the run directory"),
                ours.then_some("the registry's entry"),
            ];
            let mut left = self.processes();
            left.extend(self.mounts());
            left.extend(files.into_iter().flatten().map(ToOwned::to_owned));
            if !ours && !self.number_is_taken() {
                left.extend(self.cgroups());
                left.extend(self.routes());
            }
            left
        });
    }

    pub(crate) fn processes_are_gone(&self) {
        become_empty(|| self.processes());
    }

    fn number_is_taken(&self) -> bool {
        Path::new("/run/kra-cluster").join(&self.number).exists()
    }

    /// Processes that name the run directory, in their arguments or environment.
    fn processes(&self) -> Vec<String> {
        processes(&self.dir)
    }

    fn mounts(&self) -> Vec<String> {
        let dir = self.dir.to_str().unwrap();
        let mounts = pids().filter_map(|pid| fs::read_to_string(pid.join("mountinfo")).ok());
        let mut mounts: Vec<_> = mounts
            .flat_map(|text| {
                text.lines()
                    .filter(|line| line.contains(dir))
                    .map(ToOwned::to_owned)
                    .collect::<Vec<_>>()
            })
            .collect();
        mounts.dedup();
        mounts
    }

    fn cgroups(&self) -> Vec<String> {
        let name = format!("kra-{}", self.number);
        let mounts = fs::read_to_string("/proc/mounts").unwrap();
        let roots = mounts
            .lines()
            .filter(|line| line.contains(" cgroup"))
            .filter_map(|line| line.split(' ').nth(1));
        roots
            .map(|root| Path::new(root).join(&name))
            .filter(|group| group.exists())
            .map(|group| group.display().to_string())
            .collect()
    }

    /// A route into the cluster's addresses means that a veth link is left.
    fn routes(&self) -> Vec<String> {
        if !self.has_containers {
            return Vec::new();
        }
        let number: u8 = self.number.parse().unwrap();
        let end = format!("{number:02X}0A");
        let table = fs::read_to_string("/proc/net/route").unwrap();
        let ours = |line: &&str| {
            line.split('\t')
                .nth(1)
                .is_some_and(|destination| destination.ends_with(&end))
        };
        table.lines().filter(ours).map(ToOwned::to_owned).collect()
    }
}

fn processes(dir: &Path) -> Vec<String> {
    let dir = dir.to_str().unwrap();
    let names_it =
        |file: PathBuf| String::from_utf8_lossy(&fs::read(file).unwrap_or_default()).contains(dir);
    let process = |pid: &PathBuf| names_it(pid.join("cmdline")) || names_it(pid.join("environ"));
    pids()
        .filter(process)
        .filter(|pid| !is_ours(pid))
        .map(|pid| describe(&pid))
        .collect()
}

/// Waits until no process names the directory.
pub(crate) fn no_process_names(dir: &Path) {
    become_empty(|| processes(dir));
}

/// Waits until the condition holds.
pub(crate) fn until(condition: impl Fn() -> bool) {
    become_empty(|| {
        if condition() {
            Vec::new()
        } else {
            vec!["the condition does not hold".to_owned()]
        }
    });
}

fn pids() -> impl Iterator<Item = PathBuf> {
    let is_number = |path: &PathBuf| {
        path.file_name()
            .unwrap()
            .to_str()
            .unwrap()
            .parse::<u32>()
            .is_ok()
    };
    fs::read_dir("/proc")
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(is_number)
}

/// The test's own process does not count, whatever its environment says.
fn is_ours(pid: &Path) -> bool {
    pid.ends_with(std::process::id().to_string())
}

fn describe(pid: &Path) -> String {
    let arguments = fs::read(pid.join("cmdline")).unwrap_or_default();
    let arguments = String::from_utf8_lossy(&arguments).replace('\0', " ");
    format!(
        "{} {}",
        pid.display(),
        arguments.chars().take(120).collect::<String>()
    )
}

/// The process that cleans up after the cluster in `dir`.
pub(crate) fn keeper_of(dir: &Path) -> u32 {
    let script = dir.join("keeper.sh");
    let is_keeper = |pid: &PathBuf| {
        let arguments = fs::read(pid.join("cmdline")).unwrap_or_default();
        String::from_utf8_lossy(&arguments).split('\0').nth(1) == script.to_str()
    };
    let keeper = pids().find(is_keeper).expect("there is a keeper");
    keeper
        .file_name()
        .unwrap()
        .to_str()
        .unwrap()
        .parse()
        .unwrap()
}

fn become_empty(mut left: impl FnMut() -> Vec<String>) {
    let deadline = Instant::now() + PATIENCE;
    while !left().is_empty() {
        assert!(Instant::now() < deadline, "left behind: {:#?}", left());
        thread::sleep(Duration::from_millis(50));
    }
}
