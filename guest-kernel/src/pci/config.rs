//! The configuration space of a function (PCI 3.0, 6.1).

use core::fmt;

use super::access::BusAccess;
use crate::{
    hal::{Hal, Word},
    mutant::mutated,
    register::Register,
};

/// `CONFIG_ADDRESS`.
const CONFIG_ADDRESS: u16 = 0xcf8;
/// `CONFIG_DATA`.
const CONFIG_DATA: u16 = 0xcfc;
/// Bit 31 of `CONFIG_ADDRESS`: the data port reaches configuration space.
const ENABLE: u32 = 0x8000_0000;

/// Vendor ID (PCI 3.0, 6.2.1).
pub const VENDOR_ID: Register<u16> = Register::at(0x00);
/// Device ID.
pub const DEVICE_ID: Register<u16> = Register::at(0x02);
/// Command (PCI 3.0, 6.2.2).
pub const COMMAND: Register<u16> = Register::at(0x04);
/// Status (PCI 3.0, 6.2.3).
pub const STATUS: Register<u16> = Register::at(0x06);
/// Revision ID and, above it, the three bytes of the class code.
pub const CLASS_REVISION: Register<u32> = Register::at(0x08);
/// Header type: the layout in bits 6:0, multi-function in bit 7.
pub const HEADER_TYPE: Register<u8> = Register::at(0x0e);
/// The first base address register; five more follow (PCI 3.0, 6.2.5.1).
pub const BAR0: Register<u32> = Register::at(0x10);
/// Where the capability list begins (PCI 3.0, 6.7).
pub const CAPABILITIES_POINTER: Register<u8> = Register::at(0x34);
/// Interrupt line: written by firmware, of no meaning to the device.
pub const INTERRUPT_LINE: Register<u8> = Register::at(0x3c);
/// Interrupt pin: 1 to 4 for INTA# to INTD#, 0 for none.
pub const INTERRUPT_PIN: Register<u8> = Register::at(0x3d);

/// Status bit 4: there is a capability list.
pub const STATUS_CAPABILITIES: u16 = 1 << 4;

bitflags::bitflags! {
    /// The bits of the command register that a driver switches.
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    pub struct Command: u16 {
        /// The function answers to I/O accesses.
        const IO = 1 << 0;
        /// The function answers to memory accesses.
        const MEMORY = 1 << 1;
        /// The function may access memory, and send messages.
        const BUS_MASTER = 1 << 2;
        /// The function does not assert INTx#.
        const INTX_DISABLE = 1 << 10;
        /// All others are kept as they were read.
        const _ = !0;
    }
}

/// The address of a function: bus, device 0 to 31, function 0 to 7.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Address {
    /// The bus.
    pub bus: u8,
    /// The device on the bus.
    pub device: u8,
    /// The function of the device.
    pub function: u8,
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { bus, device, function } = self;
        write!(f, "{bus:02x}:{device:02x}.{function}")
    }
}

/// The 256 bytes of configuration space of one function.
#[derive(Clone, Debug)]
pub struct ConfigSpace<H> {
    hal: H,
    access: BusAccess,
    address: Address,
}

impl<H: Hal> ConfigSpace<H> {
    /// The configuration space of the function at `address`, present or not, by the ports.
    pub fn new(hal: H, address: Address) -> Self {
        Self::by(hal, BusAccess::Ports, address)
    }

    pub(super) fn by(hal: H, access: BusAccess, address: Address) -> Self {
        Self { hal, access, address }
    }

    /// The machine.
    pub(crate) fn hal(&self) -> &H {
        &self.hal
    }

    /// Which function this is.
    pub fn address(&self) -> Address {
        self.address
    }

    /// Loads a register.
    pub fn load<T: Word>(&self, register: Register<T>) -> T {
        let offset = register.offset();
        match self.access {
            BusAccess::Ports => self.hal.port_load(self.select(offset)),
            BusAccess::Memory(bus) => self.hal.device_load(bus, self.place(offset)),
        }
    }

    /// Stores a register.
    pub fn store<T: Word>(&self, register: Register<T>, value: T) {
        let offset = register.offset();
        match self.access {
            BusAccess::Ports => self.hal.port_store(self.select(offset), value),
            BusAccess::Memory(bus) => self.hal.device_store(bus, self.place(offset), value),
        }
    }

    /// Stores the address and answers with the port of the data, which has the
    /// register's own byte lane: a 16-bit register at 06h is at port 0xCFE.
    fn select(&self, offset: u16) -> u16 {
        let Address { bus, device, function } = self.address;
        let address = ENABLE
            | u32::from(bus) << 16
            | u32::from(device) << 11
            | u32::from(function) << 8
            | u32::from(offset & if mutated!(&self.hal, M04) { 0xff } else { 0xfc });
        self.hal.port_store(CONFIG_ADDRESS, address);
        CONFIG_DATA + if mutated!(&self.hal, M05) { 0 } else { offset & 3 }
    }

    /// Where in the memory of its bus a register is: 4096 bytes for each function.
    fn place(&self, offset: u16) -> u64 {
        let Address { device, function, .. } = self.address;
        u64::from(device) << 15 | u64::from(function) << 12 | u64::from(offset)
    }
}
