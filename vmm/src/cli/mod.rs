//! The command line.

mod args;
mod console;
mod devices;
mod disk;
mod disks;
mod faults;
mod fsck;
mod image;
mod judge;
mod mkfs;
mod mutants;
mod print;
mod qemu;
mod qemu_devices;
mod replace;
mod run;
mod show;
mod table;
mod trace_file;
mod transcript;

use std::{ffi::OsString, process::ExitCode, time::Instant};

use clap::{Parser, Subcommand};

use crate::Error;

/// Boots a guest on KVM, shows what its drivers do to their devices, and says how it went.
///
/// Without a command it runs: `eclipse-vmm --memory 128M` is `eclipse-vmm run --memory 128M`.
#[derive(Debug, Parser)]
#[command(name = "eclipse-vmm", version, args_conflicts_with_subcommands = true)]
#[command(after_help = AFTER_HELP)]
struct Cli {
    #[command(subcommand)]
    command: Option<Command>,
    #[command(flatten)]
    run: Box<run::RunArgs>,
}

const AFTER_HELP: &str = "\
Examples:
  eclipse-vmm                                      boot the embedded kernel
  eclipse-vmm --cmdline scenario=read --trace t.jsonl
  eclipse-vmm show t.jsonl --device 00:04.0 --kind mmio,request
  eclipse-vmm --kernel my-kernel.elf --disk my-disk.img,write
  eclipse-vmm qemu                                 boot the same in stock QEMU

Exit codes:
  0    the guest succeeded: it stored 0x10 to port 0xf4
  1    the guest reported failure: it stored another value
  2    something is wrong on the command line
  3    the host cannot: no /dev/kvm, an unreadable or invalid file, no QEMU
  4    the guest died: triple fault, reset, internal error of KVM, no end within --timeout
  5    the guest succeeded or failed, and its driver broke a MUST: see --fail-on
  130  interrupted by Ctrl-C (128 + signal: 143 by SIGTERM)";

#[derive(Debug, Subcommand)]
enum Command {
    /// Boot a guest on KVM (this is what happens without a command).
    #[command(after_help = AFTER_HELP)]
    Run(Box<run::RunArgs>),
    /// Print a transcript that `run --trace` made.
    Show(show::ShowArgs),
    /// Judge a transcript by the rules of VIRTIO and PCI.
    ///
    /// Exit codes: 0 no rule of --fail-on was broken, 5 one was, 3 it cannot be read.
    Judge(judge::JudgeArgs),
    /// List the rules by which `run` and `judge` judge.
    Rules,
    /// List the faults that `run --fault` knows by name.
    Faults(faults::FaultsArgs),
    /// Write the embedded guest image to a file, to boot it elsewhere.
    Image(image::ImageArgs),
    /// Write the default disk to a file.
    Disk(disk::DiskArgs),
    /// Make a disk image with an EclipseFS of a directory's tree.
    Mkfs(mkfs::MkfsArgs),
    /// Check the EclipseFS of a disk image, and list all that is damaged.
    ///
    /// Exit codes: 0 it is whole, 1 it is damaged, 3 there is none, or it cannot be read.
    Fsck(fsck::FsckArgs),
    /// Boot drivers that are wrong on purpose, and show which rule notices each.
    ///
    /// Exit codes: 0 each is noticed by what has to, 5 one is not.
    Mutants(mutants::MutantsArgs),
    /// Boot the same image and disks in stock QEMU, without KVM.
    Qemu(qemu::QemuArgs),
}

/// Why a command came to nothing.
#[derive(Debug)]
enum Failure {
    /// What the user wrote makes no sense, although each word does.
    Usage(clap::Error),
    /// The host cannot.
    Host(Error),
}

impl<E: Into<Error>> From<E> for Failure {
    fn from(error: E) -> Self {
        Failure::Host(error.into())
    }
}

/// Exit code: the command line is wrong.
const USAGE: u8 = 2;

/// Exit code: the host cannot.
const HOST_CANNOT: u8 = 3;

/// Does what the arguments say; the first is the program's name.
pub fn main(arguments: impl IntoIterator<Item = OsString>) -> ExitCode {
    let began = Instant::now();
    let code = match Cli::try_parse_from(arguments) {
        Ok(cli) => perform(cli, began),
        Err(usage) => Err(Failure::Usage(usage)),
    };
    match code {
        Ok(code) => ExitCode::from(code),
        Err(Failure::Usage(usage)) => {
            // A message that nobody reads is no reason for another one.
            let _ = usage.print();
            ExitCode::from(u8::try_from(usage.exit_code()).unwrap_or(2))
        }
        Err(Failure::Host(error)) => {
            print::to_stderr(&format!("error: {}\n", error.sentence()));
            // Devices that cannot stand beside each other were asked for so.
            let usage = matches!(error, Error::Devices(_));
            ExitCode::from(if usage { USAGE } else { HOST_CANNOT })
        }
    }
}

fn perform(cli: Cli, began: Instant) -> Result<u8, Failure> {
    match cli.command.unwrap_or(Command::Run(cli.run)) {
        Command::Run(args) => run::run(*args, began),
        Command::Show(args) => show::show(args),
        Command::Judge(args) => judge::judge(&args),
        Command::Rules => judge::list(),
        Command::Faults(args) => faults::faults(&args),
        Command::Image(args) => image::image(&args),
        Command::Disk(args) => disk::disk(&args),
        Command::Mkfs(args) => mkfs::mkfs(&args),
        Command::Fsck(args) => fsck::fsck(&args),
        Command::Mutants(args) => mutants::mutants(&args),
        Command::Qemu(args) => qemu::qemu(args),
    }
}
