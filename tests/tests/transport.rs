//! The modern transport beside its registers: the configuration window, doorbells,
//! resets that take their time, queue resets, capacity changes, the lenient profile.

use eclipse_devices::Completion;
use eclipse_devices::disk::MemoryDisk;
use eclipse_devices::virtio::{Features, Profile, VirtioConfig};
use eclipse_tests::bare::{NEXT, WRITE};
use eclipse_tests::rings::PackedDriver;
use eclipse_tests::{Bare, rings};
use expect_test::expect;

/// Where the capability of the configuration window is: behind MSI-X and four others.
const WINDOW: u8 = 0x90;

fn with(change: impl FnOnce(&mut VirtioConfig)) -> Bare {
    with_queues(1, change)
}

fn with_queues(queues: u16, change: impl FnOnce(&mut VirtioConfig)) -> Bare {
    let mut virtio = VirtioConfig::default();
    change(&mut virtio);
    Bare::with_virtio(virtio, queues)
}

/// Points the window at `len` bytes at `offset` of BAR `bar`.
fn aim(bare: &Bare, bar: u64, offset: u64, len: u64) {
    bare.config_store(WINDOW + 4, 1, bar);
    bare.config_store(WINDOW + 8, 4, offset);
    bare.config_store(WINDOW + 12, 4, len);
}

/// A flush with the shortest chain there is, on queue 0.
fn flush(bare: &Bare) -> String {
    bare.header(4, 0);
    bare.submit(&[(Bare::HEADER, 16, NEXT, 1), (Bare::STATUS, 1, WRITE, 0)])
}

#[test]
fn the_window_makes_the_access_that_it_is_pointed_at_without_memory_decode() {
    let bare = with(|_| {});
    bare.config_store(0x04, 2, 0);
    aim(&bare, 4, 0x14, 1);
    expect![[r#"
        guest   config_address <- 800020a0
        guest   00:04.0 config virtio_pci_cfg.pci_cfg_data <- 01
        guest   00:04.0 common device_status <- 01
        guest   config_address <- 800020a0
        guest   00:04.0 common device_status -> 01
        guest   00:04.0 config virtio_pci_cfg.pci_cfg_data -> 01
    "#]]
    .assert_eq(&bare.transcript_of(|| {
        bare.config_store(WINDOW + 16, 1, 1);
        bare.config_load(WINDOW + 16, 1);
    }));
    aim(&bare, 4, 0x2000, 4);
    assert_eq!(bare.config_load(WINDOW + 16, 4), 64, "the capacity");
}

#[test]
fn a_window_that_points_nowhere_does_nothing_and_says_so() {
    let bare = with(|_| {});
    for (bar, offset, len) in [(4, 0x15, 2), (4, 0, 8), (4, 0, 0), (0, 0, 4), (4, 0x4000, 4)] {
        aim(&bare, bar, offset, len);
        let transcript = bare.transcript_of(|| bare.config_store(WINDOW + 16, 4, 1));
        assert!(transcript.contains("violation of VIRTIO 1.4, 4.1.4.9.2"), "{transcript}");
        assert_eq!(transcript.lines().count(), 3, "{transcript}");
    }
}

#[test]
fn the_notification_address_is_the_offset_times_the_multiplier() {
    for (multiplier, permuted) in [(2, false), (4, true), (4096, false), (4096, true)] {
        let bare = with_queues(4, |virtio| {
            virtio.notify_multiplier = multiplier;
            virtio.notify_permuted = permuted;
        });
        let (at, length) = (bare.config_load(0x84, 4), bare.config_load(0x88, 4));
        assert_eq!(bare.config_load(0x8c, 4), u64::from(multiplier));
        for queue in 0..4 {
            bare.common(0x16, 2, queue);
            let offset = bare.load_common(0x1e, 2);
            assert_eq!(offset, if permuted { 3 - queue } else { queue });
            let inside = offset * u64::from(multiplier);
            assert!(inside + 2 <= length, "4.1.4.4.1");
            let rung = bare.transcript_of(|| bare.store(Bare::COMMON + at + inside, 2, queue));
            let expected = format!("guest   00:04.0 notify q{queue} <- 000{queue}\n");
            assert!(rung.starts_with(&expected), "{rung}");
        }
    }
}

#[test]
fn with_a_multiplier_of_0_the_value_alone_says_which_queue() {
    let bare = with_queues(2, |virtio| virtio.notify_multiplier = 0);
    let rung = bare.transcript_of(|| bare.store(Bare::NOTIFY, 2, 1));
    assert!(rung.starts_with("guest   00:04.0 notify q1 <- 0001\n"), "{rung}");
    let none = bare.transcript_of(|| bare.store(Bare::NOTIFY, 2, 2));
    assert!(!none.contains("avail"), "{none}");
}

#[test]
fn a_reset_can_take_some_loads_to_show() {
    let bare = with(|virtio| virtio.reset_loads = 2);
    bare.common(0x14, 1, 1);
    bare.common(0x14, 1, 0);
    let seen = [(); 4].map(|()| bare.load_common(0x14, 1));
    assert_eq!(seen, [1, 1, 0, 0]);
}

#[test]
fn with_notification_data_a_doorbell_is_32_bits_wide() {
    let bare = with(|virtio| virtio.offer = Features::NOTIFICATION_DATA);
    bare.start(u64::MAX);
    bare.header(4, 0);
    bare.descriptors(&[(Bare::HEADER, 16, NEXT, 1), (Bare::STATUS, 1, WRITE, 0)]);
    bare.write(Bare::AVAIL + 2, 1u16);
    let narrow = bare.transcript_of(|| bare.store(Bare::NOTIFY, 2, 0));
    assert!(narrow.contains("refused: the register has another width"), "{narrow}");
    let wide = bare.transcript_of(|| bare.store(Bare::NOTIFY, 4, 0x0001_0000));
    assert!(wide.contains("notify q0 <- 00010000\n"), "{wide}");
    assert!(wide.contains("request 0: flush"), "{wide}");
}

#[test]
fn a_queue_can_be_reset_by_itself_where_that_was_negotiated() {
    let bare = with(|virtio| virtio.offer = Features::RING_RESET);
    bare.start(u64::MAX);
    flush(&bare);
    bare.common(0x3a, 2, 1);
    assert_eq!((bare.load_common(0x3a, 2), bare.load_common(0x1c, 2)), (0, 0));
    assert_eq!(bare.load_common(0x20, 4), 0, "programmed anew before it is enabled");
    assert_eq!(bare.load_common(0x14, 1), 0x0f, "the device goes on");
    bare.set_up_queue();
    bare.common(0x1a, 2, 1);
    bare.common(0x1c, 2, 1);
    bare.write(Bare::AVAIL + 2, 0u16);
    assert!(flush(&bare).contains("used.ring[0] <- id 0 len 1"), "from the ring's start");

    let without = with(|virtio| virtio.offer = Features::RING_RESET);
    without.start(!Features::RING_RESET.bits());
    let refused = without.transcript_of(|| without.common(0x3a, 2, 1));
    assert!(refused.contains("violation of VIRTIO 1.4, 4.1.4.3.2"), "{refused}");
    assert_eq!(without.load_common(0x1c, 2), 1);
}

#[test]
fn a_change_of_capacity_is_another_generation_and_a_notification() {
    let bare = Bare::ready(MemoryDisk::counting(64));
    let generation = bare.load_common(0x15, 1);
    let seen = bare.transcript_of(|| {
        bare.machine.set_capacity(Bare::FUNCTION, 128).expect("a memory disk can grow");
    });
    assert!(seen.ends_with("00:04.0 msix 0: 00000040 to fee00000\n"), "{seen}");
    assert_eq!(bare.load(Bare::BLOCK, 4), 128);
    assert_ne!(bare.load_common(0x15, 1), generation);
    assert_eq!(bare.load(Bare::ISR, 1), 2);
}

#[test]
fn a_device_without_msix_has_no_table_and_interrupts_by_its_pin() {
    let bare = with(|virtio| virtio.vectors = 0);
    assert_eq!(bare.config_load(0x40, 1), 0x09, "a virtio capability comes first");
    bare.config_store(0x04, 2, 0x0006);
    bare.accept_features();
    bare.set_up_queue();
    let vector = bare.transcript_of(|| bare.common(0x1a, 2, 0));
    assert!(vector.contains("vector 0 is beyond the MSI-X table"), "{vector}");
    bare.common(0x1c, 2, 1);
    bare.common(0x14, 1, 0x0f);
    assert!(flush(&bare).contains("asserted"));
}

#[test]
fn the_lenient_profile_records_what_it_lets_pass() {
    let bare = with(|virtio| virtio.profile = Profile::Lenient);
    bare.config_store(0x04, 2, 0x0006);
    let seen = bare.transcript_of(|| {
        // No ACKNOWLEDGE, no FEATURES_OK, 8-bit and 32-bit accesses, a wide doorbell.
        bare.common(0x14, 1, 0x02);
        bare.common(0x16, 4, 0);
        bare.set_up_queue();
        bare.common(0x1c, 1, 1);
        bare.header(4, 0);
        bare.descriptors(&[(Bare::HEADER, 16, NEXT, 1), (Bare::STATUS, 1, WRITE, 0)]);
        bare.write(Bare::AVAIL + 2, 1u16);
        bare.store(Bare::NOTIFY, 4, 0);
    });
    for violation in [
        "3.1.1: status 0x02 skips a step",
        "3.1.1: queue 0 programmed before FEATURES_OK",
        "4.1.3.1: a register of 2 bytes accessed with 1",
        "4.1.3.1: a register of 2 bytes accessed with 4",
        "3.1.1: queue 0 notified before DRIVER_OK",
    ] {
        assert!(seen.contains(violation), "{violation}\n{seen}");
    }
    assert!(seen.contains("request 0: flush"), "{seen}");
}

/// A lenient device with a queue of 8 that has given three flushes back and holds one more, of
/// two descriptors each, when its size becomes 1.
fn shrunk(features: Features, mut flush: impl FnMut(&Bare)) -> Bare {
    let bare = with(|virtio| {
        virtio.profile = Profile::Lenient;
        virtio.offer = features;
    });
    bare.config_store(0x04, 2, 0x0406);
    rings::start(&bare, 8);
    bare.header(4, 0);
    (0..3).for_each(|_| flush(&bare));
    bare.machine.complete_by(Completion::Halt);
    flush(&bare);
    let seen = bare.transcript_of(|| bare.common(0x18, 2, 1));
    assert!(seen.contains("queue 0 changed while enabled"), "{seen}");
    bare
}

// More descriptors are in flight then than there are.
#[test]
fn a_split_queue_that_got_smaller_in_use_has_room_for_nothing_more() {
    let bare = shrunk(Features::empty(), |bare| drop(flush(bare)));
    let seen = bare.submit(&[(Bare::HEADER, 16, 0, 0)]);
    assert!(seen.contains("queue 0 has more descriptors outstanding than it has"), "{seen}");
}

// And the device's place is behind the end.
#[test]
fn a_packed_queue_that_got_smaller_in_use_completes_what_it_took() {
    let mut driver = PackedDriver::new(8);
    let bare = shrunk(Features::RING_PACKED | Features::EVENT_IDX, |bare| {
        driver.push(bare, &[(Bare::HEADER, 16, 0), (Bare::STATUS, 1, WRITE)], 0);
        bare.store(Bare::NOTIFY, 2, 0);
    });
    // An interrupt is wanted for slot 0.
    bare.write(Bare::AVAIL, 0x8000u16);
    bare.write(Bare::AVAIL + 2, 2u16);
    let seen = bare.transcript_of(|| {
        bare.store(Bare::NOTIFY, 2, 0);
        bare.machine.halt();
    });
    assert_eq!(seen.matches(": flush").count(), 1, "{seen}");
}

#[test]
fn what_cannot_be_is_refused_with_a_reason() {
    let check = |change: &dyn Fn(&mut VirtioConfig), queues| {
        let mut virtio = VirtioConfig::default();
        change(&mut virtio);
        virtio.check(queues)
    };
    assert_eq!(check(&|_| {}, 1), Ok(()));
    assert!(check(&|virtio| virtio.queue_size = 24, 1).is_err());
    assert!(check(&|virtio| virtio.vectors = 2049, 1).is_err());
    assert!(check(&|virtio| virtio.notify_multiplier = 3, 1).is_err());
    assert!(check(&|_| {}, 0).is_err());
    let data = |virtio: &mut VirtioConfig| {
        virtio.notify_multiplier = 2;
        virtio.offer = Features::NOTIFICATION_DATA;
    };
    assert!(check(&data, 1).is_err(), "4.1.4.4.1: a multiple of 4");
}
