//! Every fault of the catalogue against the guest's driver, over each interface and kind of
//! queue: what became of it, and what must hold whatever the device does.
//!
//! The full sweep of wrong bits is for a build that is optimised:
//!
//! ```console
//! $ cargo test --release -p eclipse-tests --test fault_verdicts -- --ignored
//! ```

mod sweeps;

use eclipse_devices::Preset;
use eclipse_devices::fault::catalogue::{Build, Kind, by_name, rows};
use eclipse_kernel::hal::Hal;
use eclipse_kernel::pci::Pci;
use eclipse_kernel::virtio::{
    self,
    blk::{COMPLETION_LIMIT, Options},
    transport::Signalling,
};
use eclipse_trace::{Actor, Entry, Event};
use expect_test::expect;

use eclipse_tests::life::{OTHER_NUMBERS, Verdict, machine, stands};

/// The machines, as the columns of the table.
const PRESETS: [Preset; 3] = [Preset::Modern, Preset::Legacy, Preset::Packed];

/// Faults that say in the device's name what the device does not know of: the driver believes
/// it, and the device then takes it for the driver's mistake.
const FORGED: [(&str, &str); 5] = [
    ("F46", "SIZE_MAX, which the device did not offer"),
    ("F47", "TOPOLOGY, which the device did not offer"),
    ("F48", "MQ, which the device did not offer"),
    ("F106", "RO, which the device did not offer"),
    ("F115", "a reset that did not happen"),
];

/// Faults that no driver sees: what the device says is as it should be, and the data is not.
const UNSEEN: [&str; 3] = ["F101", "F103", "F104"];

/// Legal, but not for every device.
const NOT_THERE: [(&str, Preset); 2] = [
    // A legacy device has no structures, and its revision is 0 (VIRTIO 1.4, 4.1.2.3).
    ("F16", Preset::Legacy),
    ("F19", Preset::Legacy),
];

/// What the driver did against the rules, or nobody could answer.
fn broken(entries: &[Entry]) -> Vec<String> {
    let broken = entries.iter().filter(|entry| match entry.event {
        Event::Refused { .. } => entry.by == Actor::Guest,
        Event::Violation { .. } => true,
        _ => false,
    });
    broken.map(Entry::to_string).collect()
}

/// The verdict on one fault and one machine; `None` where it does not strike.
fn verdict(name: &str, kind: Kind, preset: Preset) -> Option<Verdict> {
    let schedule = by_name(name).unwrap_or_else(|error| panic!("{error}"));
    let machine = machine(preset, &schedule)?;
    let verdict = stands(name, preset, &machine);
    if machine.summary().faults == 0 {
        assert_eq!(verdict, Verdict::Ok, "{name}, {preset}: nothing was wrong");
        return None;
    }
    let id = name.split(':').next().unwrap_or_default();
    if !FORGED.iter().any(|(forged, _)| *forged == id) {
        let broken = broken(&machine.entries());
        assert!(broken.is_empty(), "{name}, {preset}: {broken:#?}");
    }
    if kind == Kind::Legal && !NOT_THERE.contains(&(id, preset)) {
        assert_eq!(verdict, Verdict::Ok, "{name}, {preset} is legal: {}", machine.console());
    }
    assert!(verdict != Verdict::Corrupt || UNSEEN.contains(&id), "{name}, {preset}");
    Some(verdict)
}

/// A line of the table: the fault, what it asks of a driver, and a verdict for each preset.
fn line(name: &str, kind: Kind) -> String {
    let word = |preset| verdict(name, kind, preset).map_or("-", Verdict::word);
    let [modern, legacy, packed] = PRESETS.map(word);
    format!("{name} {kind}: {modern} {legacy} {packed}\n")
}

#[test]
fn every_fault_has_its_verdict() {
    let rows = rows().filter(|row| matches!(row.build, Build::Schedule(_)));
    let table: String = rows.map(|row| line(row.id, row.kind)).collect();
    expect![[r#"
        F01 malicious: refused refused refused
        F02 malicious: refused - refused
        F04 malicious: refused refused refused
        F06 malicious: refused - refused
        F07 legal: ok - ok
        F08 legal: ok ok ok
        F10 malicious: refused - refused
        F11 malicious: refused - refused
        F12 malicious: refused - refused
        F13 legal: ok ok ok
        F15 broken: refused - refused
        F16 legal: ok refused ok
        F17 malicious: - - -
        F18 malicious: refused refused refused
        F19 legal: ok refused ok
        F20 broken: ok ok ok
        F21 malicious: refused - refused
        F22 legal: ok ok ok
        F23 malicious: - - -
        F25 legal: ok ok ok
        F26 legal: ok ok ok
        F27 legal: ok - ok
        F28 broken: refused - refused
        F29 broken: refused - refused
        F30 malicious: refused - refused
        F31 broken: recovered - recovered
        F33 broken: refused - refused
        F34 legal: ok - ok
        F35 malicious: - - -
        F37 malicious: ok - ok
        F38 malicious: refused - refused
        F39 broken: refused refused refused
        F40 malicious: refused refused refused
        F41 legal: ok ok ok
        F44 malicious: refused refused refused
        F45 malicious: ok ok ok
        F46 malicious: refused - refused
        F47 malicious: ok - ok
        F48 malicious: refused - refused
        F50 malicious: refused - refused
        F52 legal: ok ok ok
        F53 malicious: ok ok ok
        F54 broken: refused - refused
        F55 malicious: ok - ok
        F57 broken: refused - refused
        F58 malicious: refused - refused
        F59 legal: ok ok ok
        F61 broken: ok - ok
        F64 broken: ok ok ok
        F65 malicious: recovered recovered recovered
        F66 malicious: recovered recovered recovered
        F67 malicious: recovered recovered recovered
        F68 malicious: recovered recovered recovered
        F69 legal: ok ok ok
        F70 malicious: refused refused refused
        F71 malicious: recovered recovered -
        F72 broken: refused refused recovered
        F73 malicious: - - -
        F74 malicious: - - -
        F76 broken: recovered recovered recovered
        F77 malicious: recovered recovered recovered
        F79 legal: ok ok ok
        F80 legal: ok ok ok
        F81 legal: ok ok ok
        F82 malicious: ok ok recovered
        F83 malicious: ok ok ok
        F85 malicious: ok ok ok
        F87 malicious: ok ok ok
        F88 undefended: ok ok ok
        F89 legal: ok ok ok
        F90 broken: ok ok ok
        F91 malicious: ok - ok
        F92 malicious: ok ok ok
        F94 legal: ok ok ok
        F95 legal: - - -
        F97 broken: refused refused refused
        F98 broken: refused refused refused
        F99 malicious: refused refused refused
        F100 broken: refused refused refused
        F101 undefended: ok ok ok
        F103 malicious: CORRUPT CORRUPT CORRUPT
        F104 broken: CORRUPT CORRUPT CORRUPT
        F106 legal: ok - ok
        F107 malicious: recovered recovered recovered
        F110 malicious: refused refused recovered
        F111 broken: refused refused refused
        F112 broken: refused refused refused
        F114 broken: recovered recovered recovered
        F115 malicious: refused recovered refused
    "#]]
    .assert_eq(&table);
}

#[test]
fn every_fault_with_other_numbers_has_its_verdict() {
    let kind = |name: &str| rows().find(|row| name.split(':').next() == Some(row.id));
    let lines = OTHER_NUMBERS.map(|name| line(name, kind(name).expect("it is a row").kind));
    expect![[r#"
        F12:cap=2 malicious: ok - ok
        F27:loads=1000 legal: ok - ok
        F30:nth=4 malicious: - - -
        F31:stage=1 broken: refused - refused
        F31:stage=2 broken: refused - refused
        F31:stage=3 broken: recovered - recovered
        F31:stage=5 broken: recovered recovered recovered
        F40:sectors=0x80000000000000 malicious: refused refused refused
        F44:blk_size=1 malicious: refused refused refused
        F44:blk_size=511 malicious: refused refused refused
        F44:blk_size=0x80000000 malicious: refused refused refused
        F45:seg_max=0xffffffff malicious: ok ok ok
        F55:size=1 malicious: refused - refused
        F55:size=2 malicious: refused - refused
        F55:size=3 malicious: refused - ok
        F55:size=32768 malicious: ok - ok
        F55:size=65535 malicious: ok - ok
        F65:id=16 malicious: recovered recovered recovered
        F65:id=256 malicious: recovered recovered recovered
        F65:id=0xffff malicious: recovered recovered recovered
        F65:id=0xffffffff malicious: recovered recovered recovered
        F65:id=0x10000,nth=3 malicious: recovered recovered ok
        F68:nth=4 malicious: recovered recovered recovered
        F70:len=0,nth=2 malicious: degraded degraded degraded
        F70:len=1,nth=2 malicious: degraded degraded degraded
        F70:len=0xffffffff,nth=2 malicious: degraded degraded degraded
        F72:nth=3 broken: ok ok recovered
        F76:nth=5 broken: recovered recovered recovered
        F77:nth=3 malicious: recovered recovered recovered
        F97:type=0,nth=2 broken: degraded degraded degraded
        F97:type=1 broken: degraded degraded degraded
        F97:type=4 broken: degraded degraded degraded
        F97:type=8 broken: degraded degraded degraded
        F98:type=1 broken: degraded degraded degraded
        F98:type=4 broken: degraded degraded degraded
        F99:status=254,nth=2 malicious: degraded degraded degraded
        F100:nth=2 broken: degraded degraded degraded
        F101:nth=2 undefended: CORRUPT CORRUPT CORRUPT
        F110:nth=2 malicious: degraded degraded recovered
        F111:exit=250 broken: refused refused refused
        F114:request=1 broken: recovered recovered recovered
        F114:request=5 broken: recovered recovered recovered
    "#]]
    .assert_eq(&lines.concat());
}

#[test]
fn a_completion_has_its_time_whoever_waits_for_it() {
    for signalling in [Signalling::Best, Signalling::Line, Signalling::Polling] {
        let schedule = by_name("F76").unwrap_or_else(|error| panic!("{error}"));
        let machine = machine(Preset::Modern, &schedule).expect("it can strike");
        let options = Options { signalling, ..Options::default() };
        let disk = virtio::init(&Pci::init(&machine), options);
        assert!(disk.is_ok(), "{signalling:?}: {}", machine.console());
        assert!(machine.console().contains("no completion in time"), "{}", machine.console());
        let took = machine.now();
        assert!((COMPLETION_LIMIT..2 * COMPLETION_LIMIT).contains(&took), "{took:?}");
    }
}
