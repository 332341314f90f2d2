use std::ops::Range;

use eclipse_trace::register::Mechanism;
use eclipse_trace::{Bdf, Refusal};

use super::bus::Target;

/// The window of the enhanced configuration access mechanism, for buses 0 to 255
/// (PCI Express Base 3.0, 7.2.2): 4 KiB for each function.
///
/// It belongs to the host bridge, which takes what is inside before any BAR sees it.
pub const ECAM: Range<u64> = 0xe000_0000..0xf000_0000;

/// The function and register that an access of `width` bytes at `address` means, if
/// it begins in the window.
///
/// As through the ports, any bytes of one doubleword can be accessed. More than that
/// is refused: 7.2.2 leaves accesses across a doubleword's end to the host, and
/// this one does not have them.
pub(super) fn decode(address: u64, width: u8) -> Option<Target> {
    let inside = address.checked_sub(ECAM.start).filter(|_| address < ECAM.end)?;
    let refusal = match width {
        1 | 2 | 4 if inside % 4 + u64::from(width) <= 4 => None,
        1 | 2 | 4 => Some(Refusal::Unaligned),
        _ => Some(Refusal::Width),
    };
    // Bits 27:20 are the bus, 19:15 the device, 14:12 the function.
    let function = Bdf::from_devfn((inside >> 20) as u8, (inside >> 12) as u8);
    Some(Target { function, mechanism: Mechanism::Ecam, offset: (inside & 0xfff) as u16, refusal })
}
