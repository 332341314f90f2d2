//! What the device is to answer, written down from the specification.

mod loads;
mod stores;

use crate::fields::{BLOCK, COMMON, Field, LEGACY, MSIX_ENTRY};
use crate::structure::{Access, Structure};

/// What is not a matter of what the driver did.
#[derive(Clone, Copy, Debug)]
pub struct Setup {
    pub msix: bool,
    pub ring_reset: bool,
}

/// What an access comes to.
pub struct Expected {
    pub answer: u64,
    /// Whether it is an access to a register.
    pub accepted: bool,
    /// The line that records it, and a part of each that follows.
    pub lines: Vec<String>,
}

/// What an access matches.
enum Place {
    Register(&'static str),
    Entry(usize, &'static str),
    Pending(u64),
    /// The device's configuration over the legacy interface.
    Config(u64),
}

const NO_REGISTER: &str = "no register here";
const UNALIGNED: &str = "not aligned to a register";
const WIDTH: &str = "the register has another width";
const READ_ONLY: &str = "the register is read-only";

const VERSION_1: u64 = 1 << 32;
const CONFIG_WCE: u64 = 1 << 11;
const RING_RESET: u64 = 1 << 40;

/// The device, as far as its registers tell.
pub struct Model {
    pub setup: Setup,
    pub status: u8,
    device_feature_select: u32,
    driver_feature_select: u32,
    accepted: u64,
    /// What was accepted when that was settled.
    negotiated: Option<u64>,
    config_vector: u16,
    /// Of the common configuration, and of the legacy interface.
    queue_select: u16,
    legacy_select: u16,
    queue: Queue,
    writeback: u8,
    pub isr: u8,
    /// Address, data and control of both vectors.
    pub table: [(u64, u32, u32); 2],
    pub pending: u64,
    /// How many chains were made available, all of them taken.
    pub chains: u16,
}

struct Queue {
    size: u16,
    vector: u16,
    enabled: bool,
    /// Descriptors, driver area, device area.
    areas: [u64; 3],
}

impl Queue {
    const INITIAL: Self = Self { size: 256, vector: 0xffff, enabled: false, areas: [0; 3] };
}

impl Model {
    pub fn new(setup: Setup) -> Self {
        Self {
            setup,
            status: 0,
            device_feature_select: 0,
            driver_feature_select: 0,
            accepted: 0,
            negotiated: None,
            config_vector: 0xffff,
            queue_select: 0,
            legacy_select: 0,
            queue: Queue::INITIAL,
            writeback: 1,
            isr: 0,
            table: [(0, 0, 1); 2],
            pending: 0,
            chains: 0,
        }
    }

    /// SEG_MAX, BLK_SIZE, FLUSH, CONFIG_WCE, ANY_LAYOUT, VERSION_1.
    fn offered(&self) -> u64 {
        let ring_reset = if self.setup.ring_reset { RING_RESET } else { 0 };
        1 << 2 | 1 << 6 | 1 << 9 | CONFIG_WCE | 1 << 27 | VERSION_1 | ring_reset
    }

    fn reset(&mut self) {
        let kept = (self.setup, self.table, self.queue_select, self.legacy_select);
        *self = Self::new(self.setup);
        (self.setup, self.table, self.queue_select, self.legacy_select) = kept;
    }

    /// Carries out `access`.
    pub fn access(&mut self, access: Access) -> Expected {
        let Access { structure, offset, width, store } = access;
        let ones = u64::MAX >> (64 - 8 * u32::from(width));
        let digits = 2 * usize::from(width);
        let place = match self.place(access) {
            Ok(place) => place,
            Err(why) => {
                let (arrow, value) = store.map_or(("->", ones), |value| ("<-", value));
                let line = format!(
                    "guest   00:04.0 {structure} +{offset:x} {arrow} {value:0digits$x} refused: {why}"
                );
                return Expected { answer: ones, accepted: false, lines: vec![line] };
            }
        };
        let name = match &place {
            Place::Register("isr") => "isr".to_string(),
            Place::Register("doorbell") => "notify q0".to_string(),
            Place::Register(name) => format!("{structure} {name}"),
            Place::Entry(vector, name) => format!("msix table[{vector}].{name}"),
            Place::Pending(offset) => format!("msix pba+{offset:x}"),
            Place::Config(inside) => format!("legacy config+{inside:02x}"),
        };
        let line =
            |arrow, value: u64| vec![format!("guest   00:04.0 {name} {arrow} {value:0digits$x}")];
        let before = self.pin();
        let (answer, mut lines, effects) = match store {
            None => {
                let (value, effects) = self.load(structure, &place, width);
                (value, line("->", value), effects)
            }
            Some(value) => (0, line("<-", value), self.store(structure, &place, width, value)),
        };
        lines.extend(effects);
        if before && !self.pin() {
            lines.push("inta deasserted, gsi 10".into());
        }
        Expected { answer, accepted: true, lines }
    }

    /// VIRTIO 1.4, 4.1.4.5.1: without MSI-X the pin follows the ISR status.
    fn pin(&self) -> bool {
        self.isr != 0 && !self.setup.msix
    }

    fn place(&self, access: Access) -> Result<Place, &'static str> {
        let Access { structure, offset, width, store } = access;
        match structure {
            Structure::Common => {
                let there = |name| match name {
                    "queue_reset" => self.setup.ring_reset,
                    "queue_notif_config_data" | "admin_queue_index" | "admin_queue_num" => false,
                    _ => true,
                };
                let fields = COMMON.iter().filter(|field| there(field.name));
                // 4.1.3.1 wants two halves; drivers in the field access 64 bits at once.
                let pairs = ["queue_desc_low", "queue_driver_low", "queue_device_low"];
                exact(fields, &pairs, access).map(Place::Register)
            }
            Structure::Isr => {
                let isr = Field { name: "isr", offset: 0, width: 1, writable: false };
                exact([&isr].into_iter(), &[], access).map(Place::Register)
            }
            Structure::Notify if store.is_none() => Err(NO_REGISTER),
            Structure::Notify => {
                let doorbell = Field { name: "doorbell", offset: 0, width: 2, writable: true };
                exact([&doorbell].into_iter(), &[], access).map(Place::Register)
            }
            Structure::Block => exact(BLOCK.iter(), &[], access).map(Place::Register),
            Structure::MsixTable if offset >= 32 => Err(NO_REGISTER),
            Structure::MsixTable => {
                let inside = Access { offset: offset % 16, ..access };
                let pairs = ["message_address_low", "message_data"];
                let name = exact(MSIX_ENTRY.iter(), &pairs, inside)?;
                Ok(Place::Entry(offset as usize / 16, name))
            }
            Structure::MsixPba if store.is_some() => Err(READ_ONLY),
            Structure::MsixPba => match (offset, width) {
                _ if offset + u64::from(width) > 8 => Err(NO_REGISTER),
                (_, 1 | 2) => Err(WIDTH),
                _ if !offset.is_multiple_of(width.into()) => Err(UNALIGNED),
                _ => Ok(Place::Pending(offset)),
            },
            Structure::Legacy => self.legacy_place(access),
        }
    }

    /// The configuration begins behind the vectors, which are there with MSI-X.
    fn legacy_place(&self, access: Access) -> Result<Place, &'static str> {
        let registers = if self.setup.msix { 10 } else { 8 };
        let start = if self.setup.msix { 24 } else { 20 };
        match access.offset.checked_sub(start) {
            None => exact(LEGACY[..registers].iter(), &[], access).map(Place::Register),
            Some(0x20) if access.width == 1 => Ok(Place::Config(0x20)),
            Some(_) if access.store.is_some() => Err(READ_ONLY),
            Some(inside) => Ok(Place::Config(inside)),
        }
    }
}

fn clause(broken: Option<&'static str>) -> Vec<String> {
    broken
        .map(|clause| format!("00:04.0 violation of VIRTIO 1.4, {clause}: "))
        .into_iter()
        .collect()
}

/// The field that the access matches exactly, or why there is none. `pairs` may be
/// accessed together with the field behind them.
fn exact<'a>(
    mut fields: impl Iterator<Item = &'a Field>,
    pairs: &[&str],
    access: Access,
) -> Result<&'static str, &'static str> {
    let Access { offset, width, store, .. } = access;
    let holds =
        |field: &&Field| (field.offset..field.offset + u64::from(field.width)).contains(&offset);
    let field = fields.find(holds).ok_or(NO_REGISTER)?;
    match () {
        () if field.offset != offset => Err(UNALIGNED),
        () if field.width != width && !(width == 8 && pairs.contains(&field.name)) => Err(WIDTH),
        () if store.is_some() && !field.writable => Err(READ_ONLY),
        () => Ok(field.name),
    }
}
