use std::net::SocketAddr;

use super::IceError;

/// Where a candidate can be reached.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CandidateAddress {
    /// An address and port.
    Ip(SocketAddr),
    /// A host name, such as the `.local` names that browsers give instead of host addresses.
    Name(String, u16),
}

/// The transport of a candidate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Transport {
    /// UDP: the only one that is checked.
    Udp,
    /// TCP or another one: parsed and left alone.
    Other,
}

/// The type of a candidate (RFC 8445, section 5.1.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CandidateKind {
    /// An address of the machine itself.
    Host,
    /// An address seen by a STUN server.
    ServerReflexive,
    /// An address seen in a check.
    PeerReflexive,
    /// An address on a relay.
    Relayed,
}

/// One address at which a side can perhaps be reached (RFC 8839, section 5.1).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Candidate {
    /// Groups candidates of the same kind, base and server; 1 to 32 characters.
    pub foundation: String,
    /// 1 for RTP, 2 for RTCP: everything here is multiplexed on 1.
    pub component: u16,
    /// The transport.
    pub transport: Transport,
    /// The larger, the more it is liked.
    pub priority: u32,
    /// Where it is.
    pub address: CandidateAddress,
    /// How it was found.
    pub kind: CandidateKind,
    /// The user fragment of the generation that it belongs to, where the line names it.
    pub ufrag: Option<String>,
}

impl Candidate {
    /// A host candidate of component 1; `preference` tells apart the addresses of one machine, the
    /// larger the more it is liked.
    #[must_use]
    pub fn host(address: SocketAddr, preference: u16) -> Self {
        Candidate {
            foundation: String::new(),
            component: 1,
            transport: Transport::Udp,
            priority: u32::from(preference),
            address: CandidateAddress::Ip(address),
            kind: CandidateKind::Host,
            ufrag: None,
        }
    }

    /// Parses `candidate:...`, with or without `a=` before it.
    ///
    /// # Errors
    ///
    /// [`IceError::InvalidCandidate`] says what is wrong with the line.
    pub fn parse(line: &str) -> Result<Self, IceError> {
        let _ = line;
        Err(IceError::InvalidCandidate("not implemented"))
    }

    /// The value of the attribute: `candidate:...` without `a=`.
    #[must_use]
    pub fn to_sdp(&self) -> String {
        String::new()
    }
}
