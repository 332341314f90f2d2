//! A test of a kernel that is not ours: does its block driver do what VIRTIO asks of it?
//!
//! ```console
//! $ cargo run --example foreign_kernel -- my-kernel [COMMAND-LINE]
//! ```
//!
//! Any x86-64 ELF with a PVH entry note boots. It finds a VIRTIO block device at 00:04.0; a kernel
//! that ends by itself stores 0x10 to port 0xF4. In your own repository this file is a `#[test]`:
//! the library's crates are `eclipse-vmm` and `eclipse-trace`, and each expectation panics with
//! what was expected, the event that comes nearest, and what is otherwise about it.

use std::{env, error::Error, path::Path, process::ExitCode, time::Duration};

use eclipse_trace::{
    Entry, Kind, Recorder, RequestKind, RequestStatus,
    expect::{Capture, Failure, any, request},
    rules::{self, End, Level},
};
use eclipse_vmm::{Config, Kernel, Machine, Outcome, Run, RunOptions};

/// What a kernel may take; one that runs on is stopped, and judged by what it did.
const LIMIT: Duration = Duration::from_secs(10);

/// Boots a kernel on the default machine, and keeps all that it does to the devices.
///
/// # Errors
/// It is no kernel, or the host has no KVM.
pub fn boot(kernel: &Path, cmdline: &str) -> Result<Run, eclipse_vmm::Error> {
    let kernel = Kernel::open(kernel)?;
    let machine = Machine::new(Config { kernel, cmdline: cmdline.into(), ..Config::default() })?;
    let recorder = Recorder::new().witness();
    machine.run(RunOptions { timeout: LIMIT, recorder, ..RunOptions::default() })
}

/// What is expected of every driver of a VIRTIO block device, whatever kernel it is in.
///
/// # Errors
/// The first expectation that is not met.
pub fn check(entries: &[Entry]) -> Result<(), Failure> {
    let capture = Capture::of(entries);
    // VIRTIO 1.4, 3.1.1: reset, ACKNOWLEDGE, DRIVER, FEATURES_OK, DRIVER_OK, bit by bit. A driver
    // may set the first two bits by one store.
    capture.try_in_order([
        "guest 00:04.0 common device_status <- 00",
        "guest 00:04.0 common device_status <- 03/03",
        "guest 00:04.0 common device_status <- 0b",
        // 3.1.1, step 6: whether the device takes the features is asked for.
        "guest 00:04.0 common device_status -> 08/08",
        "guest 00:04.0 common device_status <- 0f",
    ])?;
    // 3.1.1: no notification before DRIVER_OK.
    let driver_ok = "guest 00:04.0 common device_status <- 04/04";
    capture.try_before(driver_ok)?.try_never("guest 00:04.0 notify q*")?;
    // One request at least, and all that were read came back well.
    let running = capture.try_after(driver_ok)?;
    running.try_in_order([
        "guest 00:04.0 notify q0",
        "00:04.0 q0 request *: in sector *, * bytes: ok",
        "00:04.0 q0 used.idx <-",
    ])?;
    running.try_never(request(RequestKind::In).status(RequestStatus::IoErr))?;
    // Nothing that the device had to refuse, and no rule broken that the device saw.
    let device = "00:04.0".parse().expect("it is a function");
    capture.try_never(any(Kind::Refused).of(device))?;
    capture.try_never(any(Kind::Violation))
}

fn main() -> Result<ExitCode, Box<dyn Error>> {
    let mut arguments = env::args().skip(1);
    let kernel = arguments.next().ok_or("which kernel? foreign_kernel KERNEL [COMMAND-LINE]")?;
    let cmdline = arguments.next().unwrap_or_default();
    let run = boot(Path::new(&kernel), &cmdline)?;
    println!("{kernel}: {}", run.outcome);
    let entries = run.recorder.entries();
    let end = if run.outcome == Outcome::Success { End::Success } else { End::Unknown };
    // The specification's rules, as far as this run exercised them.
    let report = rules::judge(entries, end);
    println!("{report}");
    let broken = report.findings.iter().any(|finding| finding.level == Level::Must);
    let met = check(entries);
    if let Err(failure) = &met {
        println!("{failure}");
    }
    Ok(if met.is_err() || broken { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}
