use std::{
    fmt::Write,
    fs,
    path::{Path, PathBuf},
    str::FromStr,
};

use clap::{Args, CommandFactory, error::ErrorKind};
use eclipse_devices::fault::{
    self, Fault, File,
    catalogue::{Build, Row},
};

use eclipse_trace::Bdf;

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
    faults: Option<PathBuf>,
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

    /// The whole schedule for a machine whose block device is at `device`: that of the
    /// file, and behind it the named faults.
    pub fn schedule(self, device: Bdf) -> Result<Schedule, Failure> {
        let read = |path: PathBuf| Ok::<_, Failure>((read(&path, device)?, path));
        let file = self.faults.map(read).transpose()?;
        let mut faults = file.as_ref().map(|(file, _)| file.schedule.clone()).unwrap_or_default();
        let place = |fault: Fault| match fault.device {
            Fault::BLOCK_DEVICE => fault.of(device),
            _ => fault,
        };
        faults.extend(self.named.into_iter().flat_map(|named| match named {
            Named::Help => Vec::new(),
            Named::Schedule(faults) => faults.into_iter().map(place).collect(),
        }));
        Ok(Schedule { faults, file })
    }
}

/// What is to go wrong, and where the user said it.
pub(super) struct Schedule {
    pub faults: Vec<Fault>,
    file: Option<(File, PathBuf)>,
}

impl Schedule {
    /// What is the matter if the machine could not be put together: a fault that can never
    /// strike in it is a mistake of the command line or of the file.
    pub fn failure(&self, error: Error) -> Failure {
        let Error::Fault { number, why } = error else { return error.into() };
        let in_file = |(file, _): &&(File, PathBuf)| number < file.schedule.len();
        let what = match (self.file.as_ref().filter(in_file), self.faults.get(number)) {
            (Some((file, path)), _) => {
                format!("{}: {}\n", path.display(), file.refuse(number, &why))
            }
            (None, Some(Fault { name: Some(name), .. })) => format!("{name}: {why}\n"),
            (None, _) => format!("{why}\n"),
        };
        usage(what)
    }
}

fn usage(what: String) -> Failure {
    Failure::Usage(Cli::command().error(ErrorKind::ValueValidation, what))
}

fn read(path: &Path, device: Bdf) -> Result<File, Failure> {
    let text =
        fs::read_to_string(path).map_err(|source| Error::Read { path: path.into(), source })?;
    fault::parse_file(&text, device)
        .map_err(|error| usage(format!("{}: {error}\n", path.display())))
}

pub(super) fn faults(args: &FaultsArgs) -> Result<u8, Failure> {
    let rows = fault::catalogue::rows();
    let text = match &args.name {
        None => rows.map(line).collect(),
        Some(name) => {
            let row = rows.into_iter().find(|row| row.id.eq_ignore_ascii_case(name));
            let unknown =
                || usage(format!("there is no fault {name:?}; `eclipse-vmm faults` lists them\n"));
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
