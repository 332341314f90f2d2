use super::registers;

registers! {
    /// The legacy interface's registers, in I/O ports (VIRTIO 1.4, 4.1.4.10).
    ///
    /// The two vectors are there while MSI-X is enabled; the device's own
    /// configuration follows behind what is there.
    pub enum LegacyCfg {
        DeviceFeatures  = 0x00, 4, ro, "device_features";
        DriverFeatures  = 0x04, 4, rw, "driver_features";
        QueueAddress    = 0x08, 4, rw, "queue_address";
        QueueSize       = 0x0c, 2, ro, "queue_size";
        QueueSelect     = 0x0e, 2, rw, "queue_select";
        QueueNotify     = 0x10, 2, rw, "queue_notify";
        DeviceStatus    = 0x12, 1, rw, "device_status";
        IsrStatus       = 0x13, 1, ro, "isr_status";
        ConfigMsixVector = 0x14, 2, rw, "config_msix_vector";
        QueueMsixVector = 0x16, 2, rw, "queue_msix_vector";
    }
}
