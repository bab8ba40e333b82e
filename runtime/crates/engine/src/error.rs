use remotemedia_core::{ErrorCode, ManifestError};
use remotemedia_session::SessionError;

/// What a caller of the engine is told.
#[derive(Clone, Debug, thiserror::Error)]
#[error("{code} {message}")]
pub struct EngineError {
    /// The stable code.
    pub code: ErrorCode,
    /// What is wrong.
    pub message: String,
    /// The field or line that is wrong, where there is one.
    pub field: Option<String>,
    /// What to do about it.
    pub hint: Option<String>,
}

impl EngineError {
    pub(crate) fn new(code: ErrorCode, message: impl Into<String>) -> Self {
        Self { code, message: message.into(), field: None, hint: None }
    }

    pub(crate) fn with_hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    pub(crate) fn with_field(mut self, field: impl Into<String>) -> Self {
        self.field = Some(field.into());
        self
    }

    pub(crate) fn unknown_id(kind: &str, id: &str) -> Self {
        Self::new(ErrorCode::UnknownId, format!("no {kind} \"{}\"", printable(id)))
    }

    pub(crate) fn stopped() -> Self {
        Self::new(ErrorCode::Draining, "the server is shutting down")
    }
}

impl From<SessionError> for EngineError {
    fn from(error: SessionError) -> Self {
        let SessionError { code, message, field, hint } = error;
        Self { code, message, field, hint }
    }
}

impl From<ManifestError> for EngineError {
    fn from(error: ManifestError) -> Self {
        Self::new(error.code, error.message).with_field(error.path)
    }
}

/// Ids come from outside: what is shown of them is short and printable.
pub(crate) fn printable(id: &str) -> String {
    id.chars().filter(|c| !c.is_control()).take(64).collect()
}

/// Why an engine could not start.
#[derive(Debug, thiserror::Error)]
pub enum EngineStartError {
    /// The media port is taken or not allowed.
    #[error("cannot bind UDP port {port}: {source}")]
    Bind {
        /// Which port; zero for any.
        port: u16,
        /// What the system said.
        source: std::io::Error,
    },
    /// No certificate could be made.
    #[error("cannot make a DTLS certificate: {0}")]
    Identity(String),
    /// A thread, a pipe or the list of interfaces.
    #[error(transparent)]
    Io(std::io::Error),
}
