//! Voice activity detection: probabilities per window, and from them the start and end of speech.

pub mod energy;
pub mod segment;
pub mod silero;
