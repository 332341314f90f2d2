use eclipse_trace::Effect;
use eclipse_trace::register::{CapabilityKind, ConfigHeader};

use super::ConfigSpace;
use crate::fault::Edit;

impl ConfigSpace {
    /// Changes what the guest will find, whatever may be written; returns what changed.
    pub(crate) fn edit(&mut self, edit: &Edit) -> Vec<Effect> {
        let before = self.bytes;
        match edit {
            Edit::Register(register, value) => {
                let place = register.in_config().and_then(|(capability, offset)| {
                    Some(self.start(capability)? + usize::from(offset))
                });
                if let Some(at) = place {
                    let width = usize::from(register.width());
                    let field = self.bytes.iter().skip(at).take(width);
                    let old = field.rev().fold(0, |old, &byte| old << 8 | u64::from(byte));
                    let new = value.apply(old, register.mask()).to_le_bytes();
                    self.overwrite(at, &new[..width]);
                }
            }
            Edit::Bytes(offset, bytes) => self.overwrite((*offset).into(), bytes),
            Edit::Unlink(kind) => {
                if let Some(at) = self.start(Some(*kind)) {
                    let next = self.bytes.get(at + 1).copied().unwrap_or_default();
                    let pointer = self.pointer_to(at as u8);
                    self.overwrite(pointer, &[next]);
                }
            }
            Edit::Prepend(id, body) => {
                let pointer = usize::from(ConfigHeader::CapabilitiesPointer.offset());
                self.insert(pointer, *id, body);
            }
            Edit::Append(id, body) => {
                let pointer = self.pointer_to(0);
                self.insert(pointer, *id, body);
            }
        }
        let changed =
            before.iter().zip(&self.bytes).zip(0u16..).filter(|((old, new), _)| old != new);
        changed
            .map(|((&instead_of, &value), offset)| Effect::Config { offset, instead_of, value })
            .collect()
    }

    /// Puts a capability behind all others in memory, and into the list at `pointer`.
    fn insert(&mut self, pointer: usize, id: u8, body: &[u8]) {
        let end = |(capability, length): &(eclipse_trace::register::Capability, u8)| {
            usize::from(capability.at) + usize::from(*length)
        };
        let used = self.capabilities.iter().map(end).max().unwrap_or(0x40).max(0x40);
        let free = self.edited.max(used).next_multiple_of(4);
        let next = self.bytes.get(pointer).copied().unwrap_or_default();
        if free + 2 + body.len() > self.bytes.len() {
            return;
        }
        self.overwrite(free, &[id, next]);
        self.overwrite(free + 2, body);
        self.overwrite(pointer, &[free as u8]);
        self.edited = free + 2 + body.len();
    }

    /// Where the pointer in the list is that leads to `target`.
    fn pointer_to(&self, target: u8) -> usize {
        let mut pointer = usize::from(ConfigHeader::CapabilitiesPointer.offset());
        // A list in 192 bytes of doublewords has no more entries.
        for _ in 0..48 {
            match self.bytes.get(pointer) {
                Some(&next) if next != target && next != 0 => pointer = usize::from(next) + 1,
                _ => break,
            }
        }
        pointer
    }

    fn start(&self, capability: Option<CapabilityKind>) -> Option<usize> {
        let Some(kind) = capability else { return Some(0) };
        let found = self.capabilities.iter().find(|(capability, _)| capability.kind == kind);
        found.map(|(capability, _)| capability.at.into())
    }

    fn overwrite(&mut self, at: usize, bytes: &[u8]) {
        for (place, byte) in self.bytes.iter_mut().skip(at).zip(bytes) {
            *place = *byte;
        }
    }
}
