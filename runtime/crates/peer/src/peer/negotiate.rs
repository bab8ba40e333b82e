//! Descriptions: the two roles, renegotiation, ICE restart.

use remotemedia_core::{ErrorCode, Micros};

use super::{OfferWants, Peer, PeerConfig, Phase};
use crate::PeerError;
use crate::dtls::Dtls;
use crate::ice::{CandidateUse, Credentials, IceError, IceRole};
use crate::sdp::{
    AnswerParams, Limits, MediaWants, Negotiated, Offer, OfferAudio, OfferParams, OwnSource,
    RemoteTransport, SdpError, build_answer, build_offer, negotiate, parse_answer, parse_offer,
};

impl From<SdpError> for PeerError {
    fn from(error: SdpError) -> Self {
        PeerError { code: error.code, message: error.message, field: error.field }
    }
}

impl Peer {
    /// Makes the answering side: the peer and its answer, which holds all its candidates.
    ///
    /// # Errors
    ///
    /// `InvalidSdp` or `NoCommonCodec`, naming the line or attribute.
    pub fn answer(
        config: PeerConfig,
        now: Micros,
        offer_sdp: &str,
        wants: &MediaWants,
    ) -> Result<(Peer, String), PeerError> {
        let offer = parse_offer(offer_sdp, &Limits::default())?;
        let agreed = negotiate(&offer, wants)?;
        // A lite agent never nominates, so somebody else has to (RFC 8445, section 6.1.1).
        let role = if agreed.remote.ice_lite { IceRole::Controlling } else { IceRole::Controlled };
        let mut peer = Peer::new(config, now, role);
        peer.set_up(now, &agreed);
        let sdp = peer.write_answer(&offer, &agreed);
        Ok((peer, sdp))
    }

    /// Makes the offering side: the peer and its offer, which holds all its candidates.
    #[must_use]
    pub fn offer(config: PeerConfig, now: Micros, wants: OfferWants) -> (Peer, String) {
        let mut peer = Peer::new(config, now, IceRole::Controlling);
        peer.offered_first = true;
        let audio: Vec<OfferAudio> = wants
            .audio
            .iter()
            .map(|direction| OfferAudio {
                direction: *direction,
                ssrc: peer.ssrc,
                receive: peer.config.receive,
            })
            .collect();
        let sdp = build_offer(&OfferParams {
            credentials: peer.ice.local_credentials(),
            fingerprint: peer.config.identity.fingerprint(),
            candidates: &peer.candidates,
            session_id: peer.session_id,
            session_version: peer.session_version,
            cname: &peer.cname,
            audio: &audio,
            data: wants.data,
            max_message_size: peer.config.max_message_size as u64,
        });
        // The answer is matched with what was written, section by section.
        peer.offered = parse_offer(&sdp, &Limits::default()).ok().map(Box::new);
        debug_assert!(peer.offered.is_some(), "our own offer is not valid");
        (peer, sdp)
    }

    /// Takes the answer to our offer.
    ///
    /// # Errors
    ///
    /// `InvalidSdp`, naming the line or attribute; `Conflict` when nothing is offered.
    pub fn accept_answer(&mut self, now: Micros, sdp: &str) -> Result<(), PeerError> {
        self.now = now;
        if self.phase == Phase::Closed {
            return Err(Peer::closed_error());
        }
        let offer = self.offered.as_ref().ok_or_else(|| {
            PeerError::new(ErrorCode::Conflict, "an answer without an open offer")
        })?;
        let agreed = parse_answer(sdp, offer, &Limits::default())?;
        self.offered = None;
        self.set_up(now, &agreed);
        self.release_early(now);
        Ok(())
    }

    /// Answers another offer on the same connection: sections come and go, sources change, ICE
    /// restarts.
    ///
    /// # Errors
    ///
    /// As [`Peer::answer`]; `Conflict` when the peer has ended or the other side has changed its
    /// certificate, which takes a new connection. The peer then goes on as it was.
    pub fn renegotiate(
        &mut self,
        now: Micros,
        offer_sdp: &str,
        wants: &MediaWants,
    ) -> Result<String, PeerError> {
        self.now = now;
        if self.phase == Phase::Closed {
            return Err(Peer::closed_error());
        }
        let offer = parse_offer(offer_sdp, &Limits::default())?;
        let mut agreed = negotiate(&offer, wants)?;
        if agreed.remote.fingerprints != self.fingerprints {
            return Err(PeerError {
                code: ErrorCode::Conflict,
                message: "the certificate has changed: make a new connection".into(),
                field: Some("fingerprint".into()),
            });
        }
        // The roles stay as long as the connection does (RFC 8842, section 5.1).
        agreed.dtls_client = self.dtls_client;
        self.session_version += 1;
        if self.ice.remote_credentials() != Some(&agreed.remote.credentials) {
            let local = Credentials::random(&mut self.rng);
            self.ice.restart(now, local, Some(agreed.remote.credentials.clone()));
        }
        self.add_candidates(now, &agreed.remote);
        self.take_sections(&agreed);
        if self.phase == Phase::Connected {
            self.start_channels(now);
        }
        let sdp = self.write_answer(&offer, &agreed);
        self.after_ice(now);
        Ok(sdp)
    }

    fn set_up(&mut self, now: Micros, agreed: &Negotiated) {
        self.fingerprints.clone_from(&agreed.remote.fingerprints);
        self.dtls_client = agreed.dtls_client;
        let dtls = Dtls::new(&self.config.identity, agreed.dtls_client, self.config.anchor);
        self.dtls = Some(Box::new(dtls));
        self.take_sections(agreed);
        self.ice.set_remote(now, agreed.remote.credentials.clone());
        self.add_candidates(now, &agreed.remote);
        self.after_ice(now);
        self.start_dtls(now);
    }

    fn take_sections(&mut self, agreed: &Negotiated) {
        self.audio.clone_from(&agreed.audio);
        self.demux.update(&agreed.audio);
        if let Some(data) = &agreed.data {
            self.data = Some(data.max_message_size);
        }
    }

    /// Takes the candidates of a description; those that are of no use are left out.
    fn add_candidates(&mut self, now: Micros, remote: &RemoteTransport) {
        for line in &remote.candidates {
            match self.ice.add_remote_candidate(now, line) {
                Ok(CandidateUse::End) => break,
                Ok(_) => {}
                Err(IceError::TooManyCandidates) => {
                    log::debug!("more candidates in the description than a peer takes");
                    break;
                }
                Err(error) => log::debug!("{error}"),
            }
        }
    }

    fn write_answer(&self, offer: &Offer, agreed: &Negotiated) -> String {
        build_answer(
            offer,
            agreed,
            &AnswerParams {
                credentials: self.ice.local_credentials(),
                fingerprint: self.config.identity.fingerprint(),
                candidates: &self.candidates,
                session_id: self.session_id,
                session_version: self.session_version,
                receive: self.config.receive,
                source: OwnSource { ssrc: self.ssrc, cname: &self.cname },
                max_message_size: self.config.max_message_size as u64,
            },
        )
    }
}
