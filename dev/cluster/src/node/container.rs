//! A real node: kubelet, containerd and runc in mount and PID namespaces of their own.

use std::fs;
use std::io;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use serde_json::json;

use crate::build::{BUSYBOX_TAR, PAUSE_IMAGE, PAUSE_TAR};
use crate::component::{Component, ComponentError};
use crate::run_dir::{RunDir, State};
use crate::subnet::Subnet;
use crate::tools::{self, Tool};
use crate::{cgroup, wait};

/// Why containers cannot be had.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ContainerError {
    /// A file of the node's configuration cannot be written or read.
    #[error("cannot use {path}")]
    File {
        /// Which.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The namespaces did not come up.
    #[error("the node's namespaces could not be set up; {log} says:\n{tail}")]
    Namespaces {
        /// The log.
        log: PathBuf,
        /// Its last lines.
        tail: String,
    },
    /// containerd is not ready.
    #[error("containerd is not ready after {seconds} s; the end of {log}:\n{tail}")]
    Containerd {
        /// How long it was waited for.
        seconds: u64,
        /// The log.
        log: PathBuf,
        /// Its last lines.
        tail: String,
    },
    /// An image cannot be loaded.
    #[error("cannot load the image {path}: {said}")]
    Load {
        /// The archive.
        path: PathBuf,
        /// What ctr said.
        said: String,
    },
    /// A process ended or cannot be started.
    #[error(transparent)]
    Component(#[from] ComponentError),
}

const PATIENCE: Duration = Duration::from_secs(30);
const SOCKET: &str = "/run/containerd/containerd.sock";
const INIT: &str = include_str!("init.sh");

const UTIL_LINUX: &str = "apt-get install util-linux";
const TOOLS: [Tool; 5] = [
    Tool {
        name: "unshare",
        from: UTIL_LINUX,
    },
    Tool {
        name: "nsenter",
        from: UTIL_LINUX,
    },
    Tool {
        name: "setpriv",
        from: UTIL_LINUX,
    },
    Tool {
        name: "setsid",
        from: UTIL_LINUX,
    },
    Tool {
        name: "mount",
        from: "apt-get install mount",
    },
];

/// What this machine lacks for real containers, in words; empty when they can be had. Takes some
/// hundredths of a second.
pub fn what_is_missing_for_containers() -> Vec<String> {
    let mut missing: Vec<_> = TOOLS.into_iter().filter_map(Tool::missing).collect();
    if tools::uid() != 0 {
        missing.push("root".to_owned());
        return missing;
    }
    if missing.is_empty() {
        missing.extend(missing_in_kernel());
    }
    missing.extend(cgroup::missing());
    missing
}

fn missing_in_kernel() -> Vec<String> {
    let probe = |arguments: &[&str], script: &str, what: &str| {
        let works = tools::succeeds(
            Command::new("unshare")
                .args(arguments)
                .args(["sh", "-c", script]),
        );
        (!works).then(|| what.to_owned())
    };
    let namespaces = probe(
        &[
            "--mount",
            "--pid",
            "--fork",
            "--kill-child",
            "--propagation",
            "private",
        ],
        "mount -t proc proc /proc && mount -t tmpfs tmpfs /run",
        "mount and PID namespaces with mounts in them (a container needs --privileged)",
    );
    let links = tools::find("ip").and_then(|_| {
        probe(
            &["--net"],
            "ip link add kra0 type veth peer name kra1",
            "network namespaces with veth links in them",
        )
    });
    namespaces.into_iter().chain(links).collect()
}

/// The parts of the node that have a say in its start.
pub(crate) struct ContainerNode<'a> {
    dir: &'a RunDir,
    state: &'a State,
    runtime: &'a Path,
}

impl<'a> ContainerNode<'a> {
    /// `None` for a cluster that was not built with a container runtime.
    pub(crate) fn of(dir: &'a RunDir, state: &'a State) -> Option<Self> {
        Some(Self {
            dir,
            state,
            runtime: state.built.runtime.as_deref()?,
        })
    }

    /// Writes what init, containerd and the network plugins read.
    pub(crate) fn configure(&self) -> Result<(), ContainerError> {
        self.write("init.sh", INIT)?;
        self.write("containerd.toml", &self.containerd_config())?;
        let cni = self.dir.join("cni");
        fs::create_dir(&cni).map_err(|source| ContainerError::File { path: cni, source })?;
        self.write("cni/10-bridge.conflist", &self.network_config())?;
        // For the keeper, which removes it: unlike the pods' links it does not end with their
        // namespaces.
        self.write("bridge", &Subnet(self.state.number).bridge())?;
        self.write("kubelet.json", &self.kubelet_config())
    }

    fn write(&self, name: &str, text: &str) -> Result<(), ContainerError> {
        let path = self.dir.join(name);
        fs::write(&path, text).map_err(|source| ContainerError::File { path, source })
    }

    /// What init.sh wants to know.
    pub(crate) fn init_env(&self) -> [(&'static str, &Path); 3] {
        [
            ("RUN", self.dir.path()),
            ("RUNTIME", self.runtime),
            ("KUBERNETES", &self.state.built.kubernetes),
        ]
    }

    fn containerd_config(&self) -> String {
        let (run, runtime, snapshotter) = (
            self.dir.path().display(),
            self.runtime.display(),
            snapshotter(self.dir.path()),
        );
        format!(
            r#"version = 3
root = "{run}/containerd"
state = "/run/containerd"
disabled_plugins = ["io.containerd.nri.v1.nri", "io.containerd.internal.v1.opt", "io.containerd.snapshotter.v1.blockfile", "io.containerd.snapshotter.v1.erofs"]
[grpc]
  address = "{SOCKET}"
[plugins.'io.containerd.cri.v1.images']
  snapshotter = "{snapshotter}"
  [plugins.'io.containerd.cri.v1.images'.pinned_images]
    sandbox = "{PAUSE_IMAGE}"
[plugins.'io.containerd.cri.v1.runtime']
  disable_apparmor = true
  restrict_oom_score_adj = true
  [plugins.'io.containerd.cri.v1.runtime'.cni]
    bin_dirs = ["{runtime}"]
    conf_dir = "{run}/cni"
  [plugins.'io.containerd.cri.v1.runtime'.containerd.runtimes.runc]
    runtime_type = "io.containerd.runc.v2"
    [plugins.'io.containerd.cri.v1.runtime'.containerd.runtimes.runc.options]
      BinaryName = "{runtime}/runc"
      SystemdCgroup = false
"#
        )
    }

    /// A bridge: the host and the pods reach each other, also where the machine forwards no
    /// packets.
    fn network_config(&self) -> String {
        let subnet = Subnet(self.state.number);
        let ipam = json!({
            "type": "host-local", "dataDir": "/run/cni-ipam",
            "ranges": [[{"subnet": subnet.pods()}]],
            "routes": [{"dst": "0.0.0.0/0"}],
        });
        let plugin = json!({
            "type": "bridge", "bridge": subnet.bridge(), "isGateway": true, "ipMasq": false, "hairpinMode": true, "ipam": ipam,
        });
        json!({"cniVersion": "1.0.0", "name": "kra", "plugins": [plugin]}).to_string()
    }

    fn kubelet_config(&self) -> String {
        let path = |name: &str| self.dir.join(name);
        let nothing_evicts = json!({
            "memory.available": "0%", "nodefs.available": "0%", "nodefs.inodesFree": "0%",
            "imagefs.available": "0%", "imagefs.inodesFree": "0%", "pid.available": "0%",
        });
        let config = json!({
            "apiVersion": "kubelet.config.k8s.io/v1beta1",
            "kind": "KubeletConfiguration",
            "address": "127.0.0.1",
            "port": self.state.kubelet_port,
            "healthzPort": 0,
            "readOnlyPort": 0,
            "tlsCertFile": path("pki/kubelet.crt"),
            "tlsPrivateKeyFile": path("pki/kubelet.key"),
            "authentication": {
                "anonymous": {"enabled": false}, "webhook": {"enabled": true}, "x509": {"clientCAFile": path("pki/ca.crt")},
            },
            "authorization": {"mode": "Webhook"},
            "containerRuntimeEndpoint": format!("unix://{SOCKET}"),
            "podLogsDir": path("logs/pods"),
            "volumePluginDir": path("volumeplugins"),
            // The default is true from 1.35 on.
            "failCgroupV1": false,
            "cgroupDriver": "cgroupfs",
            "cgroupRoot": format!("/{}", self.state.cgroup().unwrap_or_default()),
            "cgroupsPerQOS": true,
            "enforceNodeAllocatable": [],
            "failSwapOn": false,
            "makeIPTablesUtilChains": false,
            "localStorageCapacityIsolation": false,
            "oomScoreAdj": 0,
            "resolvConf": "",
            "imageGCHighThresholdPercent": 100,
            "evictionHard": nothing_evicts,
        });
        config.to_string()
    }

    /// Waits until the namespaces are made.
    pub(crate) fn await_init(
        &self,
        mut is_alive: impl FnMut() -> bool,
    ) -> Result<(), ContainerError> {
        let ready = wait::until(PATIENCE, || self.init_pid().is_some() || !is_alive());
        if ready && self.init_pid().is_some() {
            return Ok(());
        }
        let log = self.dir.logs().join("node.log");
        Err(ContainerError::Namespaces {
            tail: crate::component::tail(&log),
            log,
        })
    }

    fn init_pid(&self) -> Option<u32> {
        fs::read_to_string(self.dir.join("init.pid"))
            .ok()?
            .trim()
            .parse()
            .ok()
    }

    /// A command that runs beside the node's first process, and ends with it.
    pub(crate) fn command(&self, program: &Path) -> Result<Command, ContainerError> {
        let path = self.dir.join("init.pid");
        let pid = self.init_pid().ok_or(ContainerError::File {
            path,
            source: io::ErrorKind::InvalidData.into(),
        })?;
        let mut command = Command::new("nsenter");
        command
            .args([
                "--target",
                &pid.to_string(),
                "--mount",
                "--pid",
                "--wd=/",
                "--",
            ])
            .arg(program);
        command.env("PATH", self.path());
        Ok(command)
    }

    /// containerd finds its shim, and the kubelet mount and others, by name.
    fn path(&self) -> std::ffi::OsString {
        let mut path = self.runtime.as_os_str().to_owned();
        path.push(":");
        path.push(std::env::var_os("PATH").unwrap_or_default());
        path
    }

    pub(crate) fn start_containerd(&self) -> Result<Component, ContainerError> {
        let mut command = self.command(&self.runtime.join("containerd"))?;
        command
            .arg("--config")
            .arg(self.dir.join("containerd.toml"));
        let mut containerd = Component::start("containerd", &mut command, &self.dir.logs())?;
        self.await_containerd(&mut containerd)?;
        Ok(containerd)
    }

    fn await_containerd(&self, containerd: &mut Component) -> Result<(), ContainerError> {
        let pid = self.init_pid().unwrap_or_default();
        let socket = format!("/proc/{pid}/root{SOCKET}");
        let ready = wait::until_ok(PATIENCE, || {
            containerd
                .check()
                .map(|()| UnixStream::connect(&socket).is_ok())
        })?;
        if ready {
            return Ok(());
        }
        let log = self.dir.logs().join("containerd.log");
        Err(ContainerError::Containerd {
            seconds: PATIENCE.as_secs(),
            tail: crate::component::tail(&log),
            log,
        })
    }

    /// Loads what every pod of ours needs.
    pub(crate) fn load_base_images(&self) -> Result<(), ContainerError> {
        self.load(&self.runtime.join(PAUSE_TAR))?;
        self.load(&self.state.built.busybox.join(BUSYBOX_TAR))
    }

    /// Loads the images of an archive, which is read here: the node need not see it.
    pub(crate) fn load(&self, archive: &Path) -> Result<(), ContainerError> {
        let failed = |source| ContainerError::File {
            path: archive.to_owned(),
            source,
        };
        let file = fs::File::open(archive).map_err(failed)?;
        let mut command = self.command(&self.runtime.join("ctr"))?;
        command.args([
            "--namespace",
            "k8s.io",
            "images",
            "import",
            "--local",
            "--snapshotter",
            snapshotter(self.dir.path()),
            "-",
        ]);
        let output = command
            .stdin(file)
            .stdout(Stdio::null())
            .output()
            .map_err(failed)?;
        if output.status.success() {
            return Ok(());
        }
        let said = String::from_utf8_lossy(&output.stderr).trim().to_owned();
        Err(ContainerError::Load {
            path: archive.to_owned(),
            said,
        })
    }

    pub(crate) fn start_kubelet(&self) -> Result<Component, ContainerError> {
        let mut command = self.command(&self.state.built.kubernetes.join("kubelet"))?;
        command.arg("--config").arg(self.dir.join("kubelet.json"));
        command
            .arg("--kubeconfig")
            .arg(self.dir.users().join("kubelet.kubeconfig"));
        command.arg("--hostname-override").arg(super::NAME);
        command
            .arg("--root-dir")
            .arg(self.dir.join("kubelet"))
            .arg("--cert-dir")
            .arg(self.dir.pki());
        Ok(Component::start("kubelet", &mut command, &self.dir.logs())?)
    }
}

/// overlayfs cannot be stacked on an overlay, which is what a container's own root is.
fn snapshotter(dir: &Path) -> &'static str {
    let mounts = fs::read_to_string("/proc/mounts").unwrap_or_default();
    if file_system(&mounts, dir) == Some("overlay") {
        "native"
    } else {
        "overlayfs"
    }
}

/// The type of the file system `dir` is on.
fn file_system<'a>(mounts: &'a str, dir: &Path) -> Option<&'a str> {
    let mount = |line: &'a str| {
        let mut fields = line.split(' ').skip(1);
        Some((fields.next()?, fields.next()?))
    };
    let below = mounts
        .lines()
        .filter_map(mount)
        .filter(|(point, _)| dir.starts_with(point));
    below
        .max_by_key(|(point, _)| point.len())
        .map(|(_, kind)| kind)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_file_system_is_that_of_the_nearest_mount() {
        let mounts =
            "overlay / overlay rw 0 0\n/dev/sda1 /var ext4 rw 0 0\ntmpfs /var/tmpfs tmpfs rw 0 0\n";
        assert_eq!(
            file_system(mounts, Path::new("/home/jane")),
            Some("overlay")
        );
        assert_eq!(file_system(mounts, Path::new("/var/lib/x")), Some("ext4"));
        assert_eq!(
            file_system(mounts, Path::new("/var/tmpfs/x")),
            Some("tmpfs")
        );
    }
}
