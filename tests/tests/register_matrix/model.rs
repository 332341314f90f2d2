//! What the device is to answer, written down from the specification.

use std::fmt;

use eclipse_devices::Space;
use eclipse_tests::Bare;

use crate::fields::{BLOCK, COMMON, Field, LEGACY, MSIX_ENTRY};

/// What a driver can reach in the device's BARs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Structure {
    Common,
    Isr,
    Notify,
    Block,
    MsixTable,
    MsixPba,
    Legacy,
}

/// The ports of the legacy interface: BAR 0, and how many there are.
const PORTS: u64 = 0xc000;
const PORT_COUNT: u64 = 0x80;

impl Structure {
    /// Where it begins.
    pub fn at(self) -> (Space, u64) {
        match self {
            Structure::Common => (Space::Memory, Bare::COMMON),
            Structure::Isr => (Space::Memory, Bare::ISR),
            Structure::Notify => (Space::Memory, Bare::NOTIFY),
            Structure::Block => (Space::Memory, Bare::BLOCK),
            Structure::MsixTable => (Space::Memory, Bare::MSIX_TABLE),
            Structure::MsixPba => (Space::Memory, Bare::MSIX_PBA),
            Structure::Legacy => (Space::Port, PORTS),
        }
    }

    /// The offsets that are of interest: all that hold something, and what is behind them.
    pub fn offsets(self) -> Vec<u64> {
        let (end, edge) = match self {
            Structure::Common => (0x48, 0xff8),
            Structure::Isr | Structure::Notify => (0x0a, 0xff8),
            Structure::Block => (0x50, 0xff8),
            Structure::MsixTable => (0x28, 0x7f8),
            Structure::MsixPba => (0x10, 0x7f8),
            Structure::Legacy => (0x40, PORT_COUNT - 3),
        };
        (0..end).chain([edge]).collect()
    }

    /// Whether an access of `width` bytes at `offset` reaches the device.
    pub fn decodes(self, offset: u64, width: u8) -> bool {
        // There are no ports of 8 bytes, and an access that leaves a BAR is nobody's.
        self != Structure::Legacy || width < 8 && offset + u64::from(width) <= PORT_COUNT
    }

    /// What a driver may store there, rightly or wrongly.
    pub fn values(self, offset: u64, width: u8) -> Vec<u64> {
        let ones = u64::MAX >> (64 - 8 * u32::from(width));
        let status = match self {
            Structure::Common => (offset, width) == (0x14, 1),
            Structure::Legacy => (offset, width) == (18, 1),
            _ => false,
        };
        if status {
            return vec![0, 1, 2, 3, 4, 7, 8, 0xb, 0xf, 0x43, 0x4f, 0x80, 0x83, 0x8b, 0x8f, 0xff];
        }
        let values = [0, 1, 8, 0x18, 0x244, 0x1_0000_2001, 0xffff, ones];
        let mut values: Vec<u64> = values.map(|value| value & ones).to_vec();
        values.sort();
        values.dedup();
        values
    }
}

impl fmt::Display for Structure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Structure::Common => "common",
            Structure::Isr => "isr",
            Structure::Notify => "notify",
            Structure::Block => "block",
            Structure::MsixTable => "msix table",
            Structure::MsixPba => "msix pba",
            Structure::Legacy => "legacy",
        })
    }
}

/// A load, or a store of a value.
#[derive(Clone, Copy, Debug)]
pub struct Access {
    pub structure: Structure,
    pub offset: u64,
    pub width: u8,
    pub store: Option<u64>,
}

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

const ACKNOWLEDGE: u8 = 1;
const DRIVER: u8 = 2;
const DRIVER_OK: u8 = 4;
const FEATURES_OK: u8 = 8;
const NEEDS_RESET: u8 = 64;
const FAILED: u8 = 128;

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

    fn load(&mut self, structure: Structure, place: &Place, width: u8) -> (u64, Vec<String>) {
        match *place {
            Place::Register("isr" | "isr_status") => (std::mem::take(&mut self.isr).into(), vec![]),
            Place::Register(name) if structure == Structure::Block => {
                let early = name == "writeback" && self.negotiated.is_none();
                (self.block(name), clause(early.then_some("5.2.5.1")))
            }
            Place::Register(name) if structure == Structure::Legacy => (self.legacy(name), vec![]),
            Place::Register(name) => {
                let low = self.common(name);
                let high = if width == 8 { self.common(&name.replace("low", "high")) } else { 0 };
                (high << 32 | low, vec![])
            }
            Place::Entry(vector, name) => (self.entry(vector, name, width), vec![]),
            Place::Pending(offset) => (self.pending >> (8 * offset), vec![]),
            Place::Config(inside) => {
                let byte = |at: u64| {
                    let field = BLOCK
                        .iter()
                        .find(|f| (f.offset..f.offset + u64::from(f.width)).contains(&at));
                    field.map_or(0, |f| self.block(f.name) >> (8 * (at - f.offset)) & 0xff)
                };
                let bytes = (0..u64::from(width)).rev().map(|i| byte(inside + i));
                (bytes.fold(0, |value, byte| value << 8 | byte), vec![])
            }
        }
    }

    fn common(&self, name: &str) -> u64 {
        let there = self.queue_select == 0;
        let of_queue = |value: u64| if there { value } else { 0 };
        let half = |area: usize, high: bool| {
            of_queue(self.queue.areas[area] >> (32 * u32::from(high)) & 0xffff_ffff)
        };
        let window = |features: u64, select: u32| match select {
            0 => features & 0xffff_ffff,
            1 => features >> 32,
            _ => 0,
        };
        match name {
            "device_feature_select" => self.device_feature_select.into(),
            "device_feature" => window(self.offered(), self.device_feature_select),
            "driver_feature_select" => self.driver_feature_select.into(),
            "driver_feature" => window(self.accepted, self.driver_feature_select),
            "config_msix_vector" => self.config_vector.into(),
            "num_queues" => 1,
            "device_status" => self.status.into(),
            "config_generation" => 0,
            "queue_select" => self.queue_select.into(),
            "queue_size" => of_queue(self.queue.size.into()),
            "queue_msix_vector" => {
                if there {
                    self.queue.vector.into()
                } else {
                    0xffff
                }
            }
            "queue_enable" => of_queue(self.queue.enabled.into()),
            "queue_notify_off" => 0,
            "queue_desc_low" => half(0, false),
            "queue_desc_high" => half(0, true),
            "queue_driver_low" => half(1, false),
            "queue_driver_high" => half(1, true),
            "queue_device_low" => half(2, false),
            "queue_device_high" => half(2, true),
            "queue_reset" => 0,
            _ => panic!("no field {name}"),
        }
    }

    fn block(&self, name: &str) -> u64 {
        match name {
            "capacity_low" => 64,
            "seg_max" => 254,
            "blk_size" => 512,
            "writeback" => self.writeback.into(),
            _ => 0,
        }
    }

    fn legacy(&self, name: &str) -> u64 {
        let there = self.legacy_select == 0;
        match name {
            "device_features" => self.offered() & 0xffff_ffff,
            "driver_features" => self.accepted & 0xffff_ffff,
            "queue_address" if there => self.queue.areas[0] >> 12 & 0xffff_ffff,
            "queue_size" if there => self.queue.size.into(),
            "queue_select" => self.legacy_select.into(),
            "device_status" => self.status.into(),
            "config_msix_vector" => self.config_vector.into(),
            "queue_msix_vector" if there => self.queue.vector.into(),
            "queue_msix_vector" => 0xffff,
            _ => 0,
        }
    }

    fn entry(&self, vector: usize, name: &str, width: u8) -> u64 {
        let (address, data, control) = self.table[vector];
        match (name, width) {
            ("message_address_low", 8) => address,
            ("message_address_low", _) => address & 0xffff_ffff,
            ("message_address_high", _) => address >> 32,
            ("message_data", 8) => u64::from(control) << 32 | u64::from(data),
            ("message_data", _) => data.into(),
            _ => control.into(),
        }
    }

    fn store(&mut self, structure: Structure, place: &Place, width: u8, value: u64) -> Vec<String> {
        match *place {
            Place::Register("doorbell" | "queue_notify") => self.ring(value as u16, structure),
            Place::Register("writeback") | Place::Config(_) => clause(self.store_writeback(value)),
            Place::Register(name) if structure == Structure::Legacy => {
                clause(self.store_legacy(name, value))
            }
            Place::Register(name) if width == 8 => {
                let broken = self.store_common(name, value & 0xffff_ffff);
                // The other half would only break the same rule again.
                let high = name.replace("low", "high");
                clause(broken.or_else(|| self.store_common(&high, value >> 32)))
            }
            Place::Register(name) => clause(self.store_common(name, value)),
            Place::Entry(vector, name) => self.store_entry(vector, name, width, value),
            Place::Pending(_) => panic!("it takes no store"),
        }
    }

    /// The driver rings the doorbell, or names the queue by the legacy interface.
    fn ring(&mut self, value: u16, structure: Structure) -> Vec<String> {
        let modern = structure == Structure::Notify;
        let mut lines = clause((modern && value != 0).then_some("4.1.5.2.1"));
        let queue = if modern { 0 } else { value };
        if self.status & DRIVER_OK == 0 {
            lines.extend(clause(Some("3.1.1")));
        } else if self.status & NEEDS_RESET != 0 {
        } else if queue != 0 || !self.queue.enabled {
            lines.extend(clause(Some("3.1.1")));
        } else {
            lines.push(format!("00:04.0 q0 avail.idx -> {:04x}", self.chains));
        }
        lines
    }

    fn store_writeback(&mut self, value: u64) -> Option<&'static str> {
        match self.negotiated {
            None => return Some("3.1.1"),
            Some(bits) if bits & VERSION_1 != 0 && bits & CONFIG_WCE == 0 => {
                return Some("5.2.6.1");
            }
            Some(_) if value > 1 => return Some("5.2.6.1"),
            Some(_) => self.writeback = value as u8,
        }
        None
    }

    fn store_common(&mut self, name: &str, value: u64) -> Option<&'static str> {
        match name {
            "device_feature_select" => self.device_feature_select = value as u32,
            "driver_feature_select" => self.driver_feature_select = value as u32,
            "queue_select" => self.queue_select = value as u16,
            "driver_feature" => return self.accept(self.driver_feature_select, value),
            "config_msix_vector" => {
                let (vector, broken) = vector(value);
                self.config_vector = vector;
                return broken;
            }
            "queue_msix_vector" => {
                let (vector, broken) = vector(value);
                self.queue.vector = vector;
                return broken;
            }
            "device_status" => return self.store_status(value as u8, false),
            "queue_enable" if value != 1 => return Some("4.1.4.3.2"),
            "queue_enable" if self.queue.enabled => {}
            "queue_reset" => return self.reset_queue(value),
            _ => return self.program(name, value),
        }
        None
    }

    /// A queue is programmed after FEATURES_OK and before it is enabled (3.1.1, 4.1.4.3.2).
    fn program(&mut self, name: &str, value: u64) -> Option<&'static str> {
        if self.status & FEATURES_OK == 0 {
            return Some("3.1.1");
        }
        if self.queue.enabled {
            return Some("4.1.4.3.2");
        }
        let area = ["desc", "driver", "device"].iter().position(|area| name.contains(area));
        match (name, area) {
            ("queue_size", _) if !value.is_power_of_two() || value > 256 => {
                return Some("4.1.4.3.2");
            }
            ("queue_size", _) => self.queue.size = value as u16,
            ("queue_enable", _) => {
                let [desc, driver, device] = self.queue.areas;
                if desc % 16 != 0 || driver % 2 != 0 || device % 4 != 0 {
                    return Some("2.7.1");
                }
                self.queue.enabled = true;
            }
            (name, Some(area)) if name.ends_with("low") => {
                self.queue.areas[area] = self.queue.areas[area] >> 32 << 32 | value;
            }
            (_, Some(area)) => {
                self.queue.areas[area] = self.queue.areas[area] & 0xffff_ffff | value << 32;
            }
            _ => panic!("no field {name}"),
        }
        None
    }

    /// VIRTIO 1.4, 2.6.1.
    fn reset_queue(&mut self, value: u64) -> Option<&'static str> {
        if self.accepted & RING_RESET == 0 || value != 1 || !self.queue.enabled {
            return Some("4.1.4.3.2");
        }
        self.queue = Queue::INITIAL;
        None
    }

    fn accept(&mut self, window: u32, value: u64) -> Option<&'static str> {
        if self.status & FEATURES_OK != 0 {
            return Some("3.1.1");
        }
        let (mask, shift) = match window {
            0 => (0xffff_ffff, 0),
            1 => (0xffff_ffff << 32, 32),
            _ => return (value != 0).then_some("2.2.1"),
        };
        let taken = value << shift & self.offered();
        self.accepted = self.accepted & !mask | taken;
        (taken != value << shift).then_some("2.2.1")
    }

    fn store_status(&mut self, new: u8, legacy: bool) -> Option<&'static str> {
        if new == 0 {
            self.reset();
            (self.queue_select, self.legacy_select) = match legacy {
                true => (self.queue_select, 0),
                false => (0, self.legacy_select),
            };
            return None;
        }
        // 2.1.1: no bit is taken back but by a reset; NEEDS_RESET is the device's own.
        if self.status & !new & !NEEDS_RESET != 0 {
            return Some("2.1.1");
        }
        let steps: &[u8] = match legacy {
            true => &[0, ACKNOWLEDGE, 3, 7],
            false => &[0, ACKNOWLEDGE, ACKNOWLEDGE | DRIVER, 0x0b, 0x0f],
        };
        let own = self.status & NEEDS_RESET;
        if !steps.contains(&(new & !FAILED & !own)) {
            return Some("3.1.1");
        }
        let negotiates = new & !self.status & FEATURES_OK != 0;
        self.status = new | own;
        if negotiates && self.accepted & VERSION_1 == 0 {
            self.status &= !(FEATURES_OK | DRIVER_OK);
            return Some("6.1");
        }
        if negotiates {
            self.negotiated = Some(self.accepted);
        }
        None
    }

    fn store_legacy(&mut self, name: &str, value: u64) -> Option<&'static str> {
        match name {
            "driver_features" => {
                let broken = self.accept(0, value);
                self.negotiated = Some(self.accepted);
                return broken;
            }
            "queue_address" => {
                self.queue = Queue::INITIAL;
                if value != 0 {
                    let desc = value << 12;
                    // 2.7.2: 256 descriptors, the available ring, the used ring on its own page.
                    self.queue.areas = [desc, desc + 0x1000, desc + 0x2000];
                    self.queue.enabled = true;
                }
            }
            "queue_select" => self.legacy_select = value as u16,
            "device_status" => {
                let broken = self.store_status(value as u8, true);
                if value != 0 {
                    self.negotiated = Some(self.accepted);
                }
                return broken;
            }
            "config_msix_vector" | "queue_msix_vector" => return self.store_common(name, value),
            _ => panic!("no field {name}"),
        }
        None
    }

    fn store_entry(&mut self, vector: usize, name: &str, width: u8, value: u64) -> Vec<String> {
        let (address, data, control) = &mut self.table[vector];
        // PCI 3.0, 6.8.2: address bits 1:0 are zero, and of the control only the mask exists.
        match (name, width) {
            ("message_address_low", 8) => *address = value & !3,
            ("message_address_low", _) => *address = *address >> 32 << 32 | value & !3,
            ("message_address_high", _) => *address = *address & 0xffff_ffff | value << 32,
            ("message_data", 8) => (*data, *control) = (value as u32, (value >> 32) as u32 & 1),
            ("message_data", _) => *data = value as u32,
            _ => *control = value as u32 & 1,
        }
        let mut sent = Vec::new();
        for (vector, (address, data, control)) in self.table.into_iter().enumerate() {
            if self.setup.msix && self.pending & 1 << vector != 0 && control & 1 == 0 {
                self.pending &= !(1 << vector);
                sent.push(format!("00:04.0 msix {vector}: {data:08x} to {address:x}"));
            }
        }
        sent
    }
}

/// VIRTIO 1.4, 4.1.5.1.2.1: what is beyond the table is no vector.
fn vector(value: u64) -> (u16, Option<&'static str>) {
    match value {
        0 | 1 | 0xffff => (value as u16, None),
        _ => (0xffff, Some("4.1.5.1.2.2")),
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
