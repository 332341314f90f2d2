//! What a store does to the device.

use super::{CONFIG_WCE, Model, Place, Queue, RING_RESET, VERSION_1, clause};
use crate::structure::Structure;

const ACKNOWLEDGE: u8 = 1;
const DRIVER: u8 = 2;
const DRIVER_OK: u8 = 4;
const FEATURES_OK: u8 = 8;
const NEEDS_RESET: u8 = 64;
const FAILED: u8 = 128;

impl Model {
    pub(super) fn store(
        &mut self,
        structure: Structure,
        place: &Place,
        width: u8,
        value: u64,
    ) -> Vec<String> {
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
                let vector = self.queue.vector;
                self.queue = Queue::INITIAL;
                if value != 0 {
                    // 4.1.5.1.3: a driver may map it before it says where the queue is.
                    self.queue.vector = vector;
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
