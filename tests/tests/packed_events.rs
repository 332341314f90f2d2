//! Who is told of what in packed virtqueues (VIRTIO 1.4, 2.8.10), and notification data.

use eclipse_devices::virtio::Features;
use eclipse_tests::Bare;
use eclipse_tests::bare::{NEXT, WRITE};
use eclipse_tests::rings::{PackedDriver, ready};

const FLUSH: u32 = 4;
const SIZE: u16 = 8;

const HEADER: (u64, u32, u16) = (Bare::HEADER, 16, 0);
const STATUS: (u64, u32, u16) = (Bare::STATUS, 1, WRITE);

/// The driver area of a packed queue: `desc`, then `flags`.
const DRIVER_EVENT: u64 = Bare::AVAIL;
/// The device area.
const DEVICE_EVENT: u64 = Bare::USED;

fn ring(bare: &Bare) -> String {
    bare.transcript_of(|| bare.store(Bare::NOTIFY, 2, 0))
}

/// interrupt, and a violation.
fn flagged(features: Features, flags: u16) -> (bool, bool) {
    let bare = ready(Features::RING_PACKED | features, SIZE);
    bare.write(DRIVER_EVENT, 0x8001u16);
    bare.write(DRIVER_EVENT + 2, flags);
    bare.header(FLUSH, 0);
    PackedDriver::new(SIZE).push(&bare, &[HEADER, STATUS], 0);
    let transcript = ring(&bare);
    (transcript.contains("msix 1"), transcript.contains("violation of VIRTIO 1.4, 2.8.10"))
}

#[test]
fn the_flags_of_the_driver_event_structure_say_whether_an_interrupt_is_wanted() {
    let (plain, event_idx) = (Features::empty(), Features::EVENT_IDX);
    assert_eq!(flagged(plain, 0), (true, false), "enabled");
    assert_eq!(flagged(plain, 1), (false, false), "disabled");
    assert_eq!(flagged(plain, 2), (true, true), "a descriptor's, which was not negotiated");
    assert_eq!(flagged(event_idx, 0), (true, false));
    assert_eq!(flagged(event_idx, 1), (false, false));
    assert_eq!(flagged(event_idx, 2), (true, false), "slot 1 is among the two that were used");
    for features in [plain, event_idx] {
        assert_eq!(flagged(features, 3), (true, true), "reserved");
        assert_eq!(flagged(features, 0x0100), (true, true), "reserved bits are 0");
    }
}

#[test]
fn with_event_idx_an_interrupt_comes_when_the_wanted_descriptor_is_used() {
    // Two slots a flush on a ring of 5: from, to, and which events lie in between.
    let size = 5;
    let on_circle = |at: u16| (at % size, (at / size).is_multiple_of(2));
    for rounds in 0..7u16 {
        for slot in 0..size {
            for wrap in [false, true] {
                let bare = ready(Features::RING_PACKED | Features::EVENT_IDX, size);
                let mut driver = PackedDriver::new(size);
                bare.write(DRIVER_EVENT, slot | u16::from(wrap) << 15);
                for round in 0..=rounds {
                    bare.write(DRIVER_EVENT + 2, if round == rounds { 2u16 } else { 1 });
                    bare.header(FLUSH, 0);
                    driver.push(&bare, &[HEADER, STATUS], 0);
                    let transcript = ring(&bare);
                    let used = [on_circle(2 * round), on_circle(2 * round + 1)];
                    let wanted = round == rounds && used.contains(&(slot, wrap));
                    let what = format!("round {round}, slot {slot} {wrap}:\n{transcript}");
                    assert_eq!(transcript.contains("msix 1"), wanted, "{what}");
                }
            }
        }
    }
}

#[test]
fn an_event_for_a_slot_that_the_ring_has_not_never_comes() {
    let bare = ready(Features::RING_PACKED | Features::EVENT_IDX, SIZE);
    bare.write(DRIVER_EVENT, 0x8000 | SIZE);
    bare.write(DRIVER_EVENT + 2, 2u16);
    bare.header(FLUSH, 0);
    PackedDriver::new(SIZE).push(&bare, &[HEADER, STATUS], 0);
    let transcript = ring(&bare);
    assert!(
        transcript.ends_with(
            "00:04.0 q0 driver_event.flags -> 0002\n\
             00:04.0 q0 driver_event.desc -> 8008\n\
             00:04.0 violation of VIRTIO 1.4, 2.8.10: the driver event structure asks for slot 8, \
             which the ring has not\n"
        ),
        "{transcript}"
    );
}

#[test]
fn with_event_idx_the_device_asks_for_the_descriptor_after_the_last_that_it_took() {
    let bare = ready(Features::RING_PACKED | Features::EVENT_IDX, 3);
    let mut driver = PackedDriver::new(3);
    let events = |transcript: String| -> Vec<String> {
        transcript.lines().filter(|l| l.contains("device_event")).map(String::from).collect()
    };
    let mut flush = || {
        bare.header(FLUSH, 0);
        driver.push(&bare, &[HEADER, STATUS], 0);
        events(ring(&bare))
    };
    // Where, before that it counts.
    assert_eq!(
        flush(),
        ["00:04.0 q0 device_event.desc <- 8002", "00:04.0 q0 device_event.flags <- 0002"]
    );
    assert_eq!(flush(), ["00:04.0 q0 device_event.desc <- 0001"]);
    assert_eq!(flush(), ["00:04.0 q0 device_event.desc <- 8000"]);
    assert_eq!(bare.read::<u32>(DEVICE_EVENT), 0x0002_8000);
    assert_eq!(events(ring(&bare)), [""; 0], "nothing new, nothing to say");
}

#[test]
fn notification_data_says_where_the_next_list_will_be() {
    for (feature, first, second) in
        [(Features::RING_PACKED, 0x8002, 0x0001), (Features::empty(), 0x0001, 0x0002)]
    {
        let size = if feature.is_empty() { 4 } else { 3 };
        let bare = ready(Features::NOTIFICATION_DATA | feature, size);
        let mut driver = PackedDriver::new(3);
        let mut flush = |next: u64| {
            bare.header(FLUSH, 0);
            match feature.is_empty() {
                true => {
                    bare.descriptors(&[(Bare::HEADER, 16, NEXT, 1), (Bare::STATUS, 1, WRITE, 0)]);
                    bare.write(Bare::AVAIL + 2, bare.read::<u16>(Bare::AVAIL + 2) + 1);
                }
                false => _ = driver.push(&bare, &[HEADER, STATUS], 0),
            }
            bare.transcript_of(|| bare.store(Bare::NOTIFY, 4, next << 16))
        };
        let transcript = flush(first);
        assert!(transcript.contains(": flush"), "{transcript}");
        assert!(!transcript.contains("violation"), "{transcript}");
        let transcript = flush(first);
        let noted = format!(
            "violation of VIRTIO 1.4, 2.8.16: queue 0 notified with {first:#06x} as what is next, \
             which it is not\n"
        );
        assert!(transcript.ends_with(&noted), "{transcript}");
        let again = bare.transcript_of(|| bare.store(Bare::NOTIFY, 4, second << 16));
        assert!(!again.contains("violation"), "{again}");
    }
}
