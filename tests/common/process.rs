//! What the system says of a process. Linux only.

use std::{fs, io};

/// Bytes of memory that the process has resident (`VmRSS`).
pub(crate) fn resident(pid: u32) -> io::Result<u64> {
    let status = fs::read_to_string(format!("/proc/{pid}/status"))?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let kib = line.and_then(|line| line.trim().strip_suffix(" kB")?.parse::<u64>().ok());
    kib.map(|kib| kib * 1024).ok_or_else(|| io::Error::other("no VmRSS"))
}

/// The open file descriptors of the process.
pub(crate) fn descriptors(pid: u32) -> io::Result<usize> {
    let entries = fs::read_dir(format!("/proc/{pid}/fd"))?.count();
    // One of ours is the one that the directory is read with.
    Ok(if pid == std::process::id() { entries - 1 } else { entries })
}
