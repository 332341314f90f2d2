use eclipse_trace::Violation;

use crate::Host;

bitflags::bitflags! {
    /// Flags of a descriptor (VIRTIO 1.4, 2.7.5).
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    pub(crate) struct Flags: u16 {
        const NEXT = 1;
        const WRITE = 2;
        const INDIRECT = 4;
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
#[derive(Clone, Copy, Debug)]
pub(crate) struct Descriptor {
    /// Its place in the table.
    pub(crate) index: u16,
    /// Guest-physical address of the buffer.
    pub(crate) addr: u64,
    /// Bytes.
    pub(crate) len: u32,
    pub(crate) flags: Flags,
    pub(crate) next: u16,
}

impl Descriptor {
    pub(crate) fn from_bytes(index: u16, bytes: [u8; 16]) -> Self {
        let word = u128::from_le_bytes(bytes);
        Self {
            index,
            addr: word as u64,
            len: (word >> 64) as u32,
            flags: Flags::from_bits_retain((word >> 96) as u16),
            next: (word >> 112) as u16,
        }
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
    readable: Vec<Descriptor>,
    writable: Vec<Descriptor>,
}

impl Chain {
    pub(super) fn new(queue: u16, head: u16) -> Self {
        Self { queue, head, readable: Vec::new(), writable: Vec::new() }
    }

    /// Appends a descriptor.
    ///
    /// # Errors
    /// It is readable and follows a writable one.
    pub(super) fn push(&mut self, descriptor: Descriptor) -> Result<(), Violation> {
        if descriptor.flags.contains(Flags::WRITE) {
            self.writable.push(descriptor);
        } else if self.writable.is_empty() {
            self.readable.push(descriptor);
        } else {
            return Err(Violation::ReadableAfterWritable(descriptor.index));
        }
        Ok(())
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
        self.readable.iter().map(|d| u64::from(d.len)).sum()
    }

    /// Bytes that the device may write.
    pub(crate) fn writable(&self) -> u64 {
        self.writable.iter().map(|d| u64::from(d.len)).sum()
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
        pieces(&self.readable, from, bytes.len(), |piece| {
            host.read_buffer(self.queue, piece.index, piece.addr, &mut bytes[piece.range()])
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
        pieces(&self.writable, from, bytes.len(), |piece| {
            host.write_buffer(self.queue, piece.index, piece.addr, &bytes[piece.range()])
        })
    }
}

/// The part of a transfer that lies in one descriptor's buffer.
struct Piece {
    /// The descriptor.
    index: u16,
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
        let Descriptor { index, addr, len, .. } = *descriptor;
        let addr = addr.checked_add(skip).ok_or(Violation::OutsideRam { addr, len })?;
        each(Piece { index, addr, start, len: here })?;
        start += here;
        skip = 0;
    }
    assert_eq!(start, length, "the chain is shorter than the transfer");
    Ok(())
}
