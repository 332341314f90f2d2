use std::ops::RangeInclusive;

use eclipse_trace::register::{BridgeHeader, Structure};
use eclipse_trace::{Access, Bdf, Refusal, Register, Space};

use super::segment::{Claim, Reached, Segment};
use super::{BarKind, ConfigSpace, Function, Identity};
use crate::Host;
use crate::platform::all_ones;
use crate::schedule::Completion;

/// A PCI-to-PCI bridge, and the bus behind it (PCI-to-PCI Bridge 1.2).
///
/// It decodes positively: what is inside a window, with the window's bit of
/// COMMAND set, is offered to the bus behind it. A window in which nothing
/// answers claims nothing.
pub(crate) struct Bridge {
    function: Bdf,
    config: ConfigSpace,
    segment: Segment,
}

impl Bridge {
    const IDENTITY: Identity = Identity {
        vendor: 0x1b36,
        device: 0x0001,
        revision: 0,
        class: 0x06_04_00,
        subsystem_vendor: 0,
        subsystem: 0,
    };
    const CONTROL_ISA_ENABLE: u16 = 1 << 2;
    const CONTROL_SECONDARY_RESET: u16 = 1 << 6;

    /// The bridge at `function`, with `behind` on the bus behind it.
    ///
    /// It is set up as firmware leaves it: the bus numbers are those that
    /// the functions behind it have, and each window holds their BARs.
    pub(crate) fn new(function: Bdf, behind: Vec<(Bdf, Box<dyn Function>)>) -> Self {
        let segment = Segment::new(behind);
        let mut config = ConfigSpace::bridge(Self::IDENTITY);
        let (secondary, subordinate) = segment.numbers().unwrap_or((0, 0));
        config.set(BridgeHeader::PrimaryBus, function.bus().into());
        config.set(BridgeHeader::SecondaryBus, secondary.into());
        config.set(BridgeHeader::SubordinateBus, subordinate.into());
        // An empty window has its base above its limit (3.2.5.6, 3.2.5.8, 3.2.5.9).
        let window =
            |is: &dyn Fn(BarKind) -> bool, empty: u64| segment.hull(is).unwrap_or((empty, 0));
        let (base, limit) = window(&BarKind::is_io, 0xf000);
        config.set(BridgeHeader::IoBase, base as u32 >> 8 & 0xf0);
        config.set(BridgeHeader::IoLimit, limit as u32 >> 8 & 0xf0);
        let (base, limit) = window(&|kind| kind == BarKind::Memory32, 0xfff0_0000);
        config.set(BridgeHeader::MemoryBase, base as u32 >> 16 & 0xfff0);
        config.set(BridgeHeader::MemoryLimit, limit as u32 >> 16 & 0xfff0);
        let (base, limit) = window(&|kind| kind == BarKind::Memory64, 0xfff0_0000);
        config.set(BridgeHeader::PrefetchableBase, base as u32 >> 16 & 0xfff0 | 1);
        config.set(BridgeHeader::PrefetchableLimit, limit as u32 >> 16 & 0xfff0 | 1);
        config.set(BridgeHeader::PrefetchableBaseHigh, (base >> 32) as u32);
        config.set(BridgeHeader::PrefetchableLimitHigh, (limit >> 32) as u32);
        config.forward();
        Self { function, config, segment }
    }

    /// The bus behind it.
    pub(super) fn segment(&mut self) -> &mut Segment {
        &mut self.segment
    }

    /// Passes a type 1 configuration access on, if its bus number is behind the
    /// bridge (PCI-to-PCI Bridge 1.2, 3.1.2.2).
    pub(super) fn reach(&mut self, target: Bdf) -> Option<Reached<'_>> {
        let secondary = self.get(BridgeHeader::SecondaryBus) as u8;
        let subordinate = self.get(BridgeHeader::SubordinateBus) as u8;
        if !(secondary..=subordinate).contains(&target.bus()) || self.holds_reset() {
            return None;
        }
        let master = self.config.bus_master();
        Some(self.segment.reach(secondary, target)?.through(master))
    }

    /// Passes an access on, if all of it is inside one window.
    pub(super) fn claim(&mut self, space: Space, address: u64, width: u8) -> Option<Claim<'_>> {
        let last = address.checked_add(u64::from(width).checked_sub(1)?)?;
        if !self.forwards(space, address, last) {
            return None;
        }
        let master = self.config.bus_master();
        let Claim { reached, bar, offset } = self.segment.claim(space, address, width)?;
        Some(Claim { reached: reached.through(master), bar, offset })
    }

    fn forwards(&self, space: Space, first: u64, last: u64) -> bool {
        let holds = |window: RangeInclusive<u64>| window.contains(&first) && window.contains(&last);
        if !self.config.decodes(space) {
            return false;
        }
        match space {
            Space::Port => holds(self.io_window()) && !(self.isa_enable() && isa(first, last)),
            Space::Memory => holds(self.memory_window()) || holds(self.prefetchable_window()),
        }
    }

    /// 3.2.5.6: address bits 15:12, the limit filled up with ones.
    fn io_window(&self) -> RangeInclusive<u64> {
        let bits = |register| u64::from(self.get(register) & 0xf0) << 8;
        bits(BridgeHeader::IoBase)..=bits(BridgeHeader::IoLimit) | 0xfff
    }

    /// 3.2.5.8: address bits 31:20.
    fn memory_window(&self) -> RangeInclusive<u64> {
        let bits = |register| u64::from(self.get(register) & 0xfff0) << 16;
        bits(BridgeHeader::MemoryBase)..=bits(BridgeHeader::MemoryLimit) | 0xf_ffff
    }

    /// 3.2.5.9 and 3.2.5.10: address bits 63:20.
    fn prefetchable_window(&self) -> RangeInclusive<u64> {
        let bits =
            |low, high| u64::from(self.get(high)) << 32 | u64::from(self.get(low) & 0xfff0) << 16;
        let base = bits(BridgeHeader::PrefetchableBase, BridgeHeader::PrefetchableBaseHigh);
        let limit = bits(BridgeHeader::PrefetchableLimit, BridgeHeader::PrefetchableLimitHigh);
        base..=limit | 0xf_ffff
    }

    fn isa_enable(&self) -> bool {
        self.get(BridgeHeader::BridgeControl) as u16 & Self::CONTROL_ISA_ENABLE != 0
    }

    /// Whether RST# is asserted behind the bridge, so that nothing there answers.
    fn holds_reset(&self) -> bool {
        self.get(BridgeHeader::BridgeControl) as u16 & Self::CONTROL_SECONDARY_RESET != 0
    }

    fn get(&self, register: BridgeHeader) -> u32 {
        self.config.load(register.offset() as u8, register.width())
    }

    fn none(&self, bar: u8, offset: u64) -> Register {
        let offset = u32::try_from(offset).unwrap_or(u32::MAX);
        Register::None { function: self.function, structure: Structure::Bar(bar), offset }
    }
}

/// Whether the ports are among the upper 768 of a KiB below 64 KiB, which ISA
/// Enable keeps for ISA cards (PCI-to-PCI Bridge 1.2, 3.2.5.18).
fn isa(first: u64, last: u64) -> bool {
    let upper = |port: u64| port & 0x300 != 0;
    upper(first) || upper(last)
}

impl Function for Bridge {
    fn config(&self) -> &ConfigSpace {
        &self.config
    }

    fn config_mut(&mut self) -> &mut ConfigSpace {
        &mut self.config
    }

    fn config_stored(&mut self, host: &mut Host<'_>, _offset: u8, _width: u8) {
        if self.holds_reset() {
            self.segment.reset();
        }
        // Number 0 is no bus behind a bridge; until there is one the functions keep
        // the number that they had.
        let secondary = self.get(BridgeHeader::SecondaryBus) as u8;
        if secondary != 0 && self.segment.numbers().is_some_and(|(own, _)| own != secondary) {
            self.segment.renumber(secondary);
        }
        self.deliver(host);
    }

    fn deliver(&mut self, host: &mut Host<'_>) {
        let upstream = host.bus_master();
        self.segment.deliver(host, upstream);
    }

    fn bridge(&mut self) -> Option<&mut Bridge> {
        Some(self)
    }

    fn hull(&self, is: &dyn Fn(BarKind) -> bool) -> Option<(u64, u64)> {
        self.segment.hull(is)
    }

    fn numbered(&mut self, function: Bdf) {
        self.function = function;
    }

    fn reset(&mut self) {
        self.segment.reset();
    }

    fn warm(&mut self) {
        self.segment.warm();
    }

    fn set_completion(&mut self, completion: Completion) {
        self.segment.set_completion(completion);
    }

    fn defers(&self) -> bool {
        self.segment.defers()
    }

    fn holds(&self) -> bool {
        self.segment.holds()
    }

    fn load(&mut self, host: &mut Host<'_>, bar: u8, offset: u64, width: u8) -> u64 {
        let access = Access::Load { width, value: all_ones(width) };
        host.refused(self.none(bar, offset), access, Refusal::NoRegister);
        access.value()
    }

    fn store(&mut self, host: &mut Host<'_>, bar: u8, offset: u64, width: u8, value: u64) {
        let access = Access::Store { width, value };
        host.refused(self.none(bar, offset), access, Refusal::NoRegister);
    }
}
