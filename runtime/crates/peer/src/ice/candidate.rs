use std::fmt::Write as _;
use std::net::{IpAddr, SocketAddr};

use super::IceError;

/// Bytes of one candidate line; longer ones are refused.
const MAX_LINE: usize = 1024;

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

impl CandidateKind {
    /// The type preference that RFC 8445, section 5.1.2.2 recommends.
    #[must_use]
    pub const fn preference(self) -> u8 {
        match self {
            CandidateKind::Host => 126,
            CandidateKind::PeerReflexive => 110,
            CandidateKind::ServerReflexive => 100,
            CandidateKind::Relayed => 0,
        }
    }

    const fn as_str(self) -> &'static str {
        match self {
            CandidateKind::Host => "host",
            CandidateKind::ServerReflexive => "srflx",
            CandidateKind::PeerReflexive => "prflx",
            CandidateKind::Relayed => "relay",
        }
    }

    fn parse(text: &str) -> Option<Self> {
        Some(match text {
            "host" => CandidateKind::Host,
            "srflx" => CandidateKind::ServerReflexive,
            "prflx" => CandidateKind::PeerReflexive,
            "relay" => CandidateKind::Relayed,
            _ => return None,
        })
    }
}

/// The priority of a candidate of component 1 (RFC 8445, section 5.1.2.1).
pub(super) const fn priority(kind: CandidateKind, preference: u16) -> u32 {
    ((kind.preference() as u32) << 24) | ((preference as u32) << 8) | 255
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
            foundation: foundation(address.ip()),
            component: 1,
            transport: Transport::Udp,
            priority: priority(CandidateKind::Host, preference),
            address: CandidateAddress::Ip(address),
            kind: CandidateKind::Host,
            ufrag: None,
        }
    }

    /// The address, where it is not a name.
    #[must_use]
    pub fn ip(&self) -> Option<SocketAddr> {
        match self.address {
            CandidateAddress::Ip(address) => Some(address),
            CandidateAddress::Name(..) => None,
        }
    }

    /// Parses `candidate:...`, with or without `a=` before it.
    ///
    /// # Errors
    ///
    /// [`IceError::InvalidCandidate`] says what is wrong with the line.
    pub fn parse(line: &str) -> Result<Self, IceError> {
        if line.len() > MAX_LINE {
            return Err(invalid("the line is too long"));
        }
        let line = line.trim();
        let line = line.strip_prefix("a=").unwrap_or(line);
        let line =
            line.strip_prefix("candidate:").ok_or(invalid("it does not begin with candidate:"))?;
        let mut words = line.split_ascii_whitespace();
        let mut word = |name| words.next().ok_or(invalid(name));

        let foundation = word("the foundation is missing")?;
        if foundation.len() > 32 {
            return Err(invalid("the foundation is longer than 32 characters"));
        }
        let component = number(word("the component is missing")?, "the component is not a number")?;
        let transport = word("the transport is missing")?;
        let transport =
            if transport.eq_ignore_ascii_case("udp") { Transport::Udp } else { Transport::Other };
        let priority = number(word("the priority is missing")?, "the priority is not a number")?;
        let host = word("the address is missing")?;
        let port = number(word("the port is missing")?, "the port is not a number")?;
        let address = match host.parse::<IpAddr>() {
            Ok(ip) => CandidateAddress::Ip(SocketAddr::new(ip, port)),
            Err(_) if is_host_name(host) => CandidateAddress::Name(host.to_owned(), port),
            Err(_) => return Err(invalid("the address is neither an address nor a host name")),
        };
        if word("the type is missing")? != "typ" {
            return Err(invalid("the type is missing"));
        }
        let kind = CandidateKind::parse(word("the type is missing")?)
            .ok_or(invalid("the type is unknown"))?;
        let mut ufrag = None;
        while let (Some(key), Some(value)) = (words.next(), words.next()) {
            if key == "ufrag" {
                ufrag = Some(value.to_owned());
            }
        }
        Ok(Candidate {
            foundation: foundation.to_owned(),
            component,
            transport,
            priority,
            address,
            kind,
            ufrag,
        })
    }

    /// The value of the attribute: `candidate:...` without `a=`.
    #[must_use]
    pub fn to_sdp(&self) -> String {
        let transport = match self.transport {
            Transport::Udp => "udp",
            Transport::Other => "tcp",
        };
        let (host, port) = match &self.address {
            CandidateAddress::Ip(address) => (address.ip().to_string(), address.port()),
            CandidateAddress::Name(name, port) => (name.clone(), *port),
        };
        let Candidate { foundation, component, priority, kind, .. } = self;
        let mut line = format!(
            "candidate:{foundation} {component} {transport} {priority} {host} {port} typ {}",
            kind.as_str()
        );
        match (kind, &self.address) {
            (CandidateKind::Host, _) => {}
            // RFC 8839, section 5.1 wants a related address; the real one is nobody's business.
            (_, CandidateAddress::Ip(SocketAddr::V6(_))) => line.push_str(" raddr :: rport 9"),
            _ => line.push_str(" raddr 0.0.0.0 rport 9"),
        }
        if self.transport == Transport::Other {
            line.push_str(" tcptype passive");
        }
        if let Some(ufrag) = &self.ufrag {
            let _ = write!(line, " ufrag {ufrag}");
        }
        line
    }
}

const fn invalid(what: &'static str) -> IceError {
    IceError::InvalidCandidate(what)
}

fn number<T: std::str::FromStr>(text: &str, what: &'static str) -> Result<T, IceError> {
    // `FromStr` takes a leading plus sign, the grammar does not.
    if !text.bytes().all(|b| b.is_ascii_digit()) {
        return Err(invalid(what));
    }
    text.parse().map_err(|_| invalid(what))
}

fn is_host_name(text: &str) -> bool {
    text.len() <= 253
        && text.bytes().any(|b| b.is_ascii_alphabetic())
        && text.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'.' | b'_'))
}

/// A foundation of its own for each address (FNV-1a), the same on every run.
fn foundation(ip: IpAddr) -> String {
    let mut hash = 0x811c_9dc5_u32;
    let mut take = |octets: &[u8]| {
        for octet in octets {
            hash = (hash ^ u32::from(*octet)).wrapping_mul(0x0100_0193);
        }
    };
    match ip {
        IpAddr::V4(ip) => take(&ip.octets()),
        IpAddr::V6(ip) => take(&ip.octets()),
    }
    hash.to_string()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_host_candidate_survives_its_own_text() {
        for address in ["192.0.2.7:4000", "[2001:db8::1]:4000"] {
            let candidate = Candidate::host(address.parse().unwrap(), 65535);
            assert_eq!(candidate.priority, 2_130_706_431);
            assert_eq!(Candidate::parse(&candidate.to_sdp()), Ok(candidate));
        }
    }

    #[test]
    fn parses_what_browsers_write() {
        let line = "a=candidate:2163208203 1 udp 2113937151 \
                    5d1b8d0e-63e1-4ed8-9a3c-b9ca05f3a5ce.local 52112 typ host generation 0 \
                    ufrag pVCY network-cost 999";
        let candidate = Candidate::parse(line).unwrap();
        assert_eq!(candidate.ufrag.as_deref(), Some("pVCY"));
        assert_eq!(candidate.ip(), None);
        let line = "candidate:0 1 UDP 1686052607 198.51.100.9 61665 typ srflx raddr 192.168.1.2 \
                    rport 61665";
        let candidate = Candidate::parse(line).unwrap();
        assert_eq!(candidate.kind, CandidateKind::ServerReflexive);
        assert_eq!(candidate.ip(), Some("198.51.100.9:61665".parse().unwrap()));
        let line = "candidate:1 1 tcp 1518280447 192.0.2.1 9 typ host tcptype active";
        assert_eq!(Candidate::parse(line).unwrap().transport, Transport::Other);
    }

    #[test]
    fn says_what_is_wrong() {
        for (line, expected) in [
            ("", "it does not begin with candidate:"),
            ("candidate:", "the foundation is missing"),
            ("candidate:1 x udp 1 192.0.2.1 1 typ host", "the component is not a number"),
            ("candidate:1 1 udp +1 192.0.2.1 1 typ host", "the priority is not a number"),
            ("candidate:1 1 udp 99999999999 192.0.2.1 1 typ host", "the priority is not a number"),
            (
                "candidate:1 1 udp 1 192.0.2.300 1 typ host",
                "the address is neither an address nor a host name",
            ),
            ("candidate:1 1 udp 1 192.0.2.1 70000 typ host", "the port is not a number"),
            ("candidate:1 1 udp 1 192.0.2.1 7 host", "the type is missing"),
            ("candidate:1 1 udp 1 192.0.2.1 7 typ guest", "the type is unknown"),
        ] {
            assert_eq!(Candidate::parse(line), Err(IceError::InvalidCandidate(expected)), "{line}");
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(256))]

        #[test]
        fn arbitrary_text_never_panics(text in "(a=)?(candidate:)?[ -~\u{e9}]{0,120}") {
            let _ = Candidate::parse(&text);
        }

        #[test]
        fn what_parses_survives_its_own_text(
            foundation in "[a-zA-Z0-9+/]{1,32}", component in 0u16.., priority in any::<u32>(),
            host in "[a-z][a-z0-9-]{0,20}\\.local|10\\.0\\.[0-9]\\.7|2001:db8::[1-9a-f]",
            port in any::<u16>(), kind in "host|srflx|prflx|relay",
        ) {
            let line = format!("candidate:{foundation} {component} udp {priority} {host} {port} typ {kind}");
            let candidate = Candidate::parse(&line).unwrap();
            prop_assert_eq!(Candidate::parse(&candidate.to_sdp()), Ok(candidate));
        }
    }
}
