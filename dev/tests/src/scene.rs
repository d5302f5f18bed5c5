//! A namespace of its own with a pod in it, and people who have no other business: tests do not see
//! each other.

use std::{
    ffi::OsStr,
    io::{Read, Write as _},
    path::PathBuf,
    process::{Child, Command, Stdio},
    sync::{
        OnceLock,
        atomic::{AtomicU32, Ordering},
        mpsc::{self, Sender},
    },
};

use serde_json::{Value, json};

use crate::world::{PATIENCE, World, eventually};

/// The node of a development cluster.
pub const NODE: &str = "127.0.0.1";
/// An image that it has.
pub const IMAGE: &str = "localhost/busybox:1";

/// See the module.
pub struct Scene {
    /// Where it is.
    pub world: &'static World,
    /// Its name.
    pub namespace: String,
}

/// Somebody with a kubeconfig.
pub struct Person<'a> {
    /// Where she works.
    pub scene: &'a Scene,
    /// As the API server knows her.
    pub name: String,
    /// Her kubeconfig.
    pub kubeconfig: PathBuf,
}

/// What a command said, and whether it succeeded.
pub struct Said {
    command: String,
    /// Whether it ended well.
    pub success: bool,
    /// Its exit code, where it ended by itself.
    pub code: Option<i32>,
    /// Its output, and its errors after it.
    pub text: String,
}

impl Said {
    /// It succeeded, and said this.
    #[track_caller]
    pub fn works_with(&self, text: &str) {
        assert!(
            self.success && self.text.contains(text),
            "expected success with {text:?}\n$ {}\n{}",
            self.command,
            self.text
        );
    }

    /// It failed, and said this.
    #[track_caller]
    pub fn is_refused_with(&self, text: &str) {
        assert!(
            !self.success && self.text.contains(text),
            "expected a refusal with {text:?}\n$ {}\n{}",
            self.command,
            self.text
        );
    }

    /// It ended with this code, and said this.
    #[track_caller]
    pub fn ends_with(&self, code: i32, text: &str) {
        assert!(
            self.code == Some(code) && self.text.contains(text),
            "expected exit code {code} with {text:?}, and it is {:?}\n$ {}\n{}",
            self.code,
            self.command,
            self.text
        );
    }

    /// The name of the request that was created.
    #[track_caller]
    pub fn request(&self) -> String {
        self.works_with("created accessrequest ");
        self.text.split_whitespace().nth(2).unwrap().to_owned()
    }
}

impl Drop for Scene {
    fn drop(&mut self) {
        // A node takes 110 pods. Where the server is gone on purpose, the namespace stays.
        self.admin([
            "delete",
            "namespace",
            &self.namespace,
            "--wait=false",
            "--ignore-not-found",
        ]);
    }
}

impl Scene {
    /// One for many tests that leave nothing in it.
    pub fn shared() -> &'static Self {
        static SCENE: OnceLock<Scene> = OnceLock::new();
        SCENE.get_or_init(|| Self::new(crate::world::standing()))
    }

    /// A namespace with the pod `box`: containers `main` and `side`, which sleep.
    pub fn new(world: &'static World) -> Self {
        static NUMBER: AtomicU32 = AtomicU32::new(1);
        Self::named(
            world,
            format!("scene-{}", NUMBER.fetch_add(1, Ordering::Relaxed)),
        )
    }

    /// The same in a namespace of this name.
    pub fn named(world: &'static World, namespace: String) -> Self {
        let scene = Self { world, namespace };
        scene
            .admin(["create", "namespace", &scene.namespace])
            .works_with("created");
        if !world.standing_rights {
            let mut role = run::manifests::granted_role();
            role["metadata"]["namespace"] = json!(scene.namespace);
            scene.apply(&role);
        }
        eventually("the namespace's service account", || {
            scene
                .admin(["get", "serviceaccount", "-n", &scene.namespace, "default"])
                .success
        });
        scene.create_pod("box");
        scene
    }

    /// A pod like `box`, ready.
    pub fn create_pod(&self, name: &str) {
        let sleep = |container: &str| json!({"name": container, "image": IMAGE, "imagePullPolicy": "Never", "command": ["sleep", "100000"]});
        self.apply(&json!({
            "apiVersion": "v1", "kind": "Pod", "metadata": {"name": name, "namespace": self.namespace},
            "spec": {"nodeName": NODE, "terminationGracePeriodSeconds": 0, "containers": [sleep("main"), sleep("side")]},
        }));
        let pod = format!("pod/{name}");
        self.admin([
            "wait",
            "-n",
            &self.namespace,
            "--for=condition=Ready",
            "--timeout=60s",
            &pod,
        ])
        .works_with("met");
    }

    /// A Deployment of pods like `box`, ready.
    pub fn create_deployment(&self, name: &str) {
        let container = json!({"name": "main", "image": IMAGE, "imagePullPolicy": "Never", "command": ["sleep", "100000"]});
        let labels = json!({"app": name});
        self.apply(&json!({
            "apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": name, "namespace": self.namespace},
            "spec": {"selector": {"matchLabels": labels}, "template": {
                "metadata": {"labels": labels},
                "spec": {"nodeName": NODE, "terminationGracePeriodSeconds": 0, "containers": [container]},
            }},
        }));
        self.rolled_out(name);
    }

    /// Waits until all pods of a Deployment are the newest.
    pub fn rolled_out(&self, name: &str) {
        let deployment = format!("deployment/{name}");
        self.admin([
            "rollout",
            "status",
            "-n",
            &self.namespace,
            "--timeout=60s",
            &deployment,
        ])
        .works_with("success");
    }

    /// Runs so many replicas of the server, and waits until they are all there, or the last one has
    /// ended: the pods of a Deployment that says it has none still answer while they end.
    pub fn scale_the_server(&self, replicas: u8) {
        let within =
            |arguments: &[&str]| self.admin(["-n", "kube-request-access"].iter().chain(arguments));
        let deployment = "deployment/kube-request-access";
        within(&["scale", deployment, &format!("--replicas={replicas}")]).works_with("scaled");
        within(&["rollout", "status", "--timeout=60s", deployment]).works_with("success");
        if replicas == 0 {
            let pods = ["pods", "-l", "app.kubernetes.io/name=kube-request-access"];
            within(&[&["wait", "--for=delete", "--timeout=60s"], pods.as_slice()].concat())
                .works_with("");
        }
    }

    /// What each replica's pod says of all API servers: whether they ask it.
    pub fn asked(&self) -> String {
        self.conditions("AskedByAPIServers")
    }

    /// What each replica's pod says of the lock: whether it is as it was installed.
    pub fn intact(&self) -> String {
        self.conditions("LockIntact")
    }

    fn conditions(&self, name: &str) -> String {
        let status =
            format!("{{.items[*].status.conditions[?(@.type=='spreadgroup.com/{name}')].status}}");
        let pods = [
            "pods",
            "-n",
            "kube-request-access",
            "-l",
            "app.kubernetes.io/name=kube-request-access",
        ];
        self.admin(
            ["get"]
                .iter()
                .chain(&pods)
                .chain(&["-o", &format!("jsonpath={status}")]),
        )
        .text
    }

    /// Applies an object as the administrator.
    #[track_caller]
    pub fn apply(&self, object: &Value) {
        run::kubectl::apply(
            self.world.cluster.kubectl_as_admin(),
            std::slice::from_ref(object),
        )
        .unwrap();
    }

    /// A developer: jane, for example.
    pub fn developer(&self, name: &str) -> Person<'_> {
        self.person(name, &["devs"])
    }

    /// Somebody who may grant.
    pub fn approver(&self, name: &str) -> Person<'_> {
        self.person(name, &["approvers"])
    }

    /// Somebody with these groups; her name is hers alone.
    pub fn person(&self, name: &str, groups: &[&str]) -> Person<'_> {
        let name = format!("{name}-{}", self.namespace);
        let kubeconfig = self.world.cluster.user(&name, groups).unwrap();
        Person {
            scene: self,
            name,
            kubeconfig,
        }
    }

    /// Somebody with a kubeconfig of any kind.
    pub fn person_with(&self, name: &str, kubeconfig: PathBuf) -> Person<'_> {
        Person {
            scene: self,
            name: name.to_owned(),
            kubeconfig,
        }
    }

    /// The administrator, always allowed.
    pub fn root(&self) -> Person<'_> {
        self.person_with("admin", self.world.cluster.admin_kubeconfig())
    }

    /// `kubectl …` as the administrator, in no namespace.
    pub fn admin<A: AsRef<OsStr>>(&self, arguments: impl IntoIterator<Item = A>) -> Said {
        let mut kubectl = self.world.cluster.kubectl_as_admin();
        kubectl.args(arguments);
        said(kubectl, "")
    }

    /// An object of this namespace.
    pub fn get(&self, kind: &str, name: &str) -> Value {
        let said = self.admin(["get", "-n", &self.namespace, kind, name, "-o", "json"]);
        serde_json::from_str(&said.text).unwrap_or_else(|_absent| panic!("{}", said.text))
    }

    /// UID of a request; of none, one that none has.
    pub fn uid_of(&self, request: &str) -> Value {
        if self.exists("accessrequest", request) {
            self.get("accessrequest", request)["metadata"]["uid"].clone()
        } else {
            Value::from("of-none")
        }
    }

    /// Whether an object of this namespace exists.
    pub fn exists(&self, kind: &str, name: &str) -> bool {
        self.admin(["get", "-n", &self.namespace, kind, name])
            .success
    }

    /// The record of a request that was deleted, by its UID.
    #[track_caller]
    pub fn record(&self, uid: &str) -> Value {
        let name = format!("kube-request-access-record-{uid}");
        let path = r"jsonpath={.data.record\.json}";
        let said = self.admin([
            "get",
            "configmap",
            "-n",
            "kube-request-access",
            &name,
            "-o",
            path,
        ]);
        serde_json::from_str(&said.text).unwrap_or_else(|_absent| panic!("{}", said.text))
    }

    /// How many uses stand in a request.
    pub fn uses(&self, request: &str) -> usize {
        self.get("accessrequest", request)["status"]["uses"]
            .as_array()
            .map_or(0, Vec::len)
    }
}

impl Person<'_> {
    /// `kubectl …` in the scene's namespace.
    pub fn kubectl<A: AsRef<OsStr>>(&self, arguments: impl IntoIterator<Item = A>) -> Said {
        self.kubectl_with("", arguments)
    }

    /// The same with this on its standard input.
    pub fn kubectl_with<A: AsRef<OsStr>>(
        &self,
        input: &str,
        arguments: impl IntoIterator<Item = A>,
    ) -> Said {
        said(self.command(arguments), input)
    }

    /// The same, to be run.
    pub fn command<A: AsRef<OsStr>>(&self, arguments: impl IntoIterator<Item = A>) -> Command {
        let mut kubectl = self.scene.world.cluster.kubectl(&self.kubeconfig);
        kubectl.env("PATH", run::story::path_with(&self.scene.world.plugin_dir));
        // Which is on nobody's PATH here.
        kubectl.env("KUBECTL", self.scene.world.cluster.kubectl_path());
        let mut arguments = arguments.into_iter().peekable();
        // kubectl takes no flags before the name of a plugin.
        if arguments
            .peek()
            .is_some_and(|first| first.as_ref() == "request")
        {
            arguments.next();
            kubectl.arg("request");
        }
        kubectl.args(["-n", &self.scene.namespace]).args(arguments);
        kubectl
    }

    /// A line as it is typed into a shell.
    pub fn shell(&self, line: &str) -> Said {
        said(self.shell_command(line), "")
    }

    /// `kubectl …` in a terminal, in which this is typed, until what it shows is enough.
    pub fn at_terminal(
        &self,
        kubectl: &str,
        typed: &str,
        is_enough: impl FnMut(&str) -> bool,
    ) -> Said {
        said_until(self.terminal(kubectl), typed, is_enough)
    }

    /// `kubectl …` in a terminal, to its end. Each of these is typed once what belongs to it is
    /// shown.
    pub fn talks_at_terminal(&self, kubectl: &str, exchanges: &[(&str, &str)]) -> Said {
        said_talking(self.terminal(kubectl), exchanges)
    }

    fn terminal(&self, kubectl: &str) -> Command {
        let (first, rest) = kubectl.split_once(' ').unwrap_or((kubectl, ""));
        // kubectl takes no flags before the name of a plugin.
        let line = format!("kubectl {first} -n {} {rest}", self.scene.namespace);
        let mut terminal = self.shell_command(&format!("exec script -qec '{line}' /dev/null"));
        terminal.env("TERM", "xterm");
        terminal
    }

    fn shell_command(&self, line: &str) -> Command {
        let kubectl = self.command::<&str>([]);
        let mut shell = Command::new("sh");
        shell.args(["-c", line]);
        for (name, value) in kubectl
            .get_envs()
            .filter_map(|(name, value)| Some((name, value?)))
        {
            shell.env(name, value);
        }
        let dirs = [
            self.scene.world.cluster.bin_dir(),
            &self.scene.world.plugin_dir,
        ]
        .map(PathBuf::from);
        let system = std::env::var_os("PATH").unwrap_or_default();
        let path =
            std::env::join_paths(dirs.into_iter().chain(std::env::split_paths(&system))).unwrap();
        shell.env("PATH", path);
        shell
    }

    /// `kubectl exec box -c main -- …`, over WebSocket.
    pub fn exec(&self, command: &[&str]) -> Said {
        self.exec_in("box", command)
    }

    /// The same in another pod.
    pub fn exec_in(&self, pod: &str, command: &[&str]) -> Said {
        self.kubectl(["exec", pod, "-c", "main", "--"].iter().chain(command))
    }

    /// The same over SPDY.
    pub fn exec_over_spdy(&self, command: &[&str]) -> Said {
        let mut kubectl = self.command(["exec", "box", "-c", "main", "--"].iter().chain(command));
        kubectl.env("KUBECTL_REMOTE_COMMAND_WEBSOCKETS", "false");
        said(kubectl, "")
    }

    /// `kubectl request exec … box -c main -- …`; flags first.
    pub fn asks(&self, flags: &[&str], command: &[&str]) -> Said {
        let words = ["request", "exec"]
            .iter()
            .chain(flags)
            .chain(&["box", "-c", "main", "--"])
            .chain(command);
        self.kubectl(words)
    }

    /// Asks for a command in `box`; answers with the request's name.
    #[track_caller]
    pub fn ask(&self, flags: &[&str], command: &[&str]) -> String {
        self.asks(flags, command).request()
    }

    /// A request as it is named to be answered without a question: `[NAMESPACE/]NAME@UID`.
    #[track_caller]
    pub fn exactly(&self, request: &str) -> String {
        let (namespace, name) = request
            .split_once('/')
            .unwrap_or((&self.scene.namespace, request));
        let uid = self.scene.admin([
            "get",
            "acr",
            "-n",
            namespace,
            name,
            "-o",
            "jsonpath={.metadata.uid}",
        ]);
        assert!(uid.success, "{}", uid.text);
        format!("{request}@{}", uid.text)
    }

    /// Grants a request, and waits until it counts.
    #[track_caller]
    pub fn grant(&self, request: &str) {
        self.kubectl(["request", "grant", &self.exactly(request), "--yes"])
            .works_with("created grant");
        self.awaits(request, "Granted");
    }

    /// Waits for a condition of a request.
    #[track_caller]
    pub fn awaits(&self, request: &str, condition: &str) {
        let (request, condition) = (
            format!("acr/{request}"),
            format!("--for=condition={condition}"),
        );
        self.scene
            .admin([
                "wait",
                "-n",
                &self.scene.namespace,
                "--timeout=30s",
                &condition,
                &request,
            ])
            .works_with("condition met");
    }
}

/// Runs a command with this input.
pub fn said(mut command: Command, input: &str) -> Said {
    let shown = shown(&command);
    let mut child = started(&mut command);
    // Whoever does not read its input may end first.
    let _early: std::io::Result<()> = child.stdin.take().unwrap().write_all(input.as_bytes());
    let output = child.wait_with_output().unwrap();
    let text = String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned();
    Said {
        command: shown,
        success: output.status.success(),
        code: output.status.code(),
        text,
    }
}

/// Runs a command that ends only where it fails, with this input, until what it has said is enough;
/// then it succeeded.
pub fn said_until(
    mut command: Command,
    input: &str,
    mut is_enough: impl FnMut(&str) -> bool,
) -> Said {
    let shown = shown(&command);
    let mut child = started(&mut command);
    // Kept open: its end would be read as well.
    let mut stdin = child.stdin.take().unwrap();
    let _early: std::io::Result<()> = stdin.write_all(input.as_bytes());
    let (sender, pieces) = mpsc::channel();
    send_pieces(child.stdout.take().unwrap(), sender.clone());
    send_pieces(child.stderr.take().unwrap(), sender);
    let (mut text, mut success) = (String::new(), false);
    while !success && let Ok(piece) = pieces.recv_timeout(PATIENCE) {
        text.push_str(&String::from_utf8_lossy(&piece));
        success = is_enough(&text);
    }
    // It may have ended by itself.
    let _gone: std::io::Result<()> = child.kill();
    child.wait().unwrap();
    Said {
        command: shown,
        success,
        code: None,
        text,
    }
}

/// Runs a command to its end. Each text is typed once the one before it is shown, and nothing
/// before that.
fn said_talking(mut command: Command, exchanges: &[(&str, &str)]) -> Said {
    let shown = shown(&command);
    let mut child = started(&mut command);
    let mut stdin = child.stdin.take().unwrap();
    let (sender, pieces) = mpsc::channel();
    send_pieces(child.stdout.take().unwrap(), sender.clone());
    send_pieces(child.stderr.take().unwrap(), sender);
    let (mut text, mut read, mut exchanges) = (String::new(), 0, exchanges.iter().peekable());
    while let Ok(piece) = pieces.recv_timeout(PATIENCE) {
        text.push_str(&String::from_utf8_lossy(&piece));
        while let Some((_, typed)) =
            exchanges.next_if(|(awaited, _)| text[read..].contains(awaited))
        {
            read = text.len();
            // It may have ended by itself.
            let _gone: std::io::Result<()> = stdin.write_all(typed.as_bytes());
        }
    }
    // Where it waits for more than was typed.
    let _gone: std::io::Result<()> = child.kill();
    let status = child.wait().unwrap();
    Said {
        command: shown,
        success: status.success(),
        code: status.code(),
        text,
    }
}

fn shown(command: &Command) -> String {
    let mut shown = command
        .get_program()
        .to_string_lossy()
        .rsplit('/')
        .next()
        .unwrap_or_default()
        .to_owned();
    for argument in command.get_args() {
        shown.push(' ');
        shown.push_str(&argument.to_string_lossy());
    }
    shown
}

fn started(command: &mut Command) -> Child {
    command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap()
}

fn send_pieces(mut from: impl Read + Send + 'static, to: Sender<Vec<u8>>) {
    std::thread::spawn(move || {
        let mut buffer = [0; 4096];
        while let Ok(length @ 1..) = from.read(&mut buffer)
            && to.send(buffer[..length].to_vec()).is_ok()
        {}
    });
}
