//! Ports chosen by the system.

use std::net::{IpAddr, Ipv4Addr, TcpListener};

/// A port nobody else gets while this is held.
#[derive(Debug)]
pub(crate) struct Reserved(TcpListener);

impl Reserved {
    /// Lets the system choose a port that is free on every address.
    pub(crate) fn any() -> std::io::Result<Self> {
        TcpListener::bind((IpAddr::V4(Ipv4Addr::UNSPECIFIED), 0)).map(Self)
    }

    pub(crate) fn number(&self) -> std::io::Result<u16> {
        self.0.local_addr().map(|address| address.port())
    }

    /// Frees the port for the process that is started next.
    pub(crate) fn release(self) {
        drop(self.0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reserved_port_is_given_to_nobody_else() {
        let first = Reserved::any().unwrap();
        let second = Reserved::any().unwrap();
        assert_ne!(first.number().unwrap(), second.number().unwrap());
        assert!(TcpListener::bind(("127.0.0.1", first.number().unwrap())).is_err());
    }

    #[test]
    fn a_released_port_can_be_bound() {
        let port = Reserved::any().unwrap();
        let number = port.number().unwrap();
        port.release();
        assert!(TcpListener::bind(("127.0.0.1", number)).is_ok());
    }
}
