use eclipse_trace::register::{
    BridgeHeader, Capability, CapabilityKind, ConfigHeader, Header, MsixCap,
};
use eclipse_trace::{Pin, Space};

use super::bar::{Bar, BarKind};

/// What a function is, as its read-only header registers say.
#[derive(Clone, Copy, Debug)]
pub struct Identity {
    /// Vendor ID.
    pub vendor: u16,
    /// Device ID.
    pub device: u16,
    /// Revision ID.
    pub revision: u8,
    /// Class code, subclass and programming interface, as in `0x010180`.
    pub class: u32,
    /// Subsystem vendor ID.
    pub subsystem_vendor: u16,
    /// Subsystem ID.
    pub subsystem: u16,
}

/// A function's 256 bytes of configuration space (PCI 3.0, 6.1).
///
/// Which bits the guest can change is data: a mask of writable bits, and a mask
/// of those that a one clears. Sizing a BAR therefore needs no code of its own:
/// the address bits below its size are simply not writable (6.2.5.1).
#[derive(Clone, Debug)]
pub struct ConfigSpace {
    header: Header,
    pub(super) bytes: [u8; 256],
    writable: [u8; 256],
    clear_by_one: [u8; 256],
    bars: Vec<Bar>,
    /// Each capability with its length in bytes, in list order.
    pub(super) capabilities: Vec<(Capability, u8)>,
    /// The first byte behind what was put there before boot, besides those.
    pub(super) edited: usize,
}

impl ConfigSpace {
    /// COMMAND: I/O space, memory space, bus master, parity, SERR#, interrupt disable.
    const COMMAND_WRITABLE: u16 = 0x0547;
    const COMMAND_IO: u16 = 1 << 0;
    const COMMAND_MEMORY: u16 = 1 << 1;
    const COMMAND_BUS_MASTER: u16 = 1 << 2;
    const COMMAND_INTERRUPT_DISABLE: u16 = 1 << 10;
    /// What firmware leaves on that has used a device: decode, bus master, SERR#.
    const COMMAND_WARM: u16 = 0x0107;
    /// STATUS: the error bits, which a one clears (PCI 3.0, 6.2.3).
    const STATUS_CLEAR_BY_ONE: u16 = 0xf900;
    const STATUS_CAPABILITIES: u8 = 1 << 4;
    const STATUS_INTERRUPT: u8 = 1 << 3;
    const HEADER_MULTI_FUNCTION: u8 = 1 << 7;
    const HEADER_BRIDGE: u8 = 1;
    const MSIX_ENABLE: u16 = 1 << 15;
    /// Where the first capability is put.
    const FIRST_CAPABILITY: u8 = 0x40;

    /// A type 0 header with nothing but an identity.
    pub fn new(identity: Identity) -> Self {
        let mut config = Self::common(identity);
        config.set_u16(ConfigHeader::SubsystemVendorId, identity.subsystem_vendor);
        config.set_u16(ConfigHeader::SubsystemId, identity.subsystem);
        config
    }

    /// A type 1 header, of a PCI-to-PCI bridge whose windows are all there: I/O with
    /// 16 bits, memory, prefetchable memory with 64 bits (PCI-to-PCI Bridge 1.2, 3.2).
    pub fn bridge(identity: Identity) -> Self {
        let mut config = Self::common(identity);
        config.header = Header::Bridge;
        config.bytes[at(ConfigHeader::HeaderType)] |= Self::HEADER_BRIDGE;
        let writable: [(BridgeHeader, u32); 13] = [
            (BridgeHeader::PrimaryBus, 0xff),
            (BridgeHeader::SecondaryBus, 0xff),
            (BridgeHeader::SubordinateBus, 0xff),
            (BridgeHeader::SecondaryLatencyTimer, 0xff),
            (BridgeHeader::IoBase, 0xf0),
            (BridgeHeader::IoLimit, 0xf0),
            (BridgeHeader::MemoryBase, 0xfff0),
            (BridgeHeader::MemoryLimit, 0xfff0),
            (BridgeHeader::PrefetchableBase, 0xfff0),
            (BridgeHeader::PrefetchableLimit, 0xfff0),
            (BridgeHeader::PrefetchableBaseHigh, 0xffff_ffff),
            (BridgeHeader::PrefetchableLimitHigh, 0xffff_ffff),
            // Parity and SERR# responses, ISA Enable, master abort mode, secondary reset.
            (BridgeHeader::BridgeControl, 0x0067),
        ];
        for (register, mask) in writable {
            let (offset, width) = (register.offset().into(), register.width().into());
            put(&mut config.writable, offset, &mask.to_le_bytes()[..width]);
        }
        let status = Self::STATUS_CLEAR_BY_ONE.to_le_bytes();
        put(&mut config.clear_by_one, BridgeHeader::SecondaryStatus.offset().into(), &status);
        config
    }

    /// What both types of header have.
    fn common(identity: Identity) -> Self {
        let mut config = Self {
            header: Header::Device,
            bytes: [0; 256],
            writable: [0; 256],
            clear_by_one: [0; 256],
            bars: Vec::new(),
            capabilities: Vec::new(),
            edited: 0,
        };
        config.set_u16(ConfigHeader::VendorId, identity.vendor);
        config.set_u16(ConfigHeader::DeviceId, identity.device);
        let class = identity.class << 8 | u32::from(identity.revision);
        put(&mut config.bytes, at(ConfigHeader::RevisionId), &class.to_le_bytes());
        let command = Self::COMMAND_WRITABLE.to_le_bytes();
        put(&mut config.writable, at(ConfigHeader::Command), &command);
        let status = Self::STATUS_CLEAR_BY_ONE.to_le_bytes();
        put(&mut config.clear_by_one, at(ConfigHeader::Status), &status);
        config.writable[at(ConfigHeader::CacheLineSize)] = 0xff;
        config.writable[at(ConfigHeader::InterruptLine)] = 0xff;
        config
    }

    /// Says that the device has more functions than this one.
    pub fn multi_function(mut self) -> Self {
        self.bytes[at(ConfigHeader::HeaderType)] |= Self::HEADER_MULTI_FUNCTION;
        self
    }

    /// Says that the function interrupts by `pin` (PCI 3.0, 6.2.4).
    pub fn with_interrupt_pin(mut self, pin: Pin) -> Self {
        self.bytes[at(ConfigHeader::InterruptPin)] = pin as u8;
        self
    }

    /// Adds BAR `index` of `size` bytes, placed at `address`, with its decode on.
    ///
    /// # Panics
    /// The size is no power of two or not one for this kind of BAR, the address is
    /// not a multiple of it, or there is no such register.
    pub fn with_bar(mut self, index: u8, kind: BarKind, size: u64, address: u64) -> Self {
        assert!(size.is_power_of_two() && kind.sizes().contains(&size), "no such BAR size");
        assert!(address.is_multiple_of(size), "BAR address is not aligned to its size");
        assert!(index + kind.registers() <= 6, "no such BAR");
        let length = 4 * usize::from(kind.registers());
        let offset = at(ConfigHeader::Bar0) + 4 * usize::from(index);
        let writable = !(size - 1) & kind.implemented();
        put(&mut self.bytes, offset, &(address | kind.flags()).to_le_bytes()[..length]);
        put(&mut self.writable, offset, &writable.to_le_bytes()[..length]);
        self.bars.push(Bar { index, kind, size });
        let decode = if kind.is_io() { Self::COMMAND_IO } else { Self::COMMAND_MEMORY };
        self.set_command(self.command() | decode);
        self
    }

    /// Lets the guest store to the bits of `mask`, from `offset` on.
    ///
    /// # Panics
    /// That is not inside configuration space.
    pub fn with_writable(mut self, offset: u8, mask: &[u8]) -> Self {
        put(&mut self.writable, offset.into(), mask);
        self
    }

    /// Adds a capability behind those there are; `body` follows the ID and the
    /// next pointer. Returns the configuration space and where the capability is.
    ///
    /// # Panics
    /// There is no room left.
    pub fn with_capability(mut self, kind: CapabilityKind, body: &[u8]) -> (Self, u8) {
        let start = match self.capabilities.last() {
            Some((last, length)) => (last.at + length).next_multiple_of(4),
            None => Self::FIRST_CAPABILITY,
        };
        let pointer = match self.capabilities.last() {
            Some((last, _)) => usize::from(last.at) + 1,
            None => at(ConfigHeader::CapabilitiesPointer),
        };
        let id = match kind {
            CapabilityKind::Msix => 0x11,
            CapabilityKind::Virtio(_) => 0x09,
            CapabilityKind::Other(id) => id,
        };
        let length = u8::try_from(2 + body.len()).expect("a capability is short");
        self.bytes[pointer] = start;
        put(&mut self.bytes, start.into(), &[id, 0]);
        put(&mut self.bytes, usize::from(start) + 2, body);
        if kind == CapabilityKind::Msix {
            // Enable and Function Mask; the table's size is read-only (PCI 3.0, 6.8.2.3).
            let control = usize::from(start) + usize::from(MsixCap::MessageControl.offset());
            put(&mut self.writable, control, &0xc000_u16.to_le_bytes());
        }
        self.bytes[at(ConfigHeader::Status)] |= Self::STATUS_CAPABILITIES;
        self.capabilities.push((Capability { kind, at: start }, length));
        (self, start)
    }

    /// Loads `width` (1, 2 or 4) bytes; the access must not cross a doubleword.
    pub fn load(&self, offset: u8, width: u8) -> u32 {
        match (width, &self.bytes[offset.into()..]) {
            (4, &[a, b, c, d, ..]) => u32::from_le_bytes([a, b, c, d]),
            (2, &[a, b, ..]) => u16::from_le_bytes([a, b]).into(),
            (_, bytes) => {
                let bytes = bytes.iter().take(width.into());
                bytes.rev().fold(0, |value, &byte| value << 8 | u32::from(byte))
            }
        }
    }

    /// Stores `width` (1, 2 or 4) bytes, as far as their bits are writable.
    pub fn store(&mut self, offset: u8, width: u8, value: u32) {
        let places = usize::from(offset)..self.bytes.len();
        for (place, new) in places.zip(value.to_le_bytes()).take(width.into()) {
            let (writable, clear) = (self.writable[place], self.clear_by_one[place]);
            let kept = self.bytes[place] & !writable & !(clear & new);
            self.bytes[place] = kept | new & writable;
        }
    }

    /// The capability that holds the byte at `offset`.
    pub fn capability_at(&self, offset: u16) -> Option<Capability> {
        self.capabilities.iter().find_map(|&(capability, length)| {
            let start = u16::from(capability.at);
            (start..start + u16::from(length)).contains(&offset).then_some(capability)
        })
    }

    /// Switches I/O decode on.
    pub(super) fn switch_io_on(&mut self) {
        self.set_command(self.command() | Self::COMMAND_IO);
    }

    /// Whether the function may master the bus (COMMAND bit 2).
    pub fn bus_master(&self) -> bool {
        self.command() & Self::COMMAND_BUS_MASTER != 0
    }

    /// Whether COMMAND lets the function answer in `space` (bits 0 and 1).
    pub fn decodes(&self, space: Space) -> bool {
        let bit = match space {
            Space::Port => Self::COMMAND_IO,
            Space::Memory => Self::COMMAND_MEMORY,
        };
        self.command() & bit != 0
    }

    /// The BAR that claims all `width` bytes at `address`, the lowest of several, and
    /// the offset inside it; `None` when the decode of `space` is off.
    ///
    /// Address 0 is one like any other: PCI has no value that says "not placed".
    pub fn claims(&self, space: Space, address: u64, width: u8) -> Option<(u8, u64)> {
        if !self.decodes(space) {
            return None;
        }
        let io = space == Space::Port;
        self.bars.iter().filter(|bar| bar.kind.is_io() == io).find_map(|bar| {
            let offset = address.checked_sub(self.bar_address(bar))?;
            let last = offset.checked_add(u64::from(width).checked_sub(1)?)?;
            (last < bar.size).then_some((bar.index, offset))
        })
    }

    /// Each BAR's kind, and the first and last address that it has now.
    pub(super) fn bar_ranges(&self) -> impl Iterator<Item = (BarKind, u64, u64)> {
        self.bars.iter().map(|bar| {
            let first = self.bar_address(bar);
            (bar.kind, first, first.saturating_add(bar.size - 1))
        })
    }

    /// Which layout the header has.
    pub(super) fn header(&self) -> Header {
        self.header
    }

    /// The highest bus number behind a bridge.
    pub(super) fn subordinate(&self) -> Option<u8> {
        let register = BridgeHeader::SubordinateBus.offset() as u8;
        (self.header == Header::Bridge).then(|| self.load(register, 1) as u8)
    }

    /// The pin that the function interrupts by.
    pub fn interrupt_pin(&self) -> Option<Pin> {
        let pin = self.bytes[at(ConfigHeader::InterruptPin)];
        Pin::ALL.into_iter().find(|candidate| *candidate as u8 == pin)
    }

    /// Whether COMMAND keeps the function from asserting its pin (bit 10).
    pub fn interrupt_disabled(&self) -> bool {
        self.command() & Self::COMMAND_INTERRUPT_DISABLE != 0
    }

    /// Whether there is an MSI-X capability that is enabled.
    pub fn msix_enabled(&self) -> bool {
        let is_msix = |(capability, _): &&(Capability, u8)| capability.kind == CapabilityKind::Msix;
        self.capabilities.iter().find(is_msix).is_some_and(|(capability, _)| {
            let control = capability.at + MsixCap::MessageControl.offset() as u8;
            self.u16_at(control) & Self::MSIX_ENABLE != 0
        })
    }

    /// Shows in STATUS whether an interrupt is pending (bit 3, read-only).
    pub(super) fn set_interrupt_status(&mut self, pending: bool) {
        let status = &mut self.bytes[at(ConfigHeader::Status)];
        *status =
            *status & !Self::STATUS_INTERRUPT | if pending { Self::STATUS_INTERRUPT } else { 0 };
    }

    /// Firmware's note of the line that the pin is wired to.
    pub(super) fn set_interrupt_line(&mut self, line: u8) {
        self.bytes[at(ConfigHeader::InterruptLine)] = line;
    }

    /// What the guest can change is zero again, as after RST# (PCI 3.0, 6.1): nothing is
    /// decoded, and no BAR or bus has its number.
    pub(super) fn reset(&mut self) {
        for (byte, (writable, clear)) in
            self.bytes.iter_mut().zip(self.writable.iter().zip(&self.clear_by_one))
        {
            *byte &= !(writable | clear);
        }
    }

    /// COMMAND is as firmware leaves it that has booted from the device.
    pub(super) fn warm(&mut self) {
        self.set_command(self.command() | Self::COMMAND_WARM);
    }

    /// A bridge passes accesses on in both directions.
    pub(super) fn forward(&mut self) {
        let all = Self::COMMAND_IO | Self::COMMAND_MEMORY | Self::COMMAND_BUS_MASTER;
        self.set_command(self.command() | all);
    }

    /// Sets a register of a bridge, read-only bits as well.
    pub(super) fn set(&mut self, register: BridgeHeader, value: u32) {
        let width = usize::from(register.width());
        put(&mut self.bytes, register.offset().into(), &value.to_le_bytes()[..width]);
    }

    /// The 16 bits at `offset`.
    pub fn u16_at(&self, offset: u8) -> u16 {
        self.load(offset, 2) as u16
    }

    fn bar_address(&self, bar: &Bar) -> u64 {
        let offset = ConfigHeader::Bar0.offset() as u8 + 4 * bar.index;
        let low = u64::from(self.load(offset, 4)) & !bar.kind.flags_mask();
        match bar.kind {
            BarKind::Memory64 => u64::from(self.load(offset + 4, 4)) << 32 | low,
            _ => low,
        }
    }

    fn command(&self) -> u16 {
        self.u16_at(ConfigHeader::Command.offset() as u8)
    }

    fn set_command(&mut self, command: u16) {
        self.set_u16(ConfigHeader::Command, command);
    }

    fn set_u16(&mut self, register: ConfigHeader, value: u16) {
        put(&mut self.bytes, at(register), &value.to_le_bytes());
    }
}

fn at(register: ConfigHeader) -> usize {
    register.offset().into()
}

fn put(bytes: &mut [u8; 256], offset: usize, value: &[u8]) {
    bytes[offset..offset + value.len()].copy_from_slice(value);
}

#[cfg(test)]
#[path = "config_tests.rs"]
mod tests;
