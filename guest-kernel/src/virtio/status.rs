//! Device status (VIRTIO 1.4, 2.1) and interrupt status (4.1.4.5).

bitflags::bitflags! {
    /// The device status field.
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    pub struct Status: u8 {
        /// The guest has noticed the device.
        const ACKNOWLEDGE = 1 << 0;
        /// The guest has a driver for it.
        const DRIVER = 1 << 1;
        /// The driver is ready.
        const DRIVER_OK = 1 << 2;
        /// Both sides agree on the features.
        const FEATURES_OK = 1 << 3;
        /// The device cannot go on; only the device sets it.
        const NEEDS_RESET = 1 << 6;
        /// The driver has given up.
        const FAILED = 1 << 7;
        /// Others are not defined.
        const _ = !0;
    }

    /// The interrupt status.
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    pub struct Isr: u8 {
        /// A queue has used buffers.
        const QUEUE = 1 << 0;
        /// The device configuration changed.
        const CONFIG = 1 << 1;
        /// Others are reserved.
        const _ = !0;
    }
}
