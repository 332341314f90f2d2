//! The record of one function.

use core::ops::RangeInclusive;

use super::{
    Address, BAR_COUNT, Bar, Bars, Command, ConfigSpace, Error, VENDOR_VIRTIO,
    bridge::Buses,
    config::{
        CLASS_REVISION, COMMAND, DEVICE_ID, HEADER_TYPE, INTERRUPT_LINE, INTERRUPT_PIN, VENDOR_ID,
    },
};
use crate::{hal::Hal, mutant::mutated, register::Register};

/// Header type bits 6:0 of an ordinary function.
const TYPE_0: u8 = 0x00;
/// Of a PCI-to-PCI bridge.
const TYPE_1: u8 = 0x01;
/// Header type bit 7: the device has functions beside 0.
const MULTI_FUNCTION: u8 = 0x80;
/// Device IDs of transitional and of legacy VIRTIO devices (VIRTIO 1.4, 4.1.2.1).
const TRANSITIONAL_IDS: RangeInclusive<u16> = 0x1000..=0x103f;

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
    /// Interrupt pin: 1 to 4 for INTA# to INTD#, 0 for none.
    pub interrupt_pin: u8,
    /// Interrupt line; 0xFF, unknown, where there is no pin.
    pub interrupt_line: u8,
    /// The buses behind it, if it is a bridge.
    pub buses: Option<Buses>,
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
        let early = mutated!(space.hal(), M02).then(|| space.load(DEVICE_ID));
        let vendor_id = space.load(VENDOR_ID);
        if matches!(vendor_id, 0 | u16::MAX) && early.is_none() {
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
        let interrupt_pin = match header_type & !MULTI_FUNCTION {
            TYPE_0 => space.load(INTERRUPT_PIN),
            _ => 0,
        };
        // Without a pin there is nothing that a line could be of (PCI 3.0, 6.2.4).
        let interrupt_line = match interrupt_pin {
            0 => u8::MAX,
            _ => space.load(INTERRUPT_LINE),
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
            interrupt_pin,
            interrupt_line,
            buses: (header_type & !MULTI_FUNCTION == TYPE_1).then(|| Buses::load(space)),
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

    /// Whether it can have the legacy interface: a transitional device ID, and revision 0
    /// (VIRTIO 1.4, 4.1.2.1 and 4.1.2.3).
    pub fn is_legacy_virtio(&self) -> bool {
        self.vendor_id == VENDOR_VIRTIO
            && TRANSITIONAL_IDS.contains(&self.device_id)
            && self.revision == 0
    }

    /// The line that its interrupt pin is connected to, as firmware has it: 0xFF says "none"
    /// (PCI 3.0, 6.2.4), and 0, the timer's, that nobody wrote there.
    pub fn line(&self) -> Option<u8> {
        let connected = matches!(self.interrupt_pin, 1..=4);
        Some(self.interrupt_line).filter(|line| connected && !matches!(*line, 0 | u8::MAX))
    }

    /// How many BARs its header has.
    pub(super) fn bar_count(&self) -> usize {
        match self.header_type & !MULTI_FUNCTION {
            TYPE_0 => BAR_COUNT,
            // PCI-to-PCI Bridge 1.2, 3.2.5.1.
            TYPE_1 => 2,
            _ => 0,
        }
    }

    /// The spaces that it is to decode: memory, where no driver has claimed a BAR.
    pub(super) fn spaces(&self) -> Command {
        if self.claimed.is_empty() { Command::MEMORY } else { self.claimed }
    }

    /// The BARs without an address, in the spaces that are claimed.
    pub(super) fn unplaced(&self) -> impl Iterator<Item = (u8, Bar)> {
        let bars = (0..BAR_COUNT as u8).map(|index| (index, self.bar(index)));
        bars.filter(|(_, bar)| bar.is_unplaced() && self.claimed.contains(bar.space()))
    }

    /// Turns decoding off, if it is on: a BAR that is half written answers to neither address.
    pub(super) fn stop_decoding<H: Hal>(&mut self, space: &ConfigSpace<H>) {
        let held = self.command(space);
        let spaces = Command::IO | Command::MEMORY;
        if held.intersects(spaces) {
            self.store_command(space, held - spaces);
        }
    }

    /// Gives a BAR an address.
    pub(super) fn place<H: Hal>(
        &mut self,
        space: &ConfigSpace<H>,
        index: u8,
        base: u64,
    ) -> Result<(), Error> {
        let size = self.bar(index).size();
        let bars = self.bars.as_mut();
        let taken = bars.is_some_and(|bars| bars.place(space, index.into(), base));
        if taken { Ok(()) } else { Err(Error::BarMisplaced { index, base, size }) }
    }

    /// A BAR; absent until the BARs were sized.
    pub fn bar(&self, index: u8) -> Bar {
        self.bars.map_or(Bar::Absent, |bars| bars.get(index.into()))
    }

    /// Notes that a driver accesses this BAR, so that its space is decoded.
    pub fn claim(&mut self, index: u8) {
        self.claimed |= self.bar(index).space();
    }

    /// Sizes the BARs and keeps them.
    pub(super) fn size_bars<H: Hal>(&mut self, space: &ConfigSpace<H>) {
        let (command, bars) = Bars::probe(space, self.bar_count());
        self.command = Some(command);
        self.bars = Some(bars);
    }

    /// Turns decoding on, INTx# off and bus mastering as asked, by one store.
    ///
    /// Where no driver has claimed a BAR it is memory that is decoded. INTx# stays off until
    /// someone listens to the line.
    pub(super) fn enable<H: Hal>(&mut self, space: &ConfigSpace<H>, bus_master: bool) {
        if mutated!(space.hal(), M189) {
            space.store(Register::<u32>::at(0x38), 0);
        }
        if mutated!(space.hal(), M190) {
            space.store(INTERRUPT_PIN, 2);
        }
        if mutated!(space.hal(), M191) {
            space.store(Register::<u32>::at(0x30), 0xffff_ffff);
        }
        let mut command = self.command(space) | self.spaces() | Command::INTX_DISABLE;
        command.remove(if mutated!(space.hal(), M13) { Command::MEMORY } else { Command::empty() });
        command.set(Command::BUS_MASTER, bus_master);
        self.store_command(space, command);
    }

    /// Turns INTx# on or off, if it is not.
    pub(super) fn connect_intx<H: Hal>(&mut self, space: &ConfigSpace<H>, on: bool) {
        let held = self.command(space);
        let mut command = held;
        command.set(Command::INTX_DISABLE, !on && !mutated!(space.hal(), M188));
        if command != held {
            self.store_command(space, command);
        }
    }

    /// Turns bus mastering and INTx# off, of a device that was enabled.
    pub(super) fn silence<H: Hal>(&mut self, space: &ConfigSpace<H>) {
        if let Some(command) = self.command {
            self.store_command(space, (command - Command::BUS_MASTER) | Command::INTX_DISABLE);
        }
    }

    /// What the command register holds; 16 bits wide, as the status register above it has bits
    /// that a store of 1 clears.
    fn command<H: Hal>(&self, space: &ConfigSpace<H>) -> Command {
        self.command.unwrap_or_else(|| Command::from_bits_retain(space.load(COMMAND)))
    }

    fn store_command<H: Hal>(&mut self, space: &ConfigSpace<H>, command: Command) {
        let kept = Command::IO | Command::MEMORY | Command::BUS_MASTER | Command::INTX_DISABLE;
        let command = if mutated!(space.hal(), M184) { command & kept } else { command };
        if mutated!(space.hal(), M17) {
            space.store(
                Register::<u32>::at(COMMAND.offset()),
                0xffff_0000 | u32::from(command.bits()),
            );
        } else {
            space.store(COMMAND, command.bits());
        }
        self.command = Some(command);
    }
}
