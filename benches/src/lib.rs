//! Measures `fastwebsockets-stream`, side by side in one run, against the transport itself and
//! against what its users would pick instead.

pub mod cases;
pub mod contestants;
pub mod memory;
pub mod payload;
pub mod report;
pub mod rounds;
pub mod targets;
pub mod wire;
