//! Which addresses a cluster's pods get.

use std::net::Ipv4Addr;

/// The numbers clusters take in turn: number N has pods in 10.N.0.0/24 and services in 10.N.1.0/24.
pub(crate) const NUMBERS: std::ops::RangeInclusive<u8> = 88..=250;

/// The addresses of the cluster with this number.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Subnet(pub(crate) u8);

impl Subnet {
    pub(crate) fn pods(self) -> String {
        format!("10.{}.0.0/24", self.0)
    }

    pub(crate) fn services(self) -> String {
        format!("10.{}.1.0/24", self.0)
    }

    /// Name of the bridge that connects the pods and the host.
    pub(crate) fn bridge(self) -> String {
        format!("kra{}", self.0)
    }

    /// The host's address on the bridge.
    pub(crate) fn gateway(self) -> Ipv4Addr {
        Ipv4Addr::new(10, self.0, 0, 1)
    }

    /// The address of the Service `kubernetes`.
    pub(crate) fn first_service(self) -> Ipv4Addr {
        Ipv4Addr::new(10, self.0, 1, 1)
    }

    /// Whether the machine has a route of its own into these addresses. Shorter prefixes than /16
    /// (a company's 10/8) are no obstacle: routes to the pods are more specific and leave
    /// everything else of it alone.
    pub(crate) fn is_routed(self, routes: &[Route]) -> bool {
        let ours = u32::from(Ipv4Addr::new(10, self.0, 0, 0));
        let sixteen = prefix_mask(16);
        routes
            .iter()
            .any(|route| route.mask >= sixteen && route.destination & sixteen == ours)
    }
}

/// A line of the kernel's routing table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Route {
    destination: u32,
    mask: u32,
}

fn prefix_mask(length: u32) -> u32 {
    u32::MAX
        .checked_shl(32_u32.saturating_sub(length))
        .unwrap_or(0)
}

/// The routes in `/proc/net/route`, which writes addresses as hexadecimal in the machine's byte
/// order.
pub(crate) fn parse_routes(table: &str) -> Vec<Route> {
    let route = |line: &str| {
        let mut fields = line.split_whitespace();
        let address = |field: &str| u32::from_str_radix(field, 16).ok().map(u32::from_be);
        let destination = address(fields.nth(1)?)?;
        Some(Route {
            destination,
            mask: address(fields.nth(5)?)?,
        })
    };
    table.lines().skip(1).filter_map(route).collect()
}

/// The machine's routes now; none where the kernel tells none.
pub(crate) fn routes() -> Vec<Route> {
    parse_routes(&std::fs::read_to_string("/proc/net/route").unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    const TABLE: &str = "\
Iface\tDestination\tGateway \tFlags\tRefCnt\tUse\tMetric\tMask\t\tMTU\tWindow\tIRTT
eth0\t00000000\t010200C0\t0003\t0\t0\t0\t00000000\t0\t0\t0
tun0\t0000000A\t00000000\t0001\t0\t0\t0\t000000FF\t0\t0\t0
veth1\t0200580A\t0100580A\t0007\t0\t0\t0\tFFFFFFFF\t0\t0\t0
br0\t0000590A\t00000000\t0001\t0\t0\t0\t0000FFFF\t0\t0\t0
";

    #[test]
    fn a_number_whose_addresses_are_routed_is_seen() {
        let routes = parse_routes(TABLE);
        assert!(Subnet(88).is_routed(&routes), "a pod's /32");
        assert!(Subnet(89).is_routed(&routes), "a bridge's /16");
    }

    #[test]
    fn a_default_route_and_a_vpn_for_all_of_10_do_not_count() {
        assert!(!Subnet(90).is_routed(&parse_routes(TABLE)));
    }

    #[test]
    fn pods_and_services_never_share_addresses() {
        assert_eq!(Subnet(90).pods(), "10.90.0.0/24");
        assert_eq!(Subnet(90).services(), "10.90.1.0/24");
        assert_eq!(Subnet(90).gateway().to_string(), "10.90.0.1");
        assert_eq!(Subnet(90).first_service().to_string(), "10.90.1.1");
    }
}
