use std::sync::Arc;
use std::time::Duration;

use rtc_dtls::cipher_suite::CipherSuiteId;
use rtc_dtls::config::{ClientAuthType, ConfigBuilder, ExtendedMasterSecretType, HandshakeConfig};
use rtc_dtls::crypto::Certificate;
use rtc_dtls::crypto_provider::{HashAlgorithm, RTCCryptoProvider, default_provider};
use rtc_dtls::extension::extension_use_srtp::SrtpProtectionProfile;

use crate::PeerError;
use crate::sdp::Fingerprint;

/// First wait before a flight of the DTLS handshake is sent again: the RFC's one second is far too
/// long for a call (RFC 6347, section 4.2.4.1, leaves it to the application).
pub(crate) const FLIGHT_INTERVAL: Duration = Duration::from_millis(150);

/// Handshake datagrams stay below this, so that they fit every path of 1280 bytes.
const HANDSHAKE_MTU: usize = 1180;

/// How many packets SRTP and DTLS may arrive out of order before they count as replayed.
pub(crate) const REPLAY_WINDOW: usize = 128;

/// A certificate with its DTLS configuration: made once, shared by all peers, replaced now and
/// then. Making one takes about a millisecond, so it belongs on another thread than the media.
pub struct Identity {
    server: Arc<HandshakeConfig>,
    client: Arc<HandshakeConfig>,
    provider: Arc<dyn RTCCryptoProvider>,
    fingerprint: Fingerprint,
}

impl Identity {
    /// Makes a self-signed ECDSA P-256 certificate (RFC 8827, section 6.5) and what belongs to it.
    ///
    /// # Errors
    ///
    /// Fails only when the system gives no randomness.
    pub fn generate() -> Result<Self, PeerError> {
        let internal = |error: &dyn std::fmt::Display| PeerError::internal(error.to_string());
        let provider = default_provider().map_err(|e| internal(&e))?;
        let certificate =
            Certificate::generate_self_signed(vec!["remotemedia".to_owned()], provider.crypto())
                .map_err(|e| internal(&e))?;
        let leaf =
            certificate.certificate.first().ok_or_else(|| PeerError::internal("no certificate"))?;
        let fingerprint = sha256(provider.as_ref(), leaf)?;
        let build = |is_client: bool| {
            // The SDP's fingerprint authenticates, not a chain: it is compared once the handshake
            // is complete and before anything passes, because the callback of rtc-dtls 0.21 does
            // not know which connection it is called for.
            ConfigBuilder::default()
                .with_crypto_provider(Arc::clone(&provider))
                .with_certificates(vec![certificate.clone()])
                // The other side's order decides (flight0.rs), so only suites with hardware
                // support are offered.
                .with_cipher_suites(vec![
                    CipherSuiteId::Tls_Ecdhe_Ecdsa_With_Aes_128_Gcm_Sha256,
                    CipherSuiteId::Tls_Ecdhe_Rsa_With_Aes_128_Gcm_Sha256,
                ])
                // The server's order decides (RFC 5764, section 4.1.1), and that is mostly a browser:
                // Chromium takes AES128_CM_SHA1_80 wherever it is offered, which it has to be
                // (RFC 8827, section 6.5). It costs 0.2 us a packet more than GCM.
                .with_srtp_protection_profiles(vec![
                    SrtpProtectionProfile::Srtp_Aead_Aes_128_Gcm,
                    SrtpProtectionProfile::Srtp_Aead_Aes_256_Gcm,
                    SrtpProtectionProfile::Srtp_Aes128_Cm_Hmac_Sha1_80,
                ])
                .with_client_auth(ClientAuthType::RequireAnyClientCert)
                .with_insecure_skip_verify(true)
                .with_extended_master_secret(ExtendedMasterSecretType::Request)
                .with_flight_interval(FLIGHT_INTERVAL)
                .with_mtu(HANDSHAKE_MTU)
                .with_replay_protection_window(REPLAY_WINDOW)
                .with_server_name("remotemedia".to_owned())
                .build(is_client, None)
                .map(Arc::new)
        };
        let server = build(false).map_err(|e| internal(&e))?;
        let client = build(true).map_err(|e| internal(&e))?;
        Ok(Identity { server, client, provider, fingerprint })
    }

    /// The SHA-256 of the certificate (RFC 8122, section 5).
    #[must_use]
    pub fn fingerprint(&self) -> Fingerprint {
        self.fingerprint
    }

    pub(crate) fn config(&self, is_client: bool) -> Arc<HandshakeConfig> {
        Arc::clone(if is_client { &self.client } else { &self.server })
    }

    pub(crate) fn provider(&self) -> &dyn RTCCryptoProvider {
        self.provider.as_ref()
    }

    /// The fingerprint of the other side's certificate (DER).
    pub(crate) fn fingerprint_of(&self, certificate: &[u8]) -> Option<Fingerprint> {
        sha256(self.provider.as_ref(), certificate).ok()
    }
}

impl std::fmt::Debug for Identity {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Identity")
            .field("fingerprint", &self.fingerprint.to_string())
            .finish_non_exhaustive()
    }
}

fn sha256(provider: &dyn RTCCryptoProvider, data: &[u8]) -> Result<Fingerprint, PeerError> {
    let digest = provider
        .crypto()
        .hash(HashAlgorithm::Sha256, data)
        .map_err(|e| PeerError::internal(e.to_string()))?;
    let bytes = digest.try_into().map_err(|_| PeerError::internal("a SHA-256 of odd length"))?;
    Ok(Fingerprint(bytes))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_identities_have_different_fingerprints() {
        let one = Identity::generate().unwrap();
        let other = Identity::generate().unwrap();
        assert_ne!(one.fingerprint(), other.fingerprint());
    }
}
