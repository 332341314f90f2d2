//! The record of one function.

use super::{
    Address, Bar, Bars, Command, ConfigSpace,
    config::{CLASS_REVISION, COMMAND, DEVICE_ID, HEADER_TYPE, INTERRUPT_LINE, VENDOR_ID},
};
use crate::hal::Hal;

/// Header type bits 6:0 of an ordinary function.
const TYPE_0: u8 = 0x00;
/// Header type bit 7: the device has functions beside 0.
const MULTI_FUNCTION: u8 = 0x80;

/// What the scan learnt of one function; BARs and command since it was enabled.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Device {
    /// Its bus.
    pub bus: u8,
    /// Its device number.
    pub device: u8,
    /// Its function number.
    pub function: u8,
    /// Vendor ID.
    pub vendor_id: u16,
    /// Device ID.
    pub device_id: u16,
    /// Revision ID.
    pub revision: u8,
    /// Base class.
    pub class_code: u8,
    /// Subclass.
    pub subclass: u8,
    /// Programming interface.
    pub prog_if: u8,
    /// Header type, with the multi-function bit.
    pub header_type: u8,
    /// Interrupt line; 0xFF, unknown, where the header is not of type 0.
    pub interrupt_line: u8,
    /// The BARs, once they were sized.
    pub bars: Option<Bars>,
    /// What the command register holds, once it was loaded.
    pub(super) command: Option<Command>,
    /// The spaces that a driver accesses beside memory.
    pub(super) claimed: Command,
}

impl Device {
    /// Loads the record of a function; `None` if there is none.
    pub(super) fn load<H: Hal>(space: &ConfigSpace<H>) -> Option<Self> {
        let vendor_id = space.load(VENDOR_ID);
        if matches!(vendor_id, 0 | u16::MAX) {
            return None;
        }
        let device_id = space.load(DEVICE_ID);
        let class_revision = space.load(CLASS_REVISION);
        let header_type = space.load(HEADER_TYPE);
        if class_revision == u32::MAX {
            // It went away while it was looked at.
            return None;
        }
        let [revision, prog_if, subclass, class_code] = class_revision.to_le_bytes();
        let interrupt_line = if header_type & !MULTI_FUNCTION == TYPE_0 {
            space.load(INTERRUPT_LINE)
        } else {
            u8::MAX
        };
        let Address { bus, device, function } = space.address();
        Some(Self {
            bus,
            device,
            function,
            vendor_id,
            device_id,
            revision,
            class_code,
            subclass,
            prog_if,
            header_type,
            interrupt_line,
            bars: None,
            command: None,
            claimed: Command::empty(),
        })
    }

    /// Where it is.
    pub fn address(&self) -> Address {
        Address { bus: self.bus, device: self.device, function: self.function }
    }

    /// Whether its header is an ordinary function's, with six BARs.
    pub fn is_type_0(&self) -> bool {
        self.header_type & !MULTI_FUNCTION == TYPE_0
    }

    /// Whether its device has functions beside 0.
    pub fn is_multi_function(&self) -> bool {
        self.header_type & MULTI_FUNCTION != 0
    }

    /// A BAR; absent until the BARs were sized.
    pub fn bar(&self, index: u8) -> Bar {
        self.bars.map_or(Bar::Absent, |bars| bars.get(index.into()))
    }

    /// Notes that a driver accesses this BAR, so that its space is decoded.
    pub fn claim(&mut self, index: u8) {
        if let Bar::Port { .. } = self.bar(index) {
            self.claimed |= Command::IO;
        }
    }

    /// Sizes the BARs and keeps them.
    pub(super) fn size_bars<H: Hal>(&mut self, space: &ConfigSpace<H>) {
        let (command, bars) = Bars::probe(space);
        self.command = Some(command);
        self.bars = Some(bars);
    }

    /// Turns decoding on, INTx# off and bus mastering as asked, by one store.
    pub(super) fn enable<H: Hal>(&mut self, space: &ConfigSpace<H>, bus_master: bool) {
        // 16 bits wide: the status register above has bits that a store of 1 clears.
        let held = self.command.unwrap_or_else(|| Command::from_bits_retain(space.load(COMMAND)));
        let mut command = held | self.claimed | Command::MEMORY | Command::INTX_DISABLE;
        command.set(Command::BUS_MASTER, bus_master);
        space.store(COMMAND, command.bits());
        self.command = Some(command);
    }

    /// Turns bus mastering off.
    pub(super) fn silence<H: Hal>(&mut self, space: &ConfigSpace<H>) {
        if let Some(command) = self.command {
            let command = command - Command::BUS_MASTER;
            space.store(COMMAND, command.bits());
            self.command = Some(command);
        }
    }
}
