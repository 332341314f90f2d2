//! PCI (PCI Local Bus 3.0).

pub(super) mod access;
pub(super) mod bars;
pub(super) mod capabilities;
pub(super) mod command;
pub(super) mod interrupt;
pub(super) mod life;
pub(super) mod msix;
pub(super) mod scan;

use crate::register::{ConfigHeader, Header};
use crate::{Access, Bdf, Register};

use super::At;

/// An access to configuration space that took effect: whose, the layout of its header, where,
/// and how.
pub(super) fn config(at: &At<'_>) -> Option<(Bdf, Header, u16, Access)> {
    match at.register()? {
        (Register::Config { function, header, offset, .. }, access, None) => {
            Some((function, header, offset, access))
        }
        _ => None,
    }
}

/// The bits of `register` that a store to configuration space brings, with those that it covers.
pub(super) fn stored(at: &At<'_>, register: ConfigHeader) -> Option<(u32, u32)> {
    let (_, _, offset, access) = config(at).filter(|(.., access)| access.is_store())?;
    let (start, width) = (register.offset(), u16::from(register.width()));
    let (mut value, mut mask) = (0, 0);
    for (place, byte) in (offset..).zip(access.value().to_le_bytes()).take(access.width().into()) {
        if let Some(inside) = place.checked_sub(start).filter(|inside| *inside < width) {
            value |= u32::from(byte) << (8 * inside);
            mask |= 0xff << (8 * inside);
        }
    }
    (mask != 0).then_some((value, mask))
}

/// COMMAND as it is after a store that this is.
pub(super) fn command_stored(at: &At<'_>) -> Option<u16> {
    let (value, mask) = stored(at, ConfigHeader::Command)?;
    let before = u32::from(at.pci().map_or(0, |function| function.config.command()));
    Some((before & !mask | value) as u16)
}

/// I/O decode, memory decode and bus mastering in COMMAND (6.2.2).
pub(super) const IO: u16 = 1;
pub(super) const MEMORY: u16 = 2;
pub(super) const BUS_MASTER: u16 = 4;
