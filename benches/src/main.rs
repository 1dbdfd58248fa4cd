//! The benchmark: measures, prints a table, and writes the same as JSON and as a chart.

use benchmark::{
    cases,
    report::{chart, json, table},
    rounds, targets,
};
use std::{error::Error, fs, path::PathBuf, process::ExitCode};

const USAGE: &str = "\
cargo run --release -p benchmark -- [options]

  --cases FILTER  only cases with these parts in their names, such as read/64 or http2;
                  several are separated by commas
  --list          only name the cases
  --rounds N      how often everyone has a turn; 21 by default. Sockets' buffers have seven
                  sizes in turn, so a multiple of 7 is best for tcp and http2
  --quick         7 rounds
  --out DIR       where results.json and results.svg go; by default nowhere with --cases,
                  and into benches/ without
  --check         fail if a target is missed

The heap and the instructions are programs of their own: --bin heap, --bin instructions.";

struct Options {
    filter: String,
    rounds: usize,
    out: Option<PathBuf>,
    list: bool,
    check: bool,
}

fn options() -> Result<Option<Options>, lexopt::Error> {
    use lexopt::prelude::*;
    let mut options =
        Options { filter: String::new(), rounds: 21, out: None, list: false, check: false };
    let mut arguments = lexopt::Parser::from_env();
    while let Some(argument) = arguments.next()? {
        match argument {
            Long("cases") => options.filter = arguments.value()?.string()?,
            Long("rounds") => options.rounds = arguments.value()?.parse()?,
            Long("quick") => options.rounds = 7,
            Long("out") => options.out = Some(arguments.value()?.into()),
            Long("list") => options.list = true,
            Long("check") => options.check = true,
            Long("help") | Short('h') => return Ok(None),
            _ => return Err(argument.unexpected()),
        }
    }
    if options.rounds == 0 {
        return Err("--rounds 0 measures nothing".into());
    }
    if options.out.is_none() && options.filter.is_empty() {
        options.out = Some(env!("CARGO_MANIFEST_DIR").into());
    }
    Ok(Some(options))
}

fn main() -> Result<ExitCode, Box<dyn Error>> {
    let Some(options) = options()? else {
        println!("{USAGE}");
        return Ok(ExitCode::SUCCESS);
    };
    let cases = cases::matching(&options.filter);
    if cases.is_empty() {
        return Err("no such case; --list names them".into());
    }
    if options.list {
        cases.iter().for_each(|case| println!("{}", case.name));
        return Ok(ExitCode::SUCCESS);
    }
    println!("{}\n\n{}", table::EXPLANATION, table::head());
    let (mut all, mut verdicts) = (Vec::new(), Vec::new());
    for case in cases {
        all.push(rounds::measure(&case, options.rounds));
        let outcomes = all.last().expect("it was pushed");
        let these = targets::verdicts(outcomes, &all);
        println!("{}", table::line(outcomes, &these));
        verdicts.extend(these);
    }
    println!();
    all.iter().flat_map(table::failures).for_each(|failure| println!("failed: {failure}"));
    let met = verdicts.iter().filter(|verdict| verdict.is_met()).count();
    println!("{met} of {} targets are met", verdicts.len());
    if let Some(out) = &options.out {
        fs::create_dir_all(out)?;
        fs::write(out.join("results.json"), json::results(&all, options.rounds))?;
        fs::write(out.join("results.svg"), chart::chart(&all))?;
        println!("results.json and results.svg are in {}", out.display());
    }
    let failed = options.check && met < verdicts.len();
    Ok(if failed { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}
