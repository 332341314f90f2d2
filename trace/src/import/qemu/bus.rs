use std::collections::BTreeMap;

use super::config::{Bar, ConfigSpace};
use super::virtio::{Device, Part};
use crate::register::Mechanism;
use crate::{Access, Bdf, Event, Refusal, Register, Space};

/// The PCI hierarchy, as far as the log has shown it.
#[derive(Debug, Default)]
pub(super) struct Bus {
    /// CONFIG_ADDRESS (PCI 3.0, 3.2.2.3.2).
    config_address: u32,
    functions: BTreeMap<Bdf, Function>,
    /// QEMU's memory regions to the function and BAR that they are of.
    regions: BTreeMap<u64, (Bdf, u8)>,
}

/// A function.
#[derive(Debug, Default)]
pub(super) struct Function {
    pub(super) config: ConfigSpace,
    pub(super) device: Device,
}

/// What an access to a part of a virtio device is.
pub(super) struct Claim {
    pub(super) function: Bdf,
    pub(super) event: Event,
    pub(super) consequences: Vec<Event>,
    /// The driver has not read where the part is.
    pub(super) assumed: bool,
}

/// Whose an access to a part is.
pub(super) enum Owner {
    /// A virtio block device's.
    Block(Claim),
    /// Another device's.
    Other(Bdf),
    /// No BAR is known to be there.
    Unknown,
}

impl Bus {
    const ADDRESS_PORT: u64 = 0xcf8;
    const DATA_PORT: u64 = 0xcfc;
    const ENABLE: u32 = 1 << 31;
    /// Farther than this behind a BAR of unknown size it claims nothing.
    const REACH: u64 = 1 << 24;

    pub(super) fn function(&mut self, function: Bdf) -> &mut Function {
        self.functions.entry(function).or_default()
    }

    pub(super) fn functions(&self) -> &BTreeMap<Bdf, Function> {
        &self.functions
    }

    /// An access to the ports of CONFIG_ADDRESS: only a doubleword is for the host bridge.
    pub(super) fn access_address(&mut self, port: u64, access: Access) -> Event {
        if port != Self::ADDRESS_PORT || access.width() != 4 {
            return unclaimed(port, access);
        }
        if let Access::Store { value, .. } = access {
            self.config_address = value as u32;
        }
        Event::Register { register: Register::ConfigAddress, access }
    }

    /// An access to the ports of CONFIG_DATA, which have byte lanes.
    pub(super) fn access_data(&mut self, port: u64, access: Access) -> Event {
        let lane = port.wrapping_sub(Self::DATA_PORT);
        if self.config_address & Self::ENABLE == 0 || lane > 3 {
            return unclaimed(port, access);
        }
        let [register, devfn, bus, _] = self.config_address.to_le_bytes();
        let offset = u16::from(register & !3) + lane as u16;
        let fits = lane + u64::from(access.width()) <= 4;
        self.config(Bdf::from_devfn(bus, devfn), Mechanism::Cam, offset, access, fits)
    }

    /// An access to the ECAM window, which is aligned to its size (PCI Express Base 3.0, 7.2.2).
    pub(super) fn access_ecam(&mut self, address: u64, access: Access) -> Event {
        let (bus, devfn) = ((address >> 20) as u8, (address >> 12) as u8);
        let offset = (address & 0xfff) as u16;
        let fits = offset % 4 + u16::from(access.width()) <= 4;
        self.config(Bdf::from_devfn(bus, devfn), Mechanism::Ecam, offset, access, fits)
    }

    /// The capability and the header's layout are put in when all of the log has been read.
    fn config(
        &mut self,
        function: Bdf,
        mechanism: Mechanism,
        offset: u16,
        access: Access,
        fits: bool,
    ) -> Event {
        let header = Default::default();
        let register = Register::Config { function, mechanism, header, offset, capability: None };
        if !fits {
            return Event::Refused { register, access, why: Refusal::Unaligned };
        }
        self.function(function).config.accessed(offset, access);
        Event::Register { register, access }
    }

    /// An access at `address` of a region that holds a part of a virtio device.
    pub(super) fn access_part(
        &mut self,
        region: u64,
        part: Part,
        model: &str,
        address: u64,
        access: Access,
    ) -> Owner {
        let Some((function, bar)) = self.owner(region, part, address) else {
            return Owner::Unknown;
        };
        let Some(Function { config, device }) = self.functions.get_mut(&function) else {
            return Owner::Unknown;
        };
        if !config.is_virtio() || !config.is_block().unwrap_or(model.ends_with("-blk")) {
            return Owner::Other(function);
        }
        let (start, multiplier, read) = part.place(config, bar.index);
        let inside = address.wrapping_sub(bar.address).wrapping_sub(start);
        let place = (inside, multiplier);
        let (event, consequences) = device.access(function, config, part, place, access);
        Owner::Block(Claim { function, event, consequences, assumed: !read })
    }

    /// The function and BAR that `address` of a region belongs to. A region stays what it is
    /// when its BAR moves, so this is looked for once.
    fn owner(&mut self, region: u64, part: Part, address: u64) -> Option<(Bdf, Bar)> {
        if let Some(&(function, index)) = self.regions.get(&region) {
            let mut bars = self.functions.get(&function)?.config.bars();
            if let Some(bar) = bars.find(|bar| bar.index == index && claims(bar, address)) {
                return Some((function, bar));
            }
        }
        let space = if part.is_port() { Space::Port } else { Space::Memory };
        let all = self.functions.iter();
        let bars = all.flat_map(|(bdf, function)| function.config.bars().map(|bar| (*bdf, bar)));
        let claiming = bars.filter(|(_, bar)| bar.space == space && claims(bar, address));
        let (function, bar) = claiming.max_by_key(|(_, bar)| bar.address)?;
        self.regions.insert(region, (function, bar.index));
        Some((function, bar))
    }

    /// Whether a virtio device has a BAR with this port.
    pub(super) fn has_port(&self, port: u64) -> bool {
        let virtio = self.functions.values().filter(|function| function.config.is_virtio());
        let mut bars = virtio.flat_map(|function| function.config.bars());
        bars.any(|bar| bar.space == Space::Port && bar.size.is_some() && claims(&bar, port))
    }
}

fn claims(bar: &Bar, address: u64) -> bool {
    let inside = address.checked_sub(bar.address);
    inside.is_some_and(|inside| inside < bar.size.unwrap_or(Bus::REACH))
}

/// An access to a port that no device takes.
pub(super) fn unclaimed(port: u64, access: Access) -> Event {
    let register = Register::Unclaimed { space: Space::Port, address: port };
    Event::Refused { register, access, why: Refusal::Unclaimed }
}
