//! Reactors, sockets, timers and lanes: the only crate with I/O and threads.
