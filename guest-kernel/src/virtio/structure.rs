//! Where the structures of a VIRTIO device are: its vendor capabilities
//! (VIRTIO 1.4, 4.1.4).

use core::fmt;

use super::transport::Error;
use crate::{
    hal::Hal,
    pci::{self, BAR_COUNT, Capabilities, Capability, ConfigSpace, msix::Msix},
};

/// The ID of a vendor capability.
const VENDOR_SPECIFIC: u8 = 0x09;
/// Bytes of `struct virtio_pci_cap`.
const LEN: u8 = 16;
/// Bytes of `struct virtio_pci_notify_cap`.
const LEN_NOTIFY: u8 = 20;

/// The structures that a driver needs; the value is `cfg_type`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Common configuration.
    Common = 1,
    /// Notifications.
    Notify = 2,
    /// Interrupt status.
    Isr = 3,
    /// Device configuration.
    Device = 4,
}

impl Kind {
    fn decode(cfg_type: u8) -> Option<Self> {
        [Self::Common, Self::Notify, Self::Isr, Self::Device]
            .into_iter()
            .find(|kind| *kind as u8 == cfg_type)
    }

    /// What `offset` must be a multiple of (VIRTIO 1.4, 4.1.4.3.1 to 4.1.4.6.1).
    fn alignment(self) -> u32 {
        match self {
            Self::Common | Self::Device => 4,
            Self::Notify => 2,
            Self::Isr => 1,
        }
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Common => "common configuration",
            Self::Notify => "notification",
            Self::Isr => "ISR status",
            Self::Device => "device configuration",
        })
    }
}

/// Where one structure is, as its capability said it once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Structure {
    /// What it is.
    pub kind: Kind,
    /// The BAR that it is in, 0 to 5.
    pub bar: u8,
    /// Where in the BAR.
    pub offset: u32,
    /// Its bytes; there is no upper limit to expect.
    pub length: u32,
}

impl Structure {
    /// Checks that at least `needed` bytes are there, aligned, and all inside the BAR.
    pub(super) fn check(self, device: &pci::Device, needed: u64) -> Result<(), Error> {
        let Self { kind, bar, offset, length } = self;
        if u64::from(length) < needed {
            return Err(Error::TooShort { kind, length, needed });
        }
        if !offset.is_multiple_of(kind.alignment()) {
            return Err(Error::Misaligned { kind, offset });
        }
        pci::check_window(bar, device.bar(bar), offset.into(), length.into())
            .map_err(|source| Error::Misplaced { kind, source })
    }
}

/// Where all structures of a device are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Structures {
    /// Common configuration.
    pub common: Structure,
    /// Notifications.
    pub notify: Structure,
    /// What `queue_notify_off` is multiplied by.
    pub notify_off_multiplier: u32,
    /// Interrupt status; not accessed where MSI-X is on.
    pub isr: Structure,
    /// Device configuration.
    pub device: Structure,
    /// MSI-X.
    pub msix: Msix,
}

/// What the walk has found so far.
#[derive(Default)]
struct Found {
    common: Option<Structure>,
    notify: Option<(Structure, u32)>,
    isr: Option<Structure>,
    device: Option<Structure>,
    msix: Option<Msix>,
}

impl Structures {
    /// Walks the capability list. No field is loaded twice.
    ///
    /// # Errors
    /// The list is damaged, or a structure or MSI-X is missing.
    pub fn load<H: Hal>(space: &ConfigSpace<H>) -> Result<Self, Error> {
        let mut found = Found::default();
        for capability in Capabilities::of(space) {
            let capability = capability?;
            match capability.id {
                VENDOR_SPECIFIC => found.take_vendor(space, capability),
                pci::msix::ID if found.msix.is_none() => {
                    found.msix = Msix::load(space, capability);
                }
                _ => {}
            }
        }
        found.complete()
    }
}

impl Found {
    fn has(&self, kind: Kind) -> bool {
        match kind {
            Kind::Common => self.common.is_some(),
            Kind::Notify => self.notify.is_some(),
            Kind::Isr => self.isr.is_some(),
            Kind::Device => self.device.is_some(),
        }
    }

    fn take_vendor<H: Hal>(&mut self, space: &ConfigSpace<H>, capability: Capability) {
        if !capability.holds(4) {
            return;
        }
        let cap_len = space.load::<u8>(capability.register(2));
        let cfg_type = space.load::<u8>(capability.register(3));
        // VIRTIO 1.4, 4.1.4.1: reserved types are skipped, the first instance is preferred.
        let Some(kind) = Kind::decode(cfg_type).filter(|kind| !self.has(*kind)) else {
            return;
        };
        let len = if kind == Kind::Notify { LEN_NOTIFY } else { LEN };
        // 4.1.4.1: a longer capability is accepted; the fields stay where they are.
        if cap_len < len || !capability.holds(len.into()) {
            return;
        }
        let bar = space.load::<u8>(capability.register(4));
        if usize::from(bar) >= BAR_COUNT {
            // 4.1.4.1: reserved values of `bar` are skipped.
            return;
        }
        let structure = Structure {
            kind,
            bar,
            offset: space.load(capability.register(8)),
            length: space.load(capability.register(12)),
        };
        match kind {
            Kind::Common => self.common = Some(structure),
            Kind::Isr => self.isr = Some(structure),
            Kind::Device => self.device = Some(structure),
            Kind::Notify => {
                self.notify = Some((structure, space.load(capability.register(16))));
            }
        }
    }

    fn complete(self) -> Result<Structures, Error> {
        let need = |place: Option<Structure>, kind| place.ok_or(Error::Missing(kind));
        let common = need(self.common, Kind::Common)?;
        let (notify, notify_off_multiplier) = self.notify.ok_or(Error::Missing(Kind::Notify))?;
        Ok(Structures {
            common,
            notify,
            notify_off_multiplier,
            isr: need(self.isr, Kind::Isr)?,
            device: need(self.device, Kind::Device)?,
            msix: self.msix.ok_or(Error::NoMsix)?,
        })
    }
}
