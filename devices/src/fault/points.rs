use eclipse_trace::{Access, Register, RequestKind};

use super::{Fate, Forgery, Vector};
use crate::Host;

/// The points at which a fault may alter what a device does. Without a schedule
/// each is one look at an `Option`.
impl Host<'_> {
    /// The guest accessed `register`: what it gets, or what the device takes; `None`:
    /// nothing of a store.
    pub(crate) fn injected(&mut self, register: &Register, access: Access) -> Option<u64> {
        match self.stage() {
            Some((faults, mut stage)) => faults.accessed(&mut stage, register, access),
            None => Some(access.value()),
        }
    }

    /// The guest loads from its own memory, where that is watched: what it gets.
    pub(crate) fn load_ram(&mut self, address: u64, width: u8) -> u64 {
        match self.stage() {
            Some((faults, mut stage)) => faults.ram_load(&mut stage, address, width),
            None => self.read_ram(address, width),
        }
    }

    /// The guest stores to its own memory, where that is watched.
    pub(crate) fn store_ram(&mut self, address: u64, width: u8, value: u64) {
        let stored = match self.stage() {
            Some((faults, mut stage)) => faults.ram_store(&mut stage, address, width, value),
            None => Some(value),
        };
        if let Some(value) = stored {
            self.write_ram(address, width, value);
        }
    }

    /// The device reads an indirect table at `addr`.
    pub(crate) fn meet_indirect(&mut self, addr: u64) {
        let Some(device) = self.device() else { return };
        if let Some((faults, _)) = self.stage() {
            faults.met(device).indirect = Some(addr);
        }
    }

    /// What the device is to write to `width` bytes of a virtqueue at `addr`.
    pub(crate) fn ring_write(&mut self, addr: u64, width: u8, value: u64) -> u64 {
        let Some(device) = self.device() else { return value };
        match self.stage() {
            Some((faults, mut stage)) => faults.ring_write(&mut stage, device, addr, width, value),
            None => value,
        }
    }

    /// The device begins to carry out a request.
    pub(crate) fn request(&mut self, kind: RequestKind) {
        let Some(device) = self.device() else { return };
        if let Some((faults, _)) = self.stage() {
            faults.request(device, kind);
        }
    }

    /// Whether data of the request is to be written to `len` bytes at `addr`.
    pub(crate) fn moves(&mut self, addr: u64, len: usize) -> bool {
        let Some(device) = self.device() else { return true };
        self.stage()
            .is_none_or(|(faults, mut stage)| faults.data(&mut stage, device, addr, len as u32))
    }

    /// How many of `sectors` from `sector` on are to go to the disk. A flush asks
    /// for one.
    pub(crate) fn reach_disk(&mut self, sector: u64, sectors: u64) -> u64 {
        self.stage()
            .map_or(sectors, |(faults, mut stage)| faults.reach_disk(&mut stage, sector, sectors))
    }

    /// The status to write for the request; `None`: none.
    pub(crate) fn status(&mut self, status: u8) -> Option<u8> {
        match self.stage() {
            Some((faults, mut stage)) => faults.status(&mut stage, status),
            None => Some(status),
        }
    }

    /// What becomes of the chain at `head` now that its request was carried out.
    pub(crate) fn fate(&mut self, head: u16) -> Fate {
        self.stage().map_or(Fate::GivenBack, |(faults, mut stage)| faults.fate(&mut stage, head))
    }

    /// The ID and length of the used element to write to `slot`; `None`: none.
    pub(crate) fn used_element(&mut self, slot: u16, id: u32, len: u32) -> Option<(u32, u32)> {
        match self.stage() {
            Some((faults, mut stage)) => faults.used(&mut stage, slot, id, len),
            None => Some((id, len)),
        }
    }

    /// The used index to write.
    pub(crate) fn used_idx(&mut self, idx: u16) -> u16 {
        self.stage().map_or(idx, |(faults, mut stage)| faults.used_idx(&mut stage, idx))
    }

    /// How faults have the chain given back whose request was carried out last.
    pub(crate) fn forgery(&mut self) -> Forgery {
        self.stage().map_or_else(Forgery::default, |(faults, _)| faults.forgery())
    }

    /// Has the next chain given back in this way.
    pub(crate) fn forge(&mut self, forgery: Forgery) {
        if let Some((faults, _)) = self.stage() {
            faults.forge(forgery);
        }
    }

    /// The device is done with a chain.
    pub(crate) fn done(&mut self) {
        if let Some((faults, mut stage)) = self.stage() {
            faults.done(&mut stage);
        }
    }

    /// Whether the device is to notify its driver of `source` through `vector`.
    pub(crate) fn sends(&mut self, source: Vector, vector: u16) -> bool {
        let Some(device) = self.device() else { return true };
        self.stage()
            .is_none_or(|(faults, mut stage)| faults.sends(&mut stage, device, source, vector))
    }
}
