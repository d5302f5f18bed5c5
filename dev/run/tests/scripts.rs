//! The scripts, with stand-ins for what they run: who builds, and who runs the node.

#![expect(clippy::unwrap_used, reason = "helpers of tests fail as tests do")]

use std::fs;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::Path;
use std::process::Command;

use rstest::rstest;
use tempfile::TempDir;

/// Notes who runs it, and plays a cargo: one that builds `kra-run`, or a test.
const CARGO: &str = r#"#!/bin/sh
echo "${BUILDER-root}: cargo $*" >>"$LOG"
program=target/debug/kra-run
case "$*" in
  *--message-format=json*)
    program=$PWD/target/debug/a-test
    echo '{"reason":"compiler-artifact","manifest_path":"'"$PWD"'/Cargo.toml","target":{"test":true},"profile":{"test":false},"features":[],"executable":"'"$PWD"'/target/debug/kra-run"}'
    echo '{"reason":"compiler-artifact","manifest_path":"'"$PWD"'/Cargo.toml","target":{"test":true},"profile":{"test":true},"features":[],"executable":"'"$program"'","fresh":true}' ;;
  *"-p kra-run"*) ;;
  *) exit ;;
esac
mkdir -p target/debug
printf '#!/bin/sh\necho "${BUILDER-root}: %s $*" >>"$LOG"\necho "a::test: test"\n' "${program##*/}" >"$program"
chmod +x "$program"
"#;

/// A checkout of the scripts alone, and a machine of stand-ins.
struct Machine {
    dir: TempDir,
}

impl Machine {
    fn of(uid: &str) -> Self {
        let machine = Self {
            dir: tempfile::tempdir().unwrap(),
        };
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../scripts");
        fs::create_dir_all(machine.path("scripts")).unwrap();
        for script in ["run", "test", "tools"] {
            fs::copy(root.join(script), machine.path("scripts").join(script)).unwrap();
        }
        // A Kubernetes is in the cache.
        fs::create_dir_all(machine.path("cache/kubernetes-0")).unwrap();
        fs::create_dir(machine.path("bin")).unwrap();
        machine.program("cargo", CARGO);
        machine.program("id", &format!("#!/bin/sh\necho {uid}\n"));
        machine.program(
            "getent",
            "#!/bin/sh\necho jane:x:1000:1000::/home/jane:/bin/sh\n",
        );
        machine.program(
            "setpriv",
            "#!/bin/sh\nas=$1\nwhile [ \"$1\" != -- ]; do shift; done\nshift\nBUILDER=${as#--reuid=} exec \"$@\"\n",
        );
        for there in [
            "rustup", "gcc", "python3", "node", "npm", "unshare", "apt-get",
        ] {
            symlink("/bin/true", machine.path("bin").join(there)).unwrap();
        }
        machine
    }

    fn path(&self, below: &str) -> std::path::PathBuf {
        self.dir.path().join(below)
    }

    fn program(&self, name: &str, text: &str) {
        let path = self.path("bin").join(name);
        fs::write(&path, text).unwrap();
        fs::set_permissions(path, fs::Permissions::from_mode(0o755)).unwrap();
    }

    /// What a script ran, and who ran it.
    fn runs(&self, script: &str, arguments: &[&str], environment: &[(&str, &str)]) -> Vec<String> {
        let mut command = Command::new("bash");
        command
            .arg(self.path("scripts").join(script))
            .args(arguments)
            .env_clear()
            .env(
                "PATH",
                format!("{}:/usr/bin:/bin", self.path("bin").display()),
            )
            .env("KRA_CACHE", self.path("cache"))
            .env("LOG", self.path("log"))
            .envs(environment.iter().copied());
        let said = command.output().unwrap();
        assert!(said.status.success(), "{said:?}");
        let log = fs::read_to_string(self.path("log")).unwrap();
        log.lines().map(str::to_owned).collect()
    }
}

const BY_SUDO: [(&str, &str); 3] = [
    ("SUDO_UID", "1000"),
    ("SUDO_GID", "1000"),
    ("SUDO_USER", "jane"),
];

// P13
#[test]
fn by_sudo_everything_is_built_as_the_user_and_the_node_is_roots() {
    let ran = Machine::of("0").runs("run", &["--no-story"], &BY_SUDO);
    assert_eq!(
        ran,
        [
            "1000: cargo --version",
            "1000: cargo build --locked -p kra-run",
            "1000: cargo run --quiet --locked -p kra-cluster -- build",
            "root: kra-run run --no-story",
        ]
    );
}

// P13
#[rstest]
#[case::root_itself("0", &[])]
#[case::root_by_sudo("0", &[("SUDO_UID", "0"), ("SUDO_GID", "0")])]
#[case::no_root("1000", &[])]
fn without_sudo_nobody_changes(#[case] uid: &str, #[case] environment: &[(&str, &str)]) {
    let ran = Machine::of(uid).runs("run", &[], environment);
    assert_eq!(
        ran,
        [
            "root: cargo --version",
            "root: cargo build --locked -p kra-run",
            "root: kra-run run",
        ]
    );
}

// P13
#[test]
fn by_sudo_tests_are_built_as_the_user_and_root_runs_only_those_with_a_node() {
    let ran = Machine::of("0").runs("test", &["a_name"], &BY_SUDO);
    let (built, ran): (Vec<&str>, Vec<&str>) = ran
        .iter()
        .map(String::as_str)
        .partition(|line| line.contains(": cargo "));
    assert!(built.len() > 5, "{built:#?}");
    assert!(
        built.iter().all(|line| line.starts_with("1000: ")),
        "{built:#?}"
    );
    assert_eq!(
        ran,
        [
            "root: a-test --list a_name",
            "root: kra-run can-run-containers",
            "root: a-test a_name",
        ]
    );
}
