//! Building Go commands with the machine's Go, whatever its settings are.

use std::path::Path;
use std::process::Command;

use super::command::run;
use super::debian;
use super::error::BuildError;
use super::staging::Staging;
use crate::tools;

pub(super) const LINK_FLAGS: &str = "-s -w";

/// Commands of one Go module that are built with the same flags.
#[derive(Debug)]
pub(super) struct Module {
    /// Where in the sources its go.mod is.
    pub(super) dir: &'static str,
    pub(super) packages: &'static [&'static str],
    pub(super) tags: &'static str,
    pub(super) cgo: Cgo,
}

#[derive(Debug, PartialEq, Eq)]
pub(super) enum Cgo {
    Off,
    /// With libseccomp, linked statically: containerd always wants a seccomp filter on a pod's
    /// sandbox.
    Seccomp,
}

impl Module {
    pub(super) fn build(&self, part: &'static str, staging: &Staging) -> Result<(), BuildError> {
        let dir = staging.source(self.dir);
        let mut go = Command::new("go");
        go.current_dir(&dir)
            .args(["build", "-trimpath", "-o"])
            .arg(staging.out());
        go.env("GOTOOLCHAIN", "local")
            .env("GOWORK", "off")
            .env_remove("GOFLAGS");
        self.flags(part, &dir, staging, &mut go)?;
        run(part, go.args(self.packages))?;
        rename_etcd(staging)
    }

    fn flags(
        &self,
        part: &'static str,
        dir: &Path,
        staging: &Staging,
        go: &mut Command,
    ) -> Result<(), BuildError> {
        if !self.tags.is_empty() {
            go.args(["-tags", self.tags]);
        }
        if self.cgo == Cgo::Seccomp {
            go.env("CGO_ENABLED", "1")
                .envs(debian::libseccomp(part, staging)?);
            go.arg("-ldflags").arg(format!(
                "{LINK_FLAGS} -linkmode external -extldflags -static"
            ));
        } else {
            go.env("CGO_ENABLED", "0")
                .arg("-ldflags")
                .arg(link_flags(dir));
        }
        Ok(())
    }
}

/// Kubernetes' commands call themselves v0.0.0-master unless they are told their version.
fn link_flags(dir: &Path) -> String {
    let go_mod = std::fs::read_to_string(dir.join("go.mod")).unwrap_or_default();
    match required(&go_mod, "k8s.io/kubernetes") {
        Some(version) => {
            format!("{LINK_FLAGS} -X k8s.io/component-base/version.gitVersion={version}")
        }
        None => LINK_FLAGS.to_owned(),
    }
}

/// The version of `module` a go.mod requires.
fn required<'a>(go_mod: &'a str, module: &str) -> Option<&'a str> {
    let mut lines = go_mod
        .lines()
        .map(|line| line.trim().trim_start_matches("require "));
    lines.find_map(|line| {
        line.strip_prefix(module)?
            .strip_prefix(' ')?
            .split(' ')
            .next()
    })
}

/// etcd's server is called `server` by its package.
fn rename_etcd(staging: &Staging) -> Result<(), BuildError> {
    let server = staging.out().join("server");
    if !server.exists() {
        return Ok(());
    }
    let etcd = staging.out().join("etcd");
    std::fs::rename(server, &etcd).map_err(|source| BuildError::File { path: etcd, source })
}

/// What to install when the machine's Go is older than a group's sources want.
pub(super) fn too_old(sources: &[(&str, &str)]) -> Option<String> {
    let wanted = sources
        .iter()
        .filter(|(name, _)| name.ends_with("go.mod"))
        .filter_map(|(_, text)| go_version(text));
    let wanted = wanted.max_by_key(|version| numbers(version))?;
    tools::find("go")?;
    let said = Command::new("go")
        .args(["env", "GOVERSION"])
        .env("GOTOOLCHAIN", "local")
        .output()
        .ok()?
        .stdout;
    let said = String::from_utf8_lossy(&said);
    let found = said.trim().trim_start_matches("go");
    (numbers(found) < numbers(wanted))
        .then(|| format!("go {wanted} or newer (found {found}; https://go.dev/dl)"))
}

fn go_version(go_mod: &str) -> Option<&str> {
    go_mod.lines().find_map(|line| line.strip_prefix("go "))
}

fn numbers(version: &str) -> Vec<u32> {
    let digits = |part: &str| {
        part.chars()
            .take_while(char::is_ascii_digit)
            .collect::<String>()
            .parse()
            .unwrap_or(0)
    };
    version.split('.').map(digits).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_required_version_is_found_and_a_longer_name_is_not_mistaken_for_it() {
        let go_mod = "require (\n\tk8s.io/kubernetes-csi v1.0.0\n\tk8s.io/kubernetes v1.37.2 // indirect\n)\n";
        assert_eq!(required(go_mod, "k8s.io/kubernetes"), Some("v1.37.2"));
        assert_eq!(
            required("require k8s.io/kubernetes v1.2.3\n", "k8s.io/kubernetes"),
            Some("v1.2.3")
        );
    }

    #[test]
    fn versions_are_compared_by_their_numbers() {
        assert!(numbers("1.26.8") > numbers("1.26"));
        assert!(numbers("1.9") < numbers("1.26rc1"));
    }
}
