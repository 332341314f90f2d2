//! The PCI bus: what is on it, where it is, and who may access memory.
//!
//! A driver finds its [`Device`], walks its [`Capabilities`], has the BARs sized,
//! enables it, and maps [`Window`]s. No access is made twice: what the scan
//! loaded stays in the record.

mod access;
mod bar;
mod bridge;
mod capability;
mod class;
mod config;
mod device;
pub mod msix;
mod place;
mod scan;
mod window;

use alloc::vec::Vec;

use access::BusAccess;
pub use access::ConfigAccess;
pub use bar::{Bar, Bars, COUNT as BAR_COUNT};
pub use bridge::{Buses, Windows};
pub use capability::{Capabilities, Capability};
pub use class::name as class_name;
pub use config::{Address, Command, ConfigSpace};
pub use device::Device;
pub use window::{Window, check as check_window};

use crate::{
    hal::{Hal, HalError},
    log,
    mutant::mutated,
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
    /// No place is left for a BAR.
    #[error("there is no place for BAR{index} of {size:#x} bytes")]
    NoRoom {
        /// Which BAR.
        index: u8,
        /// Its bytes.
        size: u64,
    },
    /// The access mechanism does not go that far.
    #[error("bus {0} is not reached by the configuration access mechanism")]
    BusUnreachable(u8),
    /// The machine cannot map the configuration space of a bus.
    #[error("bus {bus}: {source}")]
    MapBus {
        /// Which bus.
        bus: u8,
        /// Why.
        source: HalError,
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

/// The PCI hierarchy, scanned.
#[derive(Clone, Debug)]
pub struct Pci<H> {
    hal: H,
    access: ConfigAccess,
    /// The buses that were scanned, and how each is reached.
    buses: Vec<(u8, BusAccess)>,
    devices: Vec<Device>,
}

impl<H: Hal> Pci<H> {
    /// Scans all buses by the ports, and logs what is there.
    pub fn init(hal: &H) -> Self {
        Self::with_access(hal, ConfigAccess::Cam)
    }

    /// Scans all buses and logs what is there.
    pub fn with_access(hal: &H, access: ConfigAccess) -> Self {
        log!(*hal, "[PCI] Initializing PCI subsystem...");
        let mut pci = Self { hal: hal.clone(), access, buses: Vec::new(), devices: Vec::new() };
        pci.scan();
        log!(*hal, "[PCI] Found {} PCI device(s)", pci.devices.len());
        for device in &pci.devices {
            log_device(hal, device);
        }
        pci
    }

    /// All functions, in the order in which they were found: bus by bus.
    pub fn devices(&self) -> &[Device] {
        &self.devices
    }

    /// The VIRTIO block devices, modern or transitional, of any revision, in the order of
    /// [`Pci::devices`].
    pub fn virtio_block_devices(&self) -> impl Iterator<Item = &Device> {
        self.devices.iter().filter(|device| {
            device.vendor_id == VENDOR_VIRTIO
                && matches!(device.device_id, DEVICE_BLOCK | DEVICE_BLOCK_TRANSITIONAL)
                && device.is_type_0()
                && !(mutated!(&self.hal, M03) && device.is_multi_function())
                && !(mutated!(&self.hal, M29) && device.revision > 1)
        })
    }

    /// The first VIRTIO block device.
    pub fn find_virtio_block_device(&self) -> Option<Device> {
        self.virtio_block_devices().next().cloned()
    }

    /// The configuration space of a device.
    ///
    /// # Panics
    /// The device was found by another scan.
    pub fn config_space(&self, device: &Device) -> ConfigSpace<H> {
        let bus = self.buses.iter().find(|(bus, _)| *bus == device.bus);
        let (_, access) = bus.expect("a device that this scan has found");
        access.space(&self.hal, device.address())
    }

    /// Sizes the BARs of a device, with decoding off meanwhile, and keeps them in its record.
    pub fn size_bars(&self, device: &mut Device) {
        device.size_bars(&self.config_space(device));
    }

    /// Turns decoding on, INTx# off, and bus mastering on or off, also in the bridges before the
    /// device.
    pub fn enable_device(&self, device: &mut Device, bus_master: bool) {
        device.enable(&self.config_space(device), bus_master);
        self.open_way(device, bus_master);
    }

    /// Lets a device assert its line, or keeps it from that.
    pub fn connect_intx(&self, device: &mut Device, on: bool) {
        device.connect_intx(&self.config_space(device), on);
    }

    /// Takes the right to access memory and to interrupt from a device that was enabled.
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
