use std::sync::{Arc, Mutex, PoisonError};

use pyo3::exceptions::PyOverflowError;
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use pyo3::types::{PyInt, PyString, PyTuple};
use remotemedia_core::{FrameMeta, Opaque, Payload};
use remotemedia_engine::{LaneItem, LaneToken, NodeFailure, NodeResult, NodeValue, PythonWork};
use serde_json::Value;

use crate::fault::invalid;
use crate::samples::{Given, WANTED, array};
use crate::value::{self, Arrays};

/// What a run names its only session, participant and stream.
const RUN: [&str; 3] = ["offline", "p1", "audio"];

/// An object of Python's on its way through the graph.
struct Object(Py<PyAny>);

/// Wraps an object so that the graph can carry it.
pub(crate) fn opaque(object: &Bound<'_, PyAny>) -> Opaque {
    Opaque::new(Object(object.clone().unbind()))
}

/// The object that the graph carried.
pub(crate) fn object<'py>(py: Python<'py>, opaque: &Opaque) -> Bound<'py, PyAny> {
    match opaque.downcast_ref::<Object>() {
        Some(Object(object)) => object.bind(py).clone(),
        // Only this module makes opaque values.
        None => py.None().into_bound(py),
    }
}

/// One frame for a Python node.
#[pyclass(name = "LaneItem", module = "remotemedia_runtime", frozen)]
pub(crate) struct PyLaneItem {
    token: LaneToken,
    pipeline: Arc<str>,
    /// Session, participant and stream; `None` in a run, where they are always the same.
    origin: Option<[Arc<str>; 3]>,
    node: Arc<str>,
    entry: Arc<str>,
    port: Arc<str>,
    meta: FrameMeta,
    is_audio: bool,
    end: bool,
    /// Until somebody asks for it; then it is in `made`, as Python's.
    payload: Mutex<Option<Payload>>,
    made: PyOnceLock<Py<PyAny>>,
}

impl PyLaneItem {
    /// A frame of a live session.
    pub(crate) fn live(item: LaneItem) -> Self {
        let token = item.token();
        let work = item.work;
        Self {
            token,
            pipeline: work.pipeline,
            origin: Some([work.session, work.participant, work.stream]),
            node: work.node,
            entry: work.entry,
            port: work.port,
            meta: work.meta,
            is_audio: matches!(work.payload, Payload::Audio(_)),
            end: false,
            payload: Mutex::new(Some(work.payload)),
            made: PyOnceLock::new(),
        }
    }

    /// A frame of a run of `pipeline`.
    pub(crate) fn offline(work: PythonWork, pipeline: &Arc<str>) -> Self {
        Self {
            token: LaneToken { reactor: 0, work: work.token },
            pipeline: Arc::clone(pipeline),
            origin: None,
            node: work.node,
            entry: work.entry,
            port: work.port,
            meta: work.meta,
            is_audio: matches!(work.payload, Payload::Audio(_)),
            end: work.end,
            payload: Mutex::new(Some(work.payload)),
            made: PyOnceLock::new(),
        }
    }

    fn origin(&self, part: usize) -> &str {
        self.origin.as_ref().map_or(RUN[part], |origin| &origin[part])
    }

    fn payload<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        let make = || {
            // Taken out: an array of samples that nobody else has needs no copy.
            let payload = self.payload.lock().unwrap_or_else(PoisonError::into_inner).take();
            Ok::<_, PyErr>(match payload {
                Some(Payload::Audio(samples)) => {
                    array(py, samples, self.meta.format.channels.get())?.unbind()
                }
                Some(Payload::Data(value)) => value::write(py, &value)?.unbind(),
                Some(Payload::Opaque(value)) => object(py, &value).unbind(),
                // Only after a lack of memory.
                None => py.None(),
            })
        };
        Ok(self.made.get_or_try_init(py, make)?.bind(py).clone())
    }
}

#[pymethods]
impl PyLaneItem {
    #[getter]
    fn token<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyInt>> {
        number_of(py, self.token)
    }

    #[getter]
    fn session(&self) -> &str {
        self.origin(0)
    }

    #[getter]
    fn participant(&self) -> &str {
        self.origin(1)
    }

    #[getter]
    fn stream(&self) -> &str {
        self.origin(2)
    }

    #[getter]
    fn pipeline(&self) -> &str {
        &self.pipeline
    }

    #[getter]
    fn node(&self) -> &str {
        &self.node
    }

    #[getter]
    fn entry(&self) -> &str {
        &self.entry
    }

    #[getter]
    fn port(&self) -> &str {
        if self.end { "" } else { &self.port }
    }

    #[getter]
    fn end(&self) -> bool {
        self.end
    }

    #[getter]
    fn seq(&self) -> u64 {
        self.meta.seq
    }

    #[getter]
    fn pts_us(&self) -> u64 {
        self.meta.pts_us
    }

    #[getter]
    fn rate(&self) -> u32 {
        if self.is_audio { self.meta.format.rate.hz() } else { 0 }
    }

    #[getter]
    fn channels(&self) -> usize {
        if self.is_audio { self.meta.format.channels.get() } else { 0 }
    }

    #[getter]
    fn epoch(&self) -> u32 {
        self.meta.epoch
    }

    /// The same array each time.
    #[getter]
    fn samples<'py>(&self, py: Python<'py>) -> PyResult<Option<Bound<'py, PyAny>>> {
        if self.is_audio { self.payload(py).map(Some) } else { Ok(None) }
    }

    #[getter]
    fn value<'py>(&self, py: Python<'py>) -> PyResult<Option<Bound<'py, PyAny>>> {
        if self.is_audio { Ok(None) } else { self.payload(py).map(Some) }
    }

    fn __repr__(&self) -> String {
        format!(
            "LaneItem(node={:?}, port={:?}, session={:?}, seq={}, pts_us={})",
            self.node(),
            self.port(),
            self.session(),
            self.seq(),
            self.pts_us(),
        )
    }
}

/// A JSON value that a node gave, read when it is made.
#[pyclass(name = "LaneData", module = "remotemedia_runtime", frozen)]
pub(crate) struct PyLaneData(Arc<Value>);

#[pymethods]
impl PyLaneData {
    #[new]
    fn new(value: &Bound<'_, PyAny>) -> PyResult<Self> {
        value::read(value, "the result", Arrays::AsLists)
            .map(|value| Self(Arc::new(value)))
            .map_err(|message| invalid(value.py(), "value", &message))
    }

    #[getter]
    fn value<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        value::write(py, &self.0)
    }
}

/// Any object that a node gave, for other Python nodes.
#[pyclass(name = "LaneOpaque", module = "remotemedia_runtime", frozen)]
pub(crate) struct PyLaneOpaque(Opaque);

#[pymethods]
impl PyLaneOpaque {
    #[new]
    fn new(value: &Bound<'_, PyAny>) -> Self {
        Self(opaque(value))
    }

    #[getter]
    fn value<'py>(&self, py: Python<'py>) -> Bound<'py, PyAny> {
        object(py, &self.0)
    }
}

/// A node's failure on one frame.
#[pyclass(name = "LaneFailure", module = "remotemedia_runtime", frozen)]
pub(crate) struct PyLaneFailure(NodeFailure);

#[pymethods]
impl PyLaneFailure {
    #[new]
    #[pyo3(signature = (message, traceback = None, transient = false))]
    fn new(message: String, traceback: Option<String>, transient: bool) -> Self {
        Self(NodeFailure { message, traceback, transient })
    }

    #[getter]
    fn message(&self) -> &str {
        &self.0.message
    }

    #[getter]
    fn traceback(&self) -> Option<&str> {
        self.0.traceback.as_deref()
    }

    #[getter]
    fn transient(&self) -> bool {
        self.0.transient
    }
}

/// One entry of what is handed back: a token and what became of its frame.
pub(crate) struct Done {
    pub(crate) token: LaneToken,
    pub(crate) result: Result<Vec<NodeResult>, NodeFailure>,
    /// There is more to come.
    pub(crate) more: bool,
}

/// Reads what `complete` and `complete_lane` are given. All of it is read before any is acted on.
pub(crate) fn read_done(done: &Bound<'_, PyAny>) -> PyResult<Vec<Done>> {
    let mut read = Vec::with_capacity(done.len()?);
    for entry in done.try_iter()? {
        let entry = entry?;
        let entry = entry.cast::<PyTuple>()?;
        let [token, result] = [entry.get_item(0)?, entry.get_item(1)?];
        let (token, result) = (token_of(&token)?, result_of(&result)?);
        let more = entry.len() > 2 && entry.get_item(2)?.extract()?;
        if more && result.is_err() {
            return Err(invalid(entry.py(), "done", "nothing can come after a failure"));
        }
        read.push(Done { token, result, more });
    }
    Ok(read)
}

fn result_of(result: &Bound<'_, PyAny>) -> PyResult<Result<Vec<NodeResult>, NodeFailure>> {
    if let Ok(failure) = result.cast::<PyLaneFailure>() {
        return Ok(Err(failure.get().0.clone()));
    }
    let mut values = Vec::new();
    for value in result.try_iter()? {
        values.push(node_result(&value?)?);
    }
    Ok(Ok(values))
}

fn node_result(value: &Bound<'_, PyAny>) -> PyResult<NodeResult> {
    if let Ok(pair) = value.cast::<PyTuple>() {
        let (port, value): (String, Bound<'_, PyAny>) = pair.extract()?;
        return Ok(NodeResult { port: Some(port.into()), value: node_value(&value)? });
    }
    Ok(NodeResult { port: None, value: node_value(value)? })
}

fn node_value(value: &Bound<'_, PyAny>) -> PyResult<NodeValue> {
    if let Ok(data) = value.cast::<PyLaneData>() {
        return Ok(NodeValue::Data(Arc::clone(&data.get().0)));
    }
    if let Some(given) = Given::of(value) {
        // The one copy of a node's audio.
        let (channels, samples) = (given.channels(), given.samples().into());
        return Ok(NodeValue::Audio { channels, samples });
    }
    if let Ok(value) = value.cast::<PyLaneOpaque>() {
        return Ok(NodeValue::Opaque(value.get().0.clone()));
    }
    if let Ok(text) = value.cast::<PyString>() {
        return Ok(NodeValue::Json(text.to_str()?.to_owned()));
    }
    Err(invalid(
        value.py(),
        "done",
        &format!("a value is LaneData, LaneOpaque, JSON text, or audio that {WANTED}"),
    ))
}

/// Bits of a token's number that name the reactor; the rest is its work.
const REACTOR_BITS: u32 = 8;

/// A token as a number of Python's. Those of up to 64 bits are the cheap ones; a place of the
/// executor's table must have been used 16 million times before its tokens are longer.
fn number_of<'py>(py: Python<'py>, token: LaneToken) -> PyResult<Bound<'py, PyInt>> {
    let number = u128::from(token.work) << REACTOR_BITS | u128::from(token.reactor);
    Ok(match u64::try_from(number) {
        Ok(number) => number.into_pyobject(py)?,
        Err(_) => number.into_pyobject(py)?,
    })
}

fn token_of(number: &Bound<'_, PyAny>) -> PyResult<LaneToken> {
    let number = match number.extract::<u64>() {
        Ok(number) => u128::from(number),
        Err(_) => number.extract::<u128>()?,
    };
    let work = u64::try_from(number >> REACTOR_BITS);
    #[expect(clippy::cast_possible_truncation, reason = "the lowest bits are the reactor")]
    work.map(|work| LaneToken { reactor: number as u8, work })
        .map_err(|_| PyOverflowError::new_err("that token was never given out"))
}
