use std::sync::{Arc, Mutex, PoisonError};

use pyo3::prelude::*;
use pyo3::types::{PyDict, PyList, PyString};
use remotemedia_engine::{
    EngineError, NodeMetrics, OfflineRun, RunConfig, RunDone, RunOutput, RunValue,
};

use crate::fault::{fault, invalid, wrong};
use crate::json::loads;
use crate::lane::{Done, PyLaneItem, object, opaque, read_done};
use crate::samples::{Given, WANTED, array};
use crate::value::{self, Arrays};

/// One run of a pipeline without peers.
#[pyclass(name = "Run", module = "remotemedia_runtime", frozen)]
pub(crate) struct PyRun {
    run: Mutex<OfflineRun>,
    name: Arc<str>,
}

impl PyRun {
    /// Runs `call` with the interpreter released.
    fn detached<T: Send>(
        &self,
        py: Python<'_>,
        call: impl FnOnce(&mut OfflineRun) -> Result<T, EngineError> + Send,
    ) -> PyResult<T> {
        py.detach(|| call(&mut self.run.lock().unwrap_or_else(PoisonError::into_inner)))
            .map_err(|error| fault(py, error))
    }
}

#[pymethods]
impl PyRun {
    #[new]
    #[pyo3(signature = (resolved_json, *, metrics = false, frame_ms = 20))]
    fn new(py: Python<'_>, resolved_json: &str, metrics: bool, frame_ms: u32) -> PyResult<Self> {
        let config = RunConfig { metrics, frame_ms, ..RunConfig::default() };
        let run = py
            .detach(|| OfflineRun::new(resolved_json, config))
            .map_err(|error| fault(py, error))?;
        Ok(Self { name: Arc::clone(run.name()), run: Mutex::new(run) })
    }

    #[pyo3(signature = (source, samples, pts_us = None))]
    fn push_audio(
        &self,
        py: Python<'_>,
        source: &str,
        samples: &Bound<'_, PyAny>,
        pts_us: Option<u64>,
    ) -> PyResult<()> {
        let given = Given::of(samples).ok_or_else(|| invalid(py, "samples", WANTED))?;
        let (channels, samples) = (given.channels(), given.samples());
        self.detached(py, |run| {
            // A source that is not there or takes no audio is for the run to refuse.
            match run.audio_format(source) {
                Some(format) if format.channels.get() != channels => Err(wrong(
                    "samples",
                    format!("have {channels} channels; \"{source}\" takes {format}"),
                )),
                _ => run.push_audio(source, samples, pts_us),
            }
        })
    }

    fn push_data(&self, py: Python<'_>, source: &str, value: &Bound<'_, PyAny>) -> PyResult<()> {
        let name = "the value";
        if let Ok(read) = value::read(value, name, Arrays::Refused) {
            return self.detached(py, |run| run.push_data(source, Arc::new(read)));
        }
        let object = opaque(value);
        if self.detached(py, |run| Ok(run.push_opaque(source, &object).is_ok()))? {
            return Ok(());
        }
        let read = value::read(value, name, Arrays::AsLists)
            .map_err(|message| invalid(py, "value", &message))?;
        self.detached(py, |run| run.push_data(source, Arc::new(read)))
    }

    #[pyo3(signature = (source = None))]
    fn end(&self, py: Python<'_>, source: Option<&str>) -> PyResult<()> {
        self.detached(py, |run| run.end(source))
    }

    fn take_work(&self, py: Python<'_>, max_items: usize) -> PyResult<Vec<PyLaneItem>> {
        let work = self.detached(py, |run| Ok(run.take_work(max_items)))?;
        Ok(work.into_iter().map(|work| PyLaneItem::offline(work, &self.name)).collect())
    }

    fn complete(&self, py: Python<'_>, done: &Bound<'_, PyAny>) -> PyResult<()> {
        let done = read_done(done)?
            .into_iter()
            .map(|Done { token, result, more }| RunDone {
                token: token.work,
                result,
                more,
                elapsed_ns: None,
            })
            .collect();
        self.detached(py, |run| run.complete(done))
    }

    fn poll<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyList>> {
        let outputs = self.detached(py, |run| Ok(run.poll()))?;
        let list = PyList::empty(py);
        for output in outputs {
            list.append(PyRunOutput::new(py, output)?)?;
        }
        Ok(list)
    }

    fn retry_in_us(&self, py: Python<'_>) -> PyResult<Option<u64>> {
        self.detached(py, |run| Ok(run.retry_in_us()))
    }

    fn pending(&self, py: Python<'_>) -> PyResult<usize> {
        self.detached(py, |run| Ok(run.pending()))
    }

    fn interrupt(&self, py: Python<'_>) -> PyResult<()> {
        self.detached(py, |run| {
            run.interrupt();
            Ok(())
        })
    }

    fn metrics<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyDict>> {
        let all = PyDict::new(py);
        for node in self.detached(py, |run| Ok(run.metrics()))? {
            all.set_item(&*node.node, metrics_of(py, &node)?)?;
        }
        Ok(all)
    }
}

fn metrics_of<'py>(py: Python<'py>, node: &NodeMetrics) -> PyResult<Bound<'py, PyDict>> {
    let micros = |nanos: u64| nanos as f64 / 1_000.0;
    let one = PyDict::new(py);
    one.set_item("node_id", &*node.node)?;
    one.set_item("execution_time_us", micros(node.execution_time_ns))?;
    one.set_item("success_count", node.success_count)?;
    one.set_item("error_count", node.error_count)?;
    one.set_item("p50_us", micros(node.p50_ns))?;
    one.set_item("p95_us", micros(node.p95_ns))?;
    one.set_item("p99_us", micros(node.p99_ns))?;
    one.set_item("runtime", if node.python { "python" } else { "native" })?;
    one.set_item("fallbacks", 0)?;
    Ok(one)
}

/// Something that a run put out.
#[pyclass(name = "RunOutput", module = "remotemedia_runtime", frozen, get_all)]
pub(crate) struct PyRunOutput {
    node: Py<PyString>,
    port: Py<PyString>,
    pts_us: u64,
    kind: &'static str,
    message: Option<Py<PyAny>>,
    samples: Option<Py<PyAny>>,
    rate: Option<u32>,
    value: Option<Py<PyAny>>,
}

impl PyRunOutput {
    fn new(py: Python<'_>, output: RunOutput) -> PyResult<Self> {
        let mut made = Self {
            // Ids come again and again: Python keeps one string of each.
            node: PyString::intern(py, &output.node).unbind(),
            port: PyString::intern(py, &output.port).unbind(),
            pts_us: output.pts_us,
            kind: "",
            message: None,
            samples: None,
            rate: None,
            value: None,
        };
        match output.value {
            RunValue::Event(text) => {
                made.kind = "event";
                made.message = Some(loads(py, &text)?.unbind());
            }
            RunValue::Audio { format, samples } => {
                made.kind = "audio";
                made.samples = Some(array(py, samples, format.channels.get())?.unbind());
                made.rate = Some(format.rate.hz());
            }
            RunValue::Value(value) => {
                made.kind = "value";
                made.value = Some(object(py, &value).unbind());
            }
        }
        Ok(made)
    }
}

#[pymethods]
impl PyRunOutput {
    fn __repr__(&self, py: Python<'_>) -> String {
        format!(
            "RunOutput(node={:?}, port={:?}, pts_us={}, kind={:?})",
            self.node.bind(py).to_string(),
            self.port.bind(py).to_string(),
            self.pts_us,
            self.kind,
        )
    }
}
