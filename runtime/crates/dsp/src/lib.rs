//! Resamplers, voice activity detection and level metering on plain slices.
