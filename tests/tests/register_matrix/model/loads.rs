//! The value that each register has.

use super::{Model, Place, clause};
use crate::fields::BLOCK;
use crate::structure::Structure;

impl Model {
    pub(super) fn load(
        &mut self,
        structure: Structure,
        place: &Place,
        width: u8,
    ) -> (u64, Vec<String>) {
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
}
