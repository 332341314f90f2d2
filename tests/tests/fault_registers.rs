//! Faults at registers beside those of a modern device: legacy ports, bridges, MSI-X tables.

use eclipse_devices::disk::MemoryDisk;
use eclipse_devices::fault::{Action, Fault, RegisterName, Trigger, Value};
use eclipse_devices::{Preset, Space};
use eclipse_tests::{Bare, Loopback};
use eclipse_trace::Bdf;
use expect_test::{Expect, expect};

const PORTS: u64 = 0xc000;

fn register(name: &str) -> RegisterName {
    name.parse().unwrap_or_else(|error| panic!("{error}"))
}

fn machine(preset: Preset, faults: &[Fault]) -> Loopback {
    let machine = Loopback::new(preset, MemoryDisk::counting(64));
    machine.inject(faults.to_vec());
    machine
}

fn check(machine: &Loopback, accesses: impl FnOnce(), expected: Expect) {
    let from = machine.entries().len();
    accesses();
    let text: String = machine.entries()[from..].iter().map(|entry| format!("{entry}\n")).collect();
    expected.assert_eq(&text);
}

fn load(name: &str, value: u64) -> Fault {
    Fault::new(Trigger::Load(register(name)), Action::Alter(Value::Set(value)))
}

fn store(name: &str, action: Action) -> Fault {
    Fault::new(Trigger::Store(register(name), None), action)
}

#[test]
fn loads_and_stores_of_legacy_registers_are_altered() {
    let machine = machine(
        Preset::Legacy,
        &[
            load("legacy.queue_size", 24),
            store("legacy.device_status", Action::Alter(Value::Set(0x03))),
            store("queue_select", Action::Ignore),
            store("legacy.queue_select", Action::Ignore),
            load("block.capacity_low", 9),
        ],
    );
    let load = |offset, width| machine.load(Space::Port, PORTS + offset, width);
    let store = |offset, width, value| machine.store(Space::Port, PORTS + offset, width, value);
    check(
        &machine,
        || {
            load(0x0c, 2);
            store(0x12, 1, 0x01);
            load(0x12, 1);
            store(0x0e, 2, 5);
            load(0x0e, 2);
            load(0x14, 4);
        },
        expect![[r#"
            00:04.0 fault 0: answers 0x18 instead of 0x100
            guest   00:04.0 legacy queue_size -> 0018
            guest   00:04.0 legacy device_status <- 01
            00:04.0 fault 1: takes 0x3 instead of 0x1
            guest   00:04.0 legacy device_status -> 03
            guest   00:04.0 legacy queue_select <- 0005
            00:04.0 fault 3: ignores the store
            guest   00:04.0 legacy queue_select -> 0000
            00:04.0 fault 4: answers 0x9 instead of 0x40
            guest   00:04.0 legacy config+00 -> 00000009
        "#]],
    );
}

#[test]
fn a_legacy_notification_is_lost() {
    let machine = machine(Preset::Legacy, &[Fault::new(Trigger::Notify(0), Action::Ignore)]);
    let notify = |queue| machine.store(Space::Port, PORTS + 0x10, 2, queue);
    check(
        &machine,
        || {
            notify(1);
            notify(0);
            notify(0);
        },
        expect![[r#"
            guest   00:04.0 legacy queue_notify <- 0001
            00:04.0 violation of VIRTIO 1.4, 3.1.1: queue 1 notified before DRIVER_OK
            guest   00:04.0 legacy queue_notify <- 0000
            00:04.0 fault 0: ignores the store
            guest   00:04.0 legacy queue_notify <- 0000
            00:04.0 violation of VIRTIO 1.4, 3.1.1: queue 0 notified before DRIVER_OK
        "#]],
    );
}

#[test]
fn registers_of_a_bridge_are_altered_and_its_bars_are_not_those_of_a_device() {
    let bridge = Bdf::new(0, 5, 0);
    let machine = machine(
        Preset::Bridge,
        &[
            load("bridge.secondary_bus", 7).of(bridge),
            store("subordinate_bus", Action::Ignore).of(bridge),
            load("config.bar2", 0xffff_ffff).of(bridge),
            load("vendor_id", 0x1234).of(bridge),
        ],
    );
    let at = |offset: u64| {
        machine.store(Space::Port, 0xcf8, 4, 0x8000_2800 | offset & 0xfc);
        0xcfc + (offset & 3)
    };
    check(
        &machine,
        || {
            let port = at(0x18);
            machine.load(Space::Port, port, 4);
            machine.store(Space::Port, port + 2, 1, 9);
            machine.load(Space::Port, port + 2, 1);
            let port = at(0);
            machine.load(Space::Port, port, 2);
        },
        expect![[r#"
            guest   config_address <- 80002818
            00:05.0 fault 0: answers 0x10700 instead of 0x10100
            guest   00:05.0 config primary_bus -> 00010700
            guest   00:05.0 config subordinate_bus <- 09
            00:05.0 fault 1: ignores the store
            guest   00:05.0 config subordinate_bus -> 01
            guest   config_address <- 80002800
            00:05.0 fault 3: answers 0x1234 instead of 0x1b36
            guest   00:05.0 config vendor_id -> 1234
        "#]],
    );
}

#[test]
fn stores_to_the_msix_table_are_altered_and_ignored() {
    let bare = Bare::with_faults(
        MemoryDisk::counting(64),
        &[
            store("table[1].message_data", Action::Alter(Value::Set(0x99))),
            store("table[1].vector_control", Action::Ignore),
        ],
    );
    let entry = Bare::MSIX_TABLE + 16;
    expect![[r#"
        guest   00:04.0 msix table[1].message_data <- 00000050
        00:04.0 fault 0: takes 0x99 instead of 0x50
        guest   00:04.0 msix table[1].message_data -> 00000099
        guest   00:04.0 msix table[1].vector_control <- 00000001
        00:04.0 fault 1: ignores the store
        guest   00:04.0 msix table[1].vector_control -> 00000000
    "#]]
    .assert_eq(&bare.transcript_of(|| {
        bare.store(entry + 8, 4, 0x50);
        bare.load(entry + 8, 4);
        bare.store(entry + 12, 4, 1);
        bare.load(entry + 12, 4);
    }));
}
