//! Peers, media, executor and results of many sessions as one machine without I/O.
