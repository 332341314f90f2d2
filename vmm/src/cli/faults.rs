use std::{fmt::Write, fs, path::Path, str::FromStr};

use clap::{Args, CommandFactory, error::ErrorKind};
use eclipse_devices::fault::{
    self, Fault,
    catalogue::{Build, Row},
};

use super::{Cli, Failure, print};
use crate::Error;

/// What to list.
#[derive(Debug, Default, Args)]
pub(super) struct FaultsArgs {
    /// Only this fault, such as F65
    #[arg(value_name = "NAME")]
    name: Option<String>,
}

/// What is to go wrong.
#[derive(Debug, Default, Args)]
pub(super) struct InjectArgs {
    /// A fault of the catalogue by its name, such as F65 or F65:id=0x10003,nth=2; may be given
    /// again. `--fault help` lists them
    #[arg(long = "fault", value_name = "NAME[:NUMBERS]")]
    named: Vec<Named>,
    /// A schedule of faults in TOML
    #[arg(long, value_name = "FILE.toml")]
    faults: Option<std::path::PathBuf>,
}

#[derive(Clone, Debug)]
enum Named {
    Help,
    Schedule(Vec<Fault>),
}

impl FromStr for Named {
    type Err = fault::catalogue::NameError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text {
            "help" => Ok(Self::Help),
            _ => fault::by_name(text).map(Self::Schedule),
        }
    }
}

impl InjectArgs {
    /// Whether the user asked what there is.
    pub fn help(&self) -> bool {
        self.named.iter().any(|named| matches!(named, Named::Help))
    }

    /// The whole schedule: that of the file, and behind it the named faults.
    pub fn schedule(self) -> Result<Vec<Fault>, Failure> {
        let mut schedule = self.faults.as_deref().map(read).transpose()?.unwrap_or_default();
        schedule.extend(self.named.into_iter().flat_map(|named| match named {
            Named::Help => Vec::new(),
            Named::Schedule(faults) => faults,
        }));
        Ok(schedule)
    }
}

fn read(path: &Path) -> Result<Vec<Fault>, Failure> {
    let text =
        fs::read_to_string(path).map_err(|source| Error::Read { path: path.into(), source })?;
    fault::parse(&text).map_err(|error| {
        let what = format!("{}: {error}\n", path.display());
        Failure::Usage(Cli::command().error(ErrorKind::ValueValidation, what))
    })
}

pub(super) fn faults(args: &FaultsArgs) -> Result<u8, Failure> {
    let rows = fault::catalogue::rows();
    let text = match &args.name {
        None => rows.map(line).collect(),
        Some(name) => {
            let row = rows.into_iter().find(|row| row.id.eq_ignore_ascii_case(name));
            let unknown = || {
                let what = format!("there is no fault {name:?}; `eclipse-vmm faults` lists them\n");
                Failure::Usage(Cli::command().error(ErrorKind::ValueValidation, what))
            };
            paragraph(row.ok_or_else(unknown)?)
        }
    };
    print::to_stdout(&text)?;
    Ok(0)
}

fn line(row: &Row) -> String {
    let mut text = format!("{:<5} {:<10} {}", row.id, row.kind, row.what);
    let names: Vec<_> = row.parameters.iter().map(|parameter| parameter.name).collect();
    if !names.is_empty() {
        // Writing to a String does not fail.
        let _ = write!(text, " [{}]", names.join(", "));
    }
    if let Build::No(why) = row.build {
        let _ = write!(text, " (not here: {why})");
    }
    text + "\n"
}

fn paragraph(row: &Row) -> String {
    let mut text = format!("{}, {}: {}\n", row.id, row.kind, row.what);
    for parameter in row.parameters {
        let name = format!("{}={:#x}", parameter.name, parameter.default);
        let _ = writeln!(text, "  {}", format!("{name:<20} {}", parameter.what).trim_end());
    }
    if let Build::No(why) = row.build {
        let _ = writeln!(text, "  not here: {why}");
    }
    text
}
