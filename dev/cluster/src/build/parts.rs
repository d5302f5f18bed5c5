//! What there is to build, and from what.

use super::error::BuildError;
use super::go::{Cgo, Module};
use super::staging::Staging;
use super::{debian, images};
use crate::digest;
use crate::tools::Tool;

/// Binaries that are built and kept together.
pub(super) struct Group {
    pub(super) name: &'static str,
    /// Sources by their paths.
    pub(super) sources: &'static [(&'static str, &'static str)],
    pub(super) parts: &'static [Part],
}

/// How much of a digest is in a directory's name.
pub(super) const KEY_LENGTH: usize = 16;

/// One line of the build's progress.
#[derive(Debug)]
pub(super) struct Part {
    pub(super) name: &'static str,
    recipe: Recipe,
}

#[derive(Debug)]
enum Recipe {
    Go(Module),
    Busybox,
    PauseImage,
}

const APT_GET: Tool = Tool {
    name: "apt-get",
    from: "packages are fetched with it: Debian or Ubuntu",
};
const DPKG_DEB: Tool = Tool {
    name: "dpkg-deb",
    from: "apt-get install dpkg",
};
const GO: Tool = Tool {
    name: "go",
    from: "https://go.dev/dl",
};
const CC: Tool = Tool {
    name: "gcc",
    from: "apt-get install gcc libc6-dev",
};
const PKG_CONFIG: Tool = Tool {
    name: "pkg-config",
    from: "apt-get install pkg-config",
};

impl Part {
    pub(super) fn tools(&self) -> &'static [Tool] {
        match &self.recipe {
            Recipe::Go(Module {
                cgo: Cgo::Seccomp, ..
            }) => &[GO, CC, PKG_CONFIG, APT_GET, DPKG_DEB],
            Recipe::Go(_) => &[GO],
            Recipe::Busybox => &[APT_GET, DPKG_DEB],
            Recipe::PauseImage => &[],
        }
    }

    pub(super) fn build(&self, staging: &Staging) -> Result<(), BuildError> {
        match &self.recipe {
            Recipe::Go(module) => module.build(self.name, staging),
            Recipe::Busybox => debian::busybox(self.name, staging)
                .and_then(|()| images::busybox(self.name, staging)),
            Recipe::PauseImage => images::pause(self.name, staging),
        }
    }
}

impl Group {
    /// A digest of all that decides what comes out.
    pub(super) fn key(&self) -> String {
        let flags = format!(
            "{} {:?} {} {}",
            std::env::consts::ARCH,
            self.parts,
            images::VERSION,
            super::go::LINK_FLAGS
        );
        let sources = self.sources.iter().flat_map(|(name, text)| [*name, *text]);
        let all = sources
            .chain([flags.as_str()])
            .collect::<Vec<_>>()
            .join("\0");
        digest::hex(all.as_bytes())
            .chars()
            .take(KEY_LENGTH)
            .collect()
    }
}

pub(super) const KUBERNETES: Group = Group {
    name: "kubernetes",
    sources: &[
        ("kubernetes/go.mod", include_str!("../../kubernetes/go.mod")),
        ("kubernetes/go.sum", include_str!("../../kubernetes/go.sum")),
    ],
    parts: &[
        kubernetes("kube-apiserver", &["k8s.io/kubernetes/cmd/kube-apiserver"]),
        kubernetes("etcd", &["go.etcd.io/etcd/server/v3"]),
        kubernetes(
            "kube-controller-manager",
            &["k8s.io/kubernetes/cmd/kube-controller-manager"],
        ),
        kubernetes("kubelet", &["k8s.io/kubernetes/cmd/kubelet"]),
        kubernetes("kubectl", &["k8s.io/kubernetes/cmd/kubectl"]),
    ],
};

pub(super) const RUNTIME: Group = Group {
    name: "runtime",
    sources: &[
        ("runtime/go.mod", include_str!("../../runtime/go.mod")),
        ("runtime/go.sum", include_str!("../../runtime/go.sum")),
        ("pause/go.mod", include_str!("../../pause/go.mod")),
        ("pause/main.go", include_str!("../../pause/main.go")),
    ],
    parts: &[
        Part {
            name: "containerd",
            recipe: Recipe::Go(Module {
                dir: "runtime",
                packages: &[
                    "github.com/containerd/containerd/v2/cmd/containerd",
                    "github.com/containerd/containerd/v2/cmd/containerd-shim-runc-v2",
                    "github.com/containerd/containerd/v2/cmd/ctr",
                ],
                tags: "no_btrfs,no_zfs,no_devmapper,no_aufs",
                cgo: Cgo::Off,
            }),
        },
        Part {
            name: "runc",
            recipe: Recipe::Go(Module {
                dir: "runtime",
                packages: &["github.com/opencontainers/runc"],
                tags: "seccomp,netgo,osusergo",
                cgo: Cgo::Seccomp,
            }),
        },
        Part {
            name: "the network plugins",
            recipe: Recipe::Go(Module {
                dir: "runtime",
                packages: &[
                    "github.com/containernetworking/plugins/plugins/main/loopback",
                    "github.com/containernetworking/plugins/plugins/main/bridge",
                    "github.com/containernetworking/plugins/plugins/ipam/host-local",
                ],
                tags: "",
                cgo: Cgo::Off,
            }),
        },
        Part {
            name: "pause",
            recipe: Recipe::Go(Module {
                dir: "pause",
                packages: &["."],
                tags: "",
                cgo: Cgo::Off,
            }),
        },
        Part {
            name: "the image of pause",
            recipe: Recipe::PauseImage,
        },
    ],
};

pub(super) const BUSYBOX: Group = Group {
    name: "busybox",
    sources: &[],
    parts: &[Part {
        name: "busybox and its image",
        recipe: Recipe::Busybox,
    }],
};

pub(super) const LOCALNODE: Group = Group {
    name: "localnode",
    sources: &[
        ("localnode/go.mod", include_str!("../../localnode/go.mod")),
        ("localnode/go.sum", include_str!("../../localnode/go.sum")),
        ("localnode/main.go", include_str!("../../localnode/main.go")),
    ],
    parts: &[Part {
        name: "the local agent",
        recipe: Recipe::Go(Module {
            dir: "localnode",
            packages: &["."],
            tags: "",
            cgo: Cgo::Off,
        }),
    }],
};

const fn kubernetes(name: &'static str, packages: &'static [&'static str]) -> Part {
    Part {
        name,
        recipe: Recipe::Go(Module {
            dir: "kubernetes",
            packages,
            tags: "",
            cgo: Cgo::Off,
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_changed_source_gives_another_key() {
        let changed = Group {
            sources: &[("kubernetes/go.mod", "module x")],
            ..KUBERNETES
        };
        assert_ne!(KUBERNETES.key(), changed.key());
    }

    #[test]
    fn groups_have_keys_of_their_own() {
        let keys = [
            KUBERNETES.key(),
            RUNTIME.key(),
            BUSYBOX.key(),
            LOCALNODE.key(),
        ];
        assert!(keys.iter().all(|key| key.len() == KEY_LENGTH));
        assert_eq!(
            keys.iter().collect::<std::collections::BTreeSet<_>>().len(),
            keys.len()
        );
    }
}
