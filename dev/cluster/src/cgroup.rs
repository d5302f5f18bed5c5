//! The cluster's own control groups, in every hierarchy of the machine.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};

/// Why the cluster has no control groups.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CgroupError {
    /// A group cannot be made.
    #[error("cannot make the cgroup {path}")]
    Make {
        /// Which.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
}

/// What the kubelet wants to account for and limit.
const CONTROLLERS: [&str; 4] = ["cpu", "cpuset", "memory", "pids"];
/// What the kubelet insists on finding in its group on v2 when the machine has it.
const WHERE_AVAILABLE: [&str; 1] = ["hugetlb"];

/// A mounted hierarchy.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Hierarchy {
    root: PathBuf,
    is_v2: bool,
    options: Vec<String>,
}

fn parse(mounts: &str) -> Vec<Hierarchy> {
    let hierarchy = |line: &str| {
        let fields: Vec<_> = line.split(' ').collect();
        let (root, kind, options) = (fields.get(1)?, *fields.get(2)?, fields.get(3)?);
        let is_v2 = kind == "cgroup2";
        (is_v2 || kind == "cgroup").then(|| Hierarchy {
            root: PathBuf::from(root),
            is_v2,
            options: options.split(',').map(ToOwned::to_owned).collect(),
        })
    };
    mounts.lines().filter_map(hierarchy).collect()
}

fn hierarchies() -> Vec<Hierarchy> {
    parse(&fs::read_to_string("/proc/mounts").unwrap_or_default())
}

impl Hierarchy {
    fn has(&self, controller: &str) -> bool {
        if self.is_v2 {
            let list = fs::read_to_string(self.root.join("cgroup.controllers")).unwrap_or_default();
            return list.split_whitespace().any(|name| name == controller);
        }
        self.options.iter().any(|option| option == controller)
    }

    fn make(&self, name: &str) -> Result<(), CgroupError> {
        let group = self.root.join(name);
        let failed = |source| CgroupError::Make {
            path: group.clone(),
            source,
        };
        if self.is_v2 {
            self.delegate();
        }
        fs::create_dir_all(&group).map_err(failed)?;
        // On v1 a new cpuset takes no process until it has CPUs and memory nodes.
        for file in ["cpuset.cpus", "cpuset.mems"] {
            if !self.is_v2 && self.has("cpuset") {
                fs::read(self.root.join(file))
                    .and_then(|all| fs::write(group.join(file), all))
                    .map_err(failed)?;
            }
        }
        Ok(())
    }

    /// On v2 a group has only the controllers its parent hands down. One that cannot be had is
    /// missed by the kubelet, and told.
    fn delegate(&self) {
        for controller in CONTROLLERS.into_iter().chain(WHERE_AVAILABLE) {
            if self.has(controller) {
                drop(fs::write(
                    self.root.join("cgroup.subtree_control"),
                    format!("+{controller}"),
                ));
            }
        }
    }
}

/// Makes the group `name` in every hierarchy.
pub(crate) fn make(name: &str) -> Result<(), CgroupError> {
    hierarchies()
        .iter()
        .try_for_each(|hierarchy| hierarchy.make(name))
}

/// What keeps this machine from having control groups for containers.
pub(crate) fn missing() -> Vec<String> {
    let all = hierarchies();
    let lacking = CONTROLLERS
        .into_iter()
        .filter(|controller| !all.iter().any(|hierarchy| hierarchy.has(controller)));
    let mut missing: Vec<_> = lacking
        .map(|controller| format!("the cgroup controller {controller}"))
        .collect();
    missing.extend(all.iter().find_map(|hierarchy| unwritable(&hierarchy.root)));
    missing
}

/// Tries it with a group of its own for each call: several threads ask at once. One that a process
/// of the same number left behind when it was killed will do, too.
fn unwritable(root: &Path) -> Option<String> {
    static PROBES: AtomicU32 = AtomicU32::new(0);
    let number = PROBES.fetch_add(1, Ordering::Relaxed);
    let probe = root.join(format!("kra-probe-{}-{number}", std::process::id()));
    let made = fs::create_dir_all(&probe).and_then(|()| fs::remove_dir(&probe));
    made.err()
        .map(|error| format!("cgroups that can be made in {} ({error})", root.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn threads_that_probe_at_once_do_not_see_each_other() {
        let dir = tempfile::tempdir().unwrap();
        let probe = || (0..500).find_map(|_| unwritable(dir.path()));
        let found = std::thread::scope(|scope| {
            let threads: Vec<_> = (0..4).map(|_| scope.spawn(probe)).collect();
            threads
                .into_iter()
                .filter_map(|thread| thread.join().unwrap())
                .collect::<Vec<_>>()
        });
        assert_eq!(found, Vec::<String>::new());
    }

    #[test]
    fn hierarchies_of_both_versions_are_found() {
        let mounts = "\
proc /proc proc rw 0 0
cgroup /sys/fs/cgroup/cpu,cpuacct cgroup rw,relatime,cpu,cpuacct 0 0
cgroup2 /sys/fs/cgroup/unified cgroup2 rw 0 0
";
        let found = parse(mounts);
        assert_eq!(found.len(), 2);
        assert!(found[0].has("cpuacct") && !found[0].is_v2);
        assert!(found[1].is_v2);
    }
}
