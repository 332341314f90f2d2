//! Every scenario on every machine, all of memory watched.

use std::sync::LazyLock;

use eclipse_devices::disk::{MemoryDisk, default_image};
use eclipse_devices::watch::{Rings, Watching};
use eclipse_devices::{PlatformConfig, Preset};
use eclipse_kernel::scenario;
use eclipse_tests::{Loopback, matrix};
use eclipse_trace::Recorder;
use eclipse_trace::rules::{End, Level};
use eclipse_vmm::{Config, Machine, Outcome, RunOptions};

use crate::bench::Bench;

const ALL: Watching = Watching { rings: Rings::Loads, dma: true, barriers: true };

pub static IN_LOOPBACK: LazyLock<Bench> = LazyLock::new(in_loopback);
pub static ON_KVM: LazyLock<Bench> = LazyLock::new(on_kvm);

fn in_loopback() -> Bench {
    let mut bench = Bench::default();
    for case in matrix::all() {
        for cmdline in &case.cmdlines {
            let recorder = Recorder::new().witness();
            let machine = Loopback::with((case.devices)()).marking().recorded_by(recorder);
            machine.watch(ALL);
            let end = match scenario::run(&machine, cmdline) {
                Ok(()) => End::Success,
                Err(_) => End::Failure,
            };
            let run = format!("{}, {cmdline}", case.name);
            bench.judge(&run, &machine.entries(), end, Level::Recipe);
        }
    }
    bench
}

fn on_kvm() -> Bench {
    let mut bench = Bench::default();
    for preset in Preset::ALL {
        let devices: PlatformConfig = preset.config(Box::new(MemoryDisk::new(default_image())));
        let cmdline = "scenario=boot marks=on".into();
        let config = Config { cmdline, devices, watching: ALL, ..Config::default() };
        let options = RunOptions { recorder: Recorder::new().witness(), ..RunOptions::default() };
        let run = Machine::new(config)
            .and_then(|machine| machine.run(options))
            .unwrap_or_else(|error| panic!("{preset}: {error}"));
        assert_eq!(run.outcome, Outcome::Success, "{preset}");
        bench.judge(&preset.to_string(), run.recorder.entries(), End::Success, Level::Recipe);
    }
    bench
}

#[test]
fn nothing_is_found_in_loopback() {
    IN_LOOPBACK.assert_clean();
}

#[test]
fn nothing_is_found_on_kvm() {
    ON_KVM.assert_clean();
}
