use std::collections::BTreeMap;

use crate::register::{CommonCfg, LegacyCfg};
use crate::{Access, Bdf, Entry, Event, Register};

/// Which entries are the firmware's doing and not that of the guest which the log is about.
///
/// SeaBIOS says its name on its debug port, and then finds each virtio block device and drives it,
/// until the guest resets the device to drive it itself. Before it says DRIVER_OK it has set up
/// the bus. Firmware without that habit is not told from the guest.
#[derive(Debug, Default)]
pub(super) struct Firmware {
    /// How much of the name was said.
    said: usize,
    /// The entry that comes after the name, once that was said.
    began: Option<usize>,
    lives: BTreeMap<Bdf, Life>,
    /// For each entry, whether it is the firmware's.
    pub(super) entries: Vec<bool>,
}

/// How far a device has come since the firmware began.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Life {
    /// It was reset once, and nothing else stored to its status.
    Reset,
    /// The firmware drives it.
    Driven,
    /// The guest does.
    Guest,
}

impl Firmware {
    pub(super) const PORT: u64 = 0x402;
    const NAME: &[u8] = b"SeaBIOS";
    /// SeaBIOS takes the steps ACKNOWLEDGE and DRIVER at once.
    const FIRST_STEP: u8 = 3;
    const DRIVER_OK: u8 = 4;

    /// A store to the debug port.
    pub(super) fn says(&mut self, access: Access) {
        let Access::Store { width: 1, value } = access else { return };
        let next = Self::NAME.get(self.said).copied().map(u64::from);
        self.said = match value {
            value if Some(value) == next => self.said + 1,
            value => usize::from(value == u64::from(Self::NAME[0])),
        };
        if self.said == Self::NAME.len() {
            self.said = 0;
            self.began = Some(self.entries.len());
            self.lives.clear();
        }
    }

    /// Takes the next entry; `before` are those before it.
    pub(super) fn take(&mut self, entry: &Entry, before: &[Entry]) {
        let function = driven(&entry.event);
        if let (Some(function), Some(status)) = (function, status(&entry.event)) {
            self.stored(function, status, before);
        }
        let life = function.and_then(|function| self.lives.get(&function));
        self.entries.push(matches!(life, Some(Life::Reset | Life::Driven)));
    }

    fn stored(&mut self, function: Bdf, status: u8, before: &[Entry]) {
        let Some(began) = self.began else { return };
        let life = match (self.lives.get(&function), status) {
            (None, 0) => Life::Reset,
            (Some(Life::Reset), Self::FIRST_STEP) => Life::Driven,
            (Some(Life::Driven), 1..) => {
                if status & Self::DRIVER_OK != 0 {
                    self.entries[began..].fill(true);
                }
                Life::Driven
            }
            (None | Some(Life::Driven | Life::Guest), _) => Life::Guest,
            // It was not the firmware that reset it.
            (Some(Life::Reset), _) => {
                for (firmware, entry) in self.entries[began..].iter_mut().zip(&before[began..]) {
                    *firmware &= driven(&entry.event) != Some(function);
                }
                Life::Guest
            }
        };
        self.lives.insert(function, life);
    }
}

/// The device that an entry is about, configuration space apart.
fn driven(event: &Event) -> Option<Bdf> {
    match event {
        Event::Register { register, .. } | Event::Refused { register, .. } => match register {
            Register::Config { .. } => None,
            register => register.function(),
        },
        _ => None,
    }
}

/// What is stored to the status, over whichever transport.
fn status(event: &Event) -> Option<u8> {
    match event {
        Event::Register {
            register:
                Register::Common { register: CommonCfg::DeviceStatus, .. }
                | Register::Legacy { register: LegacyCfg::DeviceStatus, .. },
            access: Access::Store { value, .. },
        } => Some(*value as u8),
        _ => None,
    }
}
