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
        let listed = capability.is_none() && (0x40..0x100).contains(&offset);
        let bytes = access.value().to_le_bytes();
        for (place, byte) in (offset..offset + u16::from(access.width())).zip(bytes) {
            let fixed = access.is_store() && READ_ONLY.contains(&place);
            if let Some(known) = self.bytes.get_mut(usize::from(place)).filter(|_| !fixed) {
                *known = Some(byte);
            }
        }
        if listed && !access.is_store() {
            self.list(offset);
        }
    }

    /// Looks for the capability around `offset` in the list, as far as it was loaded: whoever
    /// wrote the record did not name it.
    fn list(&mut self, offset: u16) {
        let mut at = self.get(ConfigHeader::CapabilitiesPointer.offset(), 1);
        // There is no room for more.
        for _ in 0..48 {
            let Some(place) = at.map(|at| at as u16 & 0xfc).filter(|at| *at >= 0x40) else {
                return;
            };
            let known = self.capabilities.iter().any(|known| known.at == place);
            if !known && (place..place + 4).contains(&offset) {
                let kind = match self.get(place, 1) {
                    Some(0x11) => Some(CapabilityKind::Msix),
                    Some(0x09) => {
                        self.get(place + 3, 1).map(|kind| CapabilityKind::Virtio(kind as u8))
                    }
                    _ => None,
                };
                self.capabilities.extend(kind.map(|kind| Capability { kind, at: place }));
            }
            at = self.get(place + 1, 1);
        }
    }
}

/// Bytes that a store does not change, or not to what is stored (PCI 3.0, 6.1 and 6.2): IDs,
/// STATUS, the class, the layout, the pointer to the capabilities and the pin.
const READ_ONLY: [u16; 13] = [0, 1, 2, 3, 6, 7, 8, 9, 0xa, 0xb, 0xe, 0x34, 0x3d];

#[cfg(test)]
mod tests {
    use super::*;

    fn load(config: &mut ConfigSpace, offset: u16, width: u8, value: u64) {
        config.take(offset, None, Access::Load { width, value });
    }

    #[test]
    fn capabilities_without_names_are_found_in_the_list() {
        let mut config = ConfigSpace::default();
        load(&mut config, 0x34, 1, 0x40);
        load(&mut config, 0x40, 2, 0x5011);
        load(&mut config, 0x50, 2, 0x0009);
        load(&mut config, 0x52, 1, 0x10);
        load(&mut config, 0x53, 1, 0x07);
        // Nothing leads here.
        load(&mut config, 0x80, 4, 0x0110_0009);
        let found = [
            Capability { kind: CapabilityKind::Msix, at: 0x40 },
            Capability { kind: CapabilityKind::Virtio(7), at: 0x50 },
        ];
        assert_eq!(config.capabilities, found);
    }
}
