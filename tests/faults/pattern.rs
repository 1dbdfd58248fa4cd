//! Content whose every byte tells its place: nothing can be lost, repeated or swapped unnoticed.

use std::{io, time::Duration};
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt},
    time::timeout,
};

/// How long anything may take to be noticed.
pub(crate) const BOUND: Duration = Duration::from_secs(15);

fn byte(place: u64) -> u8 {
    (place as u32).wrapping_mul(2_654_435_761).to_be_bytes()[0]
}

/// `len` bytes from this place on.
pub(crate) fn pattern(place: u64, len: usize) -> Vec<u8> {
    (place..place + len as u64).map(byte).collect()
}

/// Writes without end; returns the error, and how many bytes were accepted before it.
pub(crate) async fn write_on(stream: &mut (impl AsyncWrite + Unpin)) -> (io::Error, u64) {
    let mut place = 0;
    loop {
        match stream.write(&pattern(place, 10_000)).await {
            Ok(written) => place += written as u64,
            Err(error) => return (error, place),
        }
    }
}

/// Reads `len` bytes more, and checks them.
pub(crate) async fn read_some(stream: &mut (impl AsyncRead + Unpin), place: u64, len: usize) {
    let mut received = vec![0; len];
    timeout(BOUND, stream.read_exact(&mut received)).await.expect("in time").unwrap();
    assert!(received == pattern(place, len), "other bytes from {place} on");
}

/// Reads from this place to the end, checks each byte, and returns how many there were in all.
pub(crate) async fn read_on(
    stream: &mut (impl AsyncRead + Unpin),
    mut place: u64,
) -> (io::Result<()>, u64) {
    let mut buffer = vec![0; 50_000];
    loop {
        match timeout(BOUND, stream.read(&mut buffer)).await.expect("in time") {
            Ok(0) => return (Ok(()), place),
            Ok(n) => {
                assert!(buffer[..n] == pattern(place, n), "other bytes from {place} on");
                place += n as u64;
            }
            Err(error) => return (Err(error), place),
        }
    }
}
