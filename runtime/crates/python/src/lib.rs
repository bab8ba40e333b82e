//! The Python module `remotemedia_runtime`: conversions, errors and the attached side of lanes.
//!
//! Control crosses the border as JSON text, audio as NumPy arrays that share the runtime's memory,
//! values as Python's own. Every call that can wait releases the interpreter. `remotemedia_runtime.pyi` is the interface that users read.
#![deny(unsafe_code)]

mod engine;
mod fault;
mod json;
mod lane;
mod run;
mod samples;
mod value;

use numpy::PyReadonlyArray1;
use pyo3::prelude::*;
use remotemedia_core::{ErrorCode, ResolvedManifest};

use crate::fault::{fault, invalid};

#[pyfunction]
fn check_manifest(py: Python<'_>, resolved_json: &str) -> PyResult<()> {
    py.detach(|| remotemedia_engine::check_manifest(resolved_json))
        .map_err(|error| fault(py, error))
}

#[pyfunction]
#[pyo3(signature = (resolved_json, samples, frame_ms = 20))]
fn run_offline(
    py: Python<'_>,
    resolved_json: &str,
    samples: PyReadonlyArray1<'_, f32>,
    frame_ms: u32,
) -> PyResult<Vec<String>> {
    let samples = samples
        .as_slice()
        .map_err(|_| invalid(py, "samples", "must be a contiguous float32 array"))?;
    py.detach(|| {
        let manifest = ResolvedManifest::from_json(resolved_json)?;
        remotemedia_engine::run_offline(&manifest, samples, frame_ms)
    })
    .map_err(|error| fault(py, error))
}

#[pymodule]
fn remotemedia_runtime(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add("__version__", env!("CARGO_PKG_VERSION"))?;
    module.add("RuntimeFault", module.py().get_type::<fault::RuntimeFault>())?;
    module
        .add("ERROR_CODES", ErrorCode::ALL.iter().map(|code| code.as_str()).collect::<Vec<_>>())?;
    module.add_class::<engine::PyEngine>()?;
    module.add_class::<lane::PyLaneItem>()?;
    module.add_class::<lane::PyLaneData>()?;
    module.add_class::<lane::PyLaneOpaque>()?;
    module.add_class::<lane::PyLaneFailure>()?;
    module.add_class::<run::PyRun>()?;
    module.add_class::<run::PyRunOutput>()?;
    module.add_function(wrap_pyfunction!(check_manifest, module)?)?;
    module.add_function(wrap_pyfunction!(run_offline, module)?)?;
    Ok(())
}
