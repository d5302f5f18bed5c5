//! Every door that can be asked for, as kubectl opens it. The words behind `kubectl` are those
//! behind `kubectl request`: that is what the plugin promises.

mod asking;
mod debugging;
mod edges;
mod elsewhere;
mod interactive;
mod matrix;
mod proxies;
mod raw;

use std::{
    fs,
    io::{Read as _, Write as _},
    net::TcpStream,
    path::PathBuf,
    sync::{
        Mutex, OnceLock, PoisonError,
        atomic::{AtomicU32, Ordering},
    },
    time::Duration,
};

use serde_json::json;

use kra_tests::{
    scene::{IMAGE, NODE, Person, Said, Scene, said, said_until},
    world::{self, World, eventually},
};

/// What kubectl puts before every denial.
const GATE: &str = r#"admission webhook "access.spreadgroup.com" denied the request"#;
/// What somebody reads who has nothing to do with it.
const NOT_ASKED: &str = "you have not asked for this yet (cluster dev, namespace ";
/// What only the pod can have said.
const ANSWER: &str = "from-the-pod";

/// A door, and one way in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Door {
    Exec,
    Attach,
    PortForward,
    /// `kubectl debug`: a container is added.
    Debug,
    /// `kubectl debug --attach`: what it prints is seen too.
    DebugAttach,
    /// `kubectl cp` into the pod.
    CopyInto,
    /// `kubectl cp` out of it.
    CopyOut,
}

/// How kubectl speaks to the API server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Transport {
    WebSocket,
    Spdy,
}

/// Both where all is tested, else the one that kubectl takes by itself.
pub(crate) fn transports() -> Vec<Transport> {
    let all = std::env::var_os("KRA_ALL").is_some();
    [Transport::WebSocket, Transport::Spdy]
        .into_iter()
        .take(if all { 2 } else { 1 })
        .collect()
}

/// What somebody wants.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Aim {
    pub(crate) pod: &'static str,
    pub(crate) container: &'static str,
    /// Another command or path than usual.
    pub(crate) otherwise: bool,
}

/// What is asked for, unless a test says otherwise.
pub(crate) const AIM: Aim = Aim {
    pod: "talk",
    container: "main",
    otherwise: false,
};

impl Door {
    fn verb(self) -> &'static str {
        match self {
            Self::Exec => "exec",
            Self::Attach => "attach",
            Self::PortForward => "port-forward",
            Self::Debug | Self::DebugAttach => "debug",
            Self::CopyInto | Self::CopyOut => "cp",
        }
    }

    /// What follows the verb. Files are named after who copies them.
    fn words(self, person: &Person<'_>, aim: Aim) -> Vec<String> {
        let Aim {
            pod,
            container,
            otherwise,
        } = aim;
        let image = format!("--image={IMAGE}");
        let target = format!("--target={container}");
        let local = local_file(person).display().to_string();
        let into = format!(
            "{pod}:{}/{}",
            if otherwise { "/srv/www" } else { "/srv/in" },
            person.name
        );
        let from = format!(
            "{pod}:{}",
            if otherwise {
                "/srv"
            } else {
                "/srv/www/index.html"
            }
        );
        let file = if otherwise {
            "/etc/hosts"
        } else {
            "/srv/www/index.html"
        };
        let words: &[&str] = match self {
            Self::Exec => &[pod, "-c", container, "--", "cat", file],
            Self::Attach => &[pod, "-c", container],
            Self::PortForward => &[pod, ":8080"],
            Self::Debug => &[
                pod,
                &image,
                &target,
                "--",
                "echo",
                if otherwise { "something-else" } else { ANSWER },
            ],
            Self::DebugAttach => &[
                pod,
                "--attach",
                &image,
                &target,
                "--",
                "sh",
                "-c",
                talk(otherwise),
            ],
            Self::CopyInto => &[&local, &into, "-c", container],
            Self::CopyOut => &[&from, &local, "-c", container],
        };
        words.iter().map(|&word| word.to_owned()).collect()
    }

    /// Asks, with these flags; answers with the request's name.
    #[track_caller]
    pub(crate) fn ask(self, person: &Person<'_>, flags: &[&str], aim: Aim) -> String {
        self.asks(person, flags, aim).request()
    }

    pub(crate) fn asks(self, person: &Person<'_>, flags: &[&str], aim: Aim) -> Said {
        let words = self.words(person, aim);
        person.kubectl(
            ["request", self.verb()]
                .iter()
                .chain(flags)
                .copied()
                .chain(words.iter().map(String::as_str)),
        )
    }

    /// Tries it with stock kubectl, and succeeds where it came through: what the pod alone knows
    /// was seen, or what was sent is there.
    pub(crate) fn tries(
        self,
        person: &Person<'_>,
        transport: Transport,
        flags: &[&str],
        aim: Aim,
    ) -> Said {
        let words = self.words(person, aim);
        let words = words.iter().map(String::as_str);
        let mut kubectl = person.command(
            std::iter::once(self.verb())
                .chain(flags.iter().copied())
                .chain(words),
        );
        let websockets = if transport == Transport::WebSocket {
            "true"
        } else {
            "false"
        };
        kubectl.env("KUBECTL_REMOTE_COMMAND_WEBSOCKETS", websockets);
        kubectl.env("KUBECTL_PORT_FORWARD_WEBSOCKETS", websockets);
        let local = local_file(person);
        match self {
            Self::Attach | Self::DebugAttach => said_until(kubectl, "", is_attached),
            Self::PortForward => {
                said_until(kubectl, "", |text| forwarded(text).is_some_and(answers))
            }
            Self::Exec | Self::Debug => said(kubectl, ""),
            Self::CopyInto => {
                fs::write(&local, ANSWER).unwrap();
                said(kubectl, "")
            }
            Self::CopyOut => {
                // What an earlier attempt fetched says nothing of this one.
                let _absent: std::io::Result<()> = fs::remove_file(&local);
                said(kubectl, "")
            }
        }
    }

    /// Tries it, and it comes through.
    #[track_caller]
    pub(crate) fn opens(self, person: &Person<'_>, transport: Transport, aim: Aim) {
        let said = self.tries(person, transport, &[], aim);
        match self {
            Self::Exec => said.works_with(ANSWER),
            Self::Attach | Self::PortForward | Self::DebugAttach => said.works_with(""),
            Self::Debug => {
                said.works_with("debugger-");
                let container = debugger(&said);
                eventually("what the debug container prints", || {
                    person
                        .kubectl(["logs", aim.pod, "-c", &container])
                        .text
                        .contains(ANSWER)
                });
            }
            Self::CopyInto => {
                said.works_with("");
                let path = format!("/srv/in/{}", person.name);
                let root = person.scene.root();
                root.kubectl(["exec", aim.pod, "-c", aim.container, "--", "cat", &path])
                    .works_with(ANSWER);
            }
            Self::CopyOut => {
                said.works_with("");
                assert_eq!(
                    fs::read_to_string(local_file(person)).unwrap().trim(),
                    ANSWER
                );
            }
        }
    }

    /// Tries it, and is told this.
    #[track_caller]
    pub(crate) fn is_shut(
        self,
        person: &Person<'_>,
        transport: Transport,
        aim: Aim,
        text: &str,
    ) -> Said {
        let said = self.tries(person, transport, &[], aim);
        said.is_refused_with(text);
        said.is_refused_with(GATE);
        said
    }
}

/// Whether what the container prints is seen. A denial repeats the command, in which it stands too;
/// and where it cannot attach to what it has added, kubectl shows the log, which is no door of
/// ours.
fn is_attached(text: &str) -> bool {
    text.lines().any(|line| line == ANSWER) && !text.contains("falling back to streaming logs")
}

/// Prints for half a minute, so that whoever attaches sees something.
fn talk(otherwise: bool) -> &'static str {
    if otherwise {
        "seq 150 | while read -r i; do echo something-else; sleep 0.2; done"
    } else {
        "seq 150 | while read -r i; do echo from-the-pod; sleep 0.2; done"
    }
}

/// The name that kubectl gave to a debug container.
#[track_caller]
pub(crate) fn debugger(said: &Said) -> String {
    let start = said
        .text
        .find("debugger-")
        .unwrap_or_else(|| panic!("no debug container: {}", said.text));
    said.text[start..]
        .chars()
        .take_while(|c| c.is_ascii_alphanumeric() || *c == '-')
        .collect()
}

fn local_file(person: &Person<'_>) -> PathBuf {
    person
        .scene
        .world
        .cluster
        .dir()
        .join(format!("{}.copied", person.name))
}

/// The port of this machine that `kubectl port-forward` has chosen.
fn forwarded(text: &str) -> Option<u16> {
    let rest = text.split_once("Forwarding from 127.0.0.1:")?.1;
    rest.split_once(' ')?.0.parse().ok()
}

/// Whether the pod's web server answers at a port of this machine.
fn answers(port: u16) -> bool {
    let fetch = || -> std::io::Result<String> {
        let mut stream = TcpStream::connect(("127.0.0.1", port))?;
        stream.set_read_timeout(Some(Duration::from_secs(10)))?;
        stream.write_all(b"GET / HTTP/1.0\r\n\r\n")?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer)?;
        Ok(answer)
    };
    fetch().is_ok_and(|answer| answer.contains(ANSWER))
}

/// A namespace with the pod `talk`, for many tests: people do not see each other's requests. Its
/// container `main` prints, has files, and serves them; `reader` repeats what is typed into it.
pub(crate) fn house(world: &'static World) -> &'static Scene {
    type House = (&'static World, &'static OnceLock<Scene>);
    static HOUSES: Mutex<Vec<House>> = Mutex::new(Vec::new());
    let mut houses = HOUSES.lock().unwrap_or_else(PoisonError::into_inner);
    let known = houses
        .iter()
        .find(|(of, _)| std::ptr::eq(*of, world))
        .map(|(_, house)| *house);
    let house = known.unwrap_or_else(|| {
        let house: &OnceLock<Scene> = Box::leak(Box::default());
        houses.push((world, house));
        house
    });
    drop(houses);
    house.get_or_init(|| {
        let scene = Scene::new(world);
        create_talker(&scene);
        scene
    })
}

fn create_talker(scene: &Scene) {
    let main = "mkdir -p /srv/in /srv/www && echo from-the-pod >/srv/www/index.html && httpd -p 8080 -h /srv/www && \
                while :; do echo from-the-pod; sleep 0.2; done";
    let container = |name: &str, script: &str| json!({"name": name, "image": IMAGE, "imagePullPolicy": "Never", "command": ["sh", "-c", script]});
    let mut reader = container("reader", "exec cat");
    reader["stdin"] = json!(true);
    scene.apply(&json!({
        "apiVersion": "v1", "kind": "Pod", "metadata": {"name": "talk", "namespace": scene.namespace},
        "spec": {"nodeName": NODE, "terminationGracePeriodSeconds": 0, "containers": [
            container("main", main), container("side", "exec sleep 100000"), reader,
        ]},
    }));
    let ready = [
        "wait",
        "-n",
        &scene.namespace,
        "--for=condition=Ready",
        "--timeout=60s",
        "pod/talk",
    ];
    scene.admin(ready).works_with("met");
}

/// Somebody whom RBAC lets do everything, and who is not always allowed.
fn owner<'a>(scene: &'a Scene, name: &str) -> Person<'a> {
    let owner = scene.person(name, &["owners"]);
    let user = format!("--user={}", owner.name);
    let binding = [
        "create",
        "clusterrolebinding",
        &owner.name,
        "--clusterrole=cluster-admin",
        &user,
    ];
    scene.admin(binding).works_with("created");
    owner
}

/// Somebody who asks and somebody who answers, whom no other test knows.
pub(crate) struct People {
    pub(crate) jane: Person<'static>,
    pub(crate) amy: Person<'static>,
}

impl People {
    pub(crate) fn new() -> Self {
        Self::of(world::standing())
    }

    pub(crate) fn of(world: &'static World) -> Self {
        static NUMBER: AtomicU32 = AtomicU32::new(1);
        let (number, scene) = (NUMBER.fetch_add(1, Ordering::Relaxed), house(world));
        Self {
            jane: scene.developer(&format!("jane{number}")),
            amy: scene.approver(&format!("amy{number}")),
        }
    }

    /// Where interactive use can be granted.
    pub(crate) fn interactive() -> Self {
        static NUMBER: AtomicU32 = AtomicU32::new(1);
        let (number, scene) = (
            NUMBER.fetch_add(1, Ordering::Relaxed),
            house(world::prefixed()),
        );
        Self {
            jane: scene.developer(&format!("oidc:jane{number}")),
            amy: scene.approver(&format!("oidc:amy{number}")),
        }
    }

    /// What jane asks for is granted.
    #[track_caller]
    pub(crate) fn granted(&self, door: Door, flags: &[&str]) -> String {
        let request = door.ask(&self.jane, flags, AIM);
        self.amy.grant(&request);
        request
    }
}
