//! The specification as judge: of a run, and of a transcript.

mod junit;
mod live;

use std::path::{Path, PathBuf};

use clap::{Args, ValueEnum};
use eclipse_trace::{
    import::qemu,
    rules::{self, End, Judge, Level, Report, Rule},
};

use super::{Failure, print, replace::Replacement, transcript};
use crate::Error;

pub(super) use live::Live;

/// Exit code: the driver broke what `--fail-on` names.
pub(super) const BROKEN: u8 = 5;

/// From which level on a broken rule is a failure.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum FailOn {
    /// MUST and MUST NOT
    Must,
    /// SHOULD and SHOULD NOT too
    Should,
    /// What the specification describes without such a word, too
    Recipe,
    /// Nothing
    Never,
}

impl FailOn {
    fn fails(self, report: &Report) -> bool {
        let levels: &[Level] = match self {
            FailOn::Must => &[Level::Must],
            FailOn::Should => &[Level::Must, Level::Should],
            FailOn::Recipe => &[Level::Must, Level::Should, Level::Recipe],
            FailOn::Never => &[],
        };
        levels.iter().any(|level| report.broken(*level) != 0)
    }
}

/// By which rules to judge, and where the report goes.
#[derive(Debug, Args)]
pub(super) struct ReportArgs {
    /// Judge by these rules only, such as D2.1.1-b,P05
    #[arg(long, value_name = "RULE,...", value_delimiter = ',', value_parser = parse_rule)]
    rules: Vec<&'static Rule>,
    /// From which level on a broken rule makes the exit code 5
    #[arg(long, value_name = "LEVEL", value_enum, default_value = "must")]
    fail_on: FailOn,
    /// Print how each rule fared: which were exercised, and which had no occasion
    #[arg(long)]
    coverage: bool,
    /// Write the report as JUnit XML to this file, a test case for each rule
    #[arg(long, value_name = "FILE.xml")]
    junit: Option<PathBuf>,
    /// Write the report as JSON to this file
    #[arg(long, value_name = "FILE.json")]
    report: Option<PathBuf>,
}

impl ReportArgs {
    /// A judge by those rules.
    pub fn judge(&self) -> Judge {
        Judge::by(rules::all().filter(|rule| self.asks_for(rule)))
    }

    fn asks_for(&self, rule: &Rule) -> bool {
        self.rules.is_empty() || self.rules.iter().any(|asked| asked.id == rule.id)
    }

    /// Whether the report makes the exit code [`BROKEN`].
    pub fn fails(&self, report: &Report) -> bool {
        self.fail_on.fails(report)
    }

    /// The report for people, and the table if it was asked for.
    pub fn text(&self, report: &Report) -> String {
        let coverage = if self.coverage { report.coverage() } else { String::new() };
        coverage + &report.to_string()
    }

    /// Writes the files that were asked for.
    pub fn write(&self, report: &Report, name: &str) -> Result<(), Error> {
        if let Some(path) = &self.report {
            let text = format!("{:#}\n", report.json());
            write(path, text.as_bytes())?;
        }
        if let Some(path) = &self.junit {
            write(path, &junit::xml(report, name)?)?;
        }
        Ok(())
    }
}

fn write(path: &Path, bytes: &[u8]) -> Result<(), Error> {
    use std::io::Write;
    let mut file = Replacement::new(path)?;
    file.write_all(bytes).map_err(|source| Error::Write { path: path.into(), source })?;
    file.finish()
}

fn parse_rule(id: &str) -> Result<&'static Rule, String> {
    rules::find(id).ok_or_else(|| {
        let not = rules::NOT_JUDGED.iter().find(|(name, ..)| *name == id);
        match not {
            Some((_, _, reason)) => format!("{id} is not judged: {reason}"),
            None => format!("there is no rule {id:?}; `eclipse-vmm rules` lists them"),
        }
    })
}

/// Which transcript to judge.
#[derive(Debug, Args)]
pub(super) struct JudgeArgs {
    /// The transcript, as `run --trace` wrote it
    #[arg(value_name = "TRACE")]
    file: PathBuf,
    /// It is a log of stock QEMU's trace, as `qemu --record` keeps it
    #[arg(long)]
    qemu: bool,
    /// Judge what SeaBIOS did in such a log, too, before the guest drove the device
    #[arg(long, requires = "qemu")]
    firmware: bool,
    #[command(flatten)]
    report: ReportArgs,
    /// Print the report as JSON on stdout
    #[arg(long)]
    json: bool,
}

pub(super) fn judge(args: &JudgeArgs) -> Result<u8, Failure> {
    let report = if args.qemu { of_log(args)? } else { of_transcript(args)? };
    args.report.write(&report, &args.file.display().to_string())?;
    match args.json {
        true => print::to_stdout(&format!("{}\n", report.json()))?,
        false => print::to_stdout(&args.report.text(&report))?,
    }
    Ok(if args.report.fails(&report) { BROKEN } else { 0 })
}

fn of_transcript(args: &JudgeArgs) -> Result<Report, Error> {
    let recording = transcript::read(&args.file)?;
    let mut judge = args.report.judge();
    recording.entries.iter().for_each(|entry| judge.see(entry));
    Ok(judge.finish(End::of(&recording.outcome)))
}

/// By those rules only that such a log can show to be broken; its notes say what that leaves out.
fn of_log(args: &JudgeArgs) -> Result<Report, Error> {
    let path = &args.file;
    let log = qemu::read(transcript::open(path)?)
        .map_err(|why| Error::QemuLog { path: path.into(), why })?;
    let mut judge = Judge::by(log.judged().filter(|rule| args.report.asks_for(rule)));
    match args.firmware {
        true => log.entries.iter().for_each(|entry| judge.see(entry)),
        false => log.show(&mut judge),
    }
    let mut report = judge.finish(log.outcome.as_deref().map(End::of).unwrap_or_default());
    let notes = log.notes.iter().filter(|note| !args.firmware || !note.is_firmware());
    report.notes = notes.map(ToString::to_string).collect();
    for finding in &mut report.findings {
        let line = finding.seq.and_then(|seq| log.lines.get(usize::try_from(seq).ok()?));
        finding.place = line.map(|line| format!("line {line} of the log"));
    }
    Ok(report)
}

/// Lists the rules.
pub(super) fn list() -> Result<u8, Failure> {
    let mut text = String::new();
    for Rule { id, clause, level, text: sentence, .. } in rules::all() {
        text += &format!("{id:<18} {level:<7} {clause:<24} {sentence}\n");
    }
    text += "\nnot judged:\n";
    for (id, clause, reason) in rules::NOT_JUDGED {
        text += &format!("{id:<18} {:<7} {clause:<24} {reason}\n", "");
    }
    print::to_stdout(&text)?;
    Ok(0)
}
