//! Whatever a guest does: no panic, and what claims an address is what its registers say.

use proptest::prelude::*;

use super::*;
use crate::pci::Bridge;

fn functions() -> Vec<(Bdf, Box<dyn Function>)> {
    let config = |place: u64| {
        Probe::config()
            .with_interrupt_pin(Pin::A)
            .with_bar(0, BarKind::Io16, 0x40, 0xc000 + 0x40 * place)
            .with_bar(1, BarKind::Memory32, 0x1000, 0xc000_0000 + 0x1000 * place)
            .with_bar(4, BarKind::Memory64, 0x4000, 0x1_0000_0000 + 0x4000 * place)
    };
    let plain = |at, place| Probe::plugged(at, config(place));
    let inner: (Bdf, Box<dyn Function>) =
        (at(1, 1, 0), Box::new(Bridge::new(at(1, 1, 0), vec![plain(at(2, 0, 0), 3)])));
    let outer = Bridge::new(at(0, 5, 0), vec![plain(at(1, 0, 0), 2), inner]);
    vec![plain(at(0, 3, 0), 0), plain(at(0, 3, 2), 1), (at(0, 5, 0), Box::new(outer))]
}

#[derive(Clone, Debug)]
struct Store {
    bus: u8,
    place: usize,
    offset: u8,
    width: u8,
    value: u32,
    ecam: bool,
}

/// Stores that are mostly of interest: to functions that exist, to registers that matter.
fn stores() -> impl Strategy<Value = Store> {
    let value = prop_oneof![
        any::<u32>(),
        Just(u32::MAX),
        Just(0),
        (0..8_u32),
        (0xc000_0000..0xc010_0000_u32),
        Just(0x0002_0100),
    ];
    let offset = prop_oneof![0..0x48_u8, any::<u8>()];
    let width = prop_oneof![Just(1_u8), Just(2), Just(4)];
    (0..4_u8, 0..4_usize, offset, width, value, any::<bool>()).prop_map(
        |(bus, place, offset, width, value, ecam)| Store { bus, place, offset, width, value, ecam },
    )
}

/// The device and function numbers that exist on some bus.
const PLACES: [(u8, u8); 4] = [(3, 0), (3, 2), (5, 0), (1, 0)];

fn apply(rig: &mut Rig, store: &Store) {
    let (device, function) = PLACES[store.place];
    let target = at(store.bus, if store.bus > 1 { 0 } else { device }, function);
    match store.ecam {
        true => {
            let address = Rig::ecam(target, store.offset.into());
            rig.store(Space::Memory, address, store.width, store.value.into());
        }
        false => {
            rig.select(target, store.offset);
            let port = 0xcfc + u64::from(store.offset & 3);
            rig.store(Space::Port, port, store.width, store.value.into());
        }
    }
}

/// What bus 0's function `at` claims, computed from its registers alone.
fn model(rig: &mut Rig, at: Bdf, space: Space, address: u64) -> Option<u64> {
    let command = rig.config(at, 0x04, 2);
    let (low, middle, high) =
        (rig.config(at, 0x10, 4), rig.config(at, 0x14, 4), rig.config(at, 0x20, 4));
    let far = rig.config(at, 0x24, 4);
    let bars = [
        (Space::Port, 0, low & !3, 0x40, 1),
        (Space::Memory, 1, middle & !0xf, 0x1000, 2),
        (Space::Memory, 4, far << 32 | high & !0xf, 0x4000, 2),
    ];
    bars.into_iter().find_map(|(kind, bar, base, size, bit)| {
        let inside = address.checked_sub(base).filter(|offset| *offset < size)?;
        (kind == space && command & bit != 0).then_some(Probe::answer(at, bar, inside) & 0xff)
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    #[test]
    fn any_stores_leave_the_claims_as_the_registers_say(
        stores in prop::collection::vec(stores(), 0..40),
        addresses in prop::collection::vec(
            (any::<bool>(), prop_oneof![
                any::<u64>(), 0xc000..0xc100_u64, 0xc000_0000..0xc000_4000_u64,
                0x1_0000_0000..0x1_0001_0000_u64,
            ]), 1..20),
    ) {
        let mut rig = Rig::new(functions());
        for store in &stores {
            apply(&mut rig, store);
        }
        for (io, address) in addresses {
            let (space, address) = if io {
                (Space::Port, address & 0xffff)
            } else {
                (Space::Memory, address)
            };
            let host_bridge = (space == Space::Port && (0xcf8..0xd00).contains(&address))
                || (space == Space::Memory && ECAM.contains(&address));
            if host_bridge {
                continue;
            }
            let answer = rig.load(space, address, 1);
            let near = [at(0, 3, 0), at(0, 3, 2)]
                .into_iter()
                .find_map(|at| model(&mut rig, at, space, address));
            if near.is_some() {
                prop_assert_eq!(answer, near);
            }
        }
    }

    #[test]
    fn any_access_of_any_width_is_answered_or_nobodys(
        accesses in prop::collection::vec(
            (any::<bool>(), prop_oneof![
                any::<u64>(), 0xcf0..0xd08_u64, 0xe000_0000..0xe020_0000_u64,
                Just(ECAM.end - 1), Just(u64::MAX), Just(u64::MAX - 7),
            ], 1..=8_u8, any::<u64>()), 0..200),
    ) {
        let mut rig = Rig::new(functions());
        for (io, address, width, value) in accesses {
            let (space, address) =
                if io { (Space::Port, address & 0xffff) } else { (Space::Memory, address) };
            let value = value & crate::platform::all_ones(width);
            // Probes obey some stores and panic at others, so BARs are only loaded from.
            let config = (0xcf8..0xd00).contains(&address) || ECAM.contains(&address);
            if config {
                rig.store(space, address, width, value);
            }
            if let Some(answer) = rig.load(space, address, width) {
                prop_assert_eq!(answer & !crate::platform::all_ones(width), 0);
            }
        }
    }
}
