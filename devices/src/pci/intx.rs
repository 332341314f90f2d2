use eclipse_trace::Pin;

use crate::Host;

/// The line of the interrupt controller that `pin` of a device on bus 0 is wired to.
///
/// As on a board with a PIIX3, the four wires of a slot are turned by one from
/// slot to slot, so that devices that all use INTA# do not all share a line; they
/// end in PIRQA# to PIRQD#, and those, two and two, in IRQ 10 and 11. Behind a
/// bridge the pins are turned by the device number once more (PCI-to-PCI Bridge
/// 1.2, 9.1), and leave at the bridge's own slot.
pub fn gsi(device: u8, pin: Pin) -> u32 {
    const PIRQ: [(Pin, u32); 4] = [(Pin::A, 10), (Pin::B, 10), (Pin::C, 11), (Pin::D, 11)];
    let reached = pin.rotated(device);
    PIRQ.iter().find(|(pin, _)| *pin == reached).map_or(0, |(_, gsi)| *gsi)
}

/// How many functions assert each interrupt line; the line is high while any does
/// (PCI 3.0, 2.2.6: a pin is an open drain, so those on one wire are an OR).
#[derive(Debug, Default)]
pub(super) struct Lines {
    asserting: [u16; Self::COUNT],
}

impl Lines {
    /// Inputs of an I/O APIC.
    const COUNT: usize = 24;

    /// One function more, or one less, asserts `gsi`.
    pub(super) fn change(&mut self, host: &mut Host<'_>, gsi: u32, asserted: bool) {
        let Some(count) = self.asserting.get_mut(gsi as usize) else { return };
        let before = *count;
        *count = if asserted { before + 1 } else { before.saturating_sub(1) };
        if (before == 0) != (*count == 0) {
            host.line(gsi, asserted);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_wires_turn_by_one_from_slot_to_slot() {
        let wires = |device| Pin::ALL.map(|pin| gsi(device, pin));
        assert_eq!(wires(0), [10, 10, 11, 11]);
        assert_eq!(wires(1), [10, 11, 11, 10]);
        assert_eq!(wires(2), [11, 11, 10, 10]);
        assert_eq!(wires(3), [11, 10, 10, 11]);
        assert_eq!(wires(4), wires(0));
        assert_eq!(wires(31), wires(3));
    }
}
