//! Where this crate must be.

use crate::{contestants::Kind, rounds::Outcomes};
use std::fmt;

/// What a median must be, at most.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Target {
    /// Time to the bare transport's.
    ToBare(f64),
    /// Time to that of the best byte stream of the others.
    ToBestPeer(f64),
    /// Text to binary of the same size, both as ratios to the bare transport.
    ToBinary(f64),
}

/// How this crate stands to a target.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Verdict {
    pub target: Target,
    pub measured: f64,
}

impl Verdict {
    pub fn is_met(&self) -> bool {
        self.measured <= self.target.limit()
    }
}

impl Target {
    pub fn limit(self) -> f64 {
        let (Target::ToBare(limit) | Target::ToBestPeer(limit) | Target::ToBinary(limit)) = self;
        limit
    }

    /// What the ratio is to.
    pub fn reference(self) -> &'static str {
        match self {
            Target::ToBare(_) => "bare",
            Target::ToBestPeer(_) => "best peer",
            Target::ToBinary(_) => "binary",
        }
    }
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:.2} of {}", self.limit(), self.reference())
    }
}

/// A throughput of 0.95, as time.
const THROUGHPUT_95: f64 = 1.0 / 0.95;

/// The parts of a case's name before its direction, and the limits of the ratio to the bare
/// transport: not masked, masked.
const BY_MASK: [(&str, f64, f64); 19] = [
    ("memory/read/64/into/64K", 7.5, 8.0),
    ("memory/read/1K/into/64K", 1.6, 2.1),
    ("memory/read/16K/into/64K", 1.2, 1.8),
    ("memory/read/64K/into/64K", 1.2, 2.1),
    ("memory/read/1M/into/64K", 1.2, 2.1),
    ("memory/read/64K/into/64K/pieces/1448", 1.45, 2.1),
    ("memory/write/64", 3.0, 3.6),
    ("memory/write/1K", 2.1, 2.6),
    ("memory/write/16K", 1.15, 1.85),
    ("memory/write/64K", 1.15, 2.3),
    ("memory/write/1M", 1.15, 2.3),
    ("memory/vectored/16+16K", 1.15, 2.0),
    ("tcp/flow/16K", 1.15, 1.4),
    ("tcp/flow/64K", 1.15, 1.4),
    ("tcp/flow/1M", 1.15, 1.4),
    ("tcp/bufwriter/64", 1.3, 1.3),
    ("tcp/bufwriter/1K", 1.3, 1.3),
    ("http2/bufwriter/64", 1.3, 1.3),
    ("http2/bufwriter/1K", 1.3, 1.3),
];

/// The same for HTTP/2 at full speed.
const HTTP2_FLOW: [&str; 3] = ["http2/flow/16K", "http2/flow/64K", "http2/flow/1M"];

/// Cases without a direction.
const OTHERS: [(&str, f64); 9] = [
    ("tcp/ping-pong/64", 1.05),
    ("tcp/ping-pong/64/exact", 1.05),
    ("http2/ping-pong/64", 1.05),
    ("http2/ping-pong/64/exact", 1.05),
    ("http2/ping-pong/100-streams", THROUGHPUT_95),
    ("tcp/framed/request-response", 1.3),
    ("tcp/framed/pipelined", 1.3),
    ("http2/framed/request-response", 1.3),
    ("http2/framed/pipelined", 1.3),
];

/// Cases in which no peer may be ahead, whichever way.
const AHEAD: [&str; 7] = [
    "tcp/flow/16K",
    "tcp/flow/64K",
    "tcp/flow/1M",
    "http2/flow/16K",
    "http2/flow/64K",
    "http2/flow/1M",
    "http2/bufwriter/1K",
];

/// The targets of a case.
pub fn of(case: &str) -> Vec<Target> {
    let mut targets = Vec::new();
    let (rest, masked) = match case.rsplit_once('/') {
        Some((rest, "plain")) => (rest, Some(false)),
        Some((rest, "masked")) => (rest, Some(true)),
        _ => (case, None),
    };
    if let Some(masked) = masked {
        for (name, plain_limit, masked_limit) in BY_MASK {
            if name == rest {
                targets.push(Target::ToBare(if masked { masked_limit } else { plain_limit }));
            }
        }
        if HTTP2_FLOW.contains(&rest) {
            targets.push(Target::ToBare(THROUGHPUT_95));
        }
        if AHEAD.contains(&rest) {
            targets.push(Target::ToBestPeer(1.0));
        }
        if rest.ends_with("/mixed") {
            targets.push(Target::ToBinary(3.0));
        }
    }
    targets
        .extend(OTHERS.iter().filter(|(name, _)| *name == case).map(|(_, l)| Target::ToBare(*l)));
    targets
}

/// The verdicts on a case. For those that compare two cases, both have to be there.
pub fn verdicts(outcomes: &Outcomes, all: &[Outcomes]) -> Vec<Verdict> {
    // A contestant that failed has met nothing.
    let ours = outcomes.ours().map_or(f64::INFINITY, |ours| ours.median);
    let measured = |target| match target {
        Target::ToBare(_) => Some(ours),
        Target::ToBestPeer(_) => {
            // Without peers, there is nothing to compare with.
            outcomes.standings.iter().find(|standing| standing.kind == Kind::Peer)?;
            Some(outcomes.to_best_peer.map_or(f64::INFINITY, |(_, ratio)| ratio.median))
        }
        Target::ToBinary(_) => {
            let binary = outcomes.case.replace("/mixed", "");
            let binary = all.iter().find(|outcomes| outcomes.case == binary)?;
            Some(ours / binary.ours()?.median)
        }
    };
    let targets = of(&outcomes.case).into_iter();
    targets.filter_map(|target| Some(Verdict { target, measured: measured(target)? })).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cases;

    /// A target of a case that doesn't exist would never be missed.
    #[test]
    fn every_target_has_its_case() {
        let names: Vec<_> = cases::matching("").into_iter().map(|case| case.name).collect();
        let with_mask = |name: &&str| format!("{name}/masked");
        let by_mask = BY_MASK.iter().map(|(name, ..)| name);
        let by_mask = by_mask.chain(&HTTP2_FLOW).chain(&AHEAD).map(with_mask);
        for name in by_mask.chain(OTHERS.iter().map(|(name, _)| name.to_string())) {
            assert!(names.contains(&name), "{name}");
            assert!(!of(&name).is_empty(), "{name}");
        }
    }
}
