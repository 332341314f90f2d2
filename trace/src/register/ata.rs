use super::registers;

registers! {
    /// The registers of an ATA channel behind its data register, by their distance
    /// from port 0x1F0 (ATA/ATAPI-6, 7).
    ///
    /// Where a load and a store reach different registers, both names stand here.
    /// The data register overlaps the next one, which is why it is not in the table.
    pub enum AtaRegister {
        ErrorFeatures          = 0x001, 1, rw, "error/features";
        SectorCount            = 0x002, 1, rw, "sector_count";
        LbaLow                 = 0x003, 1, rw, "lba_low";
        LbaMid                 = 0x004, 1, rw, "lba_mid";
        LbaHigh                = 0x005, 1, rw, "lba_high";
        Device                 = 0x006, 1, rw, "device";
        StatusCommand          = 0x007, 1, rw, "status/command";
        AlternateStatusControl = 0x206, 1, rw, "alternate_status/device_control";
    }
}
