//! Rounds in which all contestants take turns: a machine's mood meets everyone in a round, and so
//! doesn't change the ratio.

use crate::{
    cases::{Case, Entry, Look, Work},
    contestants::Kind,
};
use std::{io, time::Duration};

/// The most operations that are done only to find out how many fit a turn.
const MOST: u64 = 1 << 32;
/// Operations that are checked byte by byte before time is taken.
const CHECKED: u64 = 20;

/// The median and the quartiles.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Spread {
    pub low: f64,
    pub median: f64,
    pub high: f64,
}

impl Spread {
    fn of(mut values: Vec<f64>) -> Self {
        values.sort_by(f64::total_cmp);
        let at = |part: f64| values[((values.len() - 1) as f64 * part).round() as usize];
        Self { low: at(0.25), median: at(0.5), high: at(0.75) }
    }
}

/// What became of a contestant.
#[derive(Clone, Debug)]
pub enum Outcome {
    Measured {
        /// Nanoseconds of an operation.
        nanoseconds: Spread,
        /// To the bare transport, in the same round.
        to_bare: Spread,
    },
    /// It has no such thing.
    Absent,
    Failed(String),
}

#[derive(Clone, Debug)]
pub struct Standing {
    pub name: &'static str,
    pub kind: Kind,
    pub outcome: Outcome,
}

/// What came out of a case.
#[derive(Clone, Debug)]
pub struct Outcomes {
    pub case: String,
    pub standings: Vec<Standing>,
    /// This crate to the best byte stream of the others, in the same round.
    pub to_best_peer: Option<(&'static str, Spread)>,
}

impl Outcomes {
    /// This crate's ratio to the bare transport.
    pub fn ours(&self) -> Option<Spread> {
        self.standings.iter().find(|standing| standing.kind == Kind::Ours)?.outcome.to_bare()
    }
}

impl Outcome {
    pub fn to_bare(&self) -> Option<Spread> {
        match self {
            Outcome::Measured { to_bare, .. } => Some(*to_bare),
            _ => None,
        }
    }
}

/// Nanoseconds of an operation, a round each.
type Times = Vec<f64>;

pub fn measure(case: &Case, rounds: usize) -> Outcomes {
    let turns: Vec<_> = case.entries.iter().map(|entry| prepare(entry, case.turn)).collect();
    let mut times: Vec<io::Result<Option<Times>>> = turns
        .iter()
        .map(|turn| match turn {
            Ok(Some(_)) => Ok(Some(Times::new())),
            Ok(None) => Ok(None),
            Err(error) => Err(io::Error::other(error.to_string())),
        })
        .collect();
    let count = case.entries.len();
    for round in 0..rounds {
        // Who begins changes, so that nobody always follows the same.
        for i in (0..count).map(|i| (i + round) % count) {
            let Ok(Some(operations)) = turns[i] else { continue };
            let failed = match (&mut times[i], time(&case.entries[i], operations, round)) {
                (Ok(Some(times)), Ok(nanoseconds)) => {
                    times.push(nanoseconds);
                    continue;
                }
                (Ok(Some(_)), Err(error)) => error,
                // It failed in an earlier round.
                _ => continue,
            };
            times[i] = Err(failed);
        }
    }
    outcomes(case, times)
}

/// Checks the contestant, and finds out how many operations are a turn.
fn prepare(entry: &Entry, turn: Duration) -> io::Result<Option<u64>> {
    let thorough = Work { operations: CHECKED, look: Look::Thorough, round: 0 };
    if (entry.run)(thorough)?.is_none() {
        return Ok(None);
    }
    let mut operations = 1;
    loop {
        let sample = Work { operations, look: Look::Sample, round: 0 };
        let time = (entry.run)(sample)?.unwrap_or_default();
        if time * 4 >= turn || operations >= MOST {
            let turns = turn.as_secs_f64() / time.as_secs_f64().max(1e-9);
            return Ok(Some(((operations as f64 * turns) as u64).max(1)));
        }
        operations *= 4;
    }
}

fn time(entry: &Entry, operations: u64, round: usize) -> io::Result<f64> {
    let work = Work { operations, look: Look::Sample, round };
    let time = (entry.run)(work)?.unwrap_or_default();
    Ok(time.as_nanos() as f64 / operations as f64)
}

fn outcomes(case: &Case, times: Vec<io::Result<Option<Times>>>) -> Outcomes {
    let of = |kind| {
        let found = case.entries.iter().position(|entry| entry.kind == kind)?;
        times[found].as_ref().ok()?.clone()
    };
    let bare: Option<Times> = of(Kind::Bare);
    let to_best_peer = of(Kind::Ours).and_then(|ours| {
        let peers = case.entries.iter().zip(&times).filter(|(entry, _)| entry.kind == Kind::Peer);
        let (name, best) = peers
            .filter_map(|(entry, times)| Some((entry.name, times.as_ref().ok()?.as_ref()?)))
            .min_by(|a, b| median(a.1).total_cmp(&median(b.1)))?;
        Some((name, ratio(&ours, best)))
    });
    let standings = case
        .entries
        .iter()
        .zip(&times)
        .map(|(entry, times)| Standing {
            name: entry.name,
            kind: entry.kind,
            outcome: match (times, &bare) {
                (Ok(Some(times)), Some(bare)) => Outcome::Measured {
                    nanoseconds: Spread::of(times.clone()),
                    to_bare: ratio(times, bare),
                },
                (Ok(Some(_)), None) => Outcome::Failed("the bare transport failed".into()),
                (Ok(None), _) => Outcome::Absent,
                (Err(error), _) => Outcome::Failed(error.to_string()),
            },
        })
        .collect();
    Outcomes { case: case.name.clone(), standings, to_best_peer }
}

fn median(times: &Times) -> f64 {
    Spread::of(times.clone()).median
}

fn ratio(times: &Times, to: &Times) -> Spread {
    Spread::of(times.iter().zip(to).map(|(time, to)| time / to).collect())
}
