//! Small damage to valid traffic.

use rand::{Rng, rngs::StdRng, seq::SliceRandom};

/// How far into a frame its head reaches, about: damage there is the most telling.
const HEAD: usize = 14;

/// Damages the frames in one to three places.
pub(crate) fn mutate(rng: &mut StdRng, mut frames: Vec<Vec<u8>>) -> Vec<u8> {
    for _ in 0..rng.gen_range(1..=3) {
        if frames.is_empty() {
            break;
        }
        let i = rng.gen_range(0..frames.len());
        match rng.gen_range(0..10) {
            0 => {
                let other = rng.gen_range(0..frames.len());
                frames.swap(i, other);
            }
            1 => {
                let frame = frames[i].clone();
                frames.insert(i, frame);
            }
            2 => {
                frames.remove(i);
            }
            _ => damage(rng, &mut frames[i]),
        }
    }
    let mut bytes = frames.concat();
    if rng.gen_bool(0.1) {
        bytes.truncate(rng.gen_range(0..=bytes.len()));
    }
    bytes
}

/// Damages bytes of one frame.
fn damage(rng: &mut StdRng, frame: &mut Vec<u8>) {
    if frame.is_empty() {
        return;
    }
    let near = if rng.gen_bool(0.7) { frame.len().min(HEAD) } else { frame.len() };
    let at = rng.gen_range(0..near);
    match rng.gen_range(0..8) {
        0..=3 => frame[at] ^= 1 << rng.gen_range(0..8),
        4 => frame[at] = *[0x00, 0x01, 0x7d, 0x7e, 0x7f, 0x80, 0xfe, 0xff].choose(rng).unwrap(),
        5 => frame.insert(at, rng.r#gen()),
        6 => {
            frame.remove(at);
        }
        _ => {
            let end = frame.len().min(at + rng.gen_range(1..=8));
            let repeated = frame[at..end].to_vec();
            frame.splice(at..at, repeated);
        }
    }
}
