use std::{path::Path, time::Duration};

use eclipse_devices::watch::{NotWatched, Watching};
use eclipse_trace::{
    Actor, Entry, Event, Recorder, Register,
    rules::{self, End, Judge, Rule},
};

use super::{Caught, Row, Substrate, devices};
use crate::{Config, Error, Kernel, Machine, Outcome, RunOptions};

/// How long a guest of a mutant may take: one that hangs has been judged by then.
const TIMEOUT: Duration = Duration::from_secs(20);

/// What a run gave to judge a row by.
#[derive(Clone, Debug, Default)]
pub struct Evidence {
    /// The rules that were broken.
    pub broken: Vec<&'static str>,
    /// What the first of them was about: the rule, what was expected and what was seen.
    pub first: Option<String>,
    /// What the guest printed.
    pub console: String,
    /// How the guest ended.
    pub end: End,
    /// How many times a doorbell was rung.
    pub notifications: usize,
}

impl Evidence {
    /// What `entries` show to a judge by `rules`, of a guest that ended so and printed `console`.
    pub fn new(entries: &[Entry], rules: &[&'static Rule], end: End, console: String) -> Self {
        let mut judge = Judge::by(rules.iter().copied());
        entries.iter().for_each(|entry| judge.see(entry));
        let report = judge.finish(end);
        let first = report.findings.first();
        let rung = |entry: &&Entry| {
            let notifies =
                matches!(entry.event, Event::Register { register: Register::Notify { .. }, .. });
            entry.by == Actor::Guest && notifies
        };
        Self {
            broken: report.broken_rules(),
            first: first.map(|found| {
                format!("{}: expected {}, saw {}", found.rule, found.expected, found.seen)
            }),
            console,
            end,
            notifications: entries.iter().filter(rung).count(),
        }
    }

    /// Whether the guest ended by itself.
    fn ended(&self) -> bool {
        matches!(self.end, End::Success | End::Failure)
    }
}

/// What came of a row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// What the row expects.
    AsExpected,
    /// Something else.
    Otherwise,
    /// It was not run here.
    NotHere,
}

/// A row that was run.
#[derive(Clone, Debug)]
pub struct Trial {
    /// The row.
    pub row: Row,
    /// What the run gave.
    pub evidence: Evidence,
    /// What came of it.
    pub verdict: Verdict,
}

impl Trial {
    /// Judges a row by what its run gave, and that of the driver as it is with the same stimulus.
    pub fn new(row: Row, evidence: Evidence, right: Option<&Evidence>) -> Self {
        let Evidence { broken, console, notifications, .. } = &evidence;
        let found = match row.caught {
            Caught::Rule(id) => broken.contains(&id),
            Caught::Guest(words) => evidence.ended() && console.contains(words),
            Caught::Silence(words) => {
                let said = right.is_some_and(|right| right.console.contains(words));
                said && evidence.ended() && !console.contains(words)
            }
            Caught::Notifications => {
                right.is_some_and(|right| *notifications > right.notifications)
            }
            Caught::Nothing => broken.is_empty() && evidence.end == End::Success,
            Caught::Elsewhere(_) => true,
        };
        let verdict = if found { Verdict::AsExpected } else { Verdict::Otherwise };
        Self { row, evidence, verdict }
    }
}

impl Row {
    /// Whether the driver as it is has to be run as well, to compare with.
    pub fn compares(&self) -> bool {
        matches!(self.caught, Caught::Silence(_) | Caught::Notifications)
    }

    /// Whether a run on KVM shows it.
    fn runs_here(&self) -> bool {
        self.substrate != Substrate::Loopback && !matches!(self.caught, Caught::Elsewhere(_))
    }
}

/// Runs a row on KVM and judges it by `rules`.
///
/// # Errors
/// The host cannot.
pub fn run(row: &Row, rules: &[&'static Rule], kvm: &Path) -> Result<Trial, Error> {
    if !row.runs_here() {
        let (row, evidence) = (row.clone(), Evidence::default());
        return Ok(Trial { row, evidence, verdict: Verdict::NotHere });
    }
    let evidence = boot(row, rules, kvm)?;
    let right = match row.compares() {
        true => Some(boot(&Row { mutant: None, ..row.clone() }, rules, kvm)?),
        false => None,
    };
    Ok(Trial::new(row.clone(), evidence, right.as_ref()))
}

fn boot(row: &Row, rules: &[&'static Rule], kvm: &Path) -> Result<Evidence, Error> {
    let faults = devices::faults(row.faults).expect("a test has tried all names");
    let device = row.devices.preset.block_device();
    let machine = Machine::new(Config {
        kernel: Kernel::mutants(),
        cmdline: row.command_line(),
        devices: row.devices.config(),
        faults: faults.into_iter().map(|fault| devices::at(fault, device)).collect(),
        watching: watching(row.watch).expect("a test has tried all words"),
        kvm: kvm.into(),
        ..Config::default()
    })?;
    let recorder = Recorder::new().witness();
    let run = machine.run(RunOptions { timeout: TIMEOUT, recorder, ..RunOptions::default() })?;
    let end = match run.outcome {
        Outcome::Success => End::Success,
        Outcome::Failure(_) => End::Failure,
        Outcome::Died(_) | Outcome::Interrupted { .. } => End::Died,
    };
    let console = String::from_utf8_lossy(&run.console).into_owned();
    Ok(Evidence::new(run.recorder.entries(), rules, end, console))
}

/// What some words of `run --watch` with commas between them have watched.
///
/// # Errors
/// One is none.
pub fn watching(words: &str) -> Result<Watching, NotWatched> {
    let words = words.split(',').filter(|word| !word.is_empty());
    words.map(str::parse).try_fold(Watching::default(), |all, word| Ok(all | word?))
}

/// The rules of these names; all of them, where none is named.
///
/// # Errors
/// The first name that is none.
pub fn rules(names: &[String]) -> Result<Vec<&'static Rule>, String> {
    if names.is_empty() {
        return Ok(rules::all().collect());
    }
    names.iter().map(|name| rules::find(name).ok_or_else(|| name.clone())).collect()
}
