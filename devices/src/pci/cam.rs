use eclipse_trace::register::Mechanism;
use eclipse_trace::{Bdf, Refusal};

use super::bus::Target;

/// CONFIG_ADDRESS, and what the ports 0xCF8 to 0xCFF mean with it
/// (PCI 3.0, 3.2.2.3.2).
///
/// The host bridge takes a doubleword at 0xCF8, and nothing else there: the clause
/// has it latch "a full DWORD" only, and pass any other access on as ordinary I/O,
/// which nobody claims but the reset control register at 0xCF9.
///
/// CONFIG_DATA has byte lanes: any access that stays inside 0xCFC to 0xCFF reaches
/// exactly those bytes of the register. An access that leaves the doubleword is
/// refused: PCI has no such transaction. A processor makes two of it, of which
/// no driver can want either.
#[derive(Debug, Default)]
pub(super) struct ConfigAddress(u32);

/// What an access to a port means.
pub(super) enum ConfigPort {
    /// CONFIG_ADDRESS.
    Address,
    /// CONFIG_DATA.
    Data(Target),
}

impl ConfigAddress {
    const PORT: u64 = 0xcf8;
    const DATA: u64 = 0xcfc;
    const ENABLE: u32 = 1 << 31;
    /// Reserved bits and bits 1:0 are read-only zero.
    const WRITABLE: u32 = 0x80ff_fffc;

    pub(super) fn load(&self) -> u32 {
        self.0
    }

    pub(super) fn store(&mut self, value: u32) {
        self.0 = value & Self::WRITABLE;
    }

    /// What an access of `width` bytes at `port` means, if it means anything.
    pub(super) fn decode(&self, port: u64, width: u8) -> Option<ConfigPort> {
        if port == Self::PORT && width == 4 {
            return Some(ConfigPort::Address);
        }
        let lane = port.checked_sub(Self::DATA).filter(|lane| *lane < 4)?;
        // Without the enable bit it is ordinary I/O as well.
        if self.0 & Self::ENABLE == 0 {
            return None;
        }
        let [register, devfn, bus, _] = self.0.to_le_bytes();
        let fits = lane + u64::from(width) <= 4;
        Some(ConfigPort::Data(Target {
            function: Bdf::from_devfn(bus, devfn),
            mechanism: Mechanism::Cam,
            offset: u16::from(register) + lane as u16,
            refusal: (!fits).then_some(Refusal::Unaligned),
        }))
    }
}
