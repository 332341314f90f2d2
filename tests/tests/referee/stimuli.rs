//! The devices that the mutants meet, others that are seldom, and the driver as it is.

use std::collections::BTreeSet;
use std::sync::LazyLock;

use eclipse_devices::disk::{MemoryDisk, default_image};
use eclipse_devices::virtio::Features;
use eclipse_devices::{PlatformConfig, Preset, Ram};
use eclipse_kernel::scenario;
use eclipse_tests::Loopback;
use eclipse_trace::Recorder;
use eclipse_trace::rules::{End, Level};
use eclipse_vmm::mutants::{self, Substrate};

use crate::bench::Bench;

pub static OF_MUTANTS: LazyLock<Bench> = LazyLock::new(of_mutants);
pub static SELDOM: LazyLock<Bench> = LazyLock::new(seldom);

/// Runs the scenario and judges the drivers.
fn run(bench: &mut Bench, run: &str, machine: &Loopback, cmdline: &str, from: Level) {
    let end = match scenario::run(machine, cmdline) {
        Ok(()) => End::Success,
        Err(_) => End::Failure,
    };
    bench.judge(run, &machine.entries(), end, from);
}

/// Each run of the table of mutants, without the mistake.
fn of_mutants() -> Bench {
    let mut bench = Bench::default();
    let mut seen = BTreeSet::new();
    for row in mutants::rows().into_iter().filter(|row| row.substrate == Substrate::Either) {
        let name = format!("{} with {}", row.scenario, row.stimulus());
        if !seen.insert(name.clone()) {
            continue;
        }
        let faults = mutants::faults(row.faults).expect("faults of the catalogue");
        let machine = Loopback::with_faults(row.devices.config(), faults, Ram::Direct)
            .marking()
            .recorded_by(Recorder::new().witness());
        machine.watch(mutants::watching(row.watch).expect("what can be watched"));
        // A SHOULD may be about what a wrong device made of it.
        let from = if row.faults.is_empty() { Level::Recipe } else { Level::Must };
        run(&mut bench, &name, &machine, row.scenario, from);
    }
    bench
}

/// A preset whose device withholds some features and offers others.
fn offering(preset: Preset, withhold: Features, offer: Features) -> PlatformConfig {
    let mut config = preset.config(Box::new(MemoryDisk::new(default_image())));
    for block in &mut config.blocks {
        block.virtio.withhold |= withhold;
        block.virtio.offer |= offer;
        block.blk.features |= offer;
    }
    config
}

/// Devices that offer what contradicts itself, or too little.
fn seldom() -> Bench {
    let mut bench = Bench::default();
    let (none, version) = (Features::empty(), Features::VERSION_1);
    let machines = [
        (
            "CONFIG_WCE without FLUSH",
            offering(Preset::Modern, Features::FLUSH, Features::CONFIG_WCE),
        ),
        ("transitional without VERSION_1", offering(Preset::Transitional, version, none)),
        ("legacy without ANY_LAYOUT", offering(Preset::Legacy, Features::ANY_LAYOUT, none)),
    ];
    for (name, devices) in machines {
        let machine = Loopback::with(devices).marking().recorded_by(Recorder::new().witness());
        run(&mut bench, name, &machine, "scenario=write", Level::Recipe);
    }
    bench
}

/// What the drivers are asked to do against a SHOULD, and do.
const ASKED: [&str; 1] = [
    // The command line accepts no ANY_LAYOUT of a legacy device that offers it.
    "L6.3 at guest   00:04.0 legacy driver_features <- 00000244",
];

#[test]
fn nothing_is_found_where_the_mutants_are() {
    let asked = |finding: &String| ASKED.iter().any(|asked| finding.contains(asked));
    let found = OF_MUTANTS.findings.iter();
    let (asked, found): (Vec<_>, Vec<_>) = found.partition(|finding| asked(finding));
    assert!(found.is_empty(), "{found:#?}");
    assert_eq!(asked.len(), ASKED.len(), "{asked:#?}");
}

#[test]
fn nothing_is_found_where_features_contradict_each_other() {
    SELDOM.assert_clean();
}
