use super::registers;

registers! {
    /// The type 0 configuration header (PCI 3.0, 6.1 and 6.2).
    pub enum ConfigHeader {
        VendorId            = 0x00, 2, ro, "vendor_id";
        DeviceId            = 0x02, 2, ro, "device_id";
        Command             = 0x04, 2, rw, "command";
        Status              = 0x06, 2, rw, "status";
        RevisionId          = 0x08, 1, ro, "revision_id";
        ProgIf              = 0x09, 1, ro, "prog_if";
        Subclass            = 0x0a, 1, ro, "subclass";
        ClassCode           = 0x0b, 1, ro, "class_code";
        CacheLineSize       = 0x0c, 1, rw, "cache_line_size";
        LatencyTimer        = 0x0d, 1, rw, "latency_timer";
        HeaderType          = 0x0e, 1, ro, "header_type";
        Bist                = 0x0f, 1, rw, "bist";
        Bar0                = 0x10, 4, rw, "bar0";
        Bar1                = 0x14, 4, rw, "bar1";
        Bar2                = 0x18, 4, rw, "bar2";
        Bar3                = 0x1c, 4, rw, "bar3";
        Bar4                = 0x20, 4, rw, "bar4";
        Bar5                = 0x24, 4, rw, "bar5";
        CardbusCis          = 0x28, 4, ro, "cardbus_cis";
        SubsystemVendorId   = 0x2c, 2, ro, "subsystem_vendor_id";
        SubsystemId         = 0x2e, 2, ro, "subsystem_id";
        ExpansionRom        = 0x30, 4, rw, "expansion_rom";
        CapabilitiesPointer = 0x34, 1, ro, "capabilities_pointer";
        InterruptLine       = 0x3c, 1, rw, "interrupt_line";
        InterruptPin        = 0x3d, 1, ro, "interrupt_pin";
        MinGnt              = 0x3e, 1, ro, "min_gnt";
        MaxLat              = 0x3f, 1, ro, "max_lat";
    }
}

registers! {
    /// The type 1 configuration header (PCI-to-PCI Bridge 1.2, 3.2).
    pub enum BridgeHeader {
        VendorId              = 0x00, 2, ro, "vendor_id";
        DeviceId              = 0x02, 2, ro, "device_id";
        Command               = 0x04, 2, rw, "command";
        Status                = 0x06, 2, rw, "status";
        RevisionId            = 0x08, 1, ro, "revision_id";
        ProgIf                = 0x09, 1, ro, "prog_if";
        Subclass              = 0x0a, 1, ro, "subclass";
        ClassCode             = 0x0b, 1, ro, "class_code";
        CacheLineSize         = 0x0c, 1, rw, "cache_line_size";
        LatencyTimer          = 0x0d, 1, rw, "latency_timer";
        HeaderType            = 0x0e, 1, ro, "header_type";
        Bist                  = 0x0f, 1, rw, "bist";
        Bar0                  = 0x10, 4, rw, "bar0";
        Bar1                  = 0x14, 4, rw, "bar1";
        PrimaryBus            = 0x18, 1, rw, "primary_bus";
        SecondaryBus          = 0x19, 1, rw, "secondary_bus";
        SubordinateBus        = 0x1a, 1, rw, "subordinate_bus";
        SecondaryLatencyTimer = 0x1b, 1, rw, "secondary_latency_timer";
        IoBase                = 0x1c, 1, rw, "io_base";
        IoLimit               = 0x1d, 1, rw, "io_limit";
        SecondaryStatus       = 0x1e, 2, rw, "secondary_status";
        MemoryBase            = 0x20, 2, rw, "memory_base";
        MemoryLimit           = 0x22, 2, rw, "memory_limit";
        PrefetchableBase      = 0x24, 2, rw, "prefetchable_base";
        PrefetchableLimit     = 0x26, 2, rw, "prefetchable_limit";
        PrefetchableBaseHigh  = 0x28, 4, rw, "prefetchable_base_high";
        PrefetchableLimitHigh = 0x2c, 4, rw, "prefetchable_limit_high";
        IoBaseHigh            = 0x30, 2, rw, "io_base_high";
        IoLimitHigh           = 0x32, 2, rw, "io_limit_high";
        CapabilitiesPointer   = 0x34, 1, ro, "capabilities_pointer";
        ExpansionRom          = 0x38, 4, rw, "expansion_rom";
        InterruptLine         = 0x3c, 1, rw, "interrupt_line";
        InterruptPin          = 0x3d, 1, ro, "interrupt_pin";
        BridgeControl         = 0x3e, 2, rw, "bridge_control";
    }
}
