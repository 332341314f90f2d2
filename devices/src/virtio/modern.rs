use eclipse_trace::Violation;
use eclipse_trace::register::CommonCfg;

use super::device::VirtioDevice;
use super::queue::Queue;
use crate::pci::NO_VECTOR;

/// The common configuration, a register file over the device (VIRTIO 1.4, 4.1.4.3).
#[derive(Debug, Default)]
pub(crate) struct Common {
    device_feature_select: u32,
    driver_feature_select: u32,
    queue_select: u16,
}

impl Common {
    /// The value of a register.
    pub(crate) fn load(&self, device: &mut VirtioDevice, register: CommonCfg) -> u32 {
        if register == CommonCfg::DeviceStatus {
            return device.load_status().bits().into();
        }
        // A queue that does not exist reads as size 0 and not enabled (4.1.4.3.1).
        let queue = device.queue(self.queue_select);
        let of_queue = |value: fn(&Queue) -> u64| queue.map_or(0, value) as u32;
        match register {
            CommonCfg::DeviceFeatureSelect => self.device_feature_select,
            CommonCfg::DeviceFeature => device.offered().window(self.device_feature_select),
            CommonCfg::DriverFeatureSelect => self.driver_feature_select,
            CommonCfg::DriverFeature => device.accepted().window(self.driver_feature_select),
            CommonCfg::ConfigMsixVector => device.config_vector().into(),
            CommonCfg::NumQueues => device.num_queues().into(),
            CommonCfg::DeviceStatus => device.status().bits().into(),
            CommonCfg::ConfigGeneration => device.generation().into(),
            CommonCfg::QueueSelect => self.queue_select.into(),
            CommonCfg::QueueSize => of_queue(|q| q.size.into()),
            CommonCfg::QueueMsixVector => queue.map_or(NO_VECTOR, |q| q.vector).into(),
            CommonCfg::QueueEnable => of_queue(|q| q.enabled.into()),
            CommonCfg::QueueNotifyOff => {
                let (select, queues) = (self.queue_select, device.num_queues());
                queue.map_or(0, |_| device.settings().notify_off(select, queues)).into()
            }
            // The queue's index serves as well as anything (4.1.4.3).
            CommonCfg::QueueNotifConfigData => self.queue_select.into(),
            // A reset is over before the store that asks for it is (4.1.4.3.1).
            CommonCfg::QueueReset => 0,
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
    pub(crate) fn store(
        &mut self,
        device: &mut VirtioDevice,
        register: CommonCfg,
        value: u32,
    ) -> Result<(), Violation> {
        let queue = self.queue_select;
        match register {
            CommonCfg::DeviceFeatureSelect => self.device_feature_select = value,
            CommonCfg::DriverFeatureSelect => self.driver_feature_select = value,
            CommonCfg::DriverFeature => device.accept(self.driver_feature_select, value)?,
            CommonCfg::ConfigMsixVector => device.map_config_vector(value as u16)?,
            CommonCfg::DeviceStatus => {
                device.store_status(value as u8, false)?;
                if value == 0 {
                    *self = Self::default();
                }
            }
            CommonCfg::QueueSelect => self.queue_select = value as u16,
            CommonCfg::QueueMsixVector => device.map_queue_vector(queue, value as u16)?,
            CommonCfg::QueueSize => device.size_queue(queue, value as u16)?,
            CommonCfg::QueueReset => device.reset_queue(queue, value as u16)?,
            CommonCfg::QueueEnable => device.enable_queue(queue, value as u16)?,
            CommonCfg::QueueDescLow => set_low(&mut device.programmable(queue)?.desc, value),
            CommonCfg::QueueDescHigh => set_high(&mut device.programmable(queue)?.desc, value),
            CommonCfg::QueueDriverLow => set_low(&mut device.programmable(queue)?.driver, value),
            CommonCfg::QueueDriverHigh => set_high(&mut device.programmable(queue)?.driver, value),
            CommonCfg::QueueDeviceLow => set_low(&mut device.programmable(queue)?.device, value),
            CommonCfg::QueueDeviceHigh => set_high(&mut device.programmable(queue)?.device, value),
            CommonCfg::DeviceFeature
            | CommonCfg::NumQueues
            | CommonCfg::ConfigGeneration
            | CommonCfg::QueueNotifyOff
            | CommonCfg::QueueNotifConfigData => panic!("a read-only register is refused before"),
        }
        Ok(())
    }
}

fn set_low(address: &mut u64, value: u32) {
    *address = *address >> 32 << 32 | u64::from(value);
}

fn set_high(address: &mut u64, value: u32) {
    *address = *address & 0xffff_ffff | u64::from(value) << 32;
}
