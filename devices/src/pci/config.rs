use eclipse_trace::register::{Capability, CapabilityKind, ConfigHeader, MsixCap};

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

/// What kind of range a base address register places (PCI 3.0, 6.2.5.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BarKind {
    /// Memory below 4 GiB.
    Memory32,
    /// Prefetchable memory anywhere; takes two registers.
    Memory64,
}

#[derive(Clone, Copy, Debug)]
struct Bar {
    index: u8,
    kind: BarKind,
    size: u64,
}

/// A function's 256 bytes of configuration space (PCI 3.0, 6.1).
///
/// Which bits the guest can change is data: a mask of writable bits, and a mask
/// of those that a one clears. Sizing a BAR therefore needs no code of its own:
/// the address bits below its size are simply not writable (6.2.5.1).
#[derive(Clone, Debug)]
pub struct ConfigSpace {
    bytes: [u8; 256],
    writable: [u8; 256],
    clear_by_one: [u8; 256],
    bars: Vec<Bar>,
    /// Each capability with its length in bytes, in list order.
    capabilities: Vec<(Capability, u8)>,
}

impl ConfigSpace {
    /// COMMAND: I/O space, memory space, bus master, parity, SERR#, interrupt disable.
    const COMMAND_WRITABLE: u16 = 0x0547;
    const COMMAND_MEMORY: u16 = 1 << 1;
    const COMMAND_BUS_MASTER: u16 = 1 << 2;
    /// STATUS: the error bits, which a one clears (PCI 3.0, 6.2.3).
    const STATUS_CLEAR_BY_ONE: u16 = 0xf900;
    const STATUS_CAPABILITIES: u8 = 1 << 4;
    const HEADER_MULTI_FUNCTION: u8 = 1 << 7;
    /// Where the first capability is put.
    const FIRST_CAPABILITY: u8 = 0x40;

    /// A type 0 header with nothing but an identity.
    pub fn new(identity: Identity) -> Self {
        let mut config = Self {
            bytes: [0; 256],
            writable: [0; 256],
            clear_by_one: [0; 256],
            bars: Vec::new(),
            capabilities: Vec::new(),
        };
        config.set_u16(ConfigHeader::VendorId, identity.vendor);
        config.set_u16(ConfigHeader::DeviceId, identity.device);
        let class = identity.class << 8 | u32::from(identity.revision);
        put(&mut config.bytes, at(ConfigHeader::RevisionId), &class.to_le_bytes());
        config.set_u16(ConfigHeader::SubsystemVendorId, identity.subsystem_vendor);
        config.set_u16(ConfigHeader::SubsystemId, identity.subsystem);
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

    /// Adds BAR `index` of `size` bytes, placed at `address`, with memory decode on.
    ///
    /// # Panics
    /// The size is no power of two of at least 16, or the address is not a multiple of it.
    pub fn with_bar(mut self, index: u8, kind: BarKind, size: u64, address: u64) -> Self {
        assert!(size.is_power_of_two() && size >= 16, "no such BAR size");
        assert!(address.is_multiple_of(size), "BAR address is not aligned to its size");
        let (length, flags) = match kind {
            BarKind::Memory32 => (4, 0x0),
            BarKind::Memory64 => (8, 0xc),
        };
        let offset = at(ConfigHeader::Bar0) + 4 * usize::from(index);
        put(&mut self.bytes, offset, &(address | flags).to_le_bytes()[..length]);
        put(&mut self.writable, offset, &(!(size - 1)).to_le_bytes()[..length]);
        self.bars.push(Bar { index, kind, size });
        self.set_command(self.command() | Self::COMMAND_MEMORY);
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
        let bytes = self.bytes.iter().skip(offset.into()).take(width.into());
        bytes.rev().fold(0, |value, &byte| value << 8 | u32::from(byte))
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

    /// Whether the function may master the bus (COMMAND bit 2).
    pub fn bus_master(&self) -> bool {
        self.command() & Self::COMMAND_BUS_MASTER != 0
    }

    /// The BAR that claims all `width` bytes at memory address `address`, and the
    /// offset inside it; `None` when memory decode is off (COMMAND bit 1).
    pub fn claims_memory(&self, address: u64, width: u8) -> Option<(u8, u64)> {
        if self.command() & Self::COMMAND_MEMORY == 0 {
            return None;
        }
        self.bars.iter().find_map(|bar| {
            let offset = address.checked_sub(self.bar_address(bar))?;
            let last = offset.checked_add(u64::from(width) - 1)?;
            (last < bar.size).then_some((bar.index, offset))
        })
    }

    /// The 16 bits at `offset`.
    pub fn u16_at(&self, offset: u8) -> u16 {
        self.load(offset, 2) as u16
    }

    fn bar_address(&self, bar: &Bar) -> u64 {
        let offset = ConfigHeader::Bar0.offset() as u8 + 4 * bar.index;
        let low = u64::from(self.load(offset, 4) & !0xf);
        match bar.kind {
            BarKind::Memory32 => low,
            BarKind::Memory64 => u64::from(self.load(offset + 4, 4)) << 32 | low,
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
mod tests {
    use super::*;

    fn function() -> ConfigSpace {
        let identity = Identity {
            vendor: 0x1af4,
            device: 0x1042,
            revision: 1,
            class: 0x01_00_00,
            subsystem_vendor: 0x1af4,
            subsystem: 0x1100,
        };
        ConfigSpace::new(identity).with_bar(0, BarKind::Memory32, 0x1000, 0xfebc_1000).with_bar(
            4,
            BarKind::Memory64,
            0x4000,
            0x1_0000_0000,
        )
    }

    #[test]
    fn the_header_holds_the_identity_in_its_places() {
        let config = function();
        assert_eq!(config.load(0x00, 4), 0x1042_1af4);
        assert_eq!(config.load(0x08, 4), 0x0100_0001);
        assert_eq!(config.load(0x0b, 1), 0x01);
        assert_eq!(config.load(0x2c, 4), 0x1100_1af4);
    }

    #[test]
    fn a_bar_answers_all_ones_with_its_size_and_type() {
        let mut config = function();
        for probe in [0xffff_ffff, 0xffff_fff0] {
            config.store(0x10, 4, probe);
            assert_eq!(config.load(0x10, 4), 0xffff_f000);
            config.store(0x20, 4, probe);
            config.store(0x24, 4, probe);
            assert_eq!(config.load(0x20, 4), 0xffff_c00c);
        }
        config.store(0x24, 4, 0xffff_ffff);
        assert_eq!(config.load(0x24, 4), 0xffff_ffff);
        config.store(0x14, 4, 0xffff_ffff);
        assert_eq!(config.load(0x14, 4), 0, "a BAR that is not there");
    }

    #[test]
    fn a_bar_claims_its_own_bytes_and_only_while_memory_decode_is_on() {
        let mut config = function();
        assert_eq!(config.claims_memory(0xfebc_1000, 4), Some((0, 0)));
        assert_eq!(config.claims_memory(0xfebc_1fff, 1), Some((0, 0xfff)));
        assert_eq!(config.claims_memory(0xfebc_1fff, 2), None, "reaches over the end");
        assert_eq!(config.claims_memory(0xfebc_0fff, 1), None);
        assert_eq!(config.claims_memory(0x1_0000_3000, 2), Some((4, 0x3000)));
        assert_eq!(config.claims_memory(u64::MAX, 8), None);
        config.store(0x20, 4, 0xd000_0000);
        config.store(0x24, 4, 0);
        assert_eq!(config.claims_memory(0xd000_3000, 2), Some((4, 0x3000)), "relocated");
        config.store(0x04, 2, 0);
        assert_eq!(config.claims_memory(0xfebc_1000, 4), None);
    }

    #[test]
    fn command_keeps_its_reserved_bits_zero_and_status_is_cleared_by_ones() {
        let mut config = function();
        config.store(0x04, 2, 0xffff);
        assert_eq!(config.load(0x04, 2), 0x0547);
        config.bytes[0x07] = 0xa0;
        config.store(0x07, 1, 0x80);
        assert_eq!(config.load(0x07, 1), 0x20, "only the bit written as one");
        config.store(0x04, 4, 0xffff_0006);
        assert_eq!(config.load(0x04, 4), 0x0000_0006, "a 32-bit store reaches STATUS");
    }

    #[test]
    fn capabilities_are_a_list_in_the_order_in_which_they_were_added() {
        let (config, first) = function().with_capability(CapabilityKind::Msix, &[1, 0]);
        let body = [16, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];
        let (config, second) = config.with_capability(CapabilityKind::Virtio(1), &body);
        assert_eq!((first, second), (0x40, 0x44));
        assert_eq!(config.load(0x06, 2), 0x0010);
        assert_eq!(config.load(0x34, 1), 0x40);
        assert_eq!(config.load(0x40, 4), 0x0001_4411);
        assert_eq!(config.load(0x44, 4), 0x0110_0009);
        assert_eq!(config.capability_at(0x53).map(|c| c.at), Some(0x44));
        assert_eq!(config.capability_at(0x54), None);
    }
}
