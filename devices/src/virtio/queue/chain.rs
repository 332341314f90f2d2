use std::mem;

use eclipse_trace::{PackedViolation, Table, Violation};

use crate::Host;

bitflags::bitflags! {
    /// Flags of a descriptor (VIRTIO 1.4, 2.7.5).
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    pub(crate) struct Flags: u16 {
        const NEXT = 1;
        const WRITE = 2;
        const INDIRECT = 4;
        /// Packed only (2.8.1).
        const AVAIL = 1 << 7;
        /// Packed only (2.8.1).
        const USED = 1 << 15;
        const _ = !0;
    }
}

impl Flags {
    /// The bits as they lie in memory.
    pub(crate) fn raw(self) -> u16 {
        self.bits()
    }
}

/// An entry of a descriptor table (VIRTIO 1.4, 2.7.5), copied out of guest memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Descriptor {
    /// Which table it is in.
    pub(crate) table: Table,
    /// Its place in the table.
    pub(crate) index: u16,
    /// Guest-physical address of the buffer.
    pub(crate) addr: u64,
    /// Bytes.
    pub(crate) len: u32,
    pub(crate) flags: Flags,
    /// The next descriptor; in a packed ring the buffer ID.
    pub(crate) next: u16,
}

impl Descriptor {
    /// Whether its buffer is for the device to write.
    pub(super) fn writable(&self) -> bool {
        self.flags.contains(Flags::WRITE)
    }

    pub(crate) fn from_bytes(table: Table, index: u16, bytes: [u8; 16]) -> Self {
        let word = u128::from_le_bytes(bytes);
        Self {
            table,
            index,
            addr: word as u64,
            len: (word >> 64) as u32,
            flags: Flags::from_bits_retain((word >> 96) as u16),
            next: (word >> 112) as u16,
        }
    }

    /// The same of a packed ring, which has `id` and `flags` where `flags` and
    /// `next` are otherwise (VIRTIO 1.4, 2.8.13).
    pub(crate) fn from_packed_bytes(table: Table, index: u16, bytes: [u8; 16]) -> Self {
        let Self { addr, len, flags: id, next: flags, .. } = Self::from_bytes(table, index, bytes);
        Self { table, index, addr, len, flags: Flags::from_bits_retain(flags), next: id.raw() }
    }
}

/// A descriptor chain: its device-readable bytes, and behind them its
/// device-writable ones (VIRTIO 1.4, 2.7.4.2).
///
/// Both parts are addressed by byte position, because a driver may cut a
/// request into descriptors wherever it likes (2.7.4).
#[derive(Debug)]
pub(crate) struct Chain {
    queue: u16,
    head: u16,
    /// The used element names it by this.
    id: u16,
    /// Descriptors of the queue that it takes up: those that lie in indirect tables are not.
    slots: u16,
    /// The descriptors of buffers, the readable ones first.
    descriptors: Vec<Descriptor>,
    /// How many of them are readable.
    split: usize,
    /// The descriptor that names its indirect table, if it has one.
    indirect: Option<Descriptor>,
}

impl Chain {
    /// An empty chain, which takes its memory from `spare`.
    pub(super) fn new(queue: u16, head: u16, spare: &mut Vec<Descriptor>) -> Self {
        let mut descriptors = mem::take(spare);
        descriptors.clear();
        Self { queue, head, id: head, slots: 1, descriptors, split: 0, indirect: None }
    }

    /// The memory that it took.
    pub(super) fn into_spare(self) -> Vec<Descriptor> {
        self.descriptors
    }

    /// Appends a descriptor.
    ///
    /// # Errors
    /// It is readable and follows a writable one.
    pub(super) fn push(&mut self, descriptor: Descriptor) -> Result<(), Violation> {
        if !descriptor.flags.contains(Flags::WRITE) {
            if self.split != self.descriptors.len() {
                return Err(Violation::ReadableAfterWritable(descriptor.index));
            }
            self.split += 1;
        }
        self.descriptors.push(descriptor);
        Ok(())
    }

    /// The same for a packed ring.
    ///
    /// # Errors
    /// As [`Chain::push`].
    pub(super) fn push_packed(&mut self, descriptor: Descriptor) -> Result<(), Violation> {
        let broken = |_| PackedViolation::ReadableAfterWritable(descriptor.index).into();
        self.push(descriptor).map_err(broken)
    }

    /// Says which descriptor names its indirect table.
    pub(super) fn set_indirect(&mut self, descriptor: Descriptor) {
        self.indirect = Some(descriptor);
    }

    /// The descriptor that names its indirect table, if it has one.
    pub(super) fn indirect(&self) -> Option<&Descriptor> {
        self.indirect.as_ref()
    }

    /// Its descriptors of buffers.
    pub(super) fn descriptors(&self) -> &[Descriptor] {
        &self.descriptors
    }

    /// Says what the used element is to name it by.
    pub(super) fn set_id(&mut self, id: u16) {
        self.id = id;
    }

    /// Says how many descriptors of the queue it takes up.
    pub(super) fn set_slots(&mut self, slots: u16) {
        self.slots = slots;
    }

    /// How many descriptors of buffers it has.
    pub(super) fn len(&self) -> usize {
        self.descriptors.len()
    }

    /// Descriptors of the queue that it takes up.
    pub(super) fn slots(&self) -> u16 {
        self.slots
    }

    /// What the driver knows it by: its head, or the buffer ID of a packed ring.
    pub(crate) fn id(&self) -> u16 {
        self.id
    }

    /// The queue it came from.
    pub(crate) fn queue(&self) -> u16 {
        self.queue
    }

    /// The index of its first descriptor.
    pub(crate) fn head(&self) -> u16 {
        self.head
    }

    /// Bytes that the device may read. At most 2^16 descriptors of 2^32 bytes: no overflow.
    pub(crate) fn readable(&self) -> u64 {
        self.readable_lens().map(u64::from).sum()
    }

    /// Bytes that the device may write.
    pub(crate) fn writable(&self) -> u64 {
        self.writable_lens().map(u64::from).sum()
    }

    /// The lengths of the buffers that the device may read.
    pub(crate) fn readable_lens(&self) -> impl Iterator<Item = u32> {
        self.descriptors[..self.split].iter().map(|d| d.len)
    }

    /// The lengths of the buffers that the device may write.
    pub(crate) fn writable_lens(&self) -> impl Iterator<Item = u32> {
        self.descriptors[self.split..].iter().map(|d| d.len)
    }

    /// Reads `bytes.len()` readable bytes from position `from` on.
    ///
    /// # Errors
    /// DMA is not possible; see [`Host::read_buffer`].
    ///
    /// # Panics
    /// The chain is not that long.
    pub(crate) fn read(
        &self,
        host: &mut Host<'_>,
        from: u64,
        bytes: &mut [u8],
    ) -> Result<(), Violation> {
        pieces(&self.descriptors[..self.split], from, bytes.len(), |piece| {
            host.read_buffer(self.queue, piece.place, piece.addr, &mut bytes[piece.range()])
        })
    }

    /// Writes `bytes` to the writable bytes from position `from` on.
    ///
    /// # Errors
    /// As [`Chain::read`].
    ///
    /// # Panics
    /// As [`Chain::read`].
    pub(crate) fn write(
        &self,
        host: &mut Host<'_>,
        from: u64,
        bytes: &[u8],
    ) -> Result<(), Violation> {
        pieces(&self.descriptors[self.split..], from, bytes.len(), |piece| {
            host.write_buffer(self.queue, piece.place, piece.addr, &bytes[piece.range()])
        })
    }
}

/// The part of a transfer that lies in one descriptor's buffer.
struct Piece {
    /// Where the descriptor is.
    place: (Table, u16),
    addr: u64,
    /// First byte of the transfer that it holds.
    start: usize,
    len: usize,
}

impl Piece {
    fn range(&self) -> std::ops::Range<usize> {
        self.start..self.start + self.len
    }
}

/// Cuts `length` bytes from position `from` of `descriptors` at the descriptors' ends.
fn pieces(
    descriptors: &[Descriptor],
    from: u64,
    length: usize,
    mut each: impl FnMut(Piece) -> Result<(), Violation>,
) -> Result<(), Violation> {
    let (mut skip, mut start) = (from, 0);
    for descriptor in descriptors {
        if start == length {
            break;
        }
        let len = u64::from(descriptor.len);
        if skip >= len {
            skip -= len;
            continue;
        }
        let here = (len - skip).min((length - start) as u64) as usize;
        let Descriptor { table, index, addr, len, .. } = *descriptor;
        let addr = addr.checked_add(skip).ok_or(Violation::OutsideRam { addr, len })?;
        each(Piece { place: (table, index), addr, start, len: here })?;
        start += here;
        skip = 0;
    }
    assert_eq!(start, length, "the chain is shorter than the transfer");
    Ok(())
}
