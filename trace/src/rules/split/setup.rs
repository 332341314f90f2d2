//! How a split virtqueue is set up, and how its fields are initialised (VIRTIO 1.4, 2.7).

use super::indices::reads;
use crate::register::{CommonCfg, LegacyCfg};
use crate::rules::model::{Queue, feature};
use crate::rules::{At, Level, Needs, Rule, Sees, plain};
use crate::{Access, Event, Register, Ring, Snapshot};

pub(in crate::rules) const RULES: &[Rule] = &[
    Rule {
        id: "D2.7.1-a",
        clause: "VIRTIO 1.4, 2.7.1",
        level: Level::Must,
        needs: Needs::Nothing,
        text: "The descriptor table is aligned to 16 bytes, the available ring to 2, the used ring to 4.",
        sees: Sees::QUEUES,
        start: plain!(|at, out| {
            let Some(queue) = enabled(at, false) else { return };
            let areas = [("desc", queue.desc(), 16), ("driver", queue.driver(), 2)];
            aligned(areas.into_iter().chain([("device", queue.device(), 4)]), out);
        }),
    },
    Rule {
        id: "I2.7-a",
        clause: "VIRTIO 1.4, 2.7",
        level: Level::Recipe,
        needs: Needs::Nothing,
        text: "The areas of a queue, as long as its size makes them, do not overlap.",
        sees: Sees::QUEUES,
        start: plain!(|at, out| {
            let Some(queue) = enabled(at, false) else { return };
            let Some(size) = queue.size().map(u64::from) else { return };
            let areas = [
                ("desc", queue.desc(), 16 * size),
                ("driver", queue.driver(), 4 + 2 * size),
                ("device", queue.device(), 4 + 8 * size),
            ];
            match overlap(areas) {
                Some((one, other)) => {
                    let expected = format!("room for {size} entries");
                    out.broken(expected, format!("queue_{other} inside of queue_{one}"));
                }
                None => out.kept(),
            }
        }),
    },
    Rule {
        id: "D2.7.7.1-a",
        clause: "VIRTIO 1.4, 2.7.7.1",
        level: Level::Must,
        needs: Needs::Nothing,
        text: "Without EVENT_IDX avail.flags is 0 or 1.",
        sees: Sees::RING_READ,
        start: plain!(|at, out| {
            let Some((Ring::AvailFlags, flags)) = reads(&at.entry.event) else { return };
            if at.virtio().is_some_and(|virtio| !virtio.negotiated(feature::EVENT_IDX)) {
                out.check(flags <= 1, || ("0 or 1", format!("{flags:#06x}")));
            }
        }),
    },
    Rule {
        id: "D2.7.10.1-a",
        clause: "VIRTIO 1.4, 2.7.10.1",
        level: Level::Must,
        needs: Needs::Nothing,
        text: "In the used ring that is handed over, used.flags is 0.",
        sees: Sees::SNAPSHOT,
        start: plain!(|at, out| {
            if let Event::Snapshot {
                found: Snapshot::Enabled { field: Ring::UsedFlags, value },
                ..
            } = at.entry.event
            {
                out.check(value == 0, || ("0", format!("{value:#06x}")));
            }
        }),
    },
    Rule {
        id: "L2.7.2-a",
        clause: "VIRTIO 1.4, 2.7.2",
        level: Level::Must,
        needs: Needs::Occasion,
        text: "A legacy queue is as large as the device says.",
        sees: Sees::LEGACY,
        start: plain!(|at, out| {
            let Some((
                Register::Legacy { register: LegacyCfg::QueueAddress, .. },
                Access::Store { value, .. },
                None,
            )) = at.register()
            else {
                return;
            };
            if value != 0 {
                let asked = at.queue().is_some_and(|queue| queue.size_loaded.is_some());
                out.check(asked, || ("a load of queue_size before", "a place for the queue"));
            }
        }),
    },
];

/// The queue that the driver enables, if it is packed or not as wanted.
pub(in crate::rules) fn enabled<'a>(at: &At<'a>, packed: bool) -> Option<&'a Queue> {
    at.stores(CommonCfg::QueueEnable).filter(|value| *value == 1)?;
    at.queue().filter(|_| at.virtio().is_some_and(|virtio| virtio.packed() == packed))
}

/// Two areas of which the second begins in the first.
fn overlap(areas: [(&'static str, Option<u64>, u64); 3]) -> Option<(&'static str, &'static str)> {
    areas.iter().find_map(|&(one, start, len)| {
        let start = start?;
        let inside = |address: u64| address.checked_sub(start).is_some_and(|at| at < len);
        let begins = |&&(other, address, _): &&(_, Option<u64>, _)| {
            other != one && address.is_some_and(inside)
        };
        areas.iter().find(begins).map(|(other, ..)| (one, *other))
    })
}

/// Judges the addresses of areas that are to be aligned so.
pub(in crate::rules) fn aligned(
    areas: impl Iterator<Item = (&'static str, Option<u64>, u64)>,
    out: &mut crate::rules::Out<'_>,
) {
    let mut known = 0;
    for (area, address, alignment) in areas {
        let Some(address) = address else { continue };
        if !address.is_multiple_of(alignment) {
            let expected = format!("queue_{area} a multiple of {alignment}");
            return out.broken(expected, format!("{address:#x}"));
        }
        known += 1;
    }
    if known == 3 {
        out.kept();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rules::testing::Transcript;

    #[test]
    fn the_areas_of_a_split_queue_are_aligned() {
        Transcript::driven(0).keeps("D2.7.1-a", 1);
        for (register, address, seen) in [
            (CommonCfg::QueueDescLow, 0x10008, "0x10008"),
            (CommonCfg::QueueDriverLow, 0x11001, "0x11001"),
            (CommonCfg::QueueDeviceLow, 0x12002, "0x12002"),
        ] {
            let mut driver = Transcript::driven(0);
            driver.common(register, address);
            driver.common(CommonCfg::QueueEnable, 1);
            driver.breaks("D2.7.1-a", &[seen]);
        }
    }

    #[test]
    fn an_available_ring_may_lie_at_any_even_address() {
        let mut driver = Transcript::driven(0);
        driver.common(CommonCfg::QueueDriverLow, 0x11002);
        driver.common(CommonCfg::QueueDeviceLow, 0x12004);
        driver.common(CommonCfg::QueueEnable, 1);
        driver.keeps("D2.7.1-a", 2);
    }

    #[test]
    fn the_areas_of_a_queue_do_not_overlap() {
        Transcript::driven(0).keeps("I2.7-a", 1);
        let mut driver = Transcript::driven(0);
        driver.common(CommonCfg::QueueDescLow, 0x10000);
        driver.common(CommonCfg::QueueDriverLow, 0x10080);
        driver.common(CommonCfg::QueueDeviceLow, 0x10094);
        driver.common(CommonCfg::QueueEnable, 1);
        driver.keeps("I2.7-a", 2);
        driver.common(CommonCfg::QueueDriverLow, 0x10040);
        driver.common(CommonCfg::QueueEnable, 1);
        driver.breaks("I2.7-a", &["queue_driver inside of queue_desc"]);
    }

    #[test]
    fn the_drivers_flags_are_0_or_1() {
        let mut device = Transcript::driven(0);
        for flags in [0, 1, 2] {
            device.ring(Ring::AvailFlags, flags);
        }
        device.breaks("D2.7.7.1-a", &["0x0002"]);
        assert_eq!(device.judged("D2.7.7.1-a").0, 2);
    }

    #[test]
    fn used_flags_are_0_at_the_start() {
        let mut device = Transcript::driven(0);
        for value in [0, 0xa5a5] {
            let found = Snapshot::Enabled { field: Ring::UsedFlags, value };
            device.device(Event::Snapshot { queue: 0, found });
        }
        device.breaks("D2.7.10.1-a", &["0xa5a5"]);
        assert_eq!(device.judged("D2.7.10.1-a").0, 1);
    }

    #[test]
    fn a_legacy_queue_is_placed_after_its_size_was_asked_for() {
        let mut driver = Transcript::new();
        driver.legacy(LegacyCfg::QueueSelect, 0);
        driver.legacy(LegacyCfg::QueueAddress, 0x10);
        driver.legacy_load(LegacyCfg::QueueSize, 8);
        driver.legacy(LegacyCfg::QueueAddress, 0x10);
        driver.legacy(LegacyCfg::QueueAddress, 0);
        driver.breaks("L2.7.2-a", &["a place for the queue"]);
        assert_eq!(driver.judged("L2.7.2-a").0, 1);
    }
}
