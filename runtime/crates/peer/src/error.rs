use std::fmt;

use remotemedia_core::ErrorCode;

/// Why a peer could not be made or negotiated.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{code}: {message}")]
pub struct PeerError {
    /// The stable code.
    pub code: ErrorCode,
    /// What is wrong and what to do about it.
    pub message: String,
    /// The SDP line or field that is wrong, where one can be named.
    pub field: Option<String>,
}

impl PeerError {
    pub(crate) fn new(code: ErrorCode, message: impl Into<String>) -> Self {
        PeerError { code, message: message.into(), field: None }
    }

    pub(crate) fn internal(message: impl Into<String>) -> Self {
        PeerError::new(ErrorCode::Internal, message)
    }
}

/// Why a message was not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SendError {
    /// The channel's outgoing queue is full: wait until [`Peer::buffered`](crate::Peer::buffered)
    /// has fallen.
    #[error("the channel's outgoing queue is full")]
    Full,
    /// The channel is not open.
    #[error("the channel is not open")]
    Closed,
    /// The message is larger than the other side accepts.
    #[error("the message is larger than the other side accepts")]
    TooLarge,
}

/// Why a peer ended.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum CloseReason {
    /// [`Peer::close`](crate::Peer::close) was called.
    Local,
    /// The other side closed (DTLS `close_notify` or an SCTP abort by its user).
    Remote,
    /// ICE found no path in time.
    IceTimeout,
    /// DTLS failed or did not finish in time.
    DtlsFailed(String),
    /// The certificate does not match the fingerprint of the SDP.
    FingerprintMismatch,
    /// The other side has not answered for 30 s (RFC 7675).
    ConsentLost,
    /// The association of the data channels was lost.
    AssociationLost(String),
}

impl CloseReason {
    /// The stable code; `None` for the two orderly ends.
    #[must_use]
    pub fn code(&self) -> Option<ErrorCode> {
        match self {
            CloseReason::Local | CloseReason::Remote => None,
            CloseReason::IceTimeout => Some(ErrorCode::IceTimeout),
            CloseReason::DtlsFailed(_) => Some(ErrorCode::DtlsFailed),
            CloseReason::FingerprintMismatch => Some(ErrorCode::FingerprintMismatch),
            CloseReason::ConsentLost => Some(ErrorCode::ConsentLost),
            CloseReason::AssociationLost(_) => Some(ErrorCode::AssociationLost),
        }
    }
}

impl fmt::Display for CloseReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            CloseReason::Local => f.write_str("closed by this side"),
            CloseReason::Remote => f.write_str("closed by the other side"),
            CloseReason::IceTimeout => f.write_str("ICE found no path in time"),
            CloseReason::DtlsFailed(detail) => write!(f, "DTLS failed: {detail}"),
            CloseReason::FingerprintMismatch => {
                f.write_str("the certificate does not match the fingerprint of the SDP")
            }
            CloseReason::ConsentLost => f.write_str("the other side stopped answering"),
            CloseReason::AssociationLost(detail) => {
                write!(f, "the data channels' association was lost: {detail}")
            }
        }
    }
}
