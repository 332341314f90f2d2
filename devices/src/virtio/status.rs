use eclipse_trace::Violation;

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

impl Status {
    /// The steps of the initialisation in their order (VIRTIO 1.4, 3.1.1).
    const STEPS: [Self; 4] = [Self::ACKNOWLEDGE, Self::DRIVER, Self::FEATURES_OK, Self::DRIVER_OK];

    /// The same for a driver of the legacy interface, which has no FEATURES_OK (3.1.2).
    const LEGACY_STEPS: [Self; 3] = [Self::ACKNOWLEDGE, Self::DRIVER, Self::DRIVER_OK];

    /// The status that a driver's store of `new` leads to, other than 0.
    ///
    /// # Errors
    /// The store clears a bit (2.1.1), skips a step, or sets what is not the driver's to set.
    pub(crate) fn step(self, new: Self, legacy: bool) -> Result<Self, Violation> {
        // NEEDS_RESET is the device's own: a driver need not write it back.
        let cleared = self - new - Self::NEEDS_RESET;
        if !cleared.is_empty() {
            return Err(Violation::StatusBitsCleared(cleared.bits()));
        }
        let steps: &[Self] = if legacy { &Self::LEGACY_STEPS } else { &Self::STEPS };
        let taken = steps.iter().take_while(|step| new.contains(**step)).count();
        let reached: Self = steps[..taken].iter().copied().collect();
        let own = self & Self::NEEDS_RESET;
        if (new - reached - own - Self::FAILED).is_empty() {
            Ok(new | own)
        } else {
            Err(Violation::StatusOrder(new.bits()))
        }
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
