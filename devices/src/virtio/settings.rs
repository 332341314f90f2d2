use super::Features;

/// Which interface a virtio function shows (VIRTIO 1.4, 4.1).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Transport {
    /// The structures in memory, found by capabilities.
    #[default]
    Modern,
    /// Both: the device ID of a legacy device, I/O ports in BAR 0, and the structures.
    Transitional,
    /// I/O ports in BAR 0 only, as before VIRTIO 1.0.
    Legacy,
}

impl Transport {
    /// Whether it has the structures.
    pub(crate) fn has_modern(self) -> bool {
        self != Transport::Legacy
    }

    /// Whether it has the I/O ports.
    pub(crate) fn has_legacy(self) -> bool {
        self != Transport::Modern
    }
}

/// What the device makes of a broken rule; it is recorded either way.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Profile {
    /// What the specification forbids changes nothing, or ends in NEEDS_RESET.
    #[default]
    Strict,
    /// What stock QEMU carries out is carried out.
    Lenient,
}

/// How a virtio function presents itself, apart from what it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VirtioConfig {
    /// Which interface it shows.
    pub transport: Transport,
    /// What it makes of a broken rule.
    pub profile: Profile,
    /// Features of queues and transport to offer beside those of the device type:
    /// INDIRECT_DESC, EVENT_IDX, RING_PACKED, IN_ORDER, NOTIFICATION_DATA, RING_RESET,
    /// ACCESS_PLATFORM. VERSION_1 is offered unless `withhold` has it.
    pub offer: Features,
    /// Features not to offer, whoever would.
    pub withhold: Features,
    /// The size offered for each queue: a power of two, at most 32768.
    pub queue_size: u16,
    /// Entries of the MSI-X table, at most 2048; 0 for no MSI-X.
    pub vectors: u16,
    /// `notify_off_multiplier` (4.1.4.4.1): 0, or an even power of two.
    pub notify_multiplier: u32,
    /// Whether `queue_notify_off` runs against the queues' order.
    pub notify_permuted: bool,
    /// Bytes of the BAR of the structures, if more than they need: a power of two of at
    /// most 32 GiB. One that is larger than 1 MiB is placed above 4 GiB.
    pub bar_size: u64,
    /// Whether common configuration, notifications, and ISR status with the device's
    /// configuration lie in a BAR each: 64-bit memory, I/O ports, 32-bit memory.
    pub spread_bars: bool,
    /// Whether I/O BARs have only the 16 address bits that a PC has.
    pub narrow_ports: bool,
    /// How often `device_status` still shows the old status after a reset began.
    pub reset_loads: u32,
}

impl Default for VirtioConfig {
    fn default() -> Self {
        Self {
            transport: Transport::default(),
            profile: Profile::default(),
            offer: Features::empty(),
            withhold: Features::empty(),
            queue_size: 256,
            // One for configuration changes and one for the queue.
            vectors: 2,
            notify_multiplier: 4,
            notify_permuted: false,
            bar_size: 0,
            spread_bars: false,
            narrow_ports: false,
            reset_loads: 0,
        }
    }
}

impl VirtioConfig {
    /// Checks that a device can be like that with `queues` queues.
    ///
    /// # Errors
    /// A sentence that says what cannot be.
    pub fn check(&self, queues: u16) -> Result<(), String> {
        let multiplier = self.notify_multiplier;
        let data = self.offer.contains(Features::NOTIFICATION_DATA);
        let least = if data { 4 } else { 2 };
        if !self.queue_size.is_power_of_two() || self.queue_size > 32768 {
            return Err(format!("a queue of {} is no power of two up to 32768", self.queue_size));
        }
        if self.vectors > 2048 {
            return Err(format!("{} vectors are more than 2048", self.vectors));
        }
        if multiplier != 0 && (!multiplier.is_power_of_two() || multiplier < least) {
            return Err(format!(
                "a notify multiplier of {multiplier} is not 0 or a power of two from {least}"
            ));
        }
        if queues == 0 || u64::from(queues) * u64::from(multiplier.max(4)) > 1 << 20 {
            return Err(format!("{queues} queues do not fit their doorbells"));
        }
        if self.bar_size != 0 && (!self.bar_size.is_power_of_two() || self.bar_size > 32 << 30) {
            return Err(format!(
                "a BAR of {} bytes is no power of two up to 32 GiB",
                self.bar_size
            ));
        }
        if self.spread_bars && self.bar_size != 0 {
            return Err("a structure with a BAR of its own fills it".into());
        }
        if self.spread_bars && u64::from(queues) * u64::from(multiplier) + 4 > 256 {
            return Err(format!("{queues} doorbells do not fit 256 ports"));
        }
        Ok(())
    }

    /// What `queue_notify_off` says for a queue.
    pub(crate) fn notify_off(&self, queue: u16, queues: u16) -> u16 {
        if self.notify_permuted { queues - 1 - queue } else { queue }
    }
}
