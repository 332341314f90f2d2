use eclipse_trace::Violation;
use eclipse_trace::register::CommonCfg;

use super::Features;
use super::queue::SplitQueue;
use crate::pci::NO_VECTOR;

bitflags::bitflags! {
    /// `device_status` (VIRTIO 1.4, 2.1).
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    pub(crate) struct Status: u8 {
        const ACKNOWLEDGE = 1;
        const DRIVER = 2;
        const DRIVER_OK = 4;
        const FEATURES_OK = 8;
        const NEEDS_RESET = 64;
        const FAILED = 128;
        const _ = !0;
    }
}

bitflags::bitflags! {
    /// ISR status (VIRTIO 1.4, 4.1.4.5).
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    pub(crate) struct Isr: u8 {
        const QUEUE = 1;
        const CONFIG = 2;
    }
}

/// The common configuration and what it governs (VIRTIO 1.4, 4.1.4.3).
///
/// Stores that the specification forbids are answered with a [`Violation`] and
/// change nothing, unless it gives another reaction.
#[derive(Debug)]
pub(crate) struct Modern {
    offered: Features,
    accepted: Features,
    device_feature_select: u32,
    driver_feature_select: u32,
    status: Status,
    isr: Isr,
    config_vector: u16,
    queue_select: u16,
    queues: Vec<SplitQueue>,
    /// How many MSI-X vectors there are to choose from.
    vectors: u16,
}

impl Modern {
    pub(crate) fn new(offered: Features, queues: Vec<SplitQueue>, vectors: u16) -> Self {
        Self {
            offered,
            accepted: Features::empty(),
            device_feature_select: 0,
            driver_feature_select: 0,
            status: Status::empty(),
            isr: Isr::empty(),
            config_vector: NO_VECTOR,
            queue_select: 0,
            queues,
            vectors,
        }
    }

    /// How many queues there are.
    pub(crate) fn num_queues(&self) -> u16 {
        self.queues.len() as u16
    }

    /// The queue with this index.
    pub(crate) fn queue(&mut self, index: u16) -> Option<&mut SplitQueue> {
        self.queues.get_mut(usize::from(index))
    }

    pub(crate) fn status(&self) -> Status {
        self.status
    }

    pub(crate) fn config_vector(&self) -> u16 {
        self.config_vector
    }

    /// Sets bits of the ISR status.
    pub(crate) fn raise_isr(&mut self, cause: Isr) {
        self.isr |= cause;
    }

    /// The ISR status, which the load clears (VIRTIO 1.4, 4.1.4.5).
    pub(crate) fn take_isr(&mut self) -> u8 {
        std::mem::replace(&mut self.isr, Isr::empty()).bits()
    }

    /// The device met what it cannot recover from (VIRTIO 1.4, 2.1.2).
    pub(crate) fn set_needs_reset(&mut self) {
        self.status |= Status::NEEDS_RESET;
    }

    /// The value of a register.
    pub(crate) fn load(&self, register: CommonCfg) -> u32 {
        // A queue that does not exist reads as size 0 and not enabled (4.1.4.3.1).
        let queue = self.queues.get(usize::from(self.queue_select));
        let of_queue = |value: fn(&SplitQueue) -> u64| queue.map_or(0, value) as u32;
        match register {
            CommonCfg::DeviceFeatureSelect => self.device_feature_select,
            CommonCfg::DeviceFeature => self.offered.window(self.device_feature_select),
            CommonCfg::DriverFeatureSelect => self.driver_feature_select,
            CommonCfg::DriverFeature => self.accepted.window(self.driver_feature_select),
            CommonCfg::ConfigMsixVector => self.config_vector.into(),
            CommonCfg::NumQueues => self.num_queues().into(),
            CommonCfg::DeviceStatus => self.status.bits().into(),
            // The configuration of this device never changes.
            CommonCfg::ConfigGeneration => 0,
            CommonCfg::QueueSelect => self.queue_select.into(),
            CommonCfg::QueueSize => of_queue(|q| q.size.into()),
            CommonCfg::QueueMsixVector => queue.map_or(NO_VECTOR, |q| q.vector).into(),
            CommonCfg::QueueEnable => of_queue(|q| q.enabled.into()),
            CommonCfg::QueueNotifyOff => queue.map_or(0, |_| self.queue_select).into(),
            CommonCfg::QueueDescLow => of_queue(|q| q.desc),
            CommonCfg::QueueDescHigh => of_queue(|q| q.desc >> 32),
            CommonCfg::QueueDriverLow => of_queue(|q| q.driver),
            CommonCfg::QueueDriverHigh => of_queue(|q| q.driver >> 32),
            CommonCfg::QueueDeviceLow => of_queue(|q| q.device),
            CommonCfg::QueueDeviceHigh => of_queue(|q| q.device >> 32),
        }
    }

    /// Stores to a writable register.
    ///
    /// # Errors
    /// The rule that the store breaks.
    pub(crate) fn store(&mut self, register: CommonCfg, value: u32) -> Result<(), Violation> {
        match register {
            CommonCfg::DeviceFeatureSelect => self.device_feature_select = value,
            CommonCfg::DriverFeatureSelect => self.driver_feature_select = value,
            CommonCfg::DriverFeature => self.store_features(value)?,
            CommonCfg::ConfigMsixVector => {
                let vector = self.vector(value as u16);
                self.config_vector = vector.unwrap_or(NO_VECTOR);
                vector?;
            }
            CommonCfg::DeviceStatus => self.store_status(Status::from_bits_retain(value as u8))?,
            CommonCfg::QueueSelect => self.queue_select = value as u16,
            CommonCfg::QueueMsixVector => {
                let vector = self.vector(value as u16);
                self.selected()?.vector = vector.unwrap_or(NO_VECTOR);
                vector?;
            }
            CommonCfg::QueueSize => {
                let queue = self.programmable()?;
                if !queue.takes_size(value as u16) {
                    return Err(Violation::QueueSize(value as u16));
                }
                queue.size = value as u16;
            }
            CommonCfg::QueueEnable => self.enable_queue(value as u16)?,
            CommonCfg::QueueDescLow => set_low(&mut self.programmable()?.desc, value),
            CommonCfg::QueueDescHigh => set_high(&mut self.programmable()?.desc, value),
            CommonCfg::QueueDriverLow => set_low(&mut self.programmable()?.driver, value),
            CommonCfg::QueueDriverHigh => set_high(&mut self.programmable()?.driver, value),
            CommonCfg::QueueDeviceLow => set_low(&mut self.programmable()?.device, value),
            CommonCfg::QueueDeviceHigh => set_high(&mut self.programmable()?.device, value),
            CommonCfg::DeviceFeature
            | CommonCfg::NumQueues
            | CommonCfg::ConfigGeneration
            | CommonCfg::QueueNotifyOff => panic!("a read-only register is refused before"),
        }
        Ok(())
    }

    fn store_status(&mut self, new: Status) -> Result<(), Violation> {
        // 4.1.4.3.1: a store of 0 resets the device.
        if new.is_empty() {
            self.reset();
            return Ok(());
        }
        // 2.1.1: the driver clears no bit; NEEDS_RESET is the device's own.
        let cleared = self.status - new - Status::NEEDS_RESET;
        if !cleared.is_empty() {
            return Err(Violation::StatusBitsCleared(cleared.bits()));
        }
        // 3.1.1: each step needs those before it.
        let steps = [Status::ACKNOWLEDGE, Status::DRIVER, Status::FEATURES_OK, Status::DRIVER_OK];
        let taken = steps.iter().take_while(|step| new.contains(**step)).count();
        let skips = steps.iter().skip(taken).any(|step| new.contains(*step));
        let own = Status::NEEDS_RESET - self.status;
        if skips || new.intersects(own) || !Status::all_steps().contains(new) {
            return Err(Violation::StatusOrder(new.bits()));
        }
        let first_ok =
            new.contains(Status::FEATURES_OK) && !self.status.contains(Status::FEATURES_OK);
        let refused = if first_ok { self.check_features().err() } else { None };
        let kept = self.status & Status::NEEDS_RESET;
        self.status = new | kept;
        if let Some(violation) = refused {
            // 2.2.2: a subset that the device cannot work with leaves the bit clear.
            self.status -= Status::FEATURES_OK;
            return Err(violation);
        }
        Ok(())
    }

    fn reset(&mut self) {
        self.accepted = Features::empty();
        (self.device_feature_select, self.driver_feature_select) = (0, 0);
        self.status = Status::empty();
        self.isr = Isr::empty();
        self.config_vector = NO_VECTOR;
        self.queue_select = 0;
        self.queues.iter_mut().for_each(SplitQueue::reset);
    }

    fn store_features(&mut self, value: u32) -> Result<(), Violation> {
        if self.status.contains(Status::FEATURES_OK) {
            return Err(Violation::FeaturesAfterOk);
        }
        let window = self.driver_feature_select;
        let bits = value & !self.offered.window(window);
        // 4.1.4.3.1: what is read back are the valid bits that were written.
        self.accepted.set_window(window, value - bits);
        match bits {
            0 => Ok(()),
            bits => Err(Violation::FeaturesNotOffered { window, bits }),
        }
    }

    fn check_features(&self) -> Result<(), Violation> {
        match self.accepted.contains(Features::VERSION_1) {
            true => Ok(()),
            false => Err(Violation::Version1NotAccepted),
        }
    }

    /// The vector as the device takes it; one that is not there becomes
    /// `NO_VECTOR` (VIRTIO 1.4, 4.1.5.1.2.1).
    fn vector(&self, vector: u16) -> Result<u16, Violation> {
        match vector {
            NO_VECTOR => Ok(NO_VECTOR),
            vector if vector < self.vectors => Ok(vector),
            vector => Err(Violation::NoSuchVector(vector)),
        }
    }

    fn selected(&mut self) -> Result<&mut SplitQueue, Violation> {
        let index = self.queue_select;
        self.queue(index).ok_or(Violation::NoSuchQueue(index))
    }

    /// The selected queue, if its fields may be stored to now.
    fn programmable(&mut self) -> Result<&mut SplitQueue, Violation> {
        let index = self.queue_select;
        let negotiated = self.status.contains(Status::FEATURES_OK);
        let queue = self.selected()?;
        if !negotiated {
            return Err(Violation::QueueBeforeFeaturesOk(index));
        }
        if queue.enabled {
            return Err(Violation::QueueChangedWhileEnabled(index));
        }
        Ok(queue)
    }

    fn enable_queue(&mut self, value: u16) -> Result<(), Violation> {
        let index = self.queue_select;
        if value != 1 {
            return Err(Violation::QueueEnableValue(value));
        }
        // Enabling twice is harmless.
        if self.selected()?.enabled {
            return Ok(());
        }
        let queue = self.programmable()?;
        if !queue.aligned() {
            return Err(Violation::QueueAlignment(index));
        }
        queue.enabled = true;
        Ok(())
    }
}

impl Status {
    /// Every bit that a driver can have reason to store.
    fn all_steps() -> Self {
        Self::ACKNOWLEDGE
            | Self::DRIVER
            | Self::FEATURES_OK
            | Self::DRIVER_OK
            | Self::NEEDS_RESET
            | Self::FAILED
    }
}

fn set_low(address: &mut u64, value: u32) {
    *address = *address >> 32 << 32 | u64::from(value);
}

fn set_high(address: &mut u64, value: u32) {
    *address = *address & 0xffff_ffff | u64::from(value) << 32;
}
