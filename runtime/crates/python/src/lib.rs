//! The Python module `remotemedia_runtime`: conversions, errors and the attached side of lanes.
//!
//! Control crosses the border as JSON text, audio as NumPy arrays. Every call that can wait
//! releases the interpreter. `remotemedia_runtime.pyi` is the interface that users read.
#![forbid(unsafe_code)]

mod engine;
mod fault;
mod lane;

use numpy::PyReadonlyArray1;
use pyo3::prelude::*;
use remotemedia_core::{ErrorCode, ResolvedManifest};

use crate::fault::{fault, invalid};

/// The shortest and longest frame that offline runs push, in milliseconds.
const FRAME_MS: std::ops::RangeInclusive<u32> = 1..=1_000;

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
    if !FRAME_MS.contains(&frame_ms) {
        return Err(invalid(py, "frame_ms", "must be 1 to 1000"));
    }
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
    module.add_class::<lane::PyLaneFailure>()?;
    module.add_function(wrap_pyfunction!(check_manifest, module)?)?;
    module.add_function(wrap_pyfunction!(run_offline, module)?)?;
    Ok(())
}
