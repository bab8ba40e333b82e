use numpy::{PyArray1, PyArrayMethods, PyReadonlyArrayDyn};
use pyo3::prelude::*;
use remotemedia_core::Payload;
use remotemedia_engine::{LaneItem, LaneToken, NodeFailure, NodeResult, NodeValue};

use crate::fault::invalid;

/// Bits of a token that name the reactor; the rest names the work within it.
const REACTOR_SHIFT: u32 = 64;

/// One frame for a Python node.
#[pyclass(name = "LaneItem", module = "remotemedia_runtime", frozen)]
pub(crate) struct PyLaneItem(pub(crate) LaneItem);

#[pymethods]
impl PyLaneItem {
    #[getter]
    fn token(&self) -> u128 {
        u128::from(self.0.token.reactor) << REACTOR_SHIFT | u128::from(self.0.token.work)
    }

    #[getter]
    fn session(&self) -> &str {
        &self.0.session
    }

    #[getter]
    fn participant(&self) -> &str {
        &self.0.participant
    }

    #[getter]
    fn stream(&self) -> &str {
        &self.0.stream
    }

    #[getter]
    fn pipeline(&self) -> &str {
        &self.0.pipeline
    }

    #[getter]
    fn node(&self) -> &str {
        &self.0.node
    }

    #[getter]
    fn entry(&self) -> &str {
        &self.0.entry
    }

    #[getter]
    fn seq(&self) -> u64 {
        self.0.meta.seq
    }

    #[getter]
    fn pts_us(&self) -> u64 {
        self.0.meta.pts_us
    }

    #[getter]
    fn rate(&self) -> u32 {
        self.0.meta.format.rate.hz()
    }

    #[getter]
    fn channels(&self) -> usize {
        self.0.meta.format.channels.get()
    }

    /// A new array each time: nodes may change what they are given.
    #[getter]
    fn samples<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        let samples = self.audio();
        let flat = PyArray1::from_slice(py, samples);
        match self.channels() {
            1 => Ok(flat.into_any()),
            channels => Ok(flat.reshape([channels, samples.len() / channels])?.into_any()),
        }
    }

    fn __repr__(&self) -> String {
        format!(
            "LaneItem(node={:?}, session={:?}, seq={}, pts_us={}, samples={})",
            self.node(),
            self.session(),
            self.seq(),
            self.pts_us(),
            self.audio().len()
        )
    }
}

impl PyLaneItem {
    /// The samples; none for values.
    fn audio(&self) -> &[f32] {
        match &self.0.payload {
            Payload::Audio(samples) => samples,
            Payload::Data(_) | Payload::Opaque(_) => &[],
        }
    }
}

/// A node's failure on one frame.
#[pyclass(name = "LaneFailure", module = "remotemedia_runtime", frozen)]
pub(crate) struct PyLaneFailure(NodeFailure);

#[pymethods]
impl PyLaneFailure {
    #[new]
    #[pyo3(signature = (message, traceback = None))]
    fn new(message: String, traceback: Option<String>) -> Self {
        Self(NodeFailure { message, traceback, transient: false })
    }

    #[getter]
    fn message(&self) -> &str {
        &self.0.message
    }

    #[getter]
    fn traceback(&self) -> Option<&str> {
        self.0.traceback.as_deref()
    }
}

/// Reads what `complete_lane` is given for one token.
pub(crate) fn result_of(
    py: Python<'_>,
    result: &Bound<'_, PyAny>,
) -> PyResult<Result<Vec<NodeResult>, NodeFailure>> {
    if let Ok(failure) = result.cast::<PyLaneFailure>() {
        return Ok(Err(failure.get().0.clone()));
    }
    let mut values = Vec::new();
    for value in result.try_iter()? {
        let value = value?;
        if let Ok(text) = value.extract::<String>() {
            values.push(NodeValue::Json(text).into());
        } else if let Ok(samples) = value.extract::<PyReadonlyArrayDyn<'_, f32>>() {
            let samples = samples
                .as_slice()
                .map_err(|_| invalid(py, "done", "audio must be a contiguous float32 array"))?;
            values.push(NodeValue::Audio { format: None, samples: samples.into() }.into());
        } else {
            return Err(invalid(py, "done", "values are JSON text or float32 arrays"));
        }
    }
    Ok(Ok(values))
}

pub(crate) fn token_of(py: Python<'_>, token: u128) -> PyResult<LaneToken> {
    let reactor = u8::try_from(token >> REACTOR_SHIFT)
        .map_err(|_| invalid(py, "done", "that token was never given out"))?;
    #[expect(clippy::cast_possible_truncation, reason = "the upper bits name the reactor")]
    Ok(LaneToken { reactor, work: token as u64 })
}
