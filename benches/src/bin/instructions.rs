//! Instructions of an operation, counted by callgrind: they don't depend on the machine's mood.
//!
//! A count is the difference of two runs, of N and of 2N operations, so that what happens once
//! doesn't count. It needs valgrind. The counts are recorded in `benches/instructions.json`; other
//! compilers, C libraries (they bring the memory copy) and processors give other counts, so compare
//! on one machine.

use benchmark::{
    cases::{self, Case, Look, Work},
    contestants::Kind,
    report::json,
};
use serde_json::{Map, Value, json};
use std::{
    env,
    error::Error,
    fs, io,
    path::PathBuf,
    process::{Command, ExitCode},
};

const USAGE: &str = "\
cargo run --release -p benchmark --bin instructions -- [options]

  --cases FILTER  only cases with these parts in their names
  --ours          only this crate and the bare transport
  --check         record nothing; fail if this crate needs over 5 % more than is recorded";

/// The cases, how many operations they run, and the most instructions this crate may need, if
/// there is a target.
const CASES: [(&str, u64, Option<u64>); 6] = [
    ("memory/read/64/into/64K/plain", 100_000, Some(250)),
    ("memory/read/64/into/64K/masked", 100_000, None),
    ("memory/read/64K/into/64K/masked", 200, None),
    ("memory/write/64/masked", 20_000, None),
    ("memory/write/1K/plain", 20_000, None),
    ("memory/write/1K/masked", 20_000, Some(750)),
];

/// What a recorded count may be exceeded by.
const TOLERANCE: f64 = 1.05;

struct Options {
    filter: String,
    only_ours: bool,
    check: bool,
}

fn main() -> Result<ExitCode, Box<dyn Error>> {
    use lexopt::prelude::*;
    let mut options = Options { filter: String::new(), only_ours: false, check: false };
    let mut arguments = lexopt::Parser::from_env();
    while let Some(argument) = arguments.next()? {
        match argument {
            Long("cases") => options.filter = arguments.value()?.string()?,
            Long("ours") => options.only_ours = true,
            Long("check") => options.check = true,
            // What callgrind runs.
            Long("run") => {
                let (case, contestant) =
                    (arguments.value()?.string()?, arguments.value()?.string()?);
                run(&case, &contestant, arguments.value()?.parse()?)?;
                return Ok(ExitCode::SUCCESS);
            }
            Long("help") | Short('h') => {
                println!("{USAGE}");
                return Ok(ExitCode::SUCCESS);
            }
            _ => return Err(argument.unexpected().into()),
        }
    }
    compare(&options)
}

/// Does the operations and nothing else.
fn run(case: &str, contestant: &str, operations: u64) -> io::Result<()> {
    let case = exactly(case).ok_or_else(|| io::Error::other("no such case"))?;
    let entry = case.entries.iter().find(|entry| entry.name == contestant);
    let entry = entry.ok_or_else(|| io::Error::other("no such contestant"))?;
    (entry.run)(Work { operations, look: Look::Sample, round: 0 }).map(drop)
}

fn exactly(name: &str) -> Option<Case> {
    cases::matching(name).into_iter().find(|case| case.name == name)
}

fn compare(options: &Options) -> Result<ExitCode, Box<dyn Error>> {
    let file = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("instructions.json");
    let mut recorded: Value = match fs::read_to_string(&file) {
        Ok(text) => serde_json::from_str(&text)?,
        Err(error) if error.kind() == io::ErrorKind::NotFound && !options.check => json!({}),
        Err(error) => return Err(error.into()),
    };
    let wanted: Vec<_> =
        cases::matching(&options.filter).into_iter().map(|case| case.name).collect();
    let mut is_good = true;
    for (name, operations, target) in CASES {
        if !wanted.iter().any(|wanted| wanted == name) {
            continue;
        }
        println!("{name}");
        let case = exactly(name).ok_or("no such case")?;
        for entry in case.entries {
            let is_needed = matches!(entry.kind, Kind::Bare | Kind::Ours);
            if !is_needed && (options.only_ours || options.check) {
                continue;
            }
            let count = instructions(name, entry.name, operations)?;
            let before = recorded["cases"][name][entry.name].as_f64();
            let mut notes = Vec::new();
            if entry.kind == Kind::Ours {
                if let Some(target) = target {
                    let word = if count <= target as f64 { "met" } else { "MISSED" };
                    notes.push(format!("at most {target}: {word}"));
                }
                if options.check {
                    let before = before.ok_or_else(|| format!("{name} isn't recorded"))?;
                    if count > before * TOLERANCE {
                        is_good = false;
                        notes.push(format!("WORSE than the recorded {before}"));
                    }
                }
            }
            if let (true, Some(before)) = (notes.is_empty() || !options.check, before) {
                notes.push(format!("recorded {before}"));
            }
            println!("  {:26} {count:9.1}  {}", entry.name, notes.join(", "));
            if !options.check {
                record(&mut recorded, name, entry.name, count);
            }
        }
    }
    if !options.check {
        recorded["machine"] = json::machine();
        fs::write(&file, format!("{recorded:#}\n"))?;
    }
    Ok(if is_good { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn record(recorded: &mut Value, case: &str, contestant: &str, count: f64) {
    for part in [&["cases"][..], &["cases", case]] {
        let value = part.iter().fold(&mut *recorded, |value, part| &mut value[*part]);
        if value.is_null() {
            *value = Value::Object(Map::new());
        }
    }
    recorded["cases"][case][contestant] = json!((count * 10.0).round() / 10.0);
}

/// Instructions of one operation.
fn instructions(case: &str, contestant: &str, operations: u64) -> Result<f64, Box<dyn Error>> {
    let once = callgrind(case, contestant, operations)?;
    let twice = callgrind(case, contestant, 2 * operations)?;
    Ok(twice.saturating_sub(once) as f64 / operations as f64)
}

fn callgrind(case: &str, contestant: &str, operations: u64) -> Result<u64, Box<dyn Error>> {
    let output = Command::new("valgrind")
        .args(["--tool=callgrind", "--callgrind-out-file=/dev/null"])
        .arg(env::current_exe()?)
        .args(["--run", case, contestant, &operations.to_string()])
        .output()
        .map_err(|error| format!("valgrind, which this needs: {error}"))?;
    let said = String::from_utf8_lossy(&output.stderr);
    if !output.status.success() {
        return Err(format!("{case}, {contestant}: {said}").into());
    }
    let collected = said.lines().find_map(|line| line.split_once("Collected :"));
    let (_, count) = collected.ok_or("callgrind told no count")?;
    Ok(count.trim().parse()?)
}
