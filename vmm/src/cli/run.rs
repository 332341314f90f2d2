use std::{
    fs::File,
    io,
    os::fd::AsFd,
    path::PathBuf,
    time::{Duration, Instant},
};

use clap::Args;
use eclipse_devices::watch::Watching;
use eclipse_trace::{Recorder, jsonl::About, rules::Report};
use serde_json::json;

use super::{
    Failure,
    args::GuestArgs,
    console::Live,
    devices::DevicesArgs,
    faults::{self, FaultsArgs, InjectArgs},
    judge::{self, ReportArgs},
    print,
    table::table,
    trace_file::TraceFile,
};
use crate::{Config, Console, Error, Machine, Outcome, Run, RunOptions, Signals};

/// How many entries are kept for a post-mortem, at least; a transcript has them all.
const KEPT: usize = 4096;

/// The guest, the machine, and what to keep of the run.
#[derive(Debug, Args)]
pub(super) struct RunArgs {
    #[command(flatten)]
    guest: GuestArgs,
    #[command(flatten)]
    devices: DevicesArgs,
    #[command(flatten)]
    inject: InjectArgs,
    /// Record the guest's accesses to its own memory, where devices have it: rings (stores to the
    /// virtqueues), rings=load (loads too), dma (buffers while a device has them), barriers
    #[arg(long, value_name = "WHAT", value_delimiter = ',')]
    watch: Vec<Watching>,
    /// Write the transcript to this file, for `show`
    #[arg(long, value_name = "FILE.jsonl")]
    trace: Option<PathBuf>,
    /// Do not judge the driver by the rules of VIRTIO and PCI
    #[arg(long, conflicts_with_all = ["rules", "fail_on", "coverage", "junit", "report"])]
    no_judge: bool,
    /// Judge the driver, which is the default
    #[arg(long, overrides_with = "no_judge", hide = true)]
    judge: bool,
    #[command(flatten)]
    report: ReportArgs,
    /// KVM's device
    #[arg(long, value_name = "PATH", default_value = "/dev/kvm")]
    kvm: PathBuf,
}

pub(super) fn run(args: RunArgs, began: Instant) -> Result<u8, Failure> {
    if args.inject.help() {
        return faults::faults(&FaultsArgs::default());
    }
    let schedule = args.inject.schedule(args.devices.disks.preset.block_device())?;
    let signals = Signals::catch().map_err(Error::host("catch signals"))?;
    let about = About {
        preset: args.devices.disks.preset.to_string(),
        cmdline: args.guest.cmdline.clone(),
    };
    let kernel = args.guest.open_kernel()?;
    // Read when somebody asks; a kernel that was replaced meanwhile has other places.
    let again = args.guest.open_kernel()?;
    let machine = Machine::new(Config {
        kernel,
        memory: args.guest.memory,
        cmdline: about.cmdline.clone(),
        devices: args.devices.config(args.guest.open_disk()?)?,
        faults: schedule.faults.clone(),
        watching: args.watch.iter().fold(Watching::default(), |all, &more| all | more),
        kvm: args.kvm,
    })
    .map_err(|error| schedule.failure(error))?;
    let trace = args.trace.as_deref().map(|path| TraceFile::new(path, &about)).transpose()?;
    let judge = (!args.no_judge).then(|| judge::Live::new(args.report.judge()));
    let sink = trace.as_ref().map(TraceFile::sink);
    let recorder = match &judge {
        Some(judge) => Recorder::keeping_last(KEPT, Some(judge.sink(sink))).witness(),
        None => Recorder::keeping_last(KEPT, sink),
    };
    let options = RunOptions {
        timeout: args.guest.timeout,
        console: console(&args.guest)?,
        input: io::stdin().as_fd().try_clone_to_owned().ok().map(File::from),
        signals: Some(&signals),
        recorder,
    };
    let mut run = machine.run(options)?;
    run.recorder.finish();
    if let Some(trace) = trace {
        trace.finish(&run.outcome)?;
    }
    // From here on a signal may end the program: there is nothing half-written.
    drop(signals);
    let startup = run.timing.began.map(|first| first - began).unwrap_or_default();
    let mut verdict = judge.map(|judge| judge.finish(&run.outcome));
    if let Some(verdict) = verdict.as_mut().filter(|verdict| !verdict.findings.is_empty()) {
        let source = again.source();
        verdict.place(|rip| source.locate(rip));
    }
    if let Some(verdict) = &verdict {
        args.report.write(verdict, &name(&about))?;
    }
    report(&args.guest, &args.report, args.trace.as_deref(), &run, verdict.as_ref(), startup)?;
    Ok(match (&run.outcome, verdict) {
        (Outcome::Success | Outcome::Failure(_), Some(verdict)) if args.report.fails(&verdict) => {
            judge::BROKEN
        }
        (outcome, _) => outcome.exit_code(),
    })
}

/// What a run is called in a report.
fn name(about: &About) -> String {
    format!("{} {}", about.preset, about.cmdline).trim_end().into()
}

/// Where the guest's output goes while it runs.
fn console(args: &GuestArgs) -> Result<Option<Box<dyn Console>>, Error> {
    let live = match (args.quiet, args.json) {
        (true, _) => return Ok(None),
        (false, true) => Live::new(io::stderr()),
        (false, false) => Live::new(io::stdout()),
    };
    Ok(Some(Box::new(live.map_err(Error::host("print what the guest prints"))?)))
}

fn report(
    args: &GuestArgs,
    rules: &ReportArgs,
    trace: Option<&std::path::Path>,
    run: &Run,
    judged: Option<&Report>,
    startup: Duration,
) -> Result<(), Error> {
    let post_mortem = run.post_mortem.as_ref().map(ToString::to_string);
    let print = match run.outcome {
        Outcome::Interrupted { .. } => print::to_stdout_if_read,
        _ => print::to_stdout,
    };
    if args.json {
        let timing = &run.timing;
        let object = json!({
            "verdict": run.outcome.word(),
            "detail": run.outcome.to_string(),
            "exit_code": run.outcome.exit_code(),
            "exit_value": exit_value(&run.outcome),
            "events": run.recorder.recorded(),
            "summary": run.recorder.summary(),
            "guest_us": micros(timing.guest),
            "vmm_us": micros(timing.vmm),
            "exits": timing.exits,
            "median_access_ns": timing.median_access().map(|time| time.subsec_nanos()),
            "startup_us": micros(startup),
            "trace": trace.map(|path| path.display().to_string()),
            "post_mortem": post_mortem,
            "judge": judged.map(Report::json),
        });
        return print(&format!("{object}\n"));
    }
    if !args.quiet {
        if run.console.last().is_some_and(|&byte| byte != b'\n') {
            print("\n")?;
        }
        print::to_stderr(&post_mortem.map(|text| format!("\n{text}")).unwrap_or_default());
        print(&table(run.recorder.summary(), &run.timing))?;
        if let Some(judged) = judged {
            print(&format!("\n{}", rules.text(judged)))?;
        }
    }
    print(&verdict(&run.outcome))?;
    // Who wants to read nothing else wants to read this.
    match judged.filter(|judged| args.quiet && rules.fails(judged)) {
        Some(judged) => print(&format!("judge: {}\n", judged.summary())),
        None => Ok(()),
    }
}

/// The last line of a run.
pub(super) fn verdict(outcome: &Outcome) -> String {
    format!("verdict: {outcome}\n")
}

/// The value at the debug exit, if the guest left through it.
pub(super) fn exit_value(outcome: &Outcome) -> Option<u8> {
    match outcome {
        Outcome::Success => Some(Outcome::SUCCESS),
        Outcome::Failure(value) => Some(*value),
        Outcome::Died(_) | Outcome::Interrupted { .. } => None,
    }
}

/// Whole microseconds, as programs like them.
pub(super) fn micros(time: Duration) -> u64 {
    u64::try_from(time.as_micros()).unwrap_or(u64::MAX)
}
