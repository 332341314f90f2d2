use std::{
    io::{self, BufWriter, Write},
    path::PathBuf,
    slice,
};

use clap::{Args, CommandFactory, error::ErrorKind};
use eclipse_trace::{Bdf, Entry, Filter, Kind, text};

use super::{Cli, Failure, transcript};
use crate::Error;

/// Which transcript, and what of it.
#[derive(Debug, Args)]
pub(super) struct ShowArgs {
    /// The transcript
    #[arg(value_name = "FILE")]
    file: PathBuf,
    /// Only what this PCI function did or had done to its registers and queues, such as 00:04.0
    #[arg(long, value_name = "BDF")]
    device: Option<Bdf>,
    /// Only these kinds: config, port, mmio, refused, ring, buffer, request, interrupt,
    /// violation, fault, console, ram
    #[arg(long, value_name = "KIND,...", value_delimiter = ',')]
    kind: Vec<Kind>,
    /// Nothing before this event
    #[arg(long, value_name = "SEQ")]
    from: Option<u64>,
    /// Nothing after this event
    #[arg(long, value_name = "SEQ")]
    to: Option<u64>,
}

pub(super) fn show(args: ShowArgs) -> Result<u8, Failure> {
    if let (Some(from), Some(to)) = (args.from, args.to)
        && from > to
    {
        let what = format!("--from {from} is after --to {to}; give them in order\n");
        return Err(Failure::Usage(Cli::command().error(ErrorKind::ValueValidation, what)));
    }
    let recording = transcript::read(&args.file)?;
    let filter = Filter { device: args.device, kinds: args.kind, from: args.from, to: args.to };
    match print(recording.entries.iter().filter(|entry| filter.admits(entry))) {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => {
            Err(Error::host("print the transcript")(error).into())
        }
        _ => Ok(0),
    }
}

fn print<'a>(entries: impl Iterator<Item = &'a Entry>) -> io::Result<()> {
    let mut out = BufWriter::new(io::stdout().lock());
    for entry in entries {
        out.write_all(text::numbered(slice::from_ref(entry)).as_bytes())?;
    }
    out.flush()
}
