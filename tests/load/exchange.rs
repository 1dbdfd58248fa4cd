//! Messages that can't be mistaken for each other, and their echoes.

use crate::{BoxError, http::Stream};
use std::{
    io,
    sync::LazyLock,
    time::{Duration, Instant},
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    time::timeout,
};

/// Bytes of a message.
const SHORTEST: usize = 32;
const LONGEST: usize = 1024;

/// An echo that takes longer is an error.
const IN_TIME: Duration = Duration::from_secs(30);

/// What messages are cut from.
static RANDOM_BYTES: LazyLock<Vec<u8>> = LazyLock::new(|| {
    let mut random = Random::new(1);
    (0..64 * 1024).map(|_| random.next().to_be_bytes()[0]).collect()
});

/// Makes them now, so that they are in no count of memory.
pub(crate) fn prepare() {
    LazyLock::force(&RANDOM_BYTES);
}

/// The same numbers in every run (SplitMix64).
pub(crate) struct Random(u64);

impl Random {
    pub(crate) fn new(seed: u64) -> Self {
        Self(seed)
    }

    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    pub(crate) fn below(&mut self, limit: usize) -> usize {
        (self.next() % limit as u64) as usize
    }
}

/// The messages of one task: each has the task's number and its own in front.
pub(crate) struct Messages {
    task: u64,
    sequence: u64,
    pub(crate) random: Random,
    sent: Vec<u8>,
    received: Vec<u8>,
}

impl Messages {
    pub(crate) fn new(task: usize) -> Self {
        let task = task as u64;
        Self {
            task,
            sequence: 0,
            random: Random::new(task),
            sent: Vec::with_capacity(LONGEST),
            received: vec![0; LONGEST],
        }
    }

    /// Sends the next message and compares its echo. Returns its bytes and the time it took.
    pub(crate) async fn exchange(
        &mut self,
        stream: &mut Stream,
    ) -> Result<(usize, Duration), BoxError> {
        let len = SHORTEST + self.random.below(LONGEST - SHORTEST + 1);
        let from = self.random.below(RANDOM_BYTES.len() - LONGEST);
        self.sequence += 1;
        self.sent.clear();
        self.sent.extend(self.task.to_be_bytes());
        self.sent.extend(self.sequence.to_be_bytes());
        self.sent.extend(&RANDOM_BYTES[from..from + len - self.sent.len()]);
        let received = &mut self.received[..len];
        let start = Instant::now();
        timeout(IN_TIME, async {
            stream.write_all(&self.sent).await?;
            stream.flush().await?;
            stream.read_exact(received).await
        })
        .await
        .map_err(|_| "no echo in time")??;
        let took = start.elapsed();
        if received == self.sent { Ok((len, took)) } else { Err("a wrong echo".into()) }
    }
}

/// Sends much at once and compares its echo, which comes meanwhile.
pub(crate) async fn transfer(stream: &mut Stream, bytes: usize) -> Result<(), BoxError> {
    let (mut reads, mut writes) = tokio::io::split(stream);
    let send = async {
        let mut left = bytes;
        while left > 0 {
            let piece = left.min(RANDOM_BYTES.len());
            writes.write_all(&RANDOM_BYTES[..piece]).await?;
            left -= piece;
        }
        writes.flush().await
    };
    let receive = async {
        let (mut left, mut received) = (bytes, vec![0; RANDOM_BYTES.len()]);
        while left > 0 {
            let piece = left.min(received.len());
            reads.read_exact(&mut received[..piece]).await?;
            if received[..piece] != RANDOM_BYTES[..piece] {
                return Err(io::Error::other("a wrong echo"));
            }
            left -= piece;
        }
        Ok(())
    };
    timeout(IN_TIME, async { tokio::try_join!(send, receive) })
        .await
        .map_err(|_| "a transfer took too long")??;
    Ok(())
}

/// The whole closing handshake.
pub(crate) async fn close(mut stream: Stream) -> Result<(), BoxError> {
    timeout(IN_TIME, stream.close(1000, "")).await.map_err(|_| "no Close in time")??;
    Ok(())
}
