use std::fmt;

use super::Bars;
use crate::Access;
use crate::register::{self, CapabilityKind, ConfigHeader};

/// A function's configuration space, byte for byte as it was last loaded or stored.
pub struct ConfigSpace {
    bytes: Box<[Option<u8>; 256]>,
    /// The capabilities that were accessed.
    pub capabilities: Vec<Capability>,
    /// The base address registers.
    pub bars: Bars,
}

/// A capability that was accessed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Capability {
    /// Which.
    pub kind: CapabilityKind,
    /// Its offset in configuration space.
    pub at: u16,
}

impl Default for ConfigSpace {
    fn default() -> Self {
        Self { bytes: Box::new([None; 256]), capabilities: Vec::new(), bars: Bars::default() }
    }
}

impl fmt::Debug for ConfigSpace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ConfigSpace").field("capabilities", &self.capabilities).finish()
    }
}

impl ConfigSpace {
    /// The `width` bytes at `offset`, if all were loaded or stored before.
    pub fn get(&self, offset: u16, width: u8) -> Option<u32> {
        let bytes =
            self.bytes.get(usize::from(offset)..usize::from(offset) + usize::from(width))?;
        bytes.iter().rev().try_fold(0, |value, byte| Some(value << 8 | u32::from((*byte)?)))
    }

    /// A register of a type 0 header, as it was last loaded or stored.
    pub fn header(&self, register: ConfigHeader) -> Option<u32> {
        self.get(register.offset(), register.width())
    }

    /// COMMAND, as it was last loaded or stored; 0 until then, as after a reset of the bus.
    pub fn command(&self) -> u16 {
        self.header(ConfigHeader::Command).unwrap_or(0) as u16
    }

    /// The first capability of this kind that was accessed.
    pub fn capability(&self, kind: CapabilityKind) -> Option<Capability> {
        self.capabilities.iter().copied().find(|capability| capability.kind == kind)
    }

    /// The `width` bytes at `inside` of a capability, as they were last loaded or stored.
    pub fn field(&self, capability: Capability, inside: u16, width: u8) -> Option<u32> {
        self.get(capability.at + inside, width)
    }

    /// The layout of the header, as it was loaded: 0 of a device, 1 of a bridge.
    pub fn layout(&self) -> Option<u8> {
        self.header(ConfigHeader::HeaderType).map(|layout| layout as u8 & 0x7f)
    }

    /// How many base address registers there are; six until it is known.
    pub fn bar_count(&self) -> usize {
        match self.layout() {
            None | Some(0) => 6,
            Some(1) => 2,
            Some(_) => 1,
        }
    }

    pub(super) fn take(
        &mut self,
        offset: u16,
        capability: Option<register::Capability>,
        access: Access,
    ) {
        if let Some(capability) = capability {
            let new = Capability { kind: capability.kind, at: capability.at.into() };
            if !self.capabilities.contains(&new) {
                self.capabilities.push(new);
            }
        }
        if Bars::index(offset).is_some_and(|index| index < self.bar_count()) {
            self.bars.take(offset, access);
        }
        let bytes = access.value().to_le_bytes();
        for (place, byte) in (offset..offset + u16::from(access.width())).zip(bytes) {
            let fixed = access.is_store() && READ_ONLY.contains(&place);
            if let Some(known) = self.bytes.get_mut(usize::from(place)).filter(|_| !fixed) {
                *known = Some(byte);
            }
        }
    }
}

/// Bytes that a store does not change, or not to what is stored (PCI 3.0, 6.1 and 6.2): IDs,
/// STATUS, the class, the layout, the pointer to the capabilities and the pin.
const READ_ONLY: [u16; 13] = [0, 1, 2, 3, 6, 7, 8, 9, 0xa, 0xb, 0xe, 0x34, 0x3d];
