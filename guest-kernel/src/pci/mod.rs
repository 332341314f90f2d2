//! The PCI bus: what is on it, where it is, and who may access memory.
//!
//! A driver finds its [`Device`], walks its [`Capabilities`], has the BARs sized,
//! enables it, and maps [`Window`]s. No access is made twice: what the scan
//! loaded stays in the record.

mod bar;
mod capability;
mod class;
mod config;
mod device;
pub mod msix;
mod window;

use alloc::vec::Vec;

pub use bar::{Bar, Bars, COUNT as BAR_COUNT};
pub use capability::{Capabilities, Capability};
pub use class::name as class_name;
pub use config::{Address, Command, ConfigSpace};
pub use device::Device;
pub use window::{Window, check as check_window};

use crate::{
    hal::{Hal, HalError},
    log,
    register::Register,
};

/// The vendor of VIRTIO devices (VIRTIO 1.4, 4.1.2).
pub const VENDOR_VIRTIO: u16 = 0x1af4;
/// VIRTIO 1.4, 4.1.2.1: 1040h plus the device type, which is 2 for a block device.
const DEVICE_BLOCK: u16 = 0x1042;
/// The block device's transitional ID.
const DEVICE_BLOCK_TRANSITIONAL: u16 = 0x1001;

/// Why a function cannot be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// A capability cannot begin below 40h.
    #[error("{device}: the capability list points to {offset:#04x}, into the header")]
    CapabilityPointer {
        /// Whose list.
        device: Address,
        /// Where it points to.
        offset: u8,
    },
    /// The list has no end.
    #[error("{device}: the capability list comes back to {offset:#04x}")]
    CapabilityLoop {
        /// Whose list.
        device: Address,
        /// Where it comes back to.
        offset: u8,
    },
    /// The BAR is not implemented, or is the upper half of another.
    #[error("there is no BAR{0}")]
    BarAbsent(u8),
    /// The BAR holds address 0.
    #[error("BAR{0} was given no address")]
    BarUnplaced(u8),
    /// The BAR's address cannot be one.
    #[error("BAR{index} of {size:#x} bytes cannot be at {base:#x}")]
    BarMisplaced {
        /// Which BAR.
        index: u8,
        /// Its address.
        base: u64,
        /// Its bytes.
        size: u64,
    },
    /// The range is empty or leaves the BAR.
    #[error("{len:#x} bytes at {offset:#x} do not lie in BAR{index} of {size:#x} bytes")]
    OutsideBar {
        /// Which BAR.
        index: u8,
        /// Where the range begins in it.
        offset: u64,
        /// The bytes of the range.
        len: u64,
        /// The bytes of the BAR.
        size: u64,
    },
    /// The machine cannot map the BAR.
    #[error("BAR{index}: {source}")]
    Map {
        /// Which BAR.
        index: u8,
        /// Why.
        source: HalError,
    },
}

/// The PCI bus, scanned.
#[derive(Clone, Debug)]
pub struct Pci<H> {
    hal: H,
    devices: Vec<Device>,
}

impl<H: Hal> Pci<H> {
    /// Scans bus 0 and logs what is there.
    pub fn init(hal: &H) -> Self {
        log!(*hal, "[PCI] Initializing PCI subsystem...");
        let mut pci = Self { hal: hal.clone(), devices: Vec::new() };
        for device in 0..32 {
            pci.scan_device(0, device);
        }
        log!(*hal, "[PCI] Found {} PCI device(s)", pci.devices.len());
        for device in &pci.devices {
            log_device(hal, device);
        }
        pci
    }

    fn scan_device(&mut self, bus: u8, device: u8) {
        let mut functions = 1;
        let mut function = 0;
        while function < functions {
            let space = ConfigSpace::new(self.hal.clone(), Address { bus, device, function });
            if let Some(found) = Device::load(&space) {
                if function == 0 && found.is_multi_function() {
                    functions = 8;
                }
                self.devices.push(found);
            }
            function += 1;
        }
    }

    /// All functions, in the order of their addresses.
    pub fn devices(&self) -> &[Device] {
        &self.devices
    }

    /// The first VIRTIO block device, modern or transitional, of any revision.
    pub fn find_virtio_block_device(&self) -> Option<Device> {
        self.devices
            .iter()
            .find(|device| {
                device.vendor_id == VENDOR_VIRTIO
                    && matches!(device.device_id, DEVICE_BLOCK | DEVICE_BLOCK_TRANSITIONAL)
                    && device.is_type_0()
            })
            .cloned()
    }

    /// The configuration space of a device.
    pub fn config_space(&self, device: &Device) -> ConfigSpace<H> {
        ConfigSpace::new(self.hal.clone(), device.address())
    }

    /// Sizes the BARs of a device, with decoding off meanwhile, and keeps them in its record.
    pub fn size_bars(&self, device: &mut Device) {
        device.size_bars(&self.config_space(device));
    }

    /// Turns decoding on, INTx# off, and bus mastering on or off.
    pub fn enable_device(&self, device: &mut Device, bus_master: bool) {
        device.enable(&self.config_space(device), bus_master);
    }

    /// Takes the right to access memory from a device that was enabled.
    pub fn disable_bus_master(&self, device: &mut Device) {
        device.silence(&self.config_space(device));
    }

    /// The raw value of a BAR register, type bits and all; `None` above 5.
    ///
    /// It comes from the record where the BARs were sized, else from the device.
    pub fn get_bar(&self, device: &Device, index: usize) -> Option<u32> {
        match &device.bars {
            Some(bars) => bars.raw(index),
            None if index < BAR_COUNT => {
                let register = Register::<u32>::at(config::BAR0.offset() + 4 * index as u16);
                Some(self.config_space(device).load(register))
            }
            None => None,
        }
    }

    /// The machine.
    pub fn hal(&self) -> &H {
        &self.hal
    }
}

fn log_device<H: Hal>(hal: &H, device: &Device) {
    let suffix = if device.vendor_id == VENDOR_VIRTIO { " [VirtIO]" } else { "" };
    log!(
        *hal,
        "[PCI]   Bus {} Device {} Func {}: Vendor=0x{:04X} Device=0x{:04X} Class=0x{:02X} Type={}{}",
        device.bus,
        device.device,
        device.function,
        device.vendor_id,
        device.device_id,
        device.class_code,
        class_name(device.class_code, device.subclass),
        suffix
    );
}

#[cfg(test)]
mod tests;
