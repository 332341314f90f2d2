use std::collections::BTreeMap;

use crate::register::{CommonCfg, LegacyCfg};
use crate::{Access, Bdf, DescriptorFlags, Entry, Event, Register};

/// Names for the guest memory that driver and device share.
///
/// A guest that grows by a page places its buffers elsewhere, which is no change
/// in what its driver does. So a transcript can name an address by what lies
/// there: `q0.desc`, `q0.avail` and `q0.used` are a queue's three areas, and
/// `b0`, `b1`, … are buffers in the order in which a device first met them, and
/// `t0`, `t1`, … tables of indirect descriptors.
#[derive(Debug, Default)]
pub(crate) struct Names {
    /// First address to length in bytes and name.
    areas: BTreeMap<u64, (u32, String)>,
    /// Entries about a named address or a part of one, by sequence number.
    parts: BTreeMap<u64, String>,
}

impl Names {
    /// The names that a whole transcript gives.
    pub(crate) fn of(entries: &[Entry]) -> Self {
        let mut names = Self::default();
        let mut queues: BTreeMap<Bdf, Addresses> = BTreeMap::new();
        let (mut buffers, mut tables) = (0, 0);
        for entry in entries {
            match entry.event {
                Event::Register {
                    register: Register::Common { function, register },
                    access: Access::Store { width, value },
                } => {
                    let addresses = queues.entry(function).or_default();
                    names.take_store(addresses, entry.seq, register, width, value);
                }
                Event::Register { register: Register::Legacy { function, register }, access } => {
                    let addresses = queues.entry(function).or_default();
                    names.take_legacy(addresses, entry.seq, register, access);
                }
                Event::Descriptor { addr, len, flags, .. }
                | Event::PackedDescriptor { addr, len, flags, .. } => {
                    if let Some((longest, _)) = names.areas.get_mut(&addr) {
                        *longest = len.max(*longest);
                        continue;
                    }
                    if names.find(addr).is_some() {
                        continue;
                    }
                    let (letter, number) = match flags.contains(DescriptorFlags::INDIRECT) {
                        true => ('t', &mut tables),
                        false => ('b', &mut buffers),
                    };
                    names.areas.insert(addr, (len, format!("{letter}{number}")));
                    *number += 1;
                }
                _ => {}
            }
        }
        names
    }

    /// The name of `addr`, with an offset where it lies inside of what is named.
    pub(crate) fn find(&self, addr: u64) -> Option<String> {
        let (&start, (len, name)) = self.areas.range(..=addr).next_back()?;
        match addr - start {
            0 => Some(name.clone()),
            inside if inside < u64::from(*len) => Some(format!("{name}+{inside:#x}")),
            _ => None,
        }
    }

    /// What entry `seq` stored or loaded, if it was a part of a named address.
    pub(crate) fn part(&self, seq: u64) -> Option<&str> {
        self.parts.get(&seq).map(String::as_str)
    }

    fn take_store(
        &mut self,
        queue: &mut Addresses,
        seq: u64,
        register: CommonCfg,
        width: u8,
        value: u64,
    ) {
        let (area, high) = match register {
            CommonCfg::QueueSelect => {
                queue.select = value;
                return;
            }
            CommonCfg::QueueDescLow => (0, false),
            CommonCfg::QueueDescHigh => (0, true),
            CommonCfg::QueueDriverLow => (1, false),
            CommonCfg::QueueDriverHigh => (1, true),
            CommonCfg::QueueDeviceLow => (2, false),
            CommonCfg::QueueDeviceHigh => (2, true),
            _ => return,
        };
        let name = format!("q{}.{}", queue.select, ["desc", "avail", "used"][area]);
        if width == 8 {
            self.parts.insert(seq, format!("{name}[63:0]"));
            self.areas.insert(value, (1, name));
            return;
        }
        let bits = if high { "63:32" } else { "31:0" };
        self.parts.insert(seq, format!("{name}[{bits}]"));
        let [low_half, high_half] = queue.halves.entry((queue.select, area)).or_default();
        *(if high { &mut *high_half } else { &mut *low_half }) = Some(value);
        if let (Some(low), Some(high)) = (*low_half, *high_half) {
            self.areas.insert(high << 32 | low, (1, name));
            (*low_half, *high_half) = (None, None);
        }
    }

    /// A queue of the legacy interface has one address, in pages (VIRTIO 1.4, 4.1.4.8).
    fn take_legacy(
        &mut self,
        queue: &mut Addresses,
        seq: u64,
        register: LegacyCfg,
        access: Access,
    ) {
        match (register, access) {
            (LegacyCfg::QueueSelect, Access::Store { value, .. }) => queue.select = value,
            (LegacyCfg::QueueAddress, Access::Store { value, .. }) => {
                queue.frames.insert(queue.select, value);
                if value != 0 {
                    let name = format!("q{}.desc", queue.select);
                    self.parts.insert(seq, format!("{name}[43:12]"));
                    self.areas.insert(value << 12, (1, name));
                }
            }
            (LegacyCfg::QueueAddress, Access::Load { value, .. })
                if value != 0 && queue.frames.get(&queue.select) == Some(&value) =>
            {
                self.parts.insert(seq, format!("q{}.desc[43:12]", queue.select));
            }
            _ => {}
        }
    }
}

/// The addresses that a driver gives to one function.
#[derive(Default)]
struct Addresses {
    select: u64,
    /// Low and high half by queue and area.
    halves: BTreeMap<(u64, usize), [Option<u64>; 2]>,
    /// Page frame numbers by queue, of the legacy interface.
    frames: BTreeMap<u64, u64>,
}
