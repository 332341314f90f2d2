//! Random ring memory, split and packed: whatever lies there, the device neither
//! panics nor hangs nor leaves RAM, and a reset makes it usable.

use eclipse_devices::virtio::Features;
use eclipse_tests::Bare;
use eclipse_tests::bare::{NEXT, WRITE};
use eclipse_tests::rings::{PackedDriver, ready, start};
use eclipse_trace::Event;
use proptest::prelude::{Just, Strategy, any, prop, prop_oneof};
use proptest::{prop_assert, proptest};

const RAM: u64 = 16 << 20;
const SIZE: u16 = 8;
/// Where an indirect table may be found.
const TABLE: u64 = 0x6000;

/// Events of one chain at most: a ring slot, the descriptors and one that names a
/// table, a violation for each, its buffers touched for header, data and status,
/// the request, the used element and index.
const EVENTS_OF_CHAIN: usize = 6 * SIZE as usize + 8;

/// Addresses that are often good, and near every edge when they are not.
fn address() -> impl Strategy<Value = u64> {
    prop_oneof![
        6 => Just(Bare::HEADER),
        4 => Just(Bare::DATA),
        3 => Just(TABLE),
        // The rings themselves: a request that writes to its own descriptors.
        2 => prop_oneof![Just(Bare::DESC), Just(Bare::AVAIL), Just(Bare::USED)],
        1 => RAM - 600..RAM + 600,
        1 => u64::MAX - 600..=u64::MAX,
        1 => any::<u64>(),
    ]
}

fn length() -> impl Strategy<Value = u32> {
    prop_oneof![
        5 => prop_oneof![Just(16u32), Just(512), Just(1), Just(48), Just(128)],
        2 => 0u32..1100,
        1 => u32::MAX - 600..=u32::MAX,
        1 => any::<u32>(),
    ]
}

/// Descriptor flags: of a split queue, or with the bits of a packed one.
fn flags() -> impl Strategy<Value = u16> {
    prop_oneof![
        8 => (0u16..8).prop_map(|low| low),
        8 => (0u16..8).prop_map(|low| low | 0x80),
        4 => (0u16..8).prop_map(|low| low | 0x8000),
        1 => any::<u16>(),
    ]
}

fn index() -> impl Strategy<Value = u16> {
    prop_oneof![8 => 0..SIZE + 1, 1 => any::<u16>()]
}

/// Address, length, flags, and next or buffer ID.
fn entry() -> impl Strategy<Value = (u64, u32, u16, u16)> {
    (address(), length(), flags(), index())
}

fn write(bare: &Bare, at: u64, packed: bool, entry: (u64, u32, u16, u16)) {
    let (addr, len, flags, next) = entry;
    let (first, second) = if packed { (next, flags) } else { (flags, next) };
    bare.write(at, addr);
    bare.write(at + 8, len);
    bare.write(at + 12, first);
    bare.write(at + 14, second);
}

proptest! {
    #[test]
    fn whatever_is_in_the_rings_the_device_stays_within_its_bounds(
        packed in any::<bool>(),
        bits in any::<[bool; 3]>(),
        size in 0u32..3,
        rounds in prop::collection::vec(
            (
                prop::collection::vec(entry(), usize::from(SIZE)),
                prop::collection::vec(entry(), 3..9),
                prop::collection::vec(index(), usize::from(SIZE)),
                (0u16..12, any::<u16>(), any::<u16>(), prop_oneof![0u32..6, any::<u32>()]),
            ),
            1..5,
        ),
    ) {
        let size = SIZE >> size;
        let optional = [Features::INDIRECT_DESC, Features::EVENT_IDX, Features::IN_ORDER];
        let chosen = optional.into_iter().zip(bits).filter(|(_, bit)| *bit).map(|(feature, _)| feature);
        let mut features: Features = chosen.collect();
        features.set(Features::RING_PACKED, packed);
        let bare = ready(features, size);
        for (table, indirect, heads, (ahead, driver, event, kind)) in rounds {
            bare.header(kind, 0);
            for (slot, entry) in (0..).zip(table) {
                write(&bare, Bare::DESC + 16 * slot, packed, entry);
            }
            for (index, entry) in (0..).zip(indirect) {
                write(&bare, TABLE + 16 * index, packed, entry);
            }
            let idx: u16 = bare.read(Bare::AVAIL + 2);
            for (slot, head) in (0..).zip(&heads) {
                bare.write(Bare::AVAIL + 4 + 2 * slot, *head);
            }
            bare.write(Bare::AVAIL + 4 + 2 * u64::from(size), event);
            bare.write(Bare::AVAIL, driver);
            bare.write(Bare::AVAIL + 2, if packed { event } else { idx.wrapping_add(ahead) });

            let from = bare.machine.entries().len();
            bare.store(Bare::NOTIFY, 2, 0);
            let entries = bare.machine.entries();
            let events = &entries[from..];
            let bound = usize::from(size) * EVENTS_OF_CHAIN + 16;
            prop_assert!(events.len() <= bound, "{} events", events.len());
            let given = |event: &Event| matches!(event, Event::Used { .. } | Event::PackedUsed { .. });
            let chains = events.iter().filter(|entry| given(&entry.event)).count();
            prop_assert!(chains <= usize::from(size), "{chains} chains at one doorbell");
            for entry in events {
                if let Event::Buffer { addr, len, .. } = entry.event {
                    let end = addr.checked_add(len.into());
                    prop_assert!(end.is_some_and(|end| end <= RAM), "{entry}");
                }
            }
        }

        start(&bare, SIZE);
        bare.header(0, 1);
        let request = [(Bare::HEADER, 16, 0), (Bare::DATA, 512, WRITE), (Bare::STATUS, 1, WRITE)];
        for slot in 0..SIZE {
            PackedDriver::write(&bare, slot, 0, 0, 0, 0);
        }
        if packed {
            PackedDriver::new(SIZE).push(&bare, &request, 0);
            bare.store(Bare::NOTIFY, 2, 0);
        } else {
            bare.write(Bare::AVAIL + 2, 0u16);
            let [(header, ..), (data, ..), (status, ..)] = request;
            let chain = [(header, 16, NEXT, 1), (data, 512, NEXT | WRITE, 2), (status, 1, WRITE, 0)];
            bare.submit(&chain);
        }
        let status: u8 = bare.read(Bare::STATUS);
        prop_assert!(status == 0, "status {status} after the reset");
    }
}
