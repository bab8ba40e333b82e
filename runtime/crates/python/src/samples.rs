//! The one module that talks to NumPy's C interface: samples become arrays without a copy.
#![allow(unsafe_code, reason = "an array over memory of ours cannot be made without")]

use std::ffi::c_int;
use std::ptr;
use std::sync::Arc;

use numpy::npyffi::{NPY_ARRAY_WRITEABLE, NpyTypes, PY_ARRAY_API, get_type_object, npy_intp};
use numpy::{
    PyArrayDescrMethods, PyArrayDyn, PyArrayMethods, PyReadonlyArrayDyn, PyUntypedArrayMethods,
    dtype,
};
use pyo3::ffi;
use pyo3::prelude::*;

/// Keeps samples alive for the arrays that look at them.
#[pyclass(name = "Samples", module = "remotemedia_runtime", frozen)]
struct Owner {
    _samples: Arc<[f32]>,
}

/// An array of `samples`, which it keeps alive: `(n,)` for one channel, else `(channels, n)`. Python
/// may write to it, so what others hold too is copied; what is the caller's alone is not.
pub(crate) fn array<'py>(
    py: Python<'py>,
    mut samples: Arc<[f32]>,
    channels: usize,
) -> PyResult<Bound<'py, PyAny>> {
    if Arc::get_mut(&mut samples).is_none() {
        samples = samples[..].into();
    }
    let data = Arc::get_mut(&mut samples).expect("it is nobody else's").as_mut_ptr();
    let length = |count: usize| npy_intp::try_from(count).expect("slices are shorter");
    let (dimensions, mut shape): (c_int, [npy_intp; 2]) = if channels == 1 {
        (1, [length(samples.len()), 0])
    } else {
        (2, [length(channels), length(samples.len() / channels)])
    };
    let owner = Bound::new(py, Owner { _samples: samples })?;
    // SAFETY: `py` shows that this thread is attached. The data pointer is valid for reads and
    // writes of at least the product of `shape` in floats for as long as `owner` lives; the array
    // holds `owner` as its base object, which NumPy drops after its last use of the data. `owner`
    // has the only reference to the samples and never looks at them, so that nothing but NumPy
    // does. Both calls take the reference (to the descriptor, to `owner`) that they are given, even
    // where they fail.
    unsafe {
        let array = PY_ARRAY_API.PyArray_NewFromDescr(
            py,
            get_type_object(py, NpyTypes::PyArray_Type),
            dtype::<f32>(py).into_dtype_ptr(),
            dimensions,
            shape.as_mut_ptr(),
            ptr::null_mut(),
            data.cast(),
            NPY_ARRAY_WRITEABLE,
            ptr::null_mut(),
        );
        let array = Bound::from_owned_ptr_or_err(py, array)?;
        if PY_ARRAY_API.PyArray_SetBaseObject(py, array.as_ptr().cast(), owner.into_ptr()) != 0 {
            return Err(PyErr::fetch(py));
        }
        Ok(array)
    }
}

/// Whether a value is one of NumPy's scalars, such as `numpy.float32(1)`. Asks its type alone, so
/// it runs no code of Python's.
pub(crate) fn is_scalar(value: &Bound<'_, PyAny>) -> bool {
    // SAFETY: both pointers are valid and this thread is attached.
    unsafe {
        let generic = get_type_object(value.py(), NpyTypes::PyGenericArrType_Type);
        ffi::PyObject_TypeCheck(value.as_ptr(), generic) != 0
    }
}

/// Samples of a caller, borrowed: any number of channels, read where they are.
pub(crate) struct Given<'py> {
    array: PyReadonlyArrayDyn<'py, f32>,
}

/// What is wrong with an array that should have been samples.
pub(crate) const WANTED: &str = "must be a contiguous float32 array of shape (n,) or (channels, n)";

impl<'py> Given<'py> {
    /// Borrows an array; `None` when it is none of contiguous float32.
    pub(crate) fn of(value: &Bound<'py, PyAny>) -> Option<Self> {
        let array = value.cast::<PyArrayDyn<f32>>().ok()?.try_readonly().ok()?;
        let fits = array.is_c_contiguous() && matches!(array.ndim(), 1 | 2);
        fits.then_some(Self { array })
    }

    /// How many channels there are.
    pub(crate) fn channels(&self) -> usize {
        if self.array.ndim() == 1 { 1 } else { self.array.shape()[0] }
    }

    /// The samples, channel after channel.
    pub(crate) fn samples(&self) -> &[f32] {
        self.array.as_slice().expect("it was checked to be contiguous")
    }
}
