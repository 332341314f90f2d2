//! Where the structures of a VIRTIO device are: its vendor capabilities
//! (VIRTIO 1.4, 4.1.4).

use alloc::vec::Vec;
use core::fmt;

use super::{error::Error, registers::common};
use crate::{
    hal::Hal,
    mutant::mutated,
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
    fn check(self, device: &pci::Device, needed: u64) -> Result<(), Error> {
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
}

impl Structures {
    /// The BARs that hold them.
    pub fn bars(self) -> [u8; 4] {
        [self.common.bar, self.notify.bar, self.isr.bar, self.device.bar]
    }
}

/// One capability of a structure, and what only that of notifications has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Candidate {
    structure: Structure,
    notify_off_multiplier: u32,
}

/// What the capability list of a function says, walked once.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Listed {
    candidates: Vec<Candidate>,
    /// MSI-X, if the function has it.
    pub msix: Option<Msix>,
}

impl Listed {
    /// Walks the capability list. No field is loaded twice.
    ///
    /// # Errors
    /// The list is damaged.
    pub fn load<H: Hal>(space: &ConfigSpace<H>) -> Result<Self, pci::Error> {
        let mut listed = Self::default();
        if mutated!(space.hal(), L05) {
            Capabilities::of(space).flatten().for_each(drop);
        }
        for capability in Capabilities::of(space) {
            let capability = capability?;
            if mutated!(space.hal(), M19) && !listed.candidates.is_empty() {
                break;
            }
            match capability.id {
                VENDOR_SPECIFIC => listed.candidates.extend(Candidate::load(space, capability)),
                pci::msix::ID if listed.msix.is_none() => {
                    listed.msix = Msix::load(space, capability);
                }
                _ => {}
            }
        }
        if mutated!(space.hal(), M20) {
            listed.candidates.reverse();
        }
        Ok(listed)
    }

    /// Whether there is a modern interface at all.
    pub fn is_modern(&self) -> bool {
        self.candidates.iter().any(|candidate| candidate.structure.kind == Kind::Common)
    }

    /// Chooses the structures, once the BARs of `device` are sized.
    ///
    /// # Errors
    /// One has no capability, or none of its capabilities leads to it.
    pub fn choose(&self, device: &pci::Device) -> Result<Structures, Error> {
        let choose = |kind, needed| self.choose_one(device, kind, needed);
        let common = choose(Kind::Common, common::LEN)?;
        let notify = choose(Kind::Notify, 2)?;
        let isr = choose(Kind::Isr, 1)?;
        // The smallest configuration: one field.
        let config = choose(Kind::Device, 1)?;
        Ok(Structures {
            common: common.structure,
            notify: notify.structure,
            notify_off_multiplier: notify.notify_off_multiplier,
            isr: isr.structure,
            device: config.structure,
        })
    }

    /// VIRTIO 1.4, 4.1.4.1: the driver SHOULD use the first instance of each type that it can
    /// use; where it can use none, the first one says why.
    fn choose_one(
        &self,
        device: &pci::Device,
        kind: Kind,
        needed: u64,
    ) -> Result<Candidate, Error> {
        let mut why = Error::Missing(kind);
        for candidate in self.candidates.iter().filter(|found| found.structure.kind == kind) {
            match candidate.structure.check(device, needed) {
                Ok(()) => return Ok(*candidate),
                Err(error) if why == Error::Missing(kind) => why = error,
                Err(_) => {}
            }
        }
        Err(why)
    }
}

impl Candidate {
    fn load<H: Hal>(space: &ConfigSpace<H>, capability: Capability) -> Option<Self> {
        if !capability.holds(4) {
            return None;
        }
        let cap_len = space.load::<u8>(capability.register(2));
        // VIRTIO 1.4, 4.1.4.1: reserved types are skipped.
        let cfg_type = space.load(capability.register(3));
        let cfg_type = if mutated!(space.hal(), M23) && cfg_type == 5 { 4 } else { cfg_type };
        let kind = Kind::decode(cfg_type)?;
        let len = if kind == Kind::Notify { LEN_NOTIFY } else { LEN };
        // 4.1.4.1: a longer capability is accepted; the fields stay where they are.
        if cap_len < len || !capability.holds(len.into()) {
            return None;
        }
        let bar = space.load::<u8>(capability.register(4));
        let bar = if mutated!(space.hal(), M21) { 4 } else { bar };
        if mutated!(space.hal(), M28) {
            space.store(capability.register(8), 0_u32);
        }
        let behind = if mutated!(space.hal(), M24) { cap_len.into() } else { 16 };
        // 4.1.4.1: reserved values of `bar` are skipped.
        (usize::from(bar) < BAR_COUNT).then(|| Self {
            structure: Structure {
                kind,
                bar,
                offset: match mutated!(space.hal(), M22) {
                    false => space.load(capability.register(8)),
                    true => 0,
                },
                length: space.load(capability.register(12)),
            },
            notify_off_multiplier: match kind {
                Kind::Notify if mutated!(space.hal(), M25) => 4,
                Kind::Notify => space.load(capability.register(behind)),
                _ => 0,
            },
        })
    }
}
