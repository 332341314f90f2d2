use std::fmt;

use crate::Access;
use crate::register::{self, CapabilityKind, ConfigHeader};

/// A function's configuration space, byte for byte as it was last loaded or stored.
pub struct ConfigSpace {
    bytes: Box<[Option<u8>; 256]>,
    /// The capabilities that were accessed.
    pub capabilities: Vec<Capability>,
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
        Self { bytes: Box::new([None; 256]), capabilities: Vec::new() }
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
        let bytes = access.value().to_le_bytes();
        let start = usize::from(offset);
        for (place, byte) in (start..start + usize::from(access.width())).zip(bytes) {
            if let Some(known) = self.bytes.get_mut(place) {
                *known = Some(byte);
            }
        }
    }
}
