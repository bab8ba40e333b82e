//! The Python module remotemedia_runtime: conversions, errors and the attached side of lanes.
