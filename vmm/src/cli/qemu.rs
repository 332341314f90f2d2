use std::{
    ffi::OsString,
    fs::File,
    io::{self, BufRead, BufReader, Read, Write},
    os::{fd::AsFd, unix::process::ExitStatusExt},
    path::{Path, PathBuf},
    process::{Child, Command, ExitStatus, Stdio},
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use clap::Args;
use eclipse_devices::disk::{Mode, default_image};
use eclipse_trace::import::qemu::end_line;
use serde_json::json;
use tempfile::TempDir;

use super::{
    Failure,
    args::GuestArgs,
    disks::DisksArgs,
    print,
    qemu_devices::{self, Board},
    run::{exit_value, micros, verdict},
};
use crate::{Death, Error, Outcome, Signals};

/// QEMU's program.
const QEMU: &str = "qemu-system-x86_64";

/// The events of QEMU that `eclipse_trace::import::qemu` reads.
const TRACED: [&str; 4] = ["memory_region_ops_*", "pci_cfg_*", "virtio_*", "virtqueue_*"];

/// How often QEMU is looked after.
const LOOK: Duration = Duration::from_millis(5);

/// How long QEMU may take to put the terminal in order before it is killed.
const GRACE: Duration = Duration::from_secs(2);

/// So much of what QEMU says about itself is kept.
const SAID: u64 = 4096;

/// The guest and its disks, as for `run`, and the board.
#[derive(Debug, Args)]
pub(super) struct QemuArgs {
    #[command(flatten)]
    guest: GuestArgs,
    #[command(flatten)]
    disks: DisksArgs,
    /// The board: pc (PCI), or q35 (PCI Express; bus 1 is behind a root port)
    #[arg(long, value_name = "NAME", default_value = "pc", hide_possible_values = true)]
    machine: Board,
    /// Leave the guest to the firmware, which boots from a disk, or to what stands behind `--`
    #[arg(long, conflicts_with_all = ["kernel", "cmdline"])]
    no_kernel: bool,
    /// Keep QEMU's trace of all accesses to devices in FILE, for `judge --qemu`
    #[arg(long, value_name = "FILE")]
    record: Option<PathBuf>,
    /// What QEMU is told besides, behind `--`: `-- -initrd initrd.gz`
    #[arg(last = true, value_name = "ARGUMENT")]
    others: Vec<OsString>,
}

pub(super) fn qemu(args: QemuArgs) -> Result<u8, Failure> {
    let QemuArgs { guest: args, disks, machine, no_kernel, record, others } = args;
    let signals = Signals::catch().map_err(Error::host("catch signals"))?;
    if !no_kernel && !is_linux(args.kernel.as_deref()) {
        args.open_kernel()?.check(args.memory)?;
    }
    drop(args.open_disk()?);
    qemu_devices::check(machine, &disks)?;
    let files = Files::new(&args)?;
    let mode = args.disk.as_ref().map_or(Mode::CopyOnWrite, |spec| spec.mode());
    let mut command = command(&args)?;
    if !no_kernel {
        command.arg("-kernel").arg(&files.kernel).args(["-append", &args.cmdline]);
    }
    command.args(["-M", machine.name()]);
    let recorded = record.is_some();
    command.args(qemu_devices::arguments(machine, &disks, &files.disk, mode, recorded));
    if let Some(path) = &record {
        File::create(path).map_err(|source| Error::Write { path: path.clone(), source })?;
        command.args(TRACED.iter().flat_map(|events| ["-trace", events])).arg("-D").arg(path);
    }
    command.args(others);

    let began = Instant::now();
    let mut qemu = Qemu::start(command)?;
    let said = listen(&mut qemu.0)?;
    let ended = qemu.watch(&args, &signals, began)?;
    let said = said.join().unwrap_or_default();
    let outcome = match ended {
        Ended::Itself(status) => judge(status, &said)?,
        Ended::ByUs(outcome) => outcome,
    };
    let took = began.elapsed();
    drop((files, signals));
    if let Some(path) = &record {
        end_record(path, &outcome).map_err(|source| Error::Write { path: path.clone(), source })?;
    }

    if args.json {
        let object = json!({
            "verdict": outcome.word(),
            "detail": outcome.to_string(),
            "exit_code": outcome.exit_code(),
            "exit_value": exit_value(&outcome),
            "wall_us": micros(took),
        });
        print::to_stdout(&format!("{object}\n"))?;
    } else {
        print::to_stdout(&verdict(&outcome))?;
    }
    Ok(outcome.exit_code())
}

/// Ends a log that QEMU has left, so that a judge knows that it is whole.
fn end_record(path: &Path, outcome: &Outcome) -> io::Result<()> {
    let mut lines = 0;
    for line in BufReader::new(File::open(path)?).split(b'\n') {
        line?;
        lines += 1;
    }
    let mut log = File::options().append(true).open(path)?;
    log.write_all(end_line(lines, &outcome.to_string()).as_bytes())
}

/// Where QEMU finds the kernel and the disk.
struct Files {
    kernel: PathBuf,
    disk: PathBuf,
    /// Holds what this program carries, for as long as QEMU runs.
    _directory: TempDir,
}

impl Files {
    fn new(args: &GuestArgs) -> Result<Self, Error> {
        let directory = tempfile::Builder::new()
            .prefix("eclipse-vmm-")
            .tempdir()
            .map_err(Error::host("create a temporary directory"))?;
        let put = |name: &str, bytes: &[u8]| {
            let path = directory.path().join(name);
            match std::fs::write(&path, bytes) {
                Ok(()) => Ok(path),
                Err(source) => Err(Error::Write { path, source }),
            }
        };
        let kernel = match &args.kernel {
            Some(path) => path.clone(),
            None => put("kernel.elf", crate::image::IMAGE)?,
        };
        let disk = match &args.disk {
            Some(spec) => spec.path().into(),
            None => put("disk.img", &default_image())?,
        };
        Ok(Self { kernel, disk, _directory: directory })
    }
}

/// Whether it is a Linux kernel in its own format, which QEMU boots and `run` does not
/// (Linux, x86 boot protocol: `HdrS` at 0x202).
fn is_linux(kernel: Option<&Path>) -> bool {
    let mut start = [0; 0x206];
    let read = kernel.map(|path| File::open(path)?.read_exact(&mut start));
    matches!(read, Some(Ok(()))) && start.ends_with(b"HdrS")
}

fn command(args: &GuestArgs) -> Result<Command, Error> {
    let mut command = Command::new(QEMU);
    command
        .args(["-accel", "tcg", "-nodefaults", "-display", "none", "-no-reboot"])
        .args(["-serial", "stdio", "-device", "isa-debug-exit,iobase=0xf4,iosize=4"])
        .args(["-m", &format!("{}M", args.memory >> 20)])
        .stderr(Stdio::piped());
    if args.quiet {
        command.stdout(Stdio::null());
    } else if args.json {
        let stderr = io::stderr().as_fd().try_clone_to_owned();
        command.stdout(stderr.map_err(Error::host("share stderr with QEMU"))?);
    }
    Ok(command)
}

/// Collects what QEMU says about itself.
fn listen(child: &mut Child) -> Result<JoinHandle<String>, Error> {
    let stderr = child.stderr.take().expect("stderr is piped");
    thread::Builder::new()
        .name("qemu-stderr".into())
        .spawn(move || {
            let mut said = Vec::new();
            let mut stderr = stderr;
            // What is lost here is only the reason in a message.
            let _ = stderr.by_ref().take(SAID).read_to_end(&mut said);
            let _ = io::copy(&mut stderr, &mut io::sink());
            String::from_utf8_lossy(&said).into_owned()
        })
        .map_err(Error::host("start a thread"))
}

/// A QEMU that runs, and is ended with this.
struct Qemu(Child);

/// How QEMU came to its end.
enum Ended {
    Itself(ExitStatus),
    ByUs(Outcome),
}

impl Qemu {
    fn start(mut command: Command) -> Result<Self, Error> {
        match command.spawn() {
            Ok(child) => Ok(Self(child)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Err(Error::NoQemu),
            Err(error) => Err(Error::Qemu { why: error.to_string() }),
        }
    }

    /// Waits until QEMU ends, or ends it.
    fn watch(
        &mut self,
        args: &GuestArgs,
        signals: &Signals,
        began: Instant,
    ) -> Result<Ended, Error> {
        loop {
            let status = self.0.try_wait().map_err(Error::host("wait for QEMU"))?;
            // A signal from the terminal reaches QEMU too, and may end it first.
            let outcome = match signals.take() {
                Some(signal) => Outcome::Interrupted { signal },
                None if status.is_none() && began.elapsed() >= args.timeout => {
                    Outcome::Died(Death::Hang(args.timeout))
                }
                None => match status {
                    Some(status) => return Ok(Ended::Itself(status)),
                    None => {
                        thread::sleep(LOOK);
                        continue;
                    }
                },
            };
            self.end();
            return Ok(Ended::ByUs(outcome));
        }
    }

    /// Ends QEMU, kindly at first: it may have changed the terminal.
    fn end(&mut self) {
        let asked = Instant::now();
        // What cannot be waited for is gone.
        while let Ok(None) = self.0.try_wait() {
            if asked.elapsed() >= GRACE {
                let _ = self.0.kill();
            } else if let Ok(pid) = libc::pid_t::try_from(self.0.id()) {
                // SAFETY: `kill` touches no memory, and the number is the child's own until it
                // has been waited for.
                unsafe { libc::kill(pid, libc::SIGTERM) };
            }
            thread::sleep(LOOK);
        }
    }
}

impl Drop for Qemu {
    fn drop(&mut self) {
        self.end();
    }
}

/// What became of the guest, by QEMU's end: `isa-debug-exit` makes it `value << 1 | 1`.
fn judge(status: ExitStatus, said: &str) -> Result<Outcome, Error> {
    let why = || said.lines().next_back().unwrap_or("it says nothing").to_owned();
    match status.code() {
        None => {
            let signal = status.signal().unwrap_or_default();
            Err(Error::Qemu { why: format!("it was ended by signal {signal}") })
        }
        // With `-no-reboot` this is how a triple fault ends too; QEMU does not tell them apart.
        Some(0) => Ok(Outcome::Died(Death::Reset)),
        // The exit value 0 looks the same, but then QEMU has nothing to say.
        Some(1) if !said.trim().is_empty() => Err(Error::Qemu { why: why() }),
        Some(code) if code & 1 == 1 => Ok(Outcome::of_exit(u8::try_from(code >> 1).unwrap_or(0))),
        Some(code) => Err(Error::Qemu { why: format!("exit code {code}: {}", why()) }),
    }
}
