use crate::register::{Capability, CapabilityKind, ConfigHeader, Header, MsixCap, VirtioCap};
use crate::{Access, Space};

/// A function's configuration space, as far as the log has shown it.
///
/// What the driver loaded is known; what it stored is believed where the PCI specification has a
/// register that takes it, and nowhere else.
#[derive(Clone, Debug)]
pub(super) struct ConfigSpace {
    bytes: [Option<u8>; 256],
    /// QEMU's name for the device.
    pub(super) device: Option<Box<str>>,
    /// The bytes that a BAR decodes, once the driver has sized it.
    sizes: [Option<u64>; 6],
}

/// What a BAR claims.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Bar {
    pub(super) index: u8,
    pub(super) space: Space,
    pub(super) address: u64,
    pub(super) size: Option<u64>,
}

/// Where a structure of a virtio device is, by its capability (VIRTIO 1.4, 4.1.4).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Place {
    pub(super) offset: u64,
    pub(super) multiplier: Option<u32>,
}

impl Default for ConfigSpace {
    fn default() -> Self {
        Self { bytes: [None; 256], device: None, sizes: [None; 6] }
    }
}

impl ConfigSpace {
    /// Of Message Control's high byte.
    const MSIX_ENABLE: u8 = 1 << 7;
    const MSIX_FUNCTION_MASK: u8 = 1 << 6;
    const COMMAND_INTX_DISABLE: u16 = 1 << 10;
    /// There is room for no more capabilities (PCI 3.0, 6.7).
    const CAPABILITIES: usize = 48;

    /// Takes note of an access at `offset`.
    pub(super) fn accessed(&mut self, offset: u16, access: Access) {
        let probed = bar_at(offset).filter(|_| !access.is_store() && access.width() == 4);
        let probed = probed.filter(|_| self.dword(offset).is_some_and(|bar| bar | 0xf == u32::MAX));
        for (at, value) in (offset..).zip(access.value().to_le_bytes()).take(access.width().into())
        {
            if access.is_store() {
                self.stored(at, value);
            } else if let Some(byte) = self.bytes.get_mut(usize::from(at)) {
                *byte = Some(value);
            }
        }
        if let Some(index) = probed {
            self.sized(index, access.value() as u32);
        }
    }

    fn stored(&mut self, at: u16, value: u8) {
        let control = self.msix().map(|at| at + MsixCap::MessageControl.offset() + 1);
        // COMMAND, the BARs and Interrupt Line.
        let writable = match at {
            0x04 | 0x05 | 0x3c => 0xff,
            0x10..0x28 => !self.fixed_bits(at),
            _ if Some(at) == control => Self::MSIX_ENABLE | Self::MSIX_FUNCTION_MASK,
            _ => return,
        };
        let byte = &mut self.bytes[usize::from(at)];
        *byte = Some(byte.unwrap_or(0) & !writable | value & writable);
    }

    /// The bits of a BAR's byte that say what kind it is (PCI 3.0, 6.2.5.1).
    fn fixed_bits(&self, at: u16) -> u8 {
        let Some(index) = bar_at(at & !3).filter(|_| at.is_multiple_of(4)) else { return 0 };
        match self.bytes[usize::from(at)] {
            _ if self.is_upper_half(index) => 0,
            // Not loaded yet: what is stored is all there is to know.
            None => 0,
            Some(low) if low & 1 == 1 => 3,
            Some(_) => 0xf,
        }
    }

    /// The answer to the store of all ones (PCI 3.0, 6.2.5.1): the address bits that there are.
    fn sized(&mut self, index: u8, value: u32) {
        let bits = value & if value & 1 == 1 { !3 } else { !0xf };
        if bits != 0 && !self.is_upper_half(index) {
            self.sizes[usize::from(index)] = Some(1 << bits.trailing_zeros());
        }
    }

    /// Whether this BAR's register is the high half of a 64-bit BAR.
    fn is_upper_half(&self, index: u8) -> bool {
        let mut at = 0;
        while at < index {
            let low = self.byte(bar_offset(at)).unwrap_or(0);
            let wide = low & 1 == 0 && low & 6 == 4;
            if wide && at + 1 == index {
                return true;
            }
            at += if wide { 2 } else { 1 };
        }
        false
    }

    /// The BARs that have an address.
    pub(super) fn bars(&self) -> impl Iterator<Item = Bar> + '_ {
        (0..6).filter(|index| !self.is_upper_half(*index)).filter_map(|index| {
            let low = self.dword(bar_offset(index))?;
            let (space, address) = match low & 1 {
                1 => (Space::Port, u64::from(low & !3)),
                _ if low & 6 == 4 => {
                    let high = self.dword(bar_offset(index) + 4).unwrap_or(0);
                    (Space::Memory, u64::from(high) << 32 | u64::from(low & !0xf))
                }
                _ => (Space::Memory, u64::from(low & !0xf)),
            };
            let size = self.sizes[usize::from(index)];
            (address != 0).then_some(Bar { index, space, address, size })
        })
    }

    /// Whether it is a virtio device, as far as is known.
    pub(super) fn is_virtio(&self) -> bool {
        let named = || {
            let name = self.device.as_deref().unwrap_or_default();
            name.starts_with("virtio-") || name.starts_with("vhost-")
        };
        match self.word(ConfigHeader::VendorId.offset()) {
            Some(vendor) => vendor == 0x1af4,
            None => named(),
        }
    }

    /// Whether it is a block device (VIRTIO 1.4, 4.1.2.1 and 5.2.1), if that is known.
    pub(super) fn is_block(&self) -> Option<bool> {
        let id = self.word(ConfigHeader::DeviceId.offset());
        let named = || Some(self.device.as_deref()?.contains("-blk"));
        id.map(|id| matches!(id, 0x1001 | 0x1042)).or_else(named)
    }

    /// The layout of its header.
    pub(super) fn header(&self) -> Header {
        match self.byte(ConfigHeader::HeaderType.offset()).map(|layout| layout & 0x7f) {
            Some(1) => Header::Bridge,
            _ => Header::Device,
        }
    }

    /// The capabilities that the driver has walked past, and how long each is.
    pub(super) fn capabilities(&self) -> Vec<(Capability, u8)> {
        let mut found = Vec::new();
        let mut at = self.byte(ConfigHeader::CapabilitiesPointer.offset()).unwrap_or(0) & !3;
        while at >= 0x40 && found.len() < Self::CAPABILITIES {
            let start = u16::from(at);
            let Some(id) = self.byte(start) else { break };
            let (kind, length) = self.capability(start, id);
            found.push((Capability { kind, at }, length));
            at = self.byte(start + 1).unwrap_or(0) & !3;
        }
        found
    }

    fn capability(&self, start: u16, id: u8) -> (CapabilityKind, u8) {
        let cfg_type = self.byte(start + VirtioCap::CfgType.offset());
        match (id, cfg_type) {
            (0x11, _) => (CapabilityKind::Msix, 12),
            (0x09, Some(cfg_type)) if self.is_virtio() => {
                let known = self.byte(start + VirtioCap::CapLen.offset());
                // The notification structure has a multiplier, and the window its data.
                let length = known.unwrap_or(if matches!(cfg_type, 2 | 5) { 20 } else { 16 });
                (CapabilityKind::Virtio(cfg_type), length)
            }
            (0x01, _) => (CapabilityKind::Other(id), 8),
            (0x05, _) => (CapabilityKind::Other(id), 24),
            (0x10, _) => (CapabilityKind::Other(id), 60),
            _ => (CapabilityKind::Other(id), 2),
        }
    }

    /// Where the structure with this `cfg_type` is in BAR `bar`.
    pub(super) fn structure(&self, cfg_type: u8, bar: u8) -> Option<Place> {
        self.capabilities().into_iter().find_map(|(capability, _)| {
            let start = u16::from(capability.at);
            let here = self.byte(start + VirtioCap::Bar.offset()) == Some(bar);
            if capability.kind != CapabilityKind::Virtio(cfg_type) || !here {
                return None;
            }
            let offset = self.dword(start + VirtioCap::Offset.offset())?.into();
            Some(Place { offset, multiplier: self.dword(start + VirtioCap::Extra.offset()) })
        })
    }

    /// Where the MSI-X table, or the pending bits, are in BAR `bar`.
    pub(super) fn msix_place(&self, register: MsixCap, bar: u8) -> Option<u64> {
        let place = self.dword(self.msix()? + register.offset())?;
        (place & 7 == u32::from(bar)).then_some(u64::from(place & !7))
    }

    /// Message Control of MSI-X: whether it is enabled, and whether all its vectors are masked.
    pub(super) fn msix_enabled(&self) -> (bool, bool) {
        let high = || self.byte(self.msix()? + MsixCap::MessageControl.offset() + 1);
        let high = high().unwrap_or(0);
        (high & Self::MSIX_ENABLE != 0, high & Self::MSIX_FUNCTION_MASK != 0)
    }

    /// Whether the interrupt pin is switched off (COMMAND bit 10).
    pub(super) fn intx_disabled(&self) -> bool {
        let command = self.word(ConfigHeader::Command.offset());
        command.is_some_and(|command| command & Self::COMMAND_INTX_DISABLE != 0)
    }

    /// Interrupt Pin and Interrupt Line, where both are known and mean something.
    pub(super) fn interrupt(&self) -> Option<(u8, u8)> {
        let pin = self.byte(ConfigHeader::InterruptPin.offset())?;
        let line = self.byte(ConfigHeader::InterruptLine.offset())?;
        (pin != 0 && line != 0xff).then_some((pin, line))
    }

    fn msix(&self) -> Option<u16> {
        let found = self.capabilities().into_iter();
        found
            .map(|(found, _)| found)
            .find_map(|c| (c.kind == CapabilityKind::Msix).then_some(u16::from(c.at)))
    }

    fn byte(&self, offset: u16) -> Option<u8> {
        *self.bytes.get(usize::from(offset))?
    }

    fn word(&self, offset: u16) -> Option<u16> {
        Some(u16::from_le_bytes([self.byte(offset)?, self.byte(offset + 1)?]))
    }

    fn dword(&self, offset: u16) -> Option<u32> {
        let (low, high) = (self.word(offset)?, self.word(offset + 2)?);
        Some(u32::from(high) << 16 | u32::from(low))
    }
}

/// Which BAR's register begins at `offset`.
fn bar_at(offset: u16) -> Option<u8> {
    let first = ConfigHeader::Bar0.offset();
    let inside = offset.checked_sub(first).filter(|inside| inside % 4 == 0)?;
    u8::try_from(inside / 4).ok().filter(|index| *index < 6)
}

fn bar_offset(index: u8) -> u16 {
    ConfigHeader::Bar0.offset() + 4 * u16::from(index)
}
