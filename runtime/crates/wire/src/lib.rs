//! Result, control and mesh messages: bytes to types and back.
