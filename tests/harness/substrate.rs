//! What a driver can run on, reduced to loads, stores and RAM.

use eclipse_devices::Space;
use vm_memory::{Bytes, GuestAddress};

use crate::Loopback;

/// A machine with devices, and the test as its processor.
///
/// The same sequence of accesses, played on two of them, shows where their
/// devices differ.
pub trait Substrate {
    /// Loads `width` (1, 2, 4 or 8) bytes from a port or from memory that is not RAM.
    fn load(&self, space: Space, address: u64, width: u8) -> u64;

    /// Stores `width` (1, 2, 4 or 8) bytes to a port or to memory that is not RAM.
    fn store(&self, space: Space, address: u64, width: u8, value: u64);

    /// Reads RAM.
    fn read_ram(&self, address: u64, bytes: &mut [u8]);

    /// Writes RAM.
    fn write_ram(&self, address: u64, bytes: &[u8]);

    /// Takes the interrupt message `data`, if it was sent to `address`, which is in RAM.
    fn take_message(&self, address: u64, data: u32) -> bool;

    /// Lets the devices work until `done`, or until nothing can be expected any more.
    fn settle(&self, done: &dyn Fn() -> bool);
}

/// Its devices have done everything when an access returns.
impl Substrate for Loopback {
    fn load(&self, space: Space, address: u64, width: u8) -> u64 {
        Loopback::load(self, space, address, width)
    }

    fn store(&self, space: Space, address: u64, width: u8, value: u64) {
        Loopback::store(self, space, address, width, value);
    }

    fn read_ram(&self, address: u64, bytes: &mut [u8]) {
        self.memory().read_slice(bytes, GuestAddress(address)).expect("it is in RAM");
    }

    fn write_ram(&self, address: u64, bytes: &[u8]) {
        self.memory().write_slice(bytes, GuestAddress(address)).expect("it is in RAM");
    }

    fn take_message(&self, _address: u64, data: u32) -> bool {
        self.take_interrupt(data)
    }

    fn settle(&self, _done: &dyn Fn() -> bool) {}
}
