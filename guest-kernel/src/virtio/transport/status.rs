//! The device status (VIRTIO 1.4, 2.1 and 3.1.1), over whichever interface.

use super::super::status::Status;
use super::{Error, Transport};
use crate::hal::Hal;
use crate::log;
use crate::mutant::mutated;

impl<H: Hal> Transport<H> {
    /// Tells the device that the driver is ready (VIRTIO 1.4, 3.1.1, step 8).
    pub fn driver_ok(&mut self) {
        if mutated!(self.hal(), M47) {
            self.raise(Status::FEATURES_OK);
        }
        if mutated!(self.hal(), M36) {
            self.status -= Status::FEATURES_OK;
        }
        if !mutated!(self.hal(), M49) {
            self.raise(Status::DRIVER_OK);
        }
        if mutated!(self.hal(), M172) {
            self.raise(Status::from_bits_retain(0x10));
        }
        if mutated!(self.hal(), M15) {
            self.pci.enable_device(&mut self.device, true);
        }
        if mutated!(self.hal(), L07) {
            self.load_status();
        }
    }

    /// Tells the device that the driver has given up, if it had begun
    /// (VIRTIO 1.4, 3.1.1).
    pub fn fail(&mut self) {
        if !self.status.is_empty() && !mutated!(self.hal(), M51) {
            self.raise(Status::FAILED);
        }
    }

    /// The same where the device was told of memory: a reset takes that from it
    /// (VIRTIO 1.4, 2.4.2).
    ///
    /// # Errors
    /// The device does not confirm, which the log says: the memory must be kept.
    pub fn fail_and_reset(&mut self) -> Result<(), Error> {
        self.fail();
        self.reset().inspect_err(|_| self.log_lost())
    }

    /// Says that memory is kept for good.
    pub fn log_lost(&self) {
        let address = self.device.address();
        log!(
            *self.hal(),
            "[VirtIO] {address} did not confirm its reset: its DMA memory is not released"
        );
    }

    /// Whether the device says that it cannot go on, or is not there any more.
    pub fn needs_reset(&self) -> bool {
        self.load_status().contains(Status::NEEDS_RESET)
    }

    /// Resets the device, takes its right to access memory, and keeps it from interrupting.
    ///
    /// # Errors
    /// The reset is not confirmed: memory that the device knows must be kept.
    pub fn shut_down(&mut self) -> Result<(), Error> {
        if mutated!(self.hal(), M158) {
            self.registers.get().store_status(0);
            return Ok(());
        }
        let reset = self.reset();
        self.interrupts.turn_msix_off();
        self.pci.disable_bus_master(&mut self.device);
        reset
    }

    /// VIRTIO 1.4, 3.1.1, steps 2 and 3: the device was noticed, and there is a driver for it.
    pub(super) fn acknowledge_device(&mut self) {
        if mutated!(self.hal(), M34) {
            self.raise(Status::DRIVER);
        }
        if mutated!(self.hal(), M33) {
            self.status |= Status::ACKNOWLEDGE;
        } else if !mutated!(self.hal(), M32) {
            self.raise(Status::ACKNOWLEDGE);
        }
        if !mutated!(self.hal(), M34) {
            self.raise(Status::DRIVER);
        }
    }

    pub(super) fn raise(&mut self, bit: Status) {
        if mutated!(self.hal(), M35) {
            self.status = Status::empty();
        }
        self.status |= bit;
        self.registers.get().store_status(self.status.bits());
    }

    pub(super) fn load_status(&self) -> Status {
        Status::from_bits_retain(self.registers.get().load_status())
    }
}
