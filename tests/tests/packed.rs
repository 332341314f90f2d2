//! Packed virtqueues (VIRTIO 1.4, 2.8), from well-formed to hostile.

use eclipse_devices::Completion;
use eclipse_devices::virtio::Features;
use eclipse_tests::Bare;
use eclipse_tests::bare::{INDIRECT, NEXT, WRITE};
use eclipse_tests::rings::{AVAIL, PackedDriver, USED, offering, ready, start};
use expect_test::{Expect, expect};

const READ: u32 = 0;
const FLUSH: u32 = 4;
const SIZE: u16 = 8;

const HEADER: (u64, u32, u16) = (Bare::HEADER, 16, 0);
const DATA: (u64, u32, u16) = (Bare::DATA, 512, WRITE);
const STATUS: (u64, u32, u16) = (Bare::STATUS, 1, WRITE);

fn packed(size: u16) -> (Bare, PackedDriver) {
    (ready(Features::RING_PACKED, size), PackedDriver::new(size))
}

fn ring(bare: &Bare) -> String {
    bare.transcript_of(|| bare.store(Bare::NOTIFY, 2, 0))
}

#[test]
fn a_list_is_given_back_by_one_used_descriptor_in_its_first_slot() {
    let (bare, mut driver) = packed(SIZE);
    bare.header(READ, 1);
    driver.push(&bare, &[HEADER, DATA, STATUS], 7);
    expect![[r#"
        guest   00:04.0 notify q0 <- 0000
        00:04.0 q0 desc[0] -> 0x4000 len 16 id 0 NEXT AVAIL
        00:04.0 q0 desc[1] -> 0x5000 len 512 id 0 NEXT WRITE AVAIL
        00:04.0 q0 desc[2] -> 0x4010 len 1 id 7 WRITE AVAIL
        00:04.0 q0 desc[0] read 16 bytes at 0x4000
        00:04.0 q0 desc[1] write 512 bytes at 0x5000
        00:04.0 q0 request 0: in sector 1, 512 bytes: ok
        00:04.0 q0 desc[2] write 1 bytes at 0x4010
        00:04.0 q0 desc[0] <- id 7 len 513 WRITE AVAIL USED
        00:04.0 q0 desc[3].flags -> 0000
        00:04.0 q0 driver_event.flags -> 0000
        00:04.0 msix 1: 00000041 to fee00000
    "#]]
    .assert_eq(&ring(&bare));
    assert_eq!(bare.read::<u64>(Bare::DATA), 64);
    assert_eq!(PackedDriver::read(&bare, 0), (513, 7, WRITE | AVAIL | USED));
    assert_eq!(bare.read::<u64>(Bare::DESC), Bare::HEADER, "the address is left as it was");
    assert_eq!(PackedDriver::read(&bare, 1), (512, 0, NEXT | WRITE | AVAIL), "and the others too");
}

#[test]
fn the_wrap_counter_turns_after_the_last_slot_of_a_ring_of_any_size() {
    // No power of two, and lists that lie across the end.
    let size = 7;
    let (bare, mut driver) = packed(size);
    let (mut slot, mut wrap) = (0u16, true);
    for round in 0..100u16 {
        bare.header(READ, 0);
        let list = [HEADER, DATA, STATUS];
        let id = 1000 + round;
        assert_eq!(driver.push(&bare, &list, id), slot);
        let transcript = ring(&bare);
        let used = if wrap { AVAIL | USED } else { 0 };
        assert_eq!(PackedDriver::read(&bare, slot), (513, id, WRITE | used), "round {round}");
        assert_eq!(transcript.matches("msix 1").count(), 1, "{transcript}");
        slot += 3;
        if slot >= size {
            (slot, wrap) = (slot - size, !wrap);
        }
    }
}

#[test]
fn a_ring_full_of_buffers_is_worked_off_at_one_doorbell_with_one_interrupt() {
    let (bare, mut driver) = packed(SIZE);
    for lap in [true, false, true] {
        bare.header(FLUSH, 0);
        for id in 0..4 {
            driver.push(&bare, &[HEADER, STATUS], id);
        }
        let transcript = ring(&bare);
        assert_eq!(transcript.matches(": flush").count(), 4);
        assert_eq!(transcript.matches("msix 1").count(), 1);
        for id in 0..4 {
            let used = if lap { AVAIL | USED } else { 0 };
            assert_eq!(PackedDriver::read(&bare, 2 * id), (1, id, WRITE | used));
        }
    }
}

#[test]
fn a_doorbell_with_nothing_new_is_a_look_at_one_descriptor() {
    let (bare, mut driver) = packed(SIZE);
    let expected = expect![[r#"
        guest   00:04.0 notify q0 <- 0000
        00:04.0 q0 desc[0].flags -> 0000
    "#]];
    expected.assert_eq(&ring(&bare));
    expected.assert_eq(&ring(&bare));
    // After one lap its slots hold used descriptors, which are not available.
    bare.header(FLUSH, 0);
    for id in 0..4 {
        driver.push(&bare, &[HEADER, STATUS], id);
    }
    ring(&bare);
    expect![[r#"
        guest   00:04.0 notify q0 <- 0000
        00:04.0 q0 desc[0].flags -> 8082
    "#]]
    .assert_eq(&ring(&bare));
}

/// The list is so broken that the device gives up, and a reset makes it usable again.
fn check_needs_reset(size: u16, write: impl FnOnce(&Bare), expected: Expect) {
    let (bare, _) = packed(size);
    bare.header(READ, 0);
    write(&bare);
    expected.assert_eq(&ring(&bare));
    assert_eq!(bare.load_common(0x14, 1), 0x4f, "NEEDS_RESET");
    assert_eq!(ring(&bare), "guest   00:04.0 notify q0 <- 0000\n");

    for slot in 0..size {
        PackedDriver::write(&bare, slot, 0, 0, 0, 0);
    }
    start(&bare, size);
    bare.header(READ, 0);
    PackedDriver::new(size).push(&bare, &[HEADER, DATA, STATUS], 3);
    ring(&bare);
    assert_eq!(bare.read::<u8>(Bare::STATUS), 0, "a read after the reset succeeds");
}

#[test]
fn a_list_whose_end_is_not_available_needs_a_reset() {
    check_needs_reset(
        SIZE,
        |bare| PackedDriver::write(bare, 0, Bare::HEADER, 16, 0, NEXT | AVAIL),
        expect![[r#"
            guest   00:04.0 notify q0 <- 0000
            00:04.0 q0 desc[0] -> 0x4000 len 16 id 0 NEXT AVAIL
            00:04.0 q0 desc[1].flags -> 0000
            00:04.0 violation of VIRTIO 1.4, 2.8.17: the list goes on at slot 1, which is not available
            00:04.0 needs reset
            00:04.0 msix 0: 00000040 to fee00000
        "#]],
    );
}

#[test]
fn a_list_that_goes_all_round_the_ring_needs_a_reset() {
    check_needs_reset(
        3,
        |bare| {
            for slot in 0..3 {
                PackedDriver::write(bare, slot, Bare::HEADER, 16, 0, NEXT | AVAIL);
            }
        },
        expect![[r#"
            guest   00:04.0 notify q0 <- 0000
            00:04.0 q0 desc[0] -> 0x4000 len 16 id 0 NEXT AVAIL
            00:04.0 q0 desc[1] -> 0x4000 len 16 id 0 NEXT AVAIL
            00:04.0 q0 desc[2] -> 0x4000 len 16 id 0 NEXT AVAIL
            00:04.0 violation of VIRTIO 1.4, 2.8.17: the list at slot 0 is longer than the queue
            00:04.0 needs reset
            00:04.0 msix 0: 00000040 to fee00000
        "#]],
    );
}

#[test]
fn a_readable_descriptor_behind_a_writable_one_needs_a_reset() {
    check_needs_reset(
        SIZE,
        |bare| {
            PackedDriver::write(bare, 0, Bare::STATUS, 1, 0, NEXT | WRITE | AVAIL);
            PackedDriver::write(bare, 1, Bare::HEADER, 16, 0, AVAIL);
        },
        expect![[r#"
            guest   00:04.0 notify q0 <- 0000
            00:04.0 q0 desc[0] -> 0x4010 len 1 id 0 NEXT WRITE AVAIL
            00:04.0 q0 desc[1] -> 0x4000 len 16 id 0 AVAIL
            00:04.0 violation of VIRTIO 1.4, 2.8.17: descriptor 1 is device-readable and follows a device-writable one
            00:04.0 needs reset
            00:04.0 msix 0: 00000040 to fee00000
        "#]],
    );
}

#[test]
fn an_indirect_descriptor_that_was_not_negotiated_needs_a_reset() {
    check_needs_reset(
        SIZE,
        |bare| PackedDriver::write(bare, 0, Bare::DATA, 48, 0, INDIRECT | AVAIL),
        expect![[r#"
            guest   00:04.0 notify q0 <- 0000
            00:04.0 q0 desc[0] -> 0x5000 len 48 id 0 INDIRECT AVAIL
            00:04.0 violation of VIRTIO 1.4, 2.8.19: descriptor 0 is indirect, which was not negotiated
            00:04.0 needs reset
            00:04.0 msix 0: 00000040 to fee00000
        "#]],
    );
}

#[test]
fn the_size_is_no_power_of_two_necessarily_and_the_event_structures_are_aligned_to_4() {
    let bare = offering(Features::RING_PACKED);
    bare.accept_features();
    bare.set_up_queue();
    expect![[r#"
        guest   00:04.0 common queue_size <- 0000
        00:04.0 violation of VIRTIO 1.4, 4.1.4.3.2: queue size 0 is no power of two, or more than was offered
        guest   00:04.0 common queue_size <- 0101
        00:04.0 violation of VIRTIO 1.4, 4.1.4.3.2: queue size 257 is no power of two, or more than was offered
        guest   00:04.0 common queue_size <- 0003
        guest   00:04.0 common queue_driver_low <- 00002002
        guest   00:04.0 common queue_enable <- 0001
        00:04.0 violation of VIRTIO 1.4, 2.8.11: packed queue 0 enabled with a misaligned area
        guest   00:04.0 common queue_driver_low <- 00002004
        guest   00:04.0 common queue_enable <- 0001
    "#]]
    .assert_eq(&bare.transcript_of(|| {
        for size in [0, 257, 3] {
            bare.common(0x18, 2, size);
        }
        bare.common(0x28, 4, 0x2002);
        bare.common(0x1c, 2, 1);
        bare.common(0x28, 4, 0x2004);
        bare.common(0x1c, 2, 1);
    }));
    assert_eq!((bare.load_common(0x18, 2), bare.load_common(0x1c, 2)), (3, 1));
}

/// What one flush brings with these `flags` in the driver event structure: an
#[test]
fn used_descriptors_are_written_in_the_order_of_completion_and_each_skips_its_list() {
    let (bare, mut driver) = packed(SIZE);
    bare.machine.complete_by(Completion::Reverse(Some(2)));
    bare.header(FLUSH, 0);
    driver.push(&bare, &[(Bare::HEADER, 8, 0), (Bare::HEADER + 8, 8, 0), STATUS], 1);
    driver.push(&bare, &[HEADER, STATUS], 2);
    let transcript = ring(&bare);
    let used: Vec<_> = transcript.lines().filter(|line| line.contains(" <- id ")).collect();
    assert_eq!(
        used,
        [
            "00:04.0 q0 desc[0] <- id 2 len 1 WRITE AVAIL USED",
            "00:04.0 q0 desc[2] <- id 1 len 1 WRITE AVAIL USED",
        ]
    );
    // The next is in the slot behind both.
    bare.machine.complete_by(Completion::Immediate);
    assert_eq!(driver.push(&bare, &[HEADER, STATUS], 3), 5);
    ring(&bare);
    assert_eq!(PackedDriver::read(&bare, 5), (1, 3, WRITE | AVAIL | USED));
}

#[test]
fn with_in_order_no_schedule_changes_the_order() {
    for completion in
        [Completion::Reverse(Some(2)), Completion::Shuffle { seed: 1, batch: Some(2) }]
    {
        let bare = ready(Features::RING_PACKED | Features::IN_ORDER, SIZE);
        let mut driver = PackedDriver::new(SIZE);
        bare.machine.complete_by(completion);
        for round in 0..8 {
            bare.header(FLUSH, 0);
            let slots = [2 * round, 2 * round + 1]
                .map(|id| (driver.push(&bare, &[HEADER, STATUS], id), id));
            ring(&bare);
            for (slot, id) in slots {
                assert_eq!(PackedDriver::read(&bare, slot).1, id, "{completion}, slot {slot}");
            }
        }
    }
}

#[test]
fn a_list_over_descriptors_that_are_not_used_yet_needs_a_reset() {
    let (bare, mut driver) = packed(3);
    bare.machine.complete_by(Completion::Halt);
    bare.header(FLUSH, 0);
    driver.push(&bare, &[HEADER, STATUS], 1);
    ring(&bare);
    // Slot 2, and on over slot 0, which the device still has.
    driver.push(&bare, &[HEADER, STATUS], 2);
    expect![[r#"
        guest   00:04.0 notify q0 <- 0000
        00:04.0 q0 desc[2] -> 0x4000 len 16 id 0 NEXT AVAIL
        00:04.0 q0 desc[0] -> 0x4010 len 1 id 2 WRITE USED
        00:04.0 violation of VIRTIO 1.4, 2.8.17: the list at slot 2 lies over descriptors that are not used yet
        00:04.0 needs reset
        00:04.0 msix 0: 00000040 to fee00000
    "#]]
    .assert_eq(&ring(&bare));
}

#[test]
fn without_bus_mastering_the_device_touches_no_ring() {
    let (bare, mut driver) = packed(SIZE);
    bare.config_store(0x04, 2, 0x0402);
    bare.header(FLUSH, 0);
    driver.push(&bare, &[HEADER, STATUS], 1);
    expect![[r#"
        guest   00:04.0 notify q0 <- 0000
        00:04.0 violation of PCI 3.0, 6.2.2: DMA was asked for while bus mastering is off
        00:04.0 needs reset
        00:04.0 msix 0: pending
    "#]]
    .assert_eq(&ring(&bare));
    assert_eq!(PackedDriver::read(&bare, 0), (16, 0, NEXT | AVAIL));
}

#[test]
fn a_ring_outside_ram_needs_a_reset_wherever_it_is() {
    for at in [1 << 24, u64::MAX - 255] {
        let bare = offering(Features::RING_PACKED);
        bare.config_store(0x04, 2, 0x0406);
        bare.accept_features();
        bare.set_up_queue();
        bare.common(0x20, 4, at & 0xffff_ffff);
        bare.common(0x24, 4, at >> 32);
        bare.common(0x1c, 2, 1);
        bare.common(0x14, 1, 0x0f);
        let transcript = ring(&bare);
        let violation = format!("6.1: 16 bytes at {at:#x} are not all in guest RAM");
        assert!(transcript.contains(&violation), "{transcript}");
        assert_eq!(bare.load_common(0x14, 1), 0x4f, "NEEDS_RESET");
    }
}

#[test]
fn a_descriptor_is_available_where_avail_is_as_the_wrap_counter_and_used_is_not() {
    for (lap, available) in [(0, AVAIL), (1, USED)] {
        for flags in [0, AVAIL, USED, AVAIL | USED] {
            let (bare, mut driver) = packed(2);
            bare.header(FLUSH, 0);
            for id in 0..lap {
                driver.push(&bare, &[HEADER, STATUS], id);
                ring(&bare);
            }
            PackedDriver::write(&bare, 1, Bare::STATUS, 1, 9, WRITE | available);
            PackedDriver::write(&bare, 0, Bare::HEADER, 16, 9, NEXT | flags);
            let carried_out = ring(&bare).contains(": flush");
            assert_eq!(carried_out, flags == available, "lap {lap}, flags {flags:#06x}");
        }
    }
}
