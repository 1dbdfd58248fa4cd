//! What we make of a peer's bytes, beside what tungstenite and tokio-websockets make of them; and
//! what they make of ours.
//!
//! Where verdicts differ, the RFC decides: [`judge`] reads the bytes as it has them, and its
//! table of departures has every difference that there may be, with the section and who is right.
//! A difference that isn't in the table fails.
//!
//! `DIFFERENTIAL=100 cargo test --test differential` runs a hundred times as many cases;
//! `DIFFERENTIAL_SEED=7` runs the cases of one seed, as a failure prints it.

#[path = "../common/mod.rs"]
mod common;
mod judge;
mod mutation;
mod readers;
mod traffic;

use common::{
    ROLES, bytes,
    frames::{self, BINARY, CLOSE, CONTINUATION, TEXT},
};
use fastwebsockets_stream::{PayloadType, fastwebsockets::Role};
use judge::{DEPARTURES, Departure, End, Fault, Implementation, Judge, LIMIT, Outcome};
use rand::{Rng, SeedableRng, rngs::StdRng, seq::SliceRandom};
use std::{io::IoSlice, ops::Range, task::Poll};
use tokio::io::AsyncWrite;
use tokio_test::task;

const IMPLEMENTATIONS: [Implementation; 3] =
    [Implementation::Ours, Implementation::Tungstenite, Implementation::TokioWebsockets];

const PAYLOAD_TYPES: [PayloadType; 2] = [PayloadType::Binary, PayloadType::Text];

/// Prints the seed of a case that panics, wherever it does.
struct Seed(u64);

impl Drop for Seed {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("DIFFERENTIAL_SEED={}", self.0);
        }
    }
}

fn number(variable: &str) -> Option<u64> {
    std::env::var(variable).ok().map(|value| value.parse().expect("a number"))
}

fn seeds(quick: u64) -> Range<u64> {
    match number("DIFFERENTIAL_SEED") {
        Some(seed) => seed..seed + 1,
        None => 0..quick * number("DIFFERENTIAL").unwrap_or(1),
    }
}

fn name(role: Role) -> &'static str {
    match role {
        Role::Server => "server",
        Role::Client => "client",
    }
}

/// Runs a case for each seed, role and payload type.
fn for_each_case(quick: u64, case: impl Fn(&mut StdRng, Role, PayloadType)) {
    for seed in seeds(quick) {
        let _printed = Seed(seed);
        for role in ROLES {
            for payload_type in PAYLOAD_TYPES {
                case(&mut StdRng::seed_from_u64(seed), role, payload_type);
            }
        }
    }
}

/// What all implementations make of the bytes is what the RFC says, but for their departures.
fn check_all(rng: &mut StdRng, role: Role, payload_type: PayloadType, sent: &[u8]) {
    for implementation in IMPLEMENTATIONS {
        let packets = traffic::packets(rng, sent);
        let outcome = readers::read(implementation, role, payload_type, &packets);
        let verdict = Judge::new(implementation, role, payload_type, sent).verdict();
        compare(implementation, role, payload_type, &outcome, &verdict);
    }
}

fn compare(
    implementation: Implementation,
    role: Role,
    payload_type: PayloadType,
    outcome: &Outcome,
    verdict: &Outcome,
) {
    let who = format_args!("{implementation:?}, {}, {payload_type:?}", name(role));
    assert_eq!(outcome.end, verdict.end, "{who}");
    assert_eq!(outcome.close, verdict.close, "{who}");
    assert_eq!(outcome.pongs, verdict.pongs, "{who}");
    // The start of a code point is given out as it comes, or not at all if the byte that makes it
    // wrong comes in the same packet.
    let mut least = verdict.payload.len();
    if implementation == Implementation::Ours
        && payload_type == PayloadType::Text
        && verdict.end == End::Failed(Fault::Utf8)
    {
        let valid = std::str::from_utf8(&verdict.payload).map_err(|error| error.valid_up_to());
        least = valid.map_or_else(|valid| valid, str::len);
    }
    assert!(outcome.payload.len() >= least, "{who}: {} of {least}", outcome.payload.len());
    assert!(verdict.payload.starts_with(&outcome.payload), "{who}: other bytes");
}

#[test]
fn valid_traffic_is_the_same_to_all() {
    for_each_case(80, |rng, role, payload_type| {
        let sent = traffic::valid(rng, role, payload_type, 12, 200_000).concat();
        let verdict = Judge::new(Implementation::Ours, role, payload_type, &sent).verdict();
        assert!(!matches!(verdict.end, End::Failed(_)), "{:?}", verdict.end);
        check_all(rng, role, payload_type, &sent);
    });
}

#[test]
fn damaged_traffic_gets_the_verdict_of_the_rfc() {
    for_each_case(1_000, |rng, role, payload_type| {
        let frames = traffic::valid(rng, role, payload_type, 4, 70_000);
        let sent = mutation::mutate(rng, frames);
        check_all(rng, role, payload_type, &sent);
    });
}

#[test]
fn any_bytes_get_the_verdict_of_the_rfc() {
    for_each_case(500, |rng, role, payload_type| {
        let mut sent: Vec<u8> = (0..rng.gen_range(0..200)).map(|_| rng.r#gen()).collect();
        // Half of them at least begin like a frame.
        if let ([first, second, ..], true) = (&mut sent[..], rng.r#gen()) {
            *first = *[0x01, 0x02, 0x81, 0x82, 0x88, 0x89, 0x8a].choose(rng).unwrap();
            *second &= 0x7f;
            *second |= if role == Role::Server { 0x80 } else { 0 };
        }
        check_all(rng, role, payload_type, &sent);
    });
}

#[test]
fn every_close_code_gets_the_verdict_of_the_rfc() {
    let mut rng = StdRng::seed_from_u64(0);
    for role in ROLES {
        for code in (0..=5_100).chain([9_999, 32_768, u16::MAX]) {
            let sent = frames::close_to(role, code, "");
            check_all(&mut rng, role, PayloadType::Binary, &sent);
        }
    }
}

#[test]
fn every_first_byte_with_every_kind_of_length_gets_the_verdict_of_the_rfc() {
    let mut rng = StdRng::seed_from_u64(0);
    for role in ROLES {
        for payload_type in PAYLOAD_TYPES {
            for before in [Vec::new(), frames::fragment_to(role, opcode_of(payload_type), b"x")] {
                for first in 0..=u8::MAX {
                    for length in [0, 1, 2, 125, 126, 127] {
                        let mask = *[0, 0x80].choose(&mut rng).unwrap();
                        let right = if role == Role::Server { 0x80 } else { 0 };
                        let second = length | if rng.gen_bool(0.8) { right } else { mask };
                        // Long enough for the longest head and a short frame.
                        let mut sent = [&before[..], &[first, second], &[0; 8]].concat();
                        sent.extend((0..rng.gen_range(0..150)).map(|_| rng.gen_range(0..=0x7f)));
                        check_all(&mut rng, role, payload_type, &sent);
                    }
                }
            }
        }
    }
}

fn opcode_of(payload_type: PayloadType) -> u8 {
    match payload_type {
        PayloadType::Binary => BINARY,
        PayloadType::Text => TEXT,
    }
}

/// A row of the table, the bytes that show it, and what comes of them with it and without.
type Example = ((Implementation, Departure), PayloadType, Vec<u8>, End, End);

fn examples(role: Role) -> Vec<Example> {
    use Departure::*;
    use End::{Closed, Failed, Truncated};
    use Implementation::*;
    use PayloadType::{Binary, Text};
    let close = |code, reason| frames::to(role, CLOSE, &frames::close_payload(code, reason));
    let long = {
        let mut bytes = frames::to(role, BINARY, b"12");
        bytes.splice(1..2, [bytes[1] & 0x80 | 126, 0, 2]);
        [bytes, close(1000, "")].concat()
    };
    let unfinished = frames::fragment_to(role, TEXT, b"\xe2\x82");
    let end = frames::to(role, CONTINUATION, b"");
    let unfinished = [unfinished, end, close(1000, "")].concat();
    let bad_close = [&1005u16.to_be_bytes()[..], b"\xff"].concat();
    let huge = frames::head_to(role, BINARY, LIMIT as u64 + 1);
    let continuation = frames::head_to(role, CONTINUATION, 300);
    let (protocol, utf8) = (Failed(Fault::Protocol), Failed(Fault::Utf8));
    let (normal, too_long) = (Closed(Some(1000)), Failed(Fault::TooLong));
    let text = [frames::to(role, TEXT, b"text"), close(1000, "")].concat();
    let cut_text = frames::to(role, TEXT, b"\xff and more");
    let cut_text = cut_text[..cut_text.len() - 1].to_vec();
    vec![
        ((Ours, OneType), Binary, text, Failed(Fault::Type), normal),
        ((Tungstenite, WaitsForFrame), Text, cut_text, Truncated, utf8),
        ((Tungstenite, LimitsFrames), Binary, huge.clone(), too_long, Truncated),
        ((Tungstenite, TakesLongLengths), Binary, long, normal, protocol),
        ((Tungstenite, TakesBadCloseCodes), Binary, close(1005, ""), Closed(Some(1002)), protocol),
        (
            (Tungstenite, RefusesCode1014),
            Binary,
            close(1014, ""),
            Closed(Some(1002)),
            Closed(Some(1014)),
        ),
        (
            (Tungstenite, ReasonBeforeCode),
            Binary,
            frames::to(role, CLOSE, &bad_close),
            utf8,
            Closed(Some(1002)),
        ),
        ((TokioWebsockets, WaitsForTwoBytes), Binary, vec![0xff], Truncated, protocol),
        (
            (TokioWebsockets, ChecksOrderEarly),
            Binary,
            continuation[..2].to_vec(),
            protocol,
            Truncated,
        ),
        ((TokioWebsockets, LimitsFrames), Binary, huge, too_long, Truncated),
        ((TokioWebsockets, SkipsEmptyEndOfText), Text, unfinished, normal, utf8),
    ]
}

#[test]
fn each_departure_is_there_and_changes_the_verdict() {
    for role in ROLES {
        let mut shown = Vec::new();
        for ((who, departure), payload_type, sent, with, without) in examples(role) {
            let outcome = readers::read(who, role, payload_type, &[&sent]);
            assert_eq!(outcome.end, with, "{who:?} {departure:?} {}", name(role));
            let verdict = Judge::new(who, role, payload_type, &sent).verdict();
            compare(who, role, payload_type, &outcome, &verdict);
            let mut judge = Judge::new(who, role, payload_type, &sent);
            judge.departures.retain(|other| *other != departure);
            assert_eq!(judge.verdict().end, without, "{who:?} {departure:?} {}", name(role));
            shown.push((who, departure));
        }
        // The two that don't change how it ends, but what is given out and sent.
        let part = frames::to(role, BINARY, b"12345");
        let outcome = readers::read(
            Implementation::Ours,
            role,
            PayloadType::Binary,
            &[&part[..part.len() - 1]],
        );
        assert_eq!((outcome.payload, outcome.end), (b"1234".to_vec(), End::Truncated));
        shown.push((Implementation::Ours, Departure::StreamsPayload));
        let bad = frames::to(role, 3, b"");
        let outcome =
            readers::read(Implementation::Tungstenite, role, PayloadType::Binary, &[&bad]);
        assert_eq!((outcome.close, outcome.end), (None, End::Failed(Fault::Protocol)));
        shown.push((Implementation::Tungstenite, Departure::SilentAboutErrors));
        for row in DEPARTURES {
            assert!(shown.contains(&row), "no example of {row:?}");
        }
    }
}

/// What our stream sends for random writes while pings come, and the payload that it took.
fn written(rng: &mut StdRng, role: Role, payload_type: PayloadType) -> (Vec<u8>, Vec<u8>, usize) {
    let (stream, peer) = common::stream(role, payload_type);
    let mut stream = task::spawn(stream);
    let content: Vec<u8> = (0..rng.gen_range(1..8))
        .flat_map(|_| traffic::content(rng, payload_type, 200_000))
        .collect();
    if rng.gen_bool(0.3) {
        peer.not_vectored();
    }
    if rng.gen_bool(0.5) {
        peer.write_at_most(rng.gen_range(1_000..100_000));
    }
    let (mut sent, mut rest, mut pings) = (Vec::new(), &content[..], 0);
    while !rest.is_empty() {
        if rng.gen_bool(0.3) {
            peer.take_only(rng.gen_range(0..5_000));
        }
        if rng.gen_bool(0.1) {
            peer.send(&frames::to(role, frames::PING, &bytes(pings)));
            pings += 1;
            let read = stream.enter(|cx, stream| {
                tokio::io::AsyncRead::poll_read(
                    stream,
                    cx,
                    &mut tokio::io::ReadBuf::new(&mut [0; 9]),
                )
            });
            assert!(read.is_pending());
        }
        let offered = &rest[..traffic::size(rng, 200_000).min(rest.len())];
        let slices: Vec<_> = traffic::pieces(rng, offered).into_iter().map(IoSlice::new).collect();
        let polled = stream.enter(|cx, stream| stream.poll_write_vectored(cx, &slices));
        match polled {
            Poll::Ready(taken) => rest = &rest[taken.unwrap()..],
            Poll::Pending => {
                peer.take_all();
                sent.extend(peer.received());
            }
        }
        if rng.gen_bool(0.1) {
            peer.take_all();
            let flushed = stream.enter(|cx, stream| stream.poll_flush(cx));
            assert!(flushed.is_ready());
        }
        sent.extend(peer.received());
    }
    peer.take_all();
    assert!(stream.enter(|cx, stream| stream.poll_shutdown(cx)).is_ready());
    sent.extend(peer.received());
    (content, sent, pings)
}

#[test]
fn what_we_write_is_the_same_to_all() {
    for_each_case(120, |rng, role, payload_type| {
        let (content, sent, pings) = written(rng, role, payload_type);
        assert!(readers::are_masked(role, &sent));
        let reader = match role {
            Role::Server => Role::Client,
            Role::Client => Role::Server,
        };
        for implementation in IMPLEMENTATIONS {
            let packets = traffic::packets(rng, &sent);
            let outcome = readers::read(implementation, reader, payload_type, &packets);
            assert!(
                outcome.payload == content,
                "{implementation:?} {} {payload_type:?}",
                name(role)
            );
            assert_eq!(outcome.end, End::Closed(Some(1000)));
            assert_eq!(outcome.close, Some(Some(1000)));
            assert!(outcome.pongs.is_empty());
        }
        // The pongs among our frames: each answers a ping, in order, the last one included.
        let pongs: Vec<_> = frames::parse(&sent)
            .into_iter()
            .filter(|frame| frame.opcode == frames::PONG)
            .map(|frame| frame.payload.len())
            .collect();
        assert!(
            pongs.is_sorted_by(|a, b| a < b) && pongs.last() == pings.checked_sub(1).as_ref(),
            "{pongs:?}"
        );
    });
}
