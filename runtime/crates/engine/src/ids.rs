use rand::TryRngCore;
use rand::rngs::OsRng;
use remotemedia_core::ErrorCode;

use crate::{EngineError, EngineStartError};

pub(crate) const PEER_PREFIX: &str = "pc_";
pub(crate) const SESSION_PREFIX: &str = "s_";

/// Ids carry their reactor: a prefix, two hexadecimal digits, then 32 of randomness. So every call
/// finds its reactor without a table that could leak.
pub(crate) fn parse_reactor(id: &str) -> Option<usize> {
    let digits = id.strip_prefix(PEER_PREFIX).or_else(|| id.strip_prefix(SESSION_PREFIX))?;
    if digits.len() != 34 || !digits.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        return None;
    }
    usize::from_str_radix(&digits[..2], 16).ok()
}

/// 128 random bits: who knows a session's id may join it.
pub(crate) fn fresh_id(prefix: &str, reactor: usize) -> Result<String, EngineError> {
    let bytes = random().map_err(|e| EngineError::new(ErrorCode::Internal, e.to_string()))?;
    Ok(format!("{prefix}{reactor:02x}{:032x}", u128::from_be_bytes(bytes)))
}

/// From the operating system.
pub(crate) fn random<const N: usize>() -> Result<[u8; N], EngineStartError> {
    let mut bytes = [0; N];
    OsRng
        .try_fill_bytes(&mut bytes)
        .map_err(|error| EngineStartError::Io(std::io::Error::other(error)))?;
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_find_their_reactor() {
        let id = fresh_id(PEER_PREFIX, 11).unwrap();
        assert_eq!(parse_reactor(&id), Some(11));
        assert_eq!(parse_reactor("pc_zz"), None);
        assert_eq!(parse_reactor(&id[..id.len() - 1]), None);
        assert_eq!(parse_reactor(&format!("{}é", &id[..id.len() - 2])), None);
    }
}
