use std::{
    collections::BTreeMap,
    fmt::Write,
    path::PathBuf,
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
    thread,
};

use clap::{Args, CommandFactory, error::ErrorKind};
use eclipse_trace::rules::Rule;
use indicatif::{ProgressBar, ProgressStyle};
use serde_json::json;

use super::{Cli, Failure, print};
use crate::{
    Error,
    mutants::{self, Caught, Row, Trial, Verdict},
};

/// Exit code: a mistake was not noticed by what has to, or a right driver was accused.
const BROKEN: u8 = 5;

/// Which mutants, and how to show what came of them.
#[derive(Debug, Args)]
pub(super) struct MutantsArgs {
    /// Only these rows, such as M31,M87
    #[arg(long, value_name = "NAMES", value_delimiter = ',')]
    only: Vec<String>,
    /// Judge by these rules alone; only the rows that they have to notice are run
    #[arg(long, value_name = "RULES", value_delimiter = ',')]
    rules: Vec<String>,
    /// List the rows and what has to notice each, and run nothing
    #[arg(long)]
    list: bool,
    /// A line of JSON for each row
    #[arg(long)]
    json: bool,
    /// How many machines run at once
    #[arg(long, value_name = "COUNT", default_value = "2", value_parser = clap::value_parser!(u8).range(1..=2))]
    jobs: u8,
    /// KVM's device
    #[arg(long, value_name = "PATH", default_value = "/dev/kvm")]
    kvm: PathBuf,
}

pub(super) fn mutants(args: &MutantsArgs) -> Result<u8, Failure> {
    let rules = mutants::rules(&args.rules)
        .map_err(|name| usage(format!("there is no rule {name:?}\n")))?;
    let rows = chosen(args)?;
    if args.list {
        let text: String = rows.iter().map(listed).collect();
        print::to_stdout(&text)?;
        return Ok(0);
    }
    let trials = run_all(&rows, &rules, args)?;
    if args.json {
        let text: String = trials.iter().map(|trial| format!("{}\n", object(trial))).collect();
        print::to_stdout(&text)?;
    } else {
        print::to_stdout(&matrix(&trials))?;
    }
    let wrong = trials.iter().any(|trial| trial.verdict == Verdict::Otherwise);
    Ok(if wrong { BROKEN } else { 0 })
}

/// The rows that were asked for.
fn chosen(args: &MutantsArgs) -> Result<Vec<Row>, Failure> {
    let mut rows = mutants::rows();
    for name in &args.only {
        if !rows.iter().any(|row| row.name.eq_ignore_ascii_case(name)) {
            return Err(usage(format!(
                "there is no mutant {name:?}; `eclipse-vmm mutants --list` lists them\n"
            )));
        }
    }
    let named = |row: &Row| args.only.iter().any(|name| name.eq_ignore_ascii_case(row.name));
    rows.retain(|row| args.only.is_empty() || named(row));
    let judged = |row: &Row| match row.caught {
        Caught::Rule(id) => args.rules.iter().any(|name| name == id),
        _ => false,
    };
    rows.retain(|row| args.rules.is_empty() || judged(row));
    Ok(rows)
}

fn usage(what: String) -> Failure {
    Failure::Usage(Cli::command().error(ErrorKind::ValueValidation, what))
}

/// Runs the rows, some at once; in their order.
fn run_all(rows: &[Row], rules: &[&'static Rule], args: &MutantsArgs) -> Result<Vec<Trial>, Error> {
    let bar = ProgressBar::new(rows.len() as u64);
    let style = ProgressStyle::with_template("{bar:40} {pos}/{len} {msg}");
    bar.set_style(style.expect("the template is one"));
    let next = AtomicUsize::new(0);
    let trials = Mutex::new(BTreeMap::new());
    let work = || -> Result<(), Error> {
        loop {
            let number = next.fetch_add(1, Ordering::Relaxed);
            let Some(row) = rows.get(number) else { return Ok(()) };
            bar.set_message(row.name);
            let trial = mutants::run(row, rules, &args.kvm).inspect_err(|_| {
                // The others need not go on.
                next.store(rows.len(), Ordering::Relaxed);
            })?;
            trials.lock().unwrap_or_else(PoisonError::into_inner).insert(number, trial);
            bar.inc(1);
        }
    };
    let ended: Result<Vec<()>, Error> = thread::scope(|scope| {
        let threads: Vec<_> = (0..args.jobs).map(|_| scope.spawn(work)).collect();
        let joined = threads
            .into_iter()
            .map(|thread| thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)));
        joined.collect()
    });
    bar.finish_and_clear();
    ended?;
    Ok(trials.into_inner().unwrap_or_else(PoisonError::into_inner).into_values().collect())
}

fn what(row: &Row) -> &'static str {
    row.mutant.map_or("The driver as it is.", |mutant| mutant.what())
}

fn listed(row: &Row) -> String {
    let mut text = format!("{:<12} {:<15} {}\n", row.name, row.caught.to_string(), what(row));
    let stimulus = row.stimulus();
    if !stimulus.is_empty() {
        // Writing to a String does not fail.
        let _ = writeln!(text, "{:28} {stimulus}", "");
    }
    if let Caught::Elsewhere(why) = row.caught {
        let _ = writeln!(text, "{:28} {why}", "");
    }
    text
}

fn verdict(trial: &Trial) -> &'static str {
    match (trial.verdict, trial.row.caught) {
        (Verdict::NotHere, Caught::Elsewhere(_)) => "not by a run",
        (Verdict::NotHere, _) => "in loopback",
        (Verdict::AsExpected, Caught::Nothing) => "allowed",
        (Verdict::AsExpected, _) => "caught",
        (Verdict::Otherwise, Caught::Nothing) => "ACCUSED",
        (Verdict::Otherwise, _) => "MISSED",
    }
}

/// The matrix, for people.
fn matrix(trials: &[Trial]) -> String {
    let mut text = format!(
        "{:<12} {:<12} {:<16} {:<28} {}\n",
        "mutant", "verdict", "expected", "stimulus", "rules"
    );
    for trial in trials {
        let Trial { row, evidence, .. } = trial;
        let line = format!(
            "{:<12} {:<12} {:<16} {:<28} {}",
            row.name,
            verdict(trial),
            row.caught.to_string(),
            row.stimulus(),
            evidence.broken.join(" ")
        );
        // Writing to a String does not fail.
        let _ = writeln!(text, "{}", line.trim_end());
        if trial.verdict == Verdict::Otherwise {
            let said = evidence.first.clone().or_else(|| last_line(&evidence.console));
            let _ = writeln!(text, "{:12} {}", "", said.unwrap_or_default());
        }
    }
    let count = |word| trials.iter().filter(|trial| verdict(trial) == word).count();
    let words = ["caught", "allowed", "in loopback", "not by a run", "MISSED", "ACCUSED"];
    let counts = words.map(|word| format!("{word} {}", count(word))).join(", ");
    let _ = writeln!(text, "\n{counts}");
    text
}

fn last_line(console: &str) -> Option<String> {
    console.lines().next_back().map(str::to_owned)
}

fn object(trial: &Trial) -> serde_json::Value {
    let Trial { row, evidence, .. } = trial;
    json!({
        "name": row.name,
        "what": what(row),
        "command_line": row.command_line(),
        "stimulus": row.stimulus(),
        "expected": row.caught.to_string(),
        "rules": evidence.broken,
        "first": evidence.first,
        "verdict": verdict(trial),
    })
}
