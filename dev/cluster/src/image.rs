//! Images without a registry: a one-layer docker archive, which `ctr images import` reads.

use std::collections::BTreeSet;
use std::fs::File;
use std::io::{self, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use serde_json::json;
use tar::{Builder, EntryType, Header};

use crate::digest;

/// The beginning of Unix time, so that the same content gives the same image.
const CREATED: &str = "1970-01-01T00:00:00Z";

/// Why an image could not be written.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ImageError {
    /// A file that belongs into the image cannot be read.
    #[error("cannot read {path}, which belongs into the image {tag}")]
    Read {
        /// The image.
        tag: String,
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The layer cannot be put together.
    #[error("cannot add {path} to the image {tag}")]
    Add {
        /// The image.
        tag: String,
        /// The path inside the image.
        path: String,
        /// Why.
        source: io::Error,
    },
    /// The archive cannot be written.
    #[error("cannot write the image {tag} to {path}")]
    Write {
        /// The image.
        tag: String,
        /// The archive.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
}

/// One entry of an image's file system. Paths are relative to the root: `bin/sh`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Entry {
    /// A directory.
    Dir {
        /// Where it is.
        path: String,
        /// Its permissions.
        mode: u32,
    },
    /// A copy of a file of this machine, with its permissions.
    Copy {
        /// Where it goes.
        path: String,
        /// Where it comes from.
        from: PathBuf,
    },
    /// A file with this content, readable by all.
    Text {
        /// Where it goes.
        path: String,
        /// What it says.
        text: String,
    },
    /// A symbolic link.
    Link {
        /// Where it is.
        path: String,
        /// What it points to.
        target: String,
    },
}

/// What an image is made of.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Image {
    /// Repository and tag, such as `localhost/receiver:1`.
    pub tag: String,
    /// The file system; missing parent directories are added.
    pub entries: Vec<Entry>,
    /// What is run unless the pod says otherwise; each an argument.
    pub entrypoint: Vec<String>,
    /// The arguments of the entry point unless the pod says otherwise.
    pub cmd: Vec<String>,
    /// `NAME=value` each.
    pub env: Vec<String>,
    /// The user it runs as, such as `65532`; root when `None`.
    pub user: Option<String>,
}

impl Image {
    /// The image of one static binary of this machine, which becomes its entry point `/NAME`.
    pub fn of_binary(tag: &str, binary: &Path) -> Self {
        let name = binary
            .file_name()
            .map_or_else(|| "main".into(), |name| name.to_string_lossy().into_owned());
        Self {
            tag: tag.to_owned(),
            entries: vec![
                Entry::Dir {
                    path: "tmp".to_owned(),
                    mode: 0o1777,
                },
                Entry::Copy {
                    path: name.clone(),
                    from: binary.to_owned(),
                },
            ],
            entrypoint: vec![format!("/{name}")],
            ..Self::default()
        }
    }
}

/// Writes `image` as a docker archive to `path`. The same content gives the same bytes.
///
/// # Errors
/// When a file of the image cannot be read or the archive cannot be written.
pub fn write(image: &Image, path: &Path) -> Result<(), ImageError> {
    let layer = Layer::of(image)?;
    let failed = |source| ImageError::Write {
        tag: image.tag.clone(),
        path: path.to_owned(),
        source,
    };
    let mut archive = Builder::new(File::create(path).map_err(failed)?);
    write_archive(image, &layer, &mut archive).map_err(failed)?;
    archive
        .into_inner()
        .and_then(|mut file| file.flush())
        .map_err(failed)
}

fn write_archive<W: Write>(
    image: &Image,
    layer: &[u8],
    archive: &mut Builder<W>,
) -> io::Result<()> {
    let layer_digest = digest::hex(layer);
    let config = serde_json::to_vec(&config(image, &layer_digest))?;
    let config_name = format!("{}.json", digest::hex(&config));
    let layer_name = format!("{layer_digest}/layer.tar");
    let manifest = serde_json::to_vec(&json!([{
        "Config": config_name, "RepoTags": [image.tag], "Layers": [layer_name],
    }]))?;
    append_file(archive, &config_name, 0o644, &config)?;
    append_file(archive, &layer_name, 0o644, layer)?;
    append_file(archive, "manifest.json", 0o644, &manifest)
}

fn config(image: &Image, layer_digest: &str) -> serde_json::Value {
    json!({
        "architecture": go_architecture(), "os": "linux", "created": CREATED,
        "config": {
            "Env": image.env, "Entrypoint": image.entrypoint, "Cmd": image.cmd,
            "User": image.user.as_deref().unwrap_or_default(),
        },
        "rootfs": {"type": "layers", "diff_ids": [format!("sha256:{layer_digest}")]},
        "history": [{"created": CREATED}],
    })
}

/// Images name architectures as Go does.
fn go_architecture() -> &'static str {
    match std::env::consts::ARCH {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        other => other,
    }
}

/// A layer being put together; knows which directories are there already.
struct Layer<'a> {
    image: &'a Image,
    tar: Builder<Vec<u8>>,
    dirs: BTreeSet<String>,
}

impl<'a> Layer<'a> {
    fn of(image: &'a Image) -> Result<Vec<u8>, ImageError> {
        let mut layer = Self {
            image,
            tar: Builder::new(Vec::new()),
            dirs: BTreeSet::new(),
        };
        for entry in &image.entries {
            layer.add(entry)?;
        }
        layer.tar.into_inner().map_err(|source| ImageError::Add {
            tag: image.tag.clone(),
            path: "/".to_owned(),
            source,
        })
    }

    fn add(&mut self, entry: &Entry) -> Result<(), ImageError> {
        let (Entry::Dir { path, .. }
        | Entry::Copy { path, .. }
        | Entry::Text { path, .. }
        | Entry::Link { path, .. }) = entry;
        self.parents(path)
            .and_then(|()| self.append(entry))
            .map_err(|error| match entry {
                Entry::Copy { from, .. } => ImageError::Read {
                    tag: self.image.tag.clone(),
                    path: from.clone(),
                    source: error,
                },
                Entry::Dir { .. } | Entry::Text { .. } | Entry::Link { .. } => ImageError::Add {
                    tag: self.image.tag.clone(),
                    path: path.clone(),
                    source: error,
                },
            })
    }

    fn append(&mut self, entry: &Entry) -> io::Result<()> {
        match entry {
            Entry::Dir { path, mode } => self.dir(path, *mode),
            Entry::Copy { path, from } => {
                let mode = std::fs::metadata(from)?.permissions().mode() & 0o7777;
                append_file(&mut self.tar, path, mode, &std::fs::read(from)?)
            }
            Entry::Text { path, text } => append_file(&mut self.tar, path, 0o644, text.as_bytes()),
            Entry::Link { path, target } => {
                self.tar
                    .append_link(&mut header(EntryType::Symlink, 0o777, 0), path, target)
            }
        }
    }

    fn parents(&mut self, path: &str) -> io::Result<()> {
        let ends: Vec<usize> = path.match_indices('/').map(|(end, _)| end).collect();
        for parent in ends.into_iter().filter_map(|end| path.get(..end)) {
            self.dir(parent, 0o755)?;
        }
        Ok(())
    }

    fn dir(&mut self, path: &str, mode: u32) -> io::Result<()> {
        if !self.dirs.insert(path.to_owned()) {
            return Ok(());
        }
        self.tar.append_data(
            &mut header(EntryType::Directory, mode, 0),
            format!("{path}/"),
            io::empty(),
        )
    }
}

fn append_file<W: Write>(
    tar: &mut Builder<W>,
    path: &str,
    mode: u32,
    content: &[u8],
) -> io::Result<()> {
    let size = u64::try_from(content.len()).map_err(io::Error::other)?;
    tar.append_data(&mut header(EntryType::Regular, mode, size), path, content)
}

fn header(kind: EntryType, mode: u32, size: u64) -> Header {
    let mut header = Header::new_gnu();
    header.set_entry_type(kind);
    header.set_mode(mode);
    header.set_size(size);
    header.set_mtime(0);
    header.set_uid(0);
    header.set_gid(0);
    header
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::io::Read;

    use super::*;

    fn mk_image() -> Image {
        Image {
            tag: "localhost/thing:1".to_owned(),
            entries: vec![
                Entry::Text {
                    path: "etc/motd".to_owned(),
                    text: "hello\n".to_owned(),
                },
                Entry::Link {
                    path: "etc/issue".to_owned(),
                    target: "motd".to_owned(),
                },
                Entry::Dir {
                    path: "tmp".to_owned(),
                    mode: 0o1777,
                },
            ],
            cmd: vec!["sh".to_owned()],
            env: vec!["PATH=/bin".to_owned()],
            ..Image::default()
        }
    }

    fn written(image: &Image) -> Vec<u8> {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("image.tar");
        write(image, &path).unwrap();
        std::fs::read(path).unwrap()
    }

    fn files(archive: &[u8]) -> BTreeMap<String, Vec<u8>> {
        let mut archive = tar::Archive::new(archive);
        let entries = archive.entries().unwrap().map(Result::unwrap);
        entries
            .map(|mut entry| {
                let mut content = Vec::new();
                entry.read_to_end(&mut content).unwrap();
                (entry.path().unwrap().display().to_string(), content)
            })
            .collect()
    }

    #[test]
    fn the_manifest_names_the_config_and_the_layer_by_their_digests() {
        let files = files(&written(&mk_image()));
        let manifest: serde_json::Value = serde_json::from_slice(&files["manifest.json"]).unwrap();
        let config = &files[manifest[0]["Config"].as_str().unwrap()];
        let layer = &files[manifest[0]["Layers"][0].as_str().unwrap()];
        assert_eq!(manifest[0]["RepoTags"][0], "localhost/thing:1");
        assert_eq!(
            manifest[0]["Config"],
            format!("{}.json", digest::hex(config))
        );
        let config: serde_json::Value = serde_json::from_slice(config).unwrap();
        assert_eq!(
            config["rootfs"]["diff_ids"][0],
            format!("sha256:{}", digest::hex(layer))
        );
        assert_eq!(config["config"]["Cmd"][0], "sh");
    }

    #[test]
    fn the_layer_holds_the_files_and_their_parents_once() {
        let files = files(&written(&mk_image()));
        let layer = files
            .iter()
            .find(|(name, _)| name.ends_with("layer.tar"))
            .unwrap()
            .1;
        let mut archive = tar::Archive::new(layer.as_slice());
        let names: Vec<_> = archive
            .entries()
            .unwrap()
            .map(|entry| entry.unwrap().path().unwrap().display().to_string())
            .collect();
        assert_eq!(names, ["etc/", "etc/motd", "etc/issue", "tmp/"]);
    }

    #[test]
    fn the_same_content_gives_the_same_bytes() {
        assert_eq!(written(&mk_image()), written(&mk_image()));
    }

    #[test]
    fn a_missing_file_is_named() {
        let image = Image::of_binary("localhost/none:1", Path::new("/does/not/exist"));
        let error = write(&image, Path::new("/dev/null")).unwrap_err();
        assert_eq!(
            error.to_string(),
            "cannot read /does/not/exist, which belongs into the image localhost/none:1"
        );
    }
}
