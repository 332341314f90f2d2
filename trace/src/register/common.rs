use super::registers;

registers! {
    /// `struct virtio_pci_common_cfg` (VIRTIO 1.4, 4.1.4.3).
    ///
    /// A 64-bit field is two registers, because the driver must access it as
    /// two 32-bit halves (4.1.3.1).
    pub enum CommonCfg {
        DeviceFeatureSelect = 0x00, 4, rw, "device_feature_select";
        DeviceFeature       = 0x04, 4, ro, "device_feature";
        DriverFeatureSelect = 0x08, 4, rw, "driver_feature_select";
        DriverFeature       = 0x0c, 4, rw, "driver_feature";
        ConfigMsixVector    = 0x10, 2, rw, "config_msix_vector";
        NumQueues           = 0x12, 2, ro, "num_queues";
        DeviceStatus        = 0x14, 1, rw, "device_status";
        ConfigGeneration    = 0x15, 1, ro, "config_generation";
        QueueSelect         = 0x16, 2, rw, "queue_select";
        QueueSize           = 0x18, 2, rw, "queue_size";
        QueueMsixVector     = 0x1a, 2, rw, "queue_msix_vector";
        QueueEnable         = 0x1c, 2, rw, "queue_enable";
        QueueNotifyOff      = 0x1e, 2, ro, "queue_notify_off";
        QueueDescLow        = 0x20, 4, rw, "queue_desc_low";
        QueueDescHigh       = 0x24, 4, rw, "queue_desc_high";
        QueueDriverLow      = 0x28, 4, rw, "queue_driver_low";
        QueueDriverHigh     = 0x2c, 4, rw, "queue_driver_high";
        QueueDeviceLow      = 0x30, 4, rw, "queue_device_low";
        QueueDeviceHigh     = 0x34, 4, rw, "queue_device_high";
        QueueNotifConfigData = 0x38, 2, ro, "queue_notif_config_data";
        QueueReset          = 0x3a, 2, rw, "queue_reset";
    }
}
