use std::net::{IpAddr, SocketAddr};

/// The most host candidates announced: a machine with hundreds of container bridges must not
/// answer with hundreds of lines.
const MAX_CANDIDATES: usize = 8;

/// Every address that clients may reach the media socket at, best first: advertised ones, then the
/// machine's own, loopback last and only where asked for.
///
/// Link-local IPv6 addresses are left out: they need a zone that candidates cannot carry
/// (RFC 8445, section 5.1.1.1 excludes them too unless nothing else is there).
pub(crate) fn candidates(
    bind: Option<IpAddr>,
    advertised: &[IpAddr],
    loopback: bool,
    ipv6: bool,
    port: u16,
) -> std::io::Result<Vec<SocketAddr>> {
    let mut found: Vec<IpAddr> = advertised.to_vec();
    if let Some(address) = bind.filter(|address| !address.is_unspecified()) {
        found.push(address);
    } else {
        let mut own: Vec<IpAddr> =
            if_addrs::get_if_addrs()?.into_iter().map(|interface| interface.ip()).collect();
        own.retain(|address| match address {
            IpAddr::V4(v4) => !v4.is_link_local(),
            IpAddr::V6(v6) => ipv6 && !v6.is_unicast_link_local(),
        });
        // Stable: interfaces keep the system's order within a class. Loopback is usable only by
        // clients of this machine, so it goes last.
        own.sort_by_key(|address| (address.is_loopback(), address.is_ipv6()));
        found.extend(own.into_iter().filter(|address| loopback || !address.is_loopback()));
    }
    let mut unique = Vec::new();
    for address in found {
        let candidate = SocketAddr::new(address, port);
        if !unique.contains(&candidate) && unique.len() < MAX_CANDIDATES {
            unique.push(candidate);
        }
    }
    Ok(unique)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_advertised_address_comes_first_and_loopback_only_when_asked_for() {
        let public: IpAddr = "203.0.113.7".parse().unwrap();
        let with = candidates(None, &[public], true, true, 4000).unwrap();
        assert_eq!(with[0], SocketAddr::new(public, 4000));
        assert!(with.iter().any(|candidate| candidate.ip().is_loopback()));
        let without = candidates(None, &[public], false, true, 4000).unwrap();
        assert!(without.iter().all(|candidate| !candidate.ip().is_loopback()));
    }

    #[test]
    fn a_bound_address_is_the_only_one() {
        let bind: IpAddr = "127.0.0.1".parse().unwrap();
        let only = candidates(Some(bind), &[], false, false, 9).unwrap();
        assert_eq!(only, [SocketAddr::new(bind, 9)]);
    }
}
