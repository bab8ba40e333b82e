use pyo3::create_exception;
use pyo3::exceptions::PyException;
use pyo3::prelude::*;
use remotemedia_core::ErrorCode;
use remotemedia_engine::EngineError;

create_exception!(
    remotemedia_runtime,
    RuntimeFault,
    PyException,
    "What the runtime refused, in words that say what to do."
);

/// The exception for an engine's error, with its parts as attributes.
pub(crate) fn fault(py: Python<'_>, error: EngineError) -> PyErr {
    let raised = RuntimeFault::new_err(error.to_string());
    let value = raised.value(py);
    let attributes = value
        .setattr("code", error.code.as_str())
        .and_then(|()| value.setattr("message", &error.message))
        .and_then(|()| value.setattr("field", error.field.as_deref()))
        .and_then(|()| value.setattr("hint", error.hint.as_deref()));
    // Only a lack of memory can refuse an attribute; then that is the error to raise.
    attributes.map_or_else(|failed| failed, |()| raised)
}

/// A wrong argument.
pub(crate) fn wrong(field: &str, message: impl Into<String>) -> EngineError {
    EngineError {
        code: ErrorCode::InvalidParameter,
        message: message.into(),
        field: Some(field.to_owned()),
        hint: None,
    }
}

/// The exception for a wrong argument.
pub(crate) fn invalid(py: Python<'_>, field: &str, message: &str) -> PyErr {
    fault(py, wrong(field, message))
}
