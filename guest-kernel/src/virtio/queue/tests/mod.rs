//! The queues, with the test in the device's place.

mod access;
mod defects;
mod events;
mod indirect;
mod model;
mod packed;
mod split;

use super::{Areas, Error, Segment, Settings, Used, Virtqueue};
use crate::{fake::FakeHal, hal::Hal};

/// What the device reads.
const READ: Segment = Segment { address: 0x1111_2222_3333, len: 16, device_writes: false };
/// What the device writes.
const WRITE: Segment = Segment { address: 0x4444_5555_6666, len: 1, device_writes: true };

/// Bytes by their hexadecimal digits.
fn bytes<const N: usize>(digits: &str) -> [u8; N] {
    let byte = |digits| u8::from_str_radix(digits, 16).unwrap();
    let bytes: Vec<_> = digits.split_whitespace().map(byte).collect();
    bytes.try_into().unwrap()
}

/// A queue and the RAM that it lies in.
struct Device {
    hal: FakeHal,
    queue: Virtqueue<FakeHal>,
    /// `used.idx`, as the device has it.
    used_index: u16,
}

impl Device {
    fn new(settings: Settings) -> Self {
        let hal = FakeHal::new();
        Self { queue: Virtqueue::new(&hal, settings).unwrap(), hal, used_index: 0 }
    }

    /// A split queue without features.
    fn split(size: u16) -> Self {
        Self::new(Settings { size, ..Settings::default() })
    }

    fn areas(&self) -> Areas {
        self.queue.areas()
    }

    /// Where the last memory that was allocated ends.
    fn end(&self) -> u64 {
        self.hal.allocate_dma(1, 1).unwrap().address
    }

    /// Bytes of RAM.
    fn ram<const N: usize>(&self, address: u64) -> [u8; N] {
        self.hal.machine().ram(address)
    }

    fn set(&self, address: u64, bytes: &[u8]) {
        self.hal.machine().set_ram(address, bytes);
    }

    fn u16_at(&self, address: u64) -> u16 {
        u16::from_le_bytes(self.ram(address))
    }

    fn set_u16(&self, address: u64, value: u16) {
        self.set(address, &value.to_le_bytes());
    }

    /// Writes a used element, and the index behind it.
    fn use_element(&mut self, id: u32, len: u32) {
        let size = u64::from(self.queue.size());
        let slot = u64::from(self.used_index) % size;
        let element = self.areas().device + 4 + 8 * slot;
        self.set(element, &id.to_le_bytes());
        self.set(element + 4, &len.to_le_bytes());
        self.set_used_index(self.used_index.wrapping_add(1));
    }

    fn set_used_index(&mut self, index: u16) {
        self.used_index = index;
        self.set_u16(self.areas().device + 2, index);
    }

    /// Submits, uses, takes and releases one chain; the id that it had.
    fn go_round(&mut self, segments: &[Segment]) -> u16 {
        let id = self.queue.submit(segments).unwrap();
        self.use_element(id.into(), 1);
        assert_eq!(self.queue.pop_used(), Ok(Some(Used { id, len: 1 })));
        self.queue.release(id);
        id
    }

    /// How many chains of one segment fit, and their ids; they stay submitted.
    fn fill(&mut self) -> Vec<u16> {
        let mut ids = vec![];
        assert!(!self.queue.fits(0));
        while self.queue.fits(1) {
            let next = self.queue.next_id();
            ids.push(self.queue.submit(&[READ]).unwrap());
            assert_eq!(next, ids.last().copied());
        }
        assert_eq!(self.queue.submit(&[READ]), Err(Error::Full));
        ids
    }
}
