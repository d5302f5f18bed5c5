//! Debian's packages, unpacked and not installed.

use std::path::{Path, PathBuf};
use std::process::Command;

use super::command::run;
use super::error::BuildError;
use super::staging::Staging;
use crate::tools;

/// The environment in which cgo finds a static libseccomp: the machine's own where it has one, else
/// Debian's.
pub(super) fn libseccomp(
    part: &'static str,
    staging: &Staging,
) -> Result<Vec<(&'static str, String)>, BuildError> {
    if has_static_libseccomp() {
        return Ok(Vec::new());
    }
    let root = unpack(part, &["libseccomp-dev", "libseccomp2"], staging)?;
    let library = find(&root, "libseccomp.a").ok_or(BuildError::Absent {
        part,
        file: "libseccomp.a",
    })?;
    let dir = library.parent().unwrap_or(&root).display().to_string();
    let root = root.display();
    Ok(vec![
        ("PKG_CONFIG_LIBDIR", format!("{dir}/pkgconfig")),
        ("PKG_CONFIG_SYSROOT_DIR", root.to_string()),
        ("CGO_CFLAGS", format!("-I{root}/usr/include")),
        ("CGO_LDFLAGS", format!("-L{dir}")),
    ])
}

fn has_static_libseccomp() -> bool {
    let dir = Command::new("pkg-config")
        .args(["--variable=libdir", "libseccomp"])
        .output();
    dir.is_ok_and(|said| {
        said.status.success()
            && Path::new(String::from_utf8_lossy(&said.stdout).trim())
                .join("libseccomp.a")
                .exists()
    })
}

/// Puts a static busybox into the results.
pub(super) fn busybox(part: &'static str, staging: &Staging) -> Result<(), BuildError> {
    let root = unpack(part, &["busybox-static"], staging)?;
    let busybox = find(&root, "bin/busybox").ok_or(BuildError::Absent {
        part,
        file: "busybox",
    })?;
    let to = staging.out().join("busybox");
    std::fs::copy(busybox, &to)
        .map(drop)
        .map_err(|source| BuildError::File { path: to, source })
}

fn unpack(part: &'static str, packages: &[&str], staging: &Staging) -> Result<PathBuf, BuildError> {
    let debs = staging.source(&format!("debs-{}", packages.join("-")));
    let root = debs.join("root");
    std::fs::create_dir_all(&root).map_err(|source| BuildError::File {
        path: root.clone(),
        source,
    })?;
    download(part, packages, &debs)?;
    for deb in files(&debs)
        .into_iter()
        .filter(|file| file.extension().is_some_and(|extension| extension == "deb"))
    {
        run(part, Command::new("dpkg-deb").arg("-x").arg(deb).arg(&root))?;
    }
    Ok(root)
}

fn download(part: &'static str, packages: &[&str], to: &Path) -> Result<(), BuildError> {
    let download = || {
        run(
            part,
            Command::new("apt-get")
                .arg("download")
                .args(packages)
                .current_dir(to),
        )
    };
    match download() {
        // The lists of packages of a fresh machine or container are empty.
        Err(_) if tools::uid() == 0 => {
            run(part, Command::new("apt-get").arg("update"))?;
            download().map(drop)
        }
        result => result.map(drop),
    }
}

fn files(dir: &Path) -> Vec<PathBuf> {
    std::fs::read_dir(dir)
        .into_iter()
        .flatten()
        .flatten()
        .map(|entry| entry.path())
        .collect()
}

/// A regular file by the end of its path, anywhere below `dir`.
fn find(dir: &Path, end: &str) -> Option<PathBuf> {
    let (dirs, files): (Vec<_>, Vec<_>) = files(dir)
        .into_iter()
        .filter(|path| !path.is_symlink())
        .partition(|path| path.is_dir());
    let found = files.into_iter().find(|file| file.ends_with(end));
    found.or_else(|| dirs.iter().find_map(|dir| find(dir, end)))
}
