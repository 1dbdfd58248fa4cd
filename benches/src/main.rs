//! The benchmark: measures, and prints a table.

use benchmark::{cases, rounds};

fn main() -> Result<(), lexopt::Error> {
    let (mut filter, mut rounds) = (String::new(), 21);
    let mut arguments = lexopt::Parser::from_env();
    while let Some(argument) = arguments.next()? {
        use lexopt::prelude::*;
        match argument {
            Long("cases") => filter = arguments.value()?.string()?,
            Long("rounds") => rounds = arguments.value()?.parse()?,
            Long("quick") => rounds = 5,
            _ => return Err(argument.unexpected()),
        }
    }
    for case in cases::matching(&filter) {
        let outcomes = rounds::measure(&case, rounds);
        println!("{}", outcomes.case);
        for standing in &outcomes.standings {
            println!("  {:26} {:?}", standing.name, standing.outcome);
        }
        println!("  to best peer {:?}", outcomes.to_best_peer);
    }
    Ok(())
}
