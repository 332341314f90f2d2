use eclipse_trace::{Access, DescriptorFlags, Direction, Event, Ring, Table, Violation};

use vm_memory::{Bytes, GuestAddress, GuestMemoryMmap};

use super::Host;
use super::range::{self, Range};
use crate::platform::all_ones;
use crate::virtio::queue::{Descriptor, Flags};

/// What a load of `width` bytes (1 to 8) gets; outside of memory there is nothing, which
/// reads as all ones.
pub(crate) fn read_ram(memory: &GuestMemoryMmap<()>, address: u64, width: u8) -> u64 {
    let mut bytes = [0; 8];
    match memory.read_slice(&mut bytes[..usize::from(width)], GuestAddress(address)) {
        Ok(()) => u64::from_le_bytes(bytes),
        Err(_) => all_ones(width),
    }
}

/// Guest memory, by what it is read and written for.
impl<'a> Host<'a> {
    /// The guest's own load from memory.
    pub(crate) fn read_ram(&self, address: u64, width: u8) -> u64 {
        read_ram(self.memory, address, width)
    }

    /// The guest's own store to memory; one outside of it goes nowhere.
    pub(crate) fn write_ram(&self, address: u64, width: u8, value: u64) {
        let bytes = &value.to_le_bytes()[..usize::from(width)];
        let _ = self.memory.write_slice(bytes, GuestAddress(address));
    }

    /// Looks at memory for the record, on behalf of no device; `None`: it is not all there.
    pub(crate) fn peek(&self, address: u64, bytes: &mut [u8]) -> Option<()> {
        self.memory.read_slice(bytes, GuestAddress(address)).ok()
    }

    /// Reads a 16-bit field of a virtqueue.
    ///
    /// # Errors
    /// As [`Host::read_buffer`], and so for every method that names a memory address.
    pub(crate) fn read_ring(
        &mut self,
        queue: u16,
        field: Ring,
        addr: u64,
    ) -> Result<u16, Violation> {
        self.check_master()?;
        let value = range::load(self.memory, addr)?;
        let access = Access::Load { width: 2, value: value.into() };
        self.record(Event::Ring { queue, field, access });
        Ok(value)
    }

    /// Writes a 16-bit field of a virtqueue.
    pub(crate) fn write_ring(
        &mut self,
        queue: u16,
        field: Ring,
        addr: u64,
        value: u16,
    ) -> Result<(), Violation> {
        self.range(addr, 2)?;
        let value = match field {
            Ring::UsedIdx => self.used_idx(value),
            _ => value,
        };
        let value = self.ring_write(addr, 2, value.into()) as u16;
        let access = Access::Store { width: 2, value: value.into() };
        self.record(Event::Ring { queue, field, access });
        range::store(self.memory, addr, value)
    }

    /// Reads entry `index` of the descriptor table at `at`.
    pub(crate) fn read_descriptor(
        &mut self,
        queue: u16,
        table: Table,
        index: u16,
        at: u64,
    ) -> Result<Descriptor, Violation> {
        self.check_master()?;
        if table == Table::Indirect {
            self.meet_indirect(at);
        }
        let descriptor = Descriptor::from_bytes(table, index, self.entry(index, at)?);
        let Descriptor { addr, len, flags, next, .. } = descriptor;
        let flags = DescriptorFlags(flags.raw());
        self.record(Event::Descriptor { queue, table, index, addr, len, flags, next });
        Ok(descriptor)
    }

    /// Reads slot `slot` of the packed ring at `ring`: the flags, and if they say
    /// that the descriptor is `available`, the rest of it.
    pub(crate) fn read_packed(
        &mut self,
        queue: u16,
        slot: u16,
        ring: u64,
        available: impl FnOnce(Flags) -> bool,
    ) -> Result<Option<Descriptor>, Violation> {
        self.check_master()?;
        let at = ring.wrapping_add(16 * u64::from(slot));
        let flags = range::load(self.memory, at.wrapping_add(14))
            .map_err(|_| Violation::OutsideRam { addr: at, len: 16 })?;
        if !available(Flags::from_bits_retain(flags)) {
            let access = Access::Load { width: 2, value: flags.into() };
            self.record(Event::Ring { queue, field: Ring::DescriptorFlags(slot), access });
            return Ok(None);
        }
        // The flags are read once: what was decided by them holds for the rest.
        let mut bytes = self.entry(slot, ring)?;
        bytes[14..].copy_from_slice(&flags.to_le_bytes());
        Ok(Some(self.read_packed_bytes(queue, Table::Queue, slot, bytes)))
    }

    /// Reads entry `index` of the indirect table at `at`, of a packed ring.
    pub(crate) fn read_packed_entry(
        &mut self,
        queue: u16,
        index: u16,
        at: u64,
    ) -> Result<Descriptor, Violation> {
        self.check_master()?;
        self.meet_indirect(at);
        let bytes = self.entry(index, at)?;
        Ok(self.read_packed_bytes(queue, Table::Indirect, index, bytes))
    }

    fn read_packed_bytes(
        &mut self,
        queue: u16,
        table: Table,
        index: u16,
        bytes: [u8; 16],
    ) -> Descriptor {
        let descriptor = Descriptor::from_packed_bytes(table, index, bytes);
        let Descriptor { addr, len, flags, next: id, .. } = descriptor;
        let flags = DescriptorFlags(flags.raw());
        self.record(Event::PackedDescriptor { queue, table, index, addr, len, id, flags });
        descriptor
    }

    /// The 16 bytes of entry `index` of the table at `at`.
    fn entry(&self, index: u16, at: u64) -> Result<[u8; 16], Violation> {
        let outside = Violation::OutsideRam { addr: at, len: 16 };
        let at = at.checked_add(16 * u64::from(index)).ok_or(outside)?;
        let mut bytes = [0; 16];
        Range::at(self.memory, at, bytes.len())?.read(&mut bytes);
        Ok(bytes)
    }

    /// Writes the used descriptor for buffer `id` to slot `slot` of a packed ring,
    /// which lies at `addr`: the flags, which hand it over, last (VIRTIO 1.4, 2.8.15).
    pub(crate) fn write_packed_used(
        &mut self,
        queue: u16,
        slot: u16,
        addr: u64,
        id: u16,
        len: u32,
        flags: Flags,
    ) -> Result<(), Violation> {
        self.check_master()?;
        let Some((id, len)) = self.used_element(slot, id.into(), len) else { return Ok(()) };
        // `len`, `id` and `flags` are the upper half of a descriptor.
        let element = u64::from(flags.raw()) << 48 | u64::from(id as u16) << 32 | u64::from(len);
        let element = self.ring_write(addr.wrapping_add(8), 8, element);
        let (len, id, raw) = (element as u32, (element >> 32) as u16, (element >> 48) as u16);
        self.record(Event::PackedUsed { queue, slot, id, len, flags: DescriptorFlags(raw) });
        let element = element.to_le_bytes();
        let outside = |_| Violation::OutsideRam { addr, len: 16 };
        let (at, flags_at) = (addr.wrapping_add(8), addr.wrapping_add(14));
        Range::at(self.memory, at, 6).map_err(outside)?.write(&element[..6]);
        range::store(self.memory, flags_at, raw).map_err(outside)
    }

    /// Writes the used element for chain `id` to `slot`, which lies at `addr`.
    pub(crate) fn write_used(
        &mut self,
        queue: u16,
        slot: u16,
        addr: u64,
        id: u16,
        len: u32,
    ) -> Result<(), Violation> {
        let range = self.range(addr, 8)?;
        let Some((id, len)) = self.used_element(slot, id.into(), len) else { return Ok(()) };
        let element = self.ring_write(addr, 8, u64::from(len) << 32 | u64::from(id));
        let (id, len) = (element as u32, (element >> 32) as u32);
        self.record(Event::Used { queue, slot, id, len });
        range.write(&element.to_le_bytes());
        Ok(())
    }

    /// Reads from the buffer of the descriptor at `place`.
    ///
    /// # Errors
    /// `BusMasterOff`: the function may not do DMA. `OutsideRam`: the buffer is
    /// not all in RAM; nothing was moved.
    pub(crate) fn read_buffer(
        &mut self,
        queue: u16,
        place: (Table, u16),
        addr: u64,
        bytes: &mut [u8],
    ) -> Result<(), Violation> {
        let range = self.range(addr, bytes.len())?;
        self.record_buffer(queue, place, Direction::Read, addr, bytes.len());
        range.read(bytes);
        Ok(())
    }

    /// Writes to the buffer of the descriptor at `place`.
    ///
    /// # Errors
    /// As [`Host::read_buffer`].
    pub(crate) fn write_buffer(
        &mut self,
        queue: u16,
        place: (Table, u16),
        addr: u64,
        bytes: &[u8],
    ) -> Result<(), Violation> {
        let range = self.range(addr, bytes.len())?;
        if !self.moves(addr, bytes.len()) {
            return Ok(());
        }
        self.record_buffer(queue, place, Direction::Write, addr, bytes.len());
        range.write(bytes);
        Ok(())
    }

    fn check_master(&self) -> Result<(), Violation> {
        match self.bus_master() {
            true => Ok(()),
            false => Err(Violation::BusMasterOff),
        }
    }

    /// The `len` bytes at `addr`, if DMA is allowed and they are all in RAM.
    fn range(&self, addr: u64, len: usize) -> Result<Range<'a>, Violation> {
        self.check_master()?;
        Range::at(self.memory, addr, len)
    }

    fn record_buffer(
        &mut self,
        queue: u16,
        place: (Table, u16),
        direction: Direction,
        addr: u64,
        len: usize,
    ) {
        let len = u32::try_from(len).unwrap_or(u32::MAX);
        let (table, index) = place;
        self.record(Event::Buffer { queue, table, index, direction, addr, len });
    }
}
