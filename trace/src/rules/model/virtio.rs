use std::mem;

use super::{Queue, feature};
use crate::register::{BlockCfg, CommonCfg, LegacyCfg, MsixEntry};
use crate::{Access, Area, Effect, Register};

/// The bits of the device status (VIRTIO 1.4, 2.1).
pub mod status {
    /// The guest noticed the device.
    pub const ACKNOWLEDGE: u8 = 1;
    /// It knows how to drive it.
    pub const DRIVER: u8 = 2;
    /// It is ready to.
    pub const DRIVER_OK: u8 = 4;
    /// It has said which features it understands.
    pub const FEATURES_OK: u8 = 8;
    /// The device is suspended.
    pub const SUSPEND: u8 = 0x10;
    /// The device met what it cannot recover from.
    pub const DEVICE_NEEDS_RESET: u8 = 0x40;
    /// The driver gave up.
    pub const FAILED: u8 = 0x80;
}

/// Feature bits, in windows of 32 (VIRTIO 1.4, 2.2).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Features {
    windows: [Option<u32>; 4],
}

impl Features {
    /// Whether bit `bit` is known to be set.
    pub fn has(&self, bit: u8) -> bool {
        let window = self.window(u32::from(bit) / 32).unwrap_or(0);
        window >> (bit % 32) & 1 != 0
    }

    /// Window `number`, if it was loaded or stored.
    pub fn window(&self, number: u32) -> Option<u32> {
        self.windows.get(number as usize).copied().flatten()
    }

    pub(super) fn set(&mut self, number: u32, value: u32) {
        if let Some(window) = self.windows.get_mut(number as usize) {
            *window = Some(value);
        }
    }
}

/// The MSI-X table of a function, as far as it was stored to.
#[derive(Debug, Default)]
pub struct Msix {
    /// Entries by their number: address low, address high, data, control.
    pub entries: Vec<[Option<u32>; 4]>,
}

/// A virtio device, as its driver knows it.
#[derive(Debug, Default)]
pub struct Virtio {
    /// Whether it is driven over the legacy interface; `None` until it is driven at all.
    pub legacy: Option<bool>,
    /// What was last stored to the status.
    pub status: u8,
    /// The entry that stored it.
    pub status_seq: Option<u64>,
    /// What was last loaded from the status, if that was after the last store to it.
    pub status_read: Option<u8>,
    /// How often the driver asked for a reset.
    pub resets: u64,
    /// Whether a reset was asked for, and no load of the status answered 0 yet.
    pub resetting: bool,
    /// Whether the device said that it needs a reset, since the last one.
    pub needs_reset: bool,
    /// What was stored to `device_feature_select`.
    pub device_feature_select: u32,
    /// What was stored to `driver_feature_select`.
    pub driver_feature_select: u32,
    /// What the device offered, as it was loaded; a reset does not change it.
    pub offered: Features,
    /// Every bit that it ever offered, where a window was loaded more than once.
    pub ever_offered: Features,
    /// What the driver stored as accepted, since the last reset.
    pub accepted: Features,
    /// What was stored to `queue_select`, since the last reset.
    pub queue_select: Option<u16>,
    /// What was stored to `config_msix_vector`, since the last reset.
    pub config_vector: Option<u16>,
    /// `num_queues`, as it was loaded.
    pub num_queues: Option<u16>,
    /// Bytes of the block configuration as they were last loaded or stored, by offset.
    pub device_config: Vec<Option<u8>>,
    /// The MSI-X table.
    pub msix: Msix,
    queues: Vec<Queue>,
}

impl Virtio {
    /// A queue that was selected, notified, or used.
    pub fn queue(&self, index: u16) -> Option<&Queue> {
        self.queues.iter().find(|queue| queue.index == index)
    }

    /// The queues that were.
    pub fn queues(&self) -> impl Iterator<Item = &Queue> {
        self.queues.iter()
    }

    pub(super) fn queue_mut(&mut self, index: u16) -> &mut Queue {
        let place = self.queues.iter().position(|queue| queue.index == index);
        let place = place.unwrap_or_else(|| {
            self.queues.push(Queue::new(index));
            self.queues.len() - 1
        });
        &mut self.queues[place]
    }

    /// A fault had an effect.
    pub(super) fn faulted(&mut self, effect: &Effect) {
        self.queues.iter_mut().for_each(|queue| queue.faulted(effect));
    }

    /// The driver accessed an area of a queue.
    pub(super) fn accessed(
        &mut self,
        queue: u16,
        area: Area,
        offset: u32,
        addr: u64,
        access: Access,
    ) {
        let event_idx = self.negotiated(feature::EVENT_IDX);
        self.queue_mut(queue).accessed(area, offset, addr, access, event_idx);
    }

    /// Whether the queues are packed.
    pub fn packed(&self) -> bool {
        self.negotiated(feature::RING_PACKED)
    }

    /// Whether feature `bit` was negotiated: accepted, and over.
    pub fn negotiated(&self, bit: u8) -> bool {
        let over = match self.legacy {
            Some(true) => true,
            _ => self.status & status::FEATURES_OK != 0,
        };
        over && self.accepted.has(bit)
    }

    /// The status as the driver has reason to believe that it is: what it stored, without what
    /// it was then shown not to be there.
    pub fn held(&self) -> u8 {
        self.status & self.status_read.unwrap_or(0xff)
    }

    /// Whether the driver said DRIVER_OK and no reset since.
    pub fn driver_ok(&self) -> bool {
        self.status & status::DRIVER_OK != 0
    }

    /// The `width` bytes at `offset` of the device's configuration, as they were last loaded.
    pub fn config(&self, offset: u16, width: u8) -> Option<u64> {
        let range = usize::from(offset)..usize::from(offset) + usize::from(width);
        let bytes = self.device_config.get(range)?;
        bytes.iter().rev().try_fold(0, |value, byte| Some(value << 8 | u64::from((*byte)?)))
    }

    /// The sectors of a block device, as both halves were loaded.
    pub fn sectors(&self) -> Option<u64> {
        self.config(BlockCfg::CapacityLow.offset(), 8)
    }

    pub(super) fn access(&mut self, seq: u64, register: Register, access: Access) {
        match register {
            Register::Common { register, .. } => {
                self.legacy = Some(false);
                self.common(seq, register, access);
            }
            Register::Legacy { register, .. } => {
                self.legacy = Some(true);
                self.legacy(seq, register, access);
            }
            Register::Block { register, .. } => self.configured(register.offset(), access),
            Register::LegacyConfig { offset, .. } => {
                self.legacy = Some(true);
                self.configured(offset, access);
            }
            Register::MsixTable { vector, register, .. } if access.is_store() => {
                self.message(vector, register, access);
            }
            Register::Notify { queue, .. } if access.is_store() => {
                self.queue_mut(queue).notify();
            }
            _ => {}
        }
    }

    fn common(&mut self, seq: u64, register: CommonCfg, access: Access) {
        let value = access.value();
        let select = self.queue_select;
        match (register, access.is_store()) {
            (CommonCfg::DeviceStatus, true) => self.status_stored(seq, value as u8),
            (CommonCfg::DeviceStatus, false) => self.status_loaded(value as u8),
            (CommonCfg::DeviceFeatureSelect, true) => self.device_feature_select = value as u32,
            (CommonCfg::DeviceFeature, false) => {
                self.offer(self.device_feature_select, value as u32);
            }
            (CommonCfg::DriverFeatureSelect, true) => self.driver_feature_select = value as u32,
            (CommonCfg::DriverFeature, true) => {
                self.accepted.set(self.driver_feature_select, value as u32);
            }
            (CommonCfg::ConfigMsixVector, true) => self.config_vector = Some(value as u16),
            (CommonCfg::NumQueues, false) => self.num_queues = Some(value as u16),
            (CommonCfg::QueueSelect, true) => {
                self.queue_select = Some(value as u16);
                self.queue_mut(value as u16);
            }
            _ => {
                // Without a selection it is queue 0, as after a reset.
                self.queue_mut(select.unwrap_or(0)).access(register, access);
            }
        }
    }

    fn legacy(&mut self, seq: u64, register: LegacyCfg, access: Access) {
        let value = access.value();
        let select = self.queue_select.unwrap_or(0);
        match (register, access.is_store()) {
            (LegacyCfg::DeviceStatus, true) => self.status_stored(seq, value as u8),
            (LegacyCfg::DeviceStatus, false) => self.status_loaded(value as u8),
            (LegacyCfg::DeviceFeatures, false) => self.offer(0, value as u32),
            (LegacyCfg::DriverFeatures, true) => self.accepted.set(0, value as u32),
            (LegacyCfg::ConfigMsixVector, true) => self.config_vector = Some(value as u16),
            (LegacyCfg::QueueSelect, true) => {
                self.queue_select = Some(value as u16);
                self.queue_mut(value as u16);
            }
            (LegacyCfg::QueueSize, false) => {
                self.queue_mut(select).offer(value as u16);
            }
            (LegacyCfg::QueueAddress, true) => {
                self.queue_mut(select).place_legacy(value as u32);
            }
            (LegacyCfg::QueueMsixVector, true) => {
                self.queue_mut(select).vector = Some(value as u16);
            }
            (LegacyCfg::QueueNotify, true) => self.queue_mut(value as u16).notify(),
            _ => {}
        }
    }

    fn offer(&mut self, window: u32, value: u32) {
        self.offered.set(window, value);
        let ever = self.ever_offered.window(window).unwrap_or(0);
        self.ever_offered.set(window, ever | value);
    }

    fn status_stored(&mut self, seq: u64, value: u8) {
        if value == 0 {
            // The MSI-X table is the function's and not the device's.
            let Self {
                offered, ever_offered, device_config, num_queues, legacy, resets, msix, ..
            } = mem::take(self);
            let (resets, resetting) = (resets + 1, true);
            *self = Self {
                offered,
                ever_offered,
                device_config,
                num_queues,
                legacy,
                resets,
                resetting,
                msix,
                ..Self::default()
            };
        }
        self.status = value;
        self.status_seq = Some(seq);
        self.status_read = None;
    }

    fn status_loaded(&mut self, value: u8) {
        self.status_read = Some(value);
        if value == 0 {
            self.resetting = false;
        }
        self.needs_reset |= value != 0xff && value & status::DEVICE_NEEDS_RESET != 0;
    }

    pub(super) fn configured(&mut self, offset: u16, access: Access) {
        /// No device's configuration is longer, as far as a rule asks.
        const LONGEST: usize = 0x100;
        let start = usize::from(offset);
        let end = start + usize::from(access.width());
        if end > LONGEST {
            return;
        }
        if self.device_config.len() < end {
            self.device_config.resize(end, None);
        }
        for (byte, value) in
            self.device_config[start..end].iter_mut().zip(access.value().to_le_bytes())
        {
            *byte = Some(value);
        }
    }

    fn message(&mut self, vector: u16, register: MsixEntry, access: Access) {
        let place = usize::from(vector);
        // The table has at most 2048 entries.
        if place >= 2048 {
            return;
        }
        if self.msix.entries.len() <= place {
            self.msix.entries.resize(place + 1, [None; 4]);
        }
        let first = usize::from(register.offset() / 4);
        let words = [access.value() as u32, (access.value() >> 32) as u32];
        for (word, value) in self.msix.entries[place][first..].iter_mut().zip(words) {
            *word = Some(value);
            if access.width() != 8 {
                break;
            }
        }
    }
}
