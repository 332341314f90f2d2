//! The addresses that a device is given (VIRTIO 1.4, 6.1).

use super::model::{Queue, Virtio, feature};
use super::{At, Level, Needs, Out, Rule, Sees, plain};
use crate::register::CommonCfg;
use crate::{Event, Violation};

pub(super) const RULES: &[Rule] = &[Rule {
    id: "D6.1-c",
    clause: "VIRTIO 1.4, 6.1",
    level: Level::Must,
    needs: Needs::Nothing,
    text: "Without ACCESS_PLATFORM the device is given physical addresses only, and what they name is RAM.",
    sees: Sees::DESCRIPTOR.union(Sees::QUEUES).union(Sees::VIOLATION),
    start: plain!(|at, out| {
        let Some(virtio) = at.virtio() else { return };
        if virtio.negotiated(feature::ACCESS_PLATFORM) {
            return;
        }
        match at.entry.event {
            Event::Descriptor { addr, len, .. } | Event::PackedDescriptor { addr, len, .. } => {
                buffer(at, addr, len.into(), out);
            }
            // Where it was not told what is RAM, the device knows.
            Event::Violation { violation: Violation::OutsideRam { addr, len } }
                if at.model.is_ram(addr, len.into()).is_none() =>
            {
                out.broken("RAM", format!("{len} bytes at {addr:#x}"));
            }
            _ if at.stores(CommonCfg::QueueEnable) == Some(1) => {
                if let Some(queue) = at.queue() {
                    areas(at, virtio, queue, out);
                }
            }
            _ => {}
        }
    }),
}];

fn buffer(at: &At<'_>, addr: u64, len: u64, out: &mut Out<'_>) {
    match at.model.is_ram(addr, len) {
        Some(false) => out.broken("RAM", format!("{len} bytes at {addr:#x}")),
        Some(true) if at.chain().is_some_and(|chain| chain.complete) => out.kept(),
        _ => {}
    }
}

/// The areas of a queue, as far as its driver has said where they are (VIRTIO 1.4, 2.7 and 2.8).
fn areas(at: &At<'_>, virtio: &Virtio, queue: &Queue, out: &mut Out<'_>) {
    let size = u64::from(queue.size().unwrap_or(1));
    let (driver, device) = if virtio.packed() { (4, 4) } else { (4 + 2 * size, 4 + 8 * size) };
    let areas = [(queue.desc(), 16 * size), (queue.driver(), driver), (queue.device(), device)];
    for (addr, len) in areas {
        if let Some(addr) = addr.filter(|addr| at.model.is_ram(*addr, len) == Some(false)) {
            out.broken("RAM", format!("an area of {len} bytes at {addr:#x}"));
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::register::CommonCfg;
    use crate::rules::testing::Transcript;
    use crate::{Event, MemoryKind, Ring, Violation};

    /// A machine with 1 MiB of RAM whose device takes a chain of one buffer.
    fn taking(addr: u64, len: u32, told: bool) -> Transcript {
        let mut device = Transcript::new();
        if told {
            device.guest(Event::Memory { kind: MemoryKind::Ram, start: 0, len: 0x10_0000 });
        }
        device.negotiate([0, 1], [0, 1]);
        device.enable(0, 8);
        device.ring(Ring::AvailIdx, 1);
        device.ring(Ring::AvailRing(0), 0);
        device.desc(0, addr, len, 0, 0);
        device
    }

    #[test]
    fn a_buffer_lies_in_ram() {
        taking(0xf_f000, 0x1000, true).keeps("D6.1-c", 1);
        taking(0xf_f001, 0x1000, true).breaks("D6.1-c", &["4096 bytes at 0xff001"]);
        taking(u64::MAX, 2, true).breaks("D6.1-c", &["2 bytes at 0xffffffffffffffff"]);
    }

    #[test]
    fn where_no_ram_was_told_the_device_knows() {
        taking(u64::MAX, 2, false).keeps("D6.1-c", 0);
        let mut device = taking(0x1000, 2, false);
        let violation = Violation::OutsideRam { addr: 0x1000, len: 2 };
        device.device(Event::Violation { violation });
        device.breaks("D6.1-c", &["2 bytes at 0x1000"]);
    }

    #[test]
    fn a_queue_lies_in_ram() {
        let mut driver = taking(0, 1, true);
        driver.common(CommonCfg::QueueDeviceLow, 0xf_fffc);
        driver.common(CommonCfg::QueueEnable, 1);
        driver.breaks("D6.1-c", &["an area of 68 bytes at 0xffffc"]);
    }

    #[test]
    fn a_device_behind_a_translation_is_given_other_addresses() {
        let mut device = Transcript::new();
        device.guest(Event::Memory { kind: MemoryKind::Ram, start: 0, len: 0x1000 });
        device.negotiate([0, 3], [0, 3]);
        device.ring(Ring::AvailRing(0), 0);
        device.desc(0, u64::MAX, 2, 0, 0);
        device.keeps("D6.1-c", 0);
    }
}
