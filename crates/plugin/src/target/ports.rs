//! The ports of `kubectl port-forward`. They are wishes, for people: nobody can limit them.

use k8s_openapi::api::core::v1::{PodSpec, Service, ServicePort};
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;
use kube::ResourceExt;

use decide::text::safe_word;

/// A port of the pod or service, as it was typed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Port {
    /// A number.
    Number(i32),
    /// A name, which only the pod or the service can explain.
    Named(String),
}

/// Why a port is none.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PortError {
    /// Not the form of a port.
    #[error(
        "invalid port format {}: write [LOCAL:]REMOTE, such as 8080, 8443:443, :5000 or 8443:https",
        safe_word(text)
    )]
    Format {
        /// What was typed.
        text: String,
    },
    /// A service without that port, in kubectl's words.
    #[error("Service {service} does not have a service port {port}")]
    NotOfService {
        /// Name of the service.
        service: String,
        /// The port.
        port: i32,
    },
    /// A service without that name, in kubectl's words.
    #[error("Service '{service}' does not have a named port '{}'", safe_word(name))]
    NameNotOfService {
        /// Name of the service.
        service: String,
        /// The name.
        name: String,
    },
}

/// The remote side of `[LOCAL:]REMOTE`.
///
/// # Errors
/// When it is neither a port nor the name of one, or the local side is no port.
pub fn parse(text: &str) -> Result<Port, PortError> {
    let bad = || PortError::Format {
        text: text.to_owned(),
    };
    let (local, remote) = match text.split_once(':') {
        Some((local, remote)) => (Some(local), remote),
        None => (None, text),
    };
    if local.is_some_and(|local| !local.is_empty() && local.parse::<u16>().is_err()) {
        return Err(bad());
    }
    match remote.parse::<u16>() {
        Ok(0) => Err(bad()),
        Ok(number) if is_digits(remote) => Ok(Port::Number(number.into())),
        _ if is_name(remote) => Ok(Port::Named(remote.to_owned())),
        _ => Err(bad()),
    }
}

fn is_digits(text: &str) -> bool {
    text.bytes().all(|byte| byte.is_ascii_digit())
}

/// A name as ports have (RFC 6335, as Kubernetes checks it).
fn is_name(text: &str) -> bool {
    let allowed = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    text.len() <= 15
        && text.bytes().all(allowed)
        && text.bytes().any(|byte| byte.is_ascii_lowercase())
}

/// The numbers among the ports of a pod. A name is the pod's business, and not stored.
pub fn numbers(ports: &[Port]) -> Vec<i32> {
    ports
        .iter()
        .filter_map(|port| match port {
            Port::Number(number) => Some(*number),
            Port::Named(_) => None,
        })
        .collect()
}

/// The ports of the pod to which kubectl forwards those of the service.
///
/// # Errors
/// When the service has no such port.
pub fn behind(ports: &[Port], service: &Service, pod: &PodSpec) -> Result<Vec<i32>, PortError> {
    let mut found = Vec::new();
    for port in ports {
        found.extend(target(of_service(port, service)?, service, pod));
    }
    Ok(found)
}

/// The same as kubectl is told for the pod: its local side stays, and is the service's port where
/// none was typed.
///
/// # Errors
/// When the service has no such port.
pub fn forwarded(
    texts: &[String],
    ports: &[Port],
    service: &Service,
    pod: &PodSpec,
) -> Result<Vec<String>, PortError> {
    let mut forwarded = Vec::new();
    for (text, port) in texts.iter().zip(ports) {
        let of_service = of_service(port, service)?;
        let local = text.split_once(':').map_or_else(
            || of_service.port.to_string(),
            |(local, _)| local.to_owned(),
        );
        forwarded
            .extend(target(of_service, service, pod).map(|remote| format!("{local}:{remote}")));
    }
    Ok(forwarded)
}

fn of_service<'a>(port: &Port, service: &'a Service) -> Result<&'a ServicePort, PortError> {
    let mut ports = service
        .spec
        .iter()
        .flat_map(|spec| spec.ports.iter().flatten());
    match port {
        Port::Number(number) => {
            ports
                .find(|there| there.port == *number)
                .ok_or_else(|| PortError::NotOfService {
                    service: service.name_any(),
                    port: *number,
                })
        }
        Port::Named(name) => ports
            .find(|there| there.name.as_deref() == Some(name))
            .ok_or_else(|| PortError::NameNotOfService {
                service: service.name_any(),
                name: name.clone(),
            }),
    }
}

/// `None`: a name that no container has.
fn target(port: &ServicePort, service: &Service, pod: &PodSpec) -> Option<i32> {
    let headless = service
        .spec
        .as_ref()
        .and_then(|spec| spec.cluster_ip.as_deref())
        == Some("None");
    match &port.target_port {
        _ if headless => Some(port.port),
        None | Some(IntOrString::Int(0)) => Some(port.port),
        Some(IntOrString::Int(number)) => Some(*number),
        Some(IntOrString::String(name)) => {
            let mut ports = pod
                .containers
                .iter()
                .flat_map(|container| container.ports.iter().flatten());
            ports
                .find(|there| there.name.as_ref() == Some(name))
                .map(|there| there.container_port)
        }
    }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;
    use serde_json::json;

    use super::*;

    #[rstest]
    #[case("5000", Port::Number(5000))]
    #[case("8888:5000", Port::Number(5000))]
    #[case(":5000", Port::Number(5000))]
    #[case("0:5000", Port::Number(5000))]
    #[case("8443:https", Port::Named("https".to_owned()))]
    #[case("https", Port::Named("https".to_owned()))]
    fn the_remote_port_is_read_as_kubectl_reads_it(#[case] text: &str, #[case] port: Port) {
        assert_eq!(parse(text), Ok(port));
    }

    #[rstest]
    #[case("")]
    #[case("8080:")]
    #[case("0")]
    #[case("65536")]
    #[case("+80")]
    #[case("-80")]
    #[case("http:80")]
    #[case("1:2:3")]
    #[case("99999:80")]
    #[case("a b")]
    #[case("\u{661}")]
    fn what_is_no_port_is_refused(#[case] text: &str) {
        assert_eq!(
            parse(text),
            Err(PortError::Format {
                text: text.to_owned()
            })
        );
    }

    #[rstest]
    #[case(Port::Number(80), false, Some(8080))]
    #[case(Port::Number(80), true, Some(80))]
    #[case(Port::Number(81), false, Some(81))]
    #[case(Port::Number(82), false, Some(9090))]
    #[case(Port::Number(83), false, None)]
    #[case(Port::Named("metrics".to_owned()), false, Some(9090))]
    fn a_port_of_a_service_leads_to_one_of_the_pod(
        #[case] port: Port,
        #[case] headless: bool,
        #[case] leads: Option<i32>,
    ) {
        let service: Service = serde_json::from_value(json!({
            "metadata": {"name": "web"},
            "spec": {"clusterIP": if headless { "None" } else { "10.0.0.1" }, "ports": [
                {"name": "http", "port": 80, "targetPort": 8080}, {"port": 81},
                {"name": "metrics", "port": 82, "targetPort": "prom"}, {"port": 83, "targetPort": "gone"},
            ]},
        }))
        .unwrap();
        let pod = json!({"containers": [{"name": "a", "ports": [{"name": "prom", "containerPort": 9090}]}]});
        let pod: PodSpec = serde_json::from_value(pod).unwrap();
        assert_eq!(
            behind(&[port], &service, &pod),
            Ok(leads.into_iter().collect())
        );
    }
}
