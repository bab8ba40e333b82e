//! Compiled graphs of nodes as a machine without I/O.
