use eclipse_trace::{Ring, Violation};

use super::{Chain, Flags};
use crate::Host;
use crate::pci::NO_VECTOR;

/// A split virtqueue, from the device's side (VIRTIO 1.4, 2.7).
///
/// The rings lie in guest memory and are read anew each time; what is kept here
/// is where they are and how far the device has come.
#[derive(Debug)]
pub(crate) struct SplitQueue {
    index: u16,
    /// The size that the device offers.
    offered: u16,
    /// The size in force: a power of two, at most `offered`.
    pub(crate) size: u16,
    pub(crate) enabled: bool,
    /// Descriptor area: the descriptor table.
    pub(crate) desc: u64,
    /// Driver area: the available ring.
    pub(crate) driver: u64,
    /// Device area: the used ring.
    pub(crate) device: u64,
    /// The MSI-X vector of its used buffer notifications.
    pub(crate) vector: u16,
    next_avail: u16,
    next_used: u16,
}

impl SplitQueue {
    const AVAIL_NO_INTERRUPT: u16 = 1;

    pub(crate) fn new(index: u16, offered: u16) -> Self {
        Self {
            index,
            offered,
            size: offered,
            enabled: false,
            desc: 0,
            driver: 0,
            device: 0,
            vector: NO_VECTOR,
            next_avail: 0,
            next_used: 0,
        }
    }

    /// As after power-on.
    pub(crate) fn reset(&mut self) {
        *self = Self::new(self.index, self.offered);
    }

    /// Whether a driver may choose `size` (VIRTIO 1.4, 2.7 and 4.1.4.3.2).
    pub(crate) fn takes_size(&self, size: u16) -> bool {
        size.is_power_of_two() && size <= self.offered
    }

    /// Whether the three areas are aligned as VIRTIO 1.4, 2.7.1 wants them.
    pub(crate) fn aligned(&self) -> bool {
        self.desc.is_multiple_of(16)
            && self.driver.is_multiple_of(2)
            && self.device.is_multiple_of(4)
    }

    /// Checks that no area wraps around the end of the address space, so that
    /// addresses inside of them need no check of their own.
    ///
    /// # Errors
    /// One does, and so is not in RAM.
    pub(crate) fn check_wrap(&self) -> Result<(), Violation> {
        let size = u32::from(self.size);
        // 2.7: with the two event fields, which are there in any case.
        let areas =
            [(self.desc, 16 * size), (self.driver, 6 + 2 * size), (self.device, 6 + 8 * size)];
        match areas.into_iter().find(|(addr, len)| addr.checked_add(u64::from(*len)).is_none()) {
            Some((addr, len)) => Err(Violation::OutsideRam { addr, len }),
            None => Ok(()),
        }
    }

    /// How many chains the driver has made available and the device has not taken.
    ///
    /// # Errors
    /// More than the queue holds: the index went backwards or jumped (2.7.6.1).
    pub(crate) fn available(&mut self, host: &mut Host<'_>) -> Result<u16, Violation> {
        let idx = host.read_ring(self.index, Ring::AvailIdx, self.driver + 2)?;
        match idx.wrapping_sub(self.next_avail) {
            count if count <= self.size => Ok(count),
            _ => Err(Violation::AvailIdxJump { from: self.next_avail, to: idx }),
        }
    }

    /// Takes the next available chain and walks it.
    ///
    /// # Errors
    /// The chain is malformed; how, says the violation. The queue cannot go on.
    pub(crate) fn take(&mut self, host: &mut Host<'_>) -> Result<Chain, Violation> {
        let slot = self.next_avail % self.size;
        let at = self.driver + 4 + 2 * u64::from(slot);
        let head = host.read_ring(self.index, Ring::AvailRing(slot), at)?;
        self.next_avail = self.next_avail.wrapping_add(1);

        let mut chain = Chain::new(self.index, head);
        let mut index = head;
        // 2.7.5.3.1: a chain is never longer than the queue, so a loop shows as length.
        for _ in 0..self.size {
            if index >= self.size {
                return Err(Violation::DescriptorIndex(index));
            }
            let descriptor = host.read_descriptor(self.index, index, self.desc)?;
            if descriptor.flags.contains(Flags::INDIRECT) {
                return Err(Violation::IndirectNotNegotiated(index));
            }
            chain.push(descriptor)?;
            if !descriptor.flags.contains(Flags::NEXT) {
                // 2.7.5.2: at most 2^32 bytes in all.
                if chain.readable() + chain.writable() > 1 << 32 {
                    return Err(Violation::ChainTooLong(head));
                }
                return Ok(chain);
            }
            index = descriptor.next;
        }
        Err(Violation::ChainTooLong(head))
    }

    /// Gives a chain back, `len` bytes of it written (2.7.8.2: the element before the index).
    ///
    /// # Errors
    /// The used ring cannot be written to.
    pub(crate) fn give_back(
        &mut self,
        host: &mut Host<'_>,
        head: u16,
        len: u32,
    ) -> Result<(), Violation> {
        let slot = self.next_used % self.size;
        let at = self.device + 4 + 8 * u64::from(slot);
        host.write_used(self.index, slot, at, head, len)?;
        self.next_used = self.next_used.wrapping_add(1);
        let idx = self.device + 2;
        host.write_ring(self.index, Ring::UsedIdx, idx, self.next_used)
    }

    /// Whether the driver wants to hear of used buffers (2.7.7.2).
    ///
    /// # Errors
    /// The available ring cannot be read.
    pub(crate) fn wants_interrupt(&self, host: &mut Host<'_>) -> Result<bool, Violation> {
        let flags = host.read_ring(self.index, Ring::AvailFlags, self.driver)?;
        Ok(flags & Self::AVAIL_NO_INTERRUPT == 0)
    }
}
