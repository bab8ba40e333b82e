use std::os::fd::RawFd;
use std::sync::Arc;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use pyo3::prelude::*;
use remotemedia_core::ErrorCode;
use remotemedia_engine::{Engine, EngineConfig, EngineError, LaneDone, Offer};

use crate::fault::{fault, invalid};
use crate::lane::{Done, PyLaneItem, read_done};

/// Reactors with their sockets, sessions and peers.
#[pyclass(name = "Engine", module = "remotemedia_runtime", frozen)]
pub(crate) struct PyEngine {
    /// Empty after `close`. Calls clone the handle, so that a long one never blocks another.
    engine: Mutex<Option<Arc<Engine>>>,
}

impl PyEngine {
    fn open(&self, py: Python<'_>) -> PyResult<Arc<Engine>> {
        let engine = self.engine.lock().unwrap_or_else(PoisonError::into_inner);
        engine.clone().ok_or_else(|| fault(py, error(ErrorCode::Draining, "the engine is closed")))
    }

    /// Runs `call` with the interpreter released.
    fn detached<T: Send>(
        &self,
        py: Python<'_>,
        call: impl FnOnce(&Engine) -> Result<T, EngineError> + Send,
    ) -> PyResult<T> {
        let engine = self.open(py)?;
        py.detach(move || {
            let result = call(&engine);
            // If `close` came meanwhile, this is the last handle: its threads end here, detached.
            drop(engine);
            result
        })
        .map_err(|error| fault(py, error))
    }
}

#[pymethods]
impl PyEngine {
    #[new]
    fn new(py: Python<'_>, config_json: &str) -> PyResult<Self> {
        let config: EngineConfig = serde_json::from_str(config_json)
            .map_err(|error| invalid(py, "config_json", &error.to_string()))?;
        let engine = py
            .detach(|| Engine::start(&config))
            .map_err(|failed| fault(py, error(ErrorCode::Internal, failed.to_string())))?;
        Ok(Self { engine: Mutex::new(Some(Arc::new(engine))) })
    }

    fn media_ports(&self, py: Python<'_>) -> PyResult<Vec<u16>> {
        Ok(self.open(py)?.media_ports())
    }

    fn add_pipeline(&self, py: Python<'_>, name: &str, resolved_json: &str) -> PyResult<()> {
        self.detached(py, |engine| engine.add_pipeline(name, resolved_json))
    }

    fn offer(&self, py: Python<'_>, request_json: &str) -> PyResult<String> {
        let offer: Offer = serde_json::from_str(request_json)
            .map_err(|error| invalid(py, "request_json", &error.to_string()))?;
        self.detached(py, |engine| {
            let answer = engine.offer(offer)?;
            Ok(serde_json::json!({
                "sdp": answer.sdp,
                "type": "answer",
                "pc_id": answer.pc_id,
                "session_id": answer.session_id,
                "participant": answer.participant,
            })
            .to_string())
        })
    }

    fn add_candidates(&self, py: Python<'_>, pc_id: &str, candidates: Vec<String>) -> PyResult<()> {
        self.detached(py, |engine| engine.add_candidates(pc_id, candidates))
    }

    fn close_peer(&self, py: Python<'_>, pc_id: &str) -> PyResult<()> {
        self.detached(py, |engine| engine.close_peer(pc_id))
    }

    fn close_session(&self, py: Python<'_>, session_id: &str, reason: &str) -> PyResult<()> {
        self.detached(py, |engine| engine.close_session(session_id, reason))
    }

    fn sessions(&self, py: Python<'_>) -> PyResult<String> {
        self.detached(py, |engine| Ok(serde_json::Value::Array(engine.sessions()?).to_string()))
    }

    fn session(&self, py: Python<'_>, session_id: &str) -> PyResult<String> {
        self.detached(py, |engine| Ok(engine.session(session_id)?.to_string()))
    }

    fn observe(&self, py: Python<'_>, session_id: &str, on: bool) -> PyResult<()> {
        self.detached(py, |engine| engine.observe(session_id, on))
    }

    fn notification_fd(&self, py: Python<'_>) -> PyResult<RawFd> {
        Ok(self.open(py)?.notification_fd())
    }

    fn poll_notifications(&self, py: Python<'_>, max: usize) -> PyResult<Vec<String>> {
        self.detached(py, |engine| engine.poll_notifications(max).iter().map(to_json).collect())
    }

    fn lane_fd(&self, py: Python<'_>) -> PyResult<RawFd> {
        Ok(self.open(py)?.lane_fd())
    }

    fn poll_lane(&self, py: Python<'_>, max: usize) -> PyResult<Vec<PyLaneItem>> {
        Ok(self.open(py)?.poll_lane(max).into_iter().map(PyLaneItem::live).collect())
    }

    fn complete_lane(&self, py: Python<'_>, done: &Bound<'_, PyAny>) -> PyResult<()> {
        let results = read_done(done)?
            .into_iter()
            .map(|Done { token, result, more }| LaneDone { token, result, more })
            .collect();
        self.detached(py, |engine| {
            engine.complete_lane(results);
            Ok(())
        })
    }

    fn drain(&self, py: Python<'_>, timeout_ms: u64) -> PyResult<bool> {
        self.detached(py, |engine| engine.drain(Duration::from_millis(timeout_ms)))
    }

    fn close(&self, py: Python<'_>) {
        let engine = self.engine.lock().unwrap_or_else(PoisonError::into_inner).take();
        py.detach(|| drop(engine));
    }

    fn counters(&self, py: Python<'_>) -> PyResult<String> {
        let counters = self.open(py)?.counters();
        to_json(&counters).map_err(|error| fault(py, error))
    }

    fn live_objects(&self, py: Python<'_>) -> PyResult<String> {
        self.detached(py, |engine| to_json(&engine.live_objects()?))
    }
}

fn error(code: ErrorCode, message: impl Into<String>) -> EngineError {
    EngineError { code, message: message.into(), field: None, hint: None }
}

fn to_json(value: &impl serde::Serialize) -> Result<String, EngineError> {
    serde_json::to_string(value).map_err(|failed| error(ErrorCode::Internal, failed.to_string()))
}
