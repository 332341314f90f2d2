//! Places for BARs that firmware gave none.

use alloc::vec::Vec;
use core::ops::Range;

use super::{
    Bar, Bars, Command, Device, Error, Pci,
    bridge::{IO_UNIT, MEMORY_UNIT, Windows},
};
use crate::{hal::Hal, mutant::mutated};

/// Where memory BARs of bus 0 are placed: below the IOAPIC at 0xFEC00000, and above what a PC has
/// as RAM or as configuration space.
const MEMORY_HOLE: Range<u64> = 0xf000_0000..0xfec0_0000;
/// Where I/O BARs of bus 0 are placed: above what ISA devices and chipsets have.
const PORT_HOLE: Range<u64> = 0xc000..0x1_0000;

/// What is taken of the address spaces.
#[derive(Debug, Default)]
struct Taken {
    memory: Vec<Range<u64>>,
    ports: Vec<Range<u64>>,
}

impl Taken {
    fn add_bars(&mut self, bars: &Bars) {
        for bar in bars.iter() {
            match bar {
                Bar::Memory { base, size } if base != 0 => {
                    self.memory.push(base..base.saturating_add(size));
                }
                Bar::Port { base, size } if base != 0 => {
                    self.ports.push(base.into()..u64::from(base) + u64::from(size));
                }
                _ => {}
            }
        }
    }

    fn add_windows(&mut self, windows: Windows) {
        self.memory.extend([windows.memory, windows.prefetchable]);
        self.ports.push(windows.ports);
    }
}

/// The first place in `room` for `size` bytes that is a multiple of `align` and not taken.
pub(super) fn find(room: &Range<u64>, size: u64, align: u64, taken: &[Range<u64>]) -> Option<u64> {
    let mut at = room.start.checked_next_multiple_of(align)?;
    loop {
        let end = at.checked_add(size).filter(|end| *end <= room.end)?;
        // Each round passes the end of a range, so there are no more rounds than ranges.
        let clash = taken.iter().filter(|own| own.start < end && at < own.end);
        match clash.map(|own| own.end).max() {
            None => return Some(at),
            Some(behind) => at = behind.checked_next_multiple_of(align)?,
        }
    }
}

impl<H: Hal> Pci<H> {
    /// Places the BARs of `device` that have no address, in the spaces that its driver has
    /// claimed: in the window of the bridge before it, or in the hole of a PC.
    ///
    /// All functions are sized for that, as what lies where another one is answers twice.
    ///
    /// # Errors
    /// There is no room, or the function does not take the address.
    pub fn place_bars(&self, device: &mut Device) -> Result<(), Error> {
        // The largest first: it is the one for which a place is hard to find.
        let mut missing: Vec<(u8, Bar)> = Vec::new();
        for (index, bar) in device.unplaced() {
            let behind = missing.partition_point(|(_, other)| other.size() >= bar.size());
            missing.insert(behind, (index, bar));
        }
        if missing.is_empty() {
            return Ok(());
        }
        let mut taken = self.taken(device);
        let room = self.room(device, &missing, &taken)?;
        let space = self.config_space(device);
        device.stop_decoding(&space);
        for (index, bar) in missing {
            let size = bar.size();
            let (room, taken) = match bar {
                Bar::Port { .. } => (&room.ports, &mut taken.ports),
                _ => (&room.memory, &mut taken.memory),
            };
            let base = find(room, size, size, taken).ok_or(Error::NoRoom { index, size })?;
            let base = if mutated!(space.hal(), M185) { 0x10_0000 } else { base };
            device.place(&space, index, base)?;
            taken.push(base..base + size);
        }
        Ok(())
    }

    /// What the other functions have, and `device` already.
    fn taken(&self, device: &Device) -> Taken {
        let mut taken = Taken::default();
        taken.memory.extend(self.access.range());
        if let Some(bars) = &device.bars {
            taken.add_bars(bars);
        }
        let address = device.address();
        for other in self.devices.iter().filter(|other| other.address() != address) {
            let space = self.config_space(other);
            taken.add_bars(&Bars::probe(&space, other.bar_count()).1);
            let before = other.buses.is_some_and(|buses| buses.secondary == device.bus);
            if other.buses.is_some() && !before {
                taken.add_windows(Windows::load(&space));
            }
        }
        taken
    }

    /// Where the BARs of `device` may lie.
    fn room(
        &self,
        device: &Device,
        missing: &[(u8, Bar)],
        taken: &Taken,
    ) -> Result<Windows, Error> {
        let empty = 0..0;
        let Some(bridge) = self.bridge_before(device) else {
            return Ok(Windows { ports: PORT_HOLE, memory: MEMORY_HOLE, prefetchable: empty });
        };
        let space = self.config_space(bridge);
        let mut windows = Windows::load(&space);
        // A bridge that nobody has set up is given windows, as a bus would be: only right behind
        // bus 0, where it is known what there is.
        let shut = |window: &Range<u64>| window.is_empty() && bridge.bus == 0;
        let need = |ports: bool, unit: u64| {
            let own = missing.iter().filter(|(_, bar)| matches!(bar, Bar::Port { .. }) == ports);
            let bytes: u64 = own.map(|(_, bar)| bar.size()).sum();
            bytes.checked_next_multiple_of(unit).filter(|bytes| *bytes != 0)
        };
        if let Some(size) = need(false, MEMORY_UNIT).filter(|_| shut(&windows.memory)) {
            let align = missing.iter().map(|(_, bar)| bar.size()).fold(MEMORY_UNIT, u64::max);
            let at = find(&MEMORY_HOLE, size, align, &taken.memory);
            let at = at.ok_or(Error::NoRoom { index: missing[0].0, size })?;
            windows.open_memory(&space, at..at + size);
        }
        if let Some(size) = need(true, IO_UNIT).filter(|_| shut(&windows.ports)) {
            let at = find(&PORT_HOLE, size, IO_UNIT, &taken.ports);
            let at = at.ok_or(Error::NoRoom { index: missing[0].0, size })?;
            windows.open_ports(&space, at..at + size);
        }
        Ok(windows)
    }

    /// The bridge that `device` is right behind; `None` on a root bus.
    fn bridge_before(&self, device: &Device) -> Option<&Device> {
        self.bridge_to(device.bus)
    }

    fn bridge_to(&self, bus: u8) -> Option<&Device> {
        let leads_there = |device: &&Device| {
            device.buses.is_some_and(|buses| buses.are_numbered() && buses.secondary == bus)
        };
        self.devices.iter().find(leads_there)
    }

    /// Has the bridges on the way to `device` pass its accesses on, both ways.
    pub(super) fn open_way(&self, device: &Device, bus_master: bool) {
        let mut spaces = device.spaces();
        spaces.set(Command::BUS_MASTER, bus_master);
        let mut bus = device.bus;
        // Each step goes to a bus with a smaller number: a bridge is before its secondary bus.
        while let Some(bridge) = self.bridge_to(bus).filter(|bridge| bridge.bus < bus) {
            super::bridge::forward(&self.config_space(bridge), spaces);
            bus = bridge.bus;
        }
    }
}
