use std::net::{IpAddr, SocketAddr};

use bytes::Bytes;

/// One datagram to send.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Transmit {
    /// Where it goes.
    pub to: SocketAddr,
    /// The local address to send from, where it is known: an answer leaves from the address that
    /// was asked. `None` leaves the choice to the routing table.
    pub from: Option<IpAddr>,
    /// What it carries.
    pub payload: Bytes,
}
