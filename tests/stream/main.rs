//! The stream itself: what it does for who reads, writes and closes it, over every transport.

#[path = "../common/mod.rs"]
mod common;
#[path = "../over/mod.rs"]
mod over;

mod cancellation;
mod closing;
mod control;
mod duplex;
mod handing_over;
mod keep_alive;
mod losses;
mod only_writing;
mod reading;
mod stats;
mod text;
mod writing;
