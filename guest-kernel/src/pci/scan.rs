//! Enumeration: each bus once, through all bridges.

use alloc::vec::Vec;

use super::{Address, Buses, Device, Pci, access::BusAccess, bridge};
use crate::{hal::Hal, log, mutant::mutated};

/// How many bridges without bus numbers may be one behind the other.
const DEPTH: u32 = 8;

impl<H: Hal> Pci<H> {
    /// Finds all functions. Buses that firmware has numbered come first, so that a number that
    /// is given to another is free.
    pub(super) fn scan(&mut self) {
        let unnumbered = self.scan_from(0);
        let on_root = unnumbered.into_iter().filter(|bridge| bridge.bus == 0);
        self.number(on_root.collect(), DEPTH);
    }

    /// Scans a bus and all that are behind its bridges; answers with the bridges without numbers.
    fn scan_from(&mut self, bus: u8) -> Vec<Address> {
        let mut waiting = Vec::from([bus]);
        let mut unnumbered = Vec::new();
        let mut next = 0;
        while let Some(&bus) = waiting.get(next) {
            next += 1;
            let first = self.devices.len();
            self.scan_bus(bus);
            for device in &self.devices[first..] {
                let Some(buses) = device.buses else { continue };
                let known = |bus: u8| {
                    waiting.contains(&bus) || self.buses.iter().any(|(own, _)| *own == bus)
                };
                if !buses.are_numbered() {
                    unnumbered.push(device.address());
                } else if !known(buses.secondary) {
                    // A number that was seen leads back, or to what another bridge has.
                    waiting.push(buses.secondary);
                }
            }
        }
        unnumbered
    }

    fn scan_bus(&mut self, bus: u8) {
        let access = match self.access.map(&self.hal, bus) {
            Ok(access) => access,
            Err(error) => return log!(self.hal, "[PCI] {error}"),
        };
        self.buses.push((bus, access));
        for device in 0..32 {
            self.scan_device(access, bus, device);
        }
    }

    fn scan_device(&mut self, access: BusAccess, bus: u8, device: u8) {
        let mut functions = 1;
        let mut function = 0;
        while function < functions {
            let space = access.space(&self.hal, Address { bus, device, function });
            if let Some(found) = Device::load(&space) {
                let several = found.is_multi_function() || mutated!(&self.hal, M01);
                if function == 0 && several {
                    functions = 8;
                }
                self.devices.push(found);
            }
            function += 1;
        }
    }

    /// Numbers bridges as firmware does: one after the other, each with all that is behind it
    /// (PCI-to-PCI Bridge 1.2, 3.2.5.2 to 3.2.5.4).
    fn number(&mut self, bridges: Vec<Address>, depth: u32) {
        for address in bridges {
            let Some(secondary) = self.last_bus().checked_add(1).filter(|_| depth > 0) else {
                return;
            };
            // Until it is known which is the last, all higher numbers are behind it.
            self.set_buses(address, Buses { secondary, subordinate: u8::MAX });
            let behind = self.scan_from(secondary);
            self.number(behind, depth - 1);
            self.set_buses(address, Buses { secondary, subordinate: self.last_bus() });
        }
    }

    fn set_buses(&mut self, address: Address, buses: Buses) {
        let Some(at) = self.devices.iter().position(|device| device.address() == address) else {
            return;
        };
        bridge::number(&self.config_space(&self.devices[at]), buses);
        self.devices[at].buses = Some(buses);
    }

    /// The highest bus number that anyone has.
    fn last_bus(&self) -> u8 {
        let behind = self.devices.iter().filter_map(|device| device.buses);
        let scanned = self.buses.iter().map(|(bus, _)| *bus).max().unwrap_or(0);
        let numbered = behind.filter(|buses| buses.are_numbered() && buses.subordinate < u8::MAX);
        numbered.map(|buses| buses.subordinate).fold(scanned, u8::max)
    }
}
