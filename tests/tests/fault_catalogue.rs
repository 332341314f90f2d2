//! The catalogue of faults: what is in it, and that each row strikes.

use std::collections::BTreeMap;
use std::mem::discriminant;

use eclipse_devices::disk::{MemoryDisk, default_image};
use eclipse_devices::fault::catalogue::{Build, Kind, NameError, by_name, rows};
use eclipse_devices::fault::{Action, Fault, Trigger, Value};
use eclipse_devices::virtio::Features;
use eclipse_devices::{Platform, Preset, Ram};
use eclipse_kernel::scenario;
use eclipse_tests::bare::{INDIRECT, NEXT, WRITE};
use eclipse_tests::{Bare, Loopback};
use eclipse_trace::{Effect, Entry, Event, Setting};
use expect_test::expect;

/// The faults that the catalogue is to have, in its order.
const IDS: [&str; 90] = [
    "F01", "F02", "F04", "F06", "F07", "F08", "F10", "F11", "F12", "F13", "F15", "F16", "F17",
    "F18", "F19", "F20", "F21", "F22", "F23", "F25", "F26", "F27", "F28", "F29", "F30", "F31",
    "F33", "F34", "F35", "F37", "F38", "F39", "F40", "F41", "F44", "F45", "F46", "F47", "F48",
    "F50", "F52", "F53", "F54", "F55", "F57", "F58", "F59", "F61", "F64", "F65", "F66", "F67",
    "F68", "F69", "F70", "F71", "F72", "F73", "F74", "F76", "F77", "F79", "F80", "F81", "F82",
    "F83", "F85", "F87", "F88", "F89", "F90", "F91", "F92", "F94", "F95", "F97", "F98", "F99",
    "F100", "F101", "F103", "F104", "F106", "F107", "F108", "F110", "F111", "F112", "F114", "F115",
];

#[test]
fn the_catalogue_has_every_fault_once_and_in_order() {
    assert_eq!(rows().map(|row| row.id).collect::<Vec<_>>(), IDS);
}

/// A driver of no mind that touches everything: twice through a device's life.
fn workout(schedule: Vec<Fault>) -> Vec<Entry> {
    let takes_tables = schedule.iter().any(|fault| {
        fault.action == Action::Machine(Setting::Offer, Features::INDIRECT_DESC.bits())
    });
    let bare = Bare::with_schedule(MemoryDisk::counting(64), schedule);
    for _ in 0..2 {
        let mut at = 0u8;
        while at < 0xfc {
            bare.config_load(at, 4);
            at += 4;
        }
        for bar in [0x10, 0x20] {
            let old = bare.config_load(bar, 4);
            bare.config_store(bar, 4, 0xffff_ffff);
            bare.config_load(bar, 4);
            bare.config_store(bar, 4, old);
            bare.config_load(bar, 4);
        }
        life(&bare, takes_tables);
    }
    bare.machine.entries()
}

fn life(bare: &Bare, takes_tables: bool) {
    bare.config_store(0x04, 2, 0x0406);
    bare.common(0x14, 1, 0);
    bare.load_common(0x14, 1);
    bare.accept_features();
    for register in eclipse_trace::register::BlockCfg::ALL {
        bare.load(Bare::BLOCK + u64::from(register.offset()), register.width());
    }
    for register in eclipse_trace::register::CommonCfg::ALL {
        bare.load_common(register.offset().into(), register.width());
        bare.load_common(register.offset().into(), register.width());
    }
    bare.enable_msix();
    bare.common(0x10, 2, 0);
    bare.set_up_queue();
    bare.common(0x1a, 2, 1);
    bare.common(0x1c, 2, 1);
    bare.common(0x14, 1, 0x0f);
    bare.load_common(0x1c, 2);
    bare.load_common(0x1a, 2);
    bare.write(Bare::AVAIL + 2, 0u16);
    if takes_tables {
        indirect(bare);
    }
    for (kind, flags) in [(0, WRITE), (1, 0), (0, WRITE), (4, 0), (0, WRITE)] {
        bare.header(kind, 1);
        let status = (Bare::STATUS, 1, WRITE, 0);
        match kind {
            4 => bare.descriptors(&[(Bare::HEADER, 16, NEXT, 1), status]),
            _ => bare.descriptors(&[
                (Bare::HEADER, 16, NEXT, 1),
                (Bare::DATA, 512, NEXT | flags, 2),
                status,
            ]),
        }
        bare.make_available(0);
        bare.machine.halt();
        look_twice(bare);
        bare.load(Bare::ISR, 1);
    }
    bare.common(0x14, 1, 0);
    for _ in 0..30 {
        bare.load_common(0x14, 1);
    }
}

/// What a driver should not do: load what the device wrote, and load it again.
fn look_twice(bare: &Bare) {
    for _ in 0..2 {
        bare.read::<u16>(Bare::USED + 2);
        for slot in 0..u64::from(Bare::SIZE) {
            bare.read::<u32>(Bare::USED + 4 + 8 * slot);
            bare.read::<u32>(Bare::USED + 8 + 8 * slot);
        }
    }
}

/// A read through a table of its own (VIRTIO 1.4, 2.7.5.3).
fn indirect(bare: &Bare) {
    const TABLE: u64 = 0x6000;
    bare.header(0, 1);
    let status = (Bare::STATUS, 1, WRITE, 0);
    bare.descriptors(&[(Bare::HEADER, 16, NEXT, 1), (Bare::DATA, 512, NEXT | WRITE, 2), status]);
    for word in 0..6 {
        bare.write(TABLE + 8 * word, bare.read::<u64>(Bare::DESC + 8 * word));
    }
    bare.descriptors(&[(TABLE, 48, INDIRECT, 0)]);
    bare.make_available(0);
    bare.machine.halt();
}

/// The first effect of each sort of each row, as a transcript has it.
fn first_effects() -> BTreeMap<&'static str, String> {
    let mut effects = BTreeMap::new();
    for row in rows().filter(|row| matches!(row.build, Build::Schedule(_))) {
        let schedule = by_name(row.id).unwrap_or_else(|error| panic!("{error}"));
        assert!(!schedule.is_empty(), "{}", row.id);
        let entries = workout(schedule);
        let mut first: Vec<Effect> = Vec::new();
        for entry in &entries {
            let Event::Fault { fault, effect } = &entry.event else { continue };
            let sort = |effect: &Effect| match effect {
                Effect::Machine { setting, .. } => (discriminant(effect), Some(*setting)),
                _ => (discriminant(effect), None),
            };
            if **fault == *row.id && !first.iter().any(|known| sort(known) == sort(effect)) {
                first.push(**effect);
            }
        }
        assert!(!first.is_empty(), "{} has no effect", row.id);
        assert_ne!(first[0], Effect::Nothing, "{}", row.id);
        effects.insert(row.id, first.iter().map(Effect::to_string).collect::<Vec<_>>().join("; "));
    }
    effects
}

#[test]
fn every_row_that_can_be_made_does_what_it_says() {
    let mut text = String::new();
    for (id, effect) in first_effects() {
        text += &format!("{id} {effect}\n");
    }
    expect![[r#"
        F01 is gone
        F02 config +4d is 4c instead of 5c
        F04 config +34 is 3c instead of 40
        F06 config +4e is 02 instead of 10
        F07 config +4e is 20 instead of 10
        F08 config +34 is a4 instead of 40
        F10 config +55 is f0 instead of 00
        F100 does not write status 00
        F101 does not write 512 bytes at 0x5000
        F103 writes 1 bytes at 0x5000
        F104 does nothing to the disk from sector 1 on
        F106 answers 0x264 instead of 0x244
        F107 forges the used element of id 0 len 513
        F11 config +54 is 01 instead of 00
        F110 does not write used.ring[0]
        F111 is gone
        F112 answers 0x10421af5 instead of 0x10421af4
        F114 ignores the store; gives up
        F115 ignores the store; answers 0x0 instead of 0xb; gives chain 0 back twice, again after 10 accesses
        F12 config +58 is 37 instead of 00
        F13 has bar_size 0x200000000; config +58 is ff instead of 00
        F15 config +41 is 5c instead of 4c
        F16 config +91 is a4 instead of 00
        F17 answers 0x8000 instead of 0x0
        F18 config +0e is 01 instead of 00
        F19 config +08 is ff instead of 01
        F20 has other_device 0x1041; has block_device 0x40
        F21 answers 0x0 instead of 0xfe00000c
        F22 has bar_size 0x200000000
        F23 answers 0xfee0000c instead of 0xffffc00c
        F25 has transitional 0x1; has narrow_ports 0x1
        F26 has spread_bars 0x1
        F27 answers 0xf instead of 0x0
        F28 answers 0xf instead of 0x0
        F29 takes 0x3 instead of 0xb
        F30 answers 0xff instead of 0x0
        F31 gives up
        F33 answers 0x0 instead of 0x1
        F34 answers 0xc6fc0244 instead of 0x244
        F35 answers 0x201 instead of 0x1
        F37 answers 0x200244 instead of 0x244
        F38 answers 0x1 instead of 0x0
        F39 answers 0x0 instead of 0x40
        F40 answers 0xffffffff instead of 0x40
        F41 answers 0x8 instead of 0x40
        F44 answers 0x0 instead of 0x200
        F45 answers 0x0 instead of 0xfe
        F46 answers 0x246 instead of 0x244
        F47 answers 0x644 instead of 0x244
        F48 answers 0x1244 instead of 0x244
        F50 config +78 is 08 instead of 00
        F52 has 4096 sectors from now on
        F53 raises an interrupt for nothing
        F54 answers 0x0 instead of 0x1
        F55 answers 0x18 instead of 0x100
        F57 answers 0x0 instead of 0x1
        F58 answers 0xffff instead of 0x0
        F59 has queues 0x2; has notify_multiplier 0x1000; has notify_permuted 0x1
        F61 answers 0xffff instead of 0x1
        F64 config +34 is 4c instead of 40
        F65 forges the used element of id 0 len 513
        F66 forges the used element of id 0 len 513
        F67 forges the used element of id 0 len 513
        F68 gives chain 0 back twice
        F69 gives chain 0 back after the next one
        F70 forges the used element of id 0 len 513
        F71 forges used.idx, which is 0001
        F72 does not write used.ring[0]
        F73 answers 0x2 at 0x3002 instead of 0x1
        F74 answers 0x1 at 0x3004 instead of 0x0
        F76 does not give chain 0 back
        F77 gives chain 0 back after 20 accesses
        F79 looks at q0 unasked
        F80 writes 2 bytes at 0x3000; looks at q0 unasked
        F81 has offer 0x20000000; writes 0x0 at 0x3044 instead of 0x1; looks at q0 unasked
        F82 writes 2 bytes at 0x100e
        F83 writes 2 bytes at 0x105e
        F85 has offer 0x10000000; writes 1 bytes at 0x6008
        F87 writes 1 bytes at 0x5000
        F88 writes 1 bytes at 0x8000
        F89 raises an interrupt for nothing
        F90 withholds vector 1
        F91 raises an interrupt for nothing
        F92 raises an interrupt for nothing
        F94 has vectors 0x1; has 4096 sectors from now on; withholds vector 0
        F95 holds chain 0; raises an interrupt for nothing; gives back what it held
        F97 writes status 01 instead of 00
        F98 writes status 02 instead of 00
        F99 writes status 03 instead of 00
    "#]]
    .assert_eq(&text);
}

#[test]
fn a_row_that_cannot_be_made_says_why() {
    for row in rows() {
        let Build::No(why) = row.build else { continue };
        assert_eq!(by_name(row.id), Err(NameError::Not { id: row.id, why }));
        assert!(why.len() > 20, "{}: {why}", row.id);
    }
}

#[test]
fn the_numbers_of_a_row_can_be_chosen() {
    let forged = |id| Action::UsedElement { id: Some(Value::Set(id)), len: None };
    let fault = |id| Fault::new(Trigger::Completion(None), forged(id)).named("F65");
    assert_eq!(by_name("F65"), Ok(vec![fault(0x10003)]));
    assert_eq!(by_name("f65:id=16,nth=3"), Ok(vec![fault(16).nth(3)]));
    assert_eq!(by_name("F65:id=0xFFFF_FFFF"), Ok(vec![fault(0xffff_ffff)]));
}

#[test]
fn a_name_that_is_none_is_refused_with_what_there_is() {
    let refused = |text| by_name(text).unwrap_err().to_string();
    assert_eq!(refused("F03"), "there is no fault \"F03\"; `eclipse-vmm faults` lists them");
    assert_eq!(refused("F65:idx=1"), "F65 has no parameter \"idx\"; it has id, nth");
    assert_eq!(refused("F57:x=1"), "F57 has no parameter \"x\"; it has none");
    assert_eq!(refused("F65:id"), "\"id\" is no number; write it as NAME=NUMBER");
    assert_eq!(refused("F65:id=x"), "\"id=x\" is no number; write it as NAME=NUMBER");
    assert_eq!(refused("F65:nth=0"), "F65: times are counted from 1");
    assert!(refused("F108").starts_with("F108 cannot be made: "));
}

/// The faults that take a hole in the place of a ring, which only KVM can leave: the
/// guest's drivers reach their rings by pointers.
const IN_HOLES: [&str; 3] = ["F73", "F74", "F95"];

#[test]
fn a_loopback_refuses_what_takes_a_hole_in_the_place_of_a_ring() {
    for id in IN_HOLES {
        let config = Preset::Modern.config(Box::new(MemoryDisk::counting(8)));
        let schedule = by_name(id).unwrap_or_else(|error| panic!("{error}"));
        let refused = Platform::with_faults(config, &schedule, Ram::Direct).err();
        let refused = refused.map(|error| error.to_string()).unwrap_or_default();
        assert!(refused.contains("the guest's accesses to rings are not seen"), "{id}: {refused}");
    }
}

/// The driver under a fault: whether it succeeded, and the transcript.
fn drive(name: &str) -> (bool, Vec<Entry>) {
    let schedule = by_name(name).unwrap_or_else(|error| panic!("{error}"));
    let config = Preset::Modern.config(Box::new(MemoryDisk::new(default_image())));
    let machine = Loopback::with_faults(config, schedule, Ram::Direct);
    let result = scenario::run(&machine, "");
    (result.is_ok(), machine.entries())
}

#[test]
fn the_driver_comes_to_an_end_with_every_fault_and_twice_to_the_same() {
    let rows = rows().filter(|row| matches!(row.build, Build::Schedule(_)));
    for row in rows.filter(|row| !IN_HOLES.contains(&row.id)) {
        let (succeeded, entries) = drive(row.id);
        assert!(entries.len() < 500_000, "{}: no end", row.id);
        assert!(entries == drive(row.id).1, "{}: another transcript", row.id);
        if row.kind == Kind::Legal {
            assert!(succeeded, "{} is legal: {}", row.id, entries.last().expect("some"));
        }
    }
}

#[test]
fn a_device_that_goes_at_any_access_is_given_up_soon() {
    for exit in (1..600).step_by(7) {
        let (_, entries) = drive(&format!("F111:exit={exit}"));
        let gone = entries
            .iter()
            .position(|entry| matches!(&entry.event, Event::Fault { effect, .. } if **effect == Effect::Removed));
        let after = gone.map_or(0, |gone| entries.len() - gone);
        assert!(after < 11_000, "{after} events after the device was gone at {exit}");
    }
}
