//! The ATA channel around its commands: devices, ports, resets and interrupts; and the
//! keyboard controller's reset.

use eclipse_devices::disk::MemoryDisk;
use eclipse_devices::{Preset, Space, Stop};
use eclipse_tests::Loopback;
use eclipse_tests::ata::{
    CONTROL, COUNT, Channel, DATA, DEVICE, DEVICE_0, ERROR, LBA, READY, STATUS, counting,
};
use eclipse_trace::Event;
use expect_test::expect;
use proptest::prelude::{any, prop, prop_assert, proptest};

#[test]
fn device_1_is_not_there() {
    let channel = Channel::counting();
    channel.store(DEVICE, 0xf0);
    assert_eq!((channel.load(STATUS), channel.load(CONTROL)), (0, 0));
    channel.store(STATUS, 0xec);
    assert_eq!(channel.load(STATUS), 0, "a command to it is ignored");
    assert_eq!(channel.0.load(Space::Port, DATA.into(), 2), 0xffff);
    channel.store(DEVICE, DEVICE_0);
    assert_eq!(channel.load(STATUS), READY, "and not carried out by device 0");
    channel.store(DEVICE, 0xf0);
    channel.store(STATUS, 0x90);
    assert_eq!(channel.outcome(), (READY, 1), "a diagnostic concerns both");
}

#[test]
fn a_channel_without_a_disk_floats() {
    let channel = Channel::counting();
    for port in (0x170..0x178).chain([0x376]) {
        assert_eq!(channel.load(port), 0xff, "the secondary channel");
    }
    let machine = Loopback::new(Preset::Modern, MemoryDisk::counting(8));
    for port in (0x1f0..0x1f8).chain([0x3f6]) {
        assert_eq!(machine.load(Space::Port, port, 1), 0xff, "no disk was attached");
    }
}

#[test]
fn the_ports_are_there_while_the_ide_function_decodes_io() {
    let channel = Channel::counting();
    let command = |value| {
        channel.0.store(Space::Port, 0xcf8, 4, 0x8000_0904);
        channel.0.store(Space::Port, 0xcfc, 2, value);
    };
    assert_eq!(channel.load(STATUS), READY);
    command(0x0000);
    let transcript = channel.transcript_of(|| assert_eq!(channel.load(STATUS), 0xff));
    assert_eq!(transcript, "guest   port 01f7 -> ff refused: no device answers\n");
    channel.store(STATUS, 0xec);
    command(0x0001);
    assert_eq!(channel.load(STATUS), READY);
}

#[test]
fn a_software_reset_ends_a_command_and_shows_the_signature() {
    let channel = Channel::counting();
    channel.command(0x20, 7, 2);
    channel.store(CONTROL, 0x04);
    assert_eq!((channel.load(STATUS), channel.load(CONTROL)), (0x80, 0x80), "BSY");
    channel.store(STATUS, 0xec);
    assert_eq!(channel.load(STATUS), 0x80, "no command while it is held in reset");
    channel.store(CONTROL, 0x00);
    assert_eq!(channel.outcome(), (READY, 1), "passed");
    let signature = [COUNT, LBA[0], LBA[1], LBA[2], DEVICE].map(|port| channel.load(port));
    assert_eq!(signature, [1, 1, 0, 0, 0]);
    assert_eq!(channel.0.load(Space::Port, DATA.into(), 2), 0xffff);
    channel.command(0x20, 7, 1);
    assert_eq!(channel.read_sector(), counting(7));
    channel.store(DEVICE, 0xf0);
    channel.store(CONTROL, 0x04);
    channel.store(CONTROL, 0x00);
    assert_eq!(channel.outcome(), (READY, 1), "device 0 is selected");
}

#[test]
fn the_high_order_bytes_show_until_the_next_store() {
    let channel = Channel::counting();
    channel.store(COUNT, 0x12);
    channel.store(COUNT, 0x34);
    assert_eq!(channel.load(COUNT), 0x34);
    channel.store(CONTROL, 0x80);
    assert_eq!(channel.load(COUNT), 0x12);
    channel.store(LBA[0], 0);
    assert_eq!(channel.load(COUNT), 0x34);
}

#[test]
fn interrupts_come_while_nien_is_clear() {
    let channel = Channel::counting();
    let silent = channel.transcript_of(|| {
        channel.store(CONTROL, 0x02);
        channel.command(0xec, 0, 0);
    });
    assert!(!silent.contains("irq"), "{silent}");
    expect![[r#"
        guest   00:01.1 ata alternate_status/device_control <- 00
        00:01.1 irq 14 asserted
        guest   00:01.1 ata alternate_status/device_control -> 58
        guest   00:01.1 ata device <- f0 refused: the register does not take this value now
        guest   00:01.1 ata alternate_status/device_control <- 02
        00:01.1 irq 14 deasserted
        guest   00:01.1 ata alternate_status/device_control <- 00
        00:01.1 irq 14 asserted
        guest   00:01.1 ata status/command -> 58
        00:01.1 irq 14 deasserted
    "#]]
    .assert_eq(&channel.transcript_of(|| {
        channel.store(CONTROL, 0x00);
        channel.load(CONTROL);
        channel.store(DEVICE, 0xf0);
        channel.store(CONTROL, 0x02);
        channel.store(CONTROL, 0x00);
        channel.load(STATUS);
    }));
}

#[test]
fn the_keyboard_controller_resets_by_its_pulse_command_only() {
    let machine = Loopback::new(Preset::Modern, MemoryDisk::counting(8));
    assert_eq!(machine.load(Space::Port, 0x64, 1), 0, "it takes a command at once");
    for command in (0x00..=0xff).filter(|command| *command != 0xfe) {
        machine.store(Space::Port, 0x64, 1, command);
    }
    machine.store(Space::Port, 0x64, 2, 0xfe);
    machine.store(Space::Port, 0x60, 1, 0xfe);
    assert_eq!(machine.stop(), None);
    machine.store(Space::Port, 0x64, 1, 0xfe);
    assert_eq!(machine.stop(), Some(Stop::Reset));
}

proptest! {
    #[test]
    fn no_access_makes_it_panic_or_drive_its_line_out_of_turn(
        accesses in prop::collection::vec(
            (0u16..10, prop::sample::select(vec![1u8, 2, 4]), any::<bool>(), any::<u8>()),
            1..400,
        )
    ) {
        let channel = Channel::new(MemoryDisk::counting(4));
        let ports = [DATA, ERROR, COUNT, LBA[0], LBA[1], LBA[2], DEVICE, STATUS, CONTROL, DATA];
        let commands = [0x20, 0x24, 0x30, 0x34, 0xec, 0xe7, 0x90];
        for (place, width, store, value) in accesses {
            let port = ports[usize::from(place)];
            // Mostly what is a register, and mostly commands that there are.
            let width = if value & 7 != 0 { if port == DATA { 2 } else { 1 } } else { width };
            let value = match port {
                STATUS => commands[usize::from(value) % commands.len()],
                COUNT | 0x1f3..=0x1f5 => u64::from(value & 3),
                _ => u64::from(value) * 0x0101,
            };
            match store {
                true => channel.0.store(Space::Port, port.into(), width, value),
                false => { channel.0.load(Space::Port, port.into(), width); }
            }
        }
        let mut asserted = false;
        for entry in channel.0.entries() {
            if let Event::Line { asserted: now, .. } = entry.event {
                prop_assert!(now != asserted);
                asserted = now;
            }
        }
    }
}
