//! `kubectl request port-forward`: files a request to forward ports to a pod.

use api::{AccessRequestSpec, PortForwardOptions};
use clap::Args;
use decide::attempt::Door;
use kube::ResourceExt;

use crate::ask::{self, Ask, AskError, Asking, Terms};
use crate::cluster::Cluster;
use crate::target::place::{self, Place, PlaceError};
use crate::target::ports::{self, Port};
use crate::target::service;
use crate::target::{Target, TargetError};
use crate::terminal::Terminal;
use crate::terminal::exit;
use crate::terminal::kubectl::{self, Next};
use crate::terminal::words::Words;
use decide::rules::is_name;
use decide::text::safe_word;

const EXAMPLES: &str = "\
Examples:
  # Ask to forward port 5432 of a pod, once
  kubectl request port-forward postgres-0 5432

  # For an hour, of whichever pod the deployment runs
  kubectl request port-forward deploy/grafana 8080:3000 --valid-for 1h --reason 'INC-42'

  # Of a pod behind a service: it is chosen now, and named
  kubectl request port-forward svc/grafana 8080:80

Ports CANNOT be limited: whoever may forward one may forward any port of the pod. Those that are named here tell \
whoever approves what you mean to do. Once somebody grants the request, the same 'kubectl port-forward' works.";

/// What `port-forward` is asked for on the command line.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES, after_long_help = format!("{EXAMPLES}\n\n{}", exit::HELP))]
pub struct PortForwardArgs {
    /// The pod, or the workload or service in front of it: POD, pod/NAME, deployment/NAME,
    /// statefulset/NAME, daemonset/NAME, job/NAME, service/NAME (and kubectl's short names)
    #[arg(value_name = "POD | TYPE/NAME")]
    pub target: String,
    /// The ports that you mean to forward, for whoever approves: a number, or a name that the pod
    /// explains
    #[arg(value_name = "[LOCAL:]REMOTE")]
    pub ports: Vec<String>,
    /// Accepted as kubectl does; it changes nothing about the request
    #[arg(long, value_name = "ADDRESS", hide_short_help = true)]
    pub address: Vec<String>,
    /// Accepted as kubectl does; it changes nothing about the request
    #[arg(long, value_name = "DURATION", hide_short_help = true)]
    pub pod_running_timeout: Option<String>,
    /// What every verb that asks takes.
    #[command(flatten)]
    pub asking: Asking,
}

/// What was asked for, checked as far as it can be without a cluster.
pub struct Order {
    typed: String,
    /// Flags that kubectl alone obeys.
    flags: Vec<String>,
    front: Front,
    /// As they were typed.
    texts: Vec<String>,
    ports: Vec<Port>,
    terms: Terms,
}

enum Front {
    Target(Target),
    Service(String),
}

impl Order {
    /// Checks what was typed.
    ///
    /// # Errors
    /// When a port, duration, key or target is none.
    pub fn check(args: PortForwardArgs) -> Result<Self, AskError> {
        let terms = args.asking.check()?;
        let front = match service::named(&args.target) {
            Some(name) if is_name(name) => Front::Service(name.to_owned()),
            Some(_) => return Err(TargetError::BadName { text: args.target }.into()),
            None => Front::Target(Target::parse(&args.target)?),
        };
        let ports = args
            .ports
            .iter()
            .map(|text| ports::parse(text))
            .collect::<Result<_, _>>()?;
        let flags = args.address.iter().fold(Words::default(), |words, one| {
            words.value("--address", Some(one))
        });
        let flags = flags
            .value("--pod-running-timeout", args.pod_running_timeout.as_deref())
            .command(&[]);
        Ok(Self {
            typed: args.target,
            flags,
            front,
            texts: args.ports,
            ports,
            terms,
        })
    }

    /// `None` where no port is named: kubectl wants one.
    fn words(&self, target: &str, ports: &[String]) -> Option<Vec<String>> {
        let words = Words::of(Door::PortForward.verb())
            .plain(&self.flags)
            .plain([target])
            .plain(ports);
        (!ports.is_empty()).then(|| words.command(&[]))
    }
}

/// Files the request.
///
/// # Errors
/// When the target is not there, or the server refuses.
pub async fn run(
    order: Order,
    cluster: &Cluster,
    terminal: &mut Terminal<'_>,
) -> Result<Next, AskError> {
    let (place, ports, words) = match &order.front {
        Front::Target(target) => {
            let place =
                place::find(cluster, target, order.terms.pin_pod, Door::PortForward).await?;
            let words = order.words(
                &kubectl::target(&order.typed, &place, order.terms.pin_pod),
                &order.texts,
            );
            (place, ports::numbers(&order.ports), words)
        }
        Front::Service(name) if order.terms.pin_pod => {
            return Err(PlaceError::PinnedService { name: name.clone() }.into());
        }
        Front::Service(name) => {
            let (service, pod) = service::pod_behind(cluster, name).await?;
            let place = Place::of_pod(&pod);
            let ports = ports::behind(&order.ports, &service, &place.spec)?;
            writeln!(terminal.err, "{}", chosen(name, &pod.name_any()))?;
            let words = order.words(
                &place.name,
                &ports::forwarded(&order.texts, &order.ports, &service, &place.spec)?,
            );
            (place, ports, words)
        }
    };
    let options = PortForwardOptions {
        ports: (!ports.is_empty()).then_some(ports),
    };
    let spec = AccessRequestSpec {
        port_forward_options: Some(options),
        ..ask::through(Door::PortForward, &place)
    };
    order
        .terms
        .file(
            Ask {
                verb: Door::PortForward.verb(),
                spec,
                words,
            },
            cluster,
            terminal,
        )
        .await
}

fn chosen(service: &str, pod: &str) -> String {
    let (service, pod) = (safe_word(service), safe_word(pod));
    format!(
        "the request is for pod {pod} behind service {service}: once it is granted, name that pod to kubectl \
         port-forward, for kubectl may choose another one behind the service"
    )
}
