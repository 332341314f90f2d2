//! What the drivers have no use for, done by hand and rightly.

use std::sync::LazyLock;

use eclipse_devices::Space;
use eclipse_devices::virtio::Features;
use eclipse_tests::Bare;
use eclipse_tests::bare::{INDIRECT, NEXT, WRITE};
use eclipse_tests::rings::{PackedDriver, offering};
use eclipse_trace::Recorder;
use eclipse_trace::rules::{End, Level};

use crate::bench::Bench;

/// What it is about, what is offered, and what the driver does.
type Made = (&'static str, Features, fn(&Bare));

pub static BY_HAND: LazyLock<Bench> = LazyLock::new(by_hand);

/// `queue_reset`, `queue_enable` and `device_status` of the common
/// configuration.
const QUEUE_RESET: u64 = 0x3a;
const QUEUE_ENABLE: u64 = 0x1c;
const STATUS: u64 = 0x14;

fn by_hand() -> Bench {
    let mut bench = Bench::default();
    let runs: [Made; 9] = [
        ("a queue is reset", Features::RING_RESET, reset_queue),
        ("chains in order", Features::IN_ORDER.union(Features::INDIRECT_DESC), in_order),
        ("notification data", Features::NOTIFICATION_DATA, notification_data),
        ("packed notification data", PACKED_DATA, packed_notification_data),
        ("addresses by a platform", Features::ACCESS_PLATFORM, |bare| {
            start(bare, Features::ACCESS_PLATFORM);
        }),
        ("a queue that is not there", Features::empty(), absent_queue),
        ("a discard of two segments", Features::DISCARD, discard),
        ("the window in configuration space", Features::empty(), window),
        ("the header", Features::empty(), header),
    ];
    for (run, features, act) in runs {
        let machine = offering(features).machine.recorded_by(Recorder::new().witness());
        let bare = Bare { machine };
        act(&bare);
        bench.judge(run, &bare.machine.entries(), End::Unknown, Level::Must);
    }
    bench
}

/// Reset, negotiation of these features alone, and queue 0, as a driver does it that looks.
fn start(bare: &Bare, features: Features) {
    bare.config_load(0x00, 4);
    bare.config_load(0x0e, 1);
    bare.config_store(0x04, 2, 0x0406);
    bare.common(STATUS, 1, 0);
    assert_eq!(bare.load_common(STATUS, 1), 0);
    bare.common(STATUS, 1, 1);
    bare.common(STATUS, 1, 3);
    let accepted = (Features::VERSION_1 | features).bits();
    for window in [0, 1] {
        bare.common(0x00, 4, window);
        bare.load_common(0x04, 4);
    }
    for window in [0, 1] {
        bare.common(0x08, 4, window);
        bare.common(0x0c, 4, accepted >> (32 * window) & 0xffff_ffff);
    }
    bare.common(STATUS, 1, 0x0b);
    assert_eq!(bare.load_common(STATUS, 1), 0x0b);
    queue(bare);
    bare.common(STATUS, 1, 0x0f);
}

/// Queue 0 with 8 entries, enabled.
fn queue(bare: &Bare) {
    bare.common(0x16, 2, 0);
    bare.load_common(0x18, 2);
    bare.load_common(0x1e, 2);
    bare.set_up_queue();
    bare.common(QUEUE_ENABLE, 2, 1);
}

/// A read of a sector from descriptor `first` on.
fn read(bare: &Bare, first: u16) {
    bare.header(0, 3);
    let chain = [
        (Bare::HEADER, 16, NEXT, first + 1),
        (Bare::DATA, 512, NEXT | WRITE, first + 2),
        (Bare::STATUS, 1, WRITE, 0),
    ];
    for (slot, (addr, len, flags, next)) in (first..).zip(chain) {
        let at = Bare::DESC + 16 * u64::from(slot);
        bare.write(at, addr);
        bare.write(at + 8, len);
        bare.write(at + 12, flags);
        bare.write(at + 14, next);
    }
    available(bare, first);
}

fn available(bare: &Bare, head: u16) -> u16 {
    let idx: u16 = bare.read(Bare::AVAIL + 2);
    bare.write(Bare::AVAIL + 4 + 2 * u64::from(idx % Bare::SIZE), head);
    bare.write(Bare::AVAIL + 2, idx + 1);
    idx + 1
}

fn reset_queue(bare: &Bare) {
    start(bare, Features::RING_RESET);
    read(bare, 0);
    bare.store(Bare::NOTIFY, 2, 0);
    bare.common(0x16, 2, 0);
    bare.common(QUEUE_RESET, 2, 1);
    assert_eq!(bare.load_common(QUEUE_RESET, 2), 0);
    assert_eq!(bare.load_common(QUEUE_ENABLE, 2), 0);
    for area in [Bare::AVAIL, Bare::USED] {
        bare.write(area, 0u32);
    }
    queue(bare);
    read(bare, 0);
    bare.store(Bare::NOTIFY, 2, 0);
    assert_eq!(bare.read::<u8>(Bare::STATUS), 0);
}

fn in_order(bare: &Bare) {
    const TABLE: u64 = 0x8000;
    start(bare, Features::IN_ORDER | Features::INDIRECT_DESC);
    read(bare, 0);
    bare.store(Bare::NOTIFY, 2, 0);
    bare.header(4, 0);
    bare.write(TABLE, Bare::HEADER);
    bare.write(TABLE + 8, 16u32);
    bare.write(TABLE + 12, NEXT);
    bare.write(TABLE + 14, 1u16);
    bare.write(TABLE + 16, Bare::STATUS);
    bare.write(TABLE + 24, 1u32);
    bare.write(TABLE + 28, WRITE);
    let at = Bare::DESC + 16 * 3;
    bare.write(at, TABLE);
    bare.write(at + 8, 32u32);
    bare.write(at + 12, INDIRECT);
    available(bare, 3);
    bare.store(Bare::NOTIFY, 2, 0);
}

/// VIRTIO 1.4, 4.1.5.2: the queue, and the available index behind it.
fn notification_data(bare: &Bare) {
    start(bare, Features::NOTIFICATION_DATA);
    read(bare, 0);
    bare.store(Bare::NOTIFY, 4, 1 << 16);
    assert_eq!(bare.read::<u8>(Bare::STATUS), 0);
}

const PACKED_DATA: Features = Features::NOTIFICATION_DATA.union(Features::RING_PACKED);

/// VIRTIO 1.4, 4.1.5.2: the slot behind the list, and the wrap counter.
fn packed_notification_data(bare: &Bare) {
    start(bare, PACKED_DATA);
    bare.header(0, 3);
    let list = [(Bare::HEADER, 16, 0), (Bare::DATA, 512, WRITE), (Bare::STATUS, 1, WRITE)];
    PackedDriver::new(Bare::SIZE).push(bare, &list, 0);
    bare.store(Bare::NOTIFY, 4, (1 << 15 | 3) << 16);
    assert_eq!(bare.read::<u8>(Bare::STATUS), 0);
}

/// As many segments as the configuration allows, at most two.
fn discard(bare: &Bare) {
    /// `max_discard_seg`.
    const SEGMENTS: u64 = 0x28;
    start(bare, Features::DISCARD);
    let segments = bare.load(Bare::BLOCK + SEGMENTS, 4).min(2);
    bare.header(11, 0);
    for segment in 0..segments {
        let at = Bare::DATA + 16 * segment;
        bare.write(at, 8 * segment);
        bare.write(at + 8, 8u32);
        bare.write(at + 12, 0u32);
    }
    bare.descriptors(&[
        (Bare::HEADER, 16, NEXT, 1),
        (Bare::DATA, 16 * segments as u32, NEXT, 2),
        (Bare::STATUS, 1, WRITE, 0),
    ]);
    available(bare, 0);
    bare.store(Bare::NOTIFY, 2, 0);
    assert_eq!(bare.read::<u8>(Bare::STATUS), 0);
}

fn absent_queue(bare: &Bare) {
    start(bare, Features::empty());
    bare.common(0x16, 2, 1);
    assert_eq!(bare.load_common(0x18, 2), 0);
    bare.common(STATUS, 1, 0);
}

/// The capacity by the window in configuration space.
fn window(bare: &Bare) {
    bare.config_load(0x00, 4);
    bare.config_load(0x0e, 1);
    bare.config_store(0x04, 2, 0x0406);
    let mut at = bare.config_load(0x34, 1) as u8;
    let mut structure = (0, 0);
    loop {
        let kind = bare.config_load(at, 1);
        let next = bare.config_load(at + 1, 1);
        bare.config_load(at + 2, 1);
        let structure_type = bare.config_load(at + 3, 1);
        if kind == 9 && structure_type == 4 {
            structure = (bare.config_load(at + 4, 1), bare.config_load(at + 8, 4));
            bare.config_load(at + 12, 4);
        }
        if kind == 9 && structure_type == 5 {
            break;
        }
        at = next as u8;
    }
    bare.config_store(at + 4, 1, structure.0);
    bare.config_store(at + 8, 4, structure.1);
    bare.config_store(at + 12, 4, 4);
    assert_eq!(bare.config_load(at + 16, 4), 64);
}

/// What firmware does to a header: the ROM is sized, and the line written down.
fn header(bare: &Bare) {
    bare.config_load(0x00, 4);
    bare.config_load(0x0e, 1);
    bare.config_load(0x04, 2);
    bare.config_store(0x30, 4, 0xffff_f800);
    bare.config_load(0x30, 4);
    bare.config_store(0x30, 4, 0);
    bare.config_load(0x3d, 1);
    bare.config_store(0x3c, 1, 10);
    bare.config_store(0x04, 4, 0x0406);
    assert_eq!(bare.machine.load(Space::Port, 0xcf8, 4), 0x8000_2004);
}

#[test]
fn what_is_done_by_hand_is_done_rightly() {
    BY_HAND.assert_clean();
}
