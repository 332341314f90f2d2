//! Names of classes (PCI Code and ID Assignment, 1).

/// The name of a class and subclass; "Unknown" for what is not in the table.
pub fn name(class: u8, subclass: u8) -> &'static str {
    match (class, subclass) {
        (0x00, 0x00) => "Unclassified Device",
        (0x00, 0x01) => "VGA-Compatible Device",
        (0x01, 0x00) => "SCSI Controller",
        (0x01, 0x01) => "IDE Controller",
        (0x01, 0x02) => "Floppy Controller",
        (0x01, 0x04) => "RAID Controller",
        (0x01, 0x05) => "ATA Controller",
        (0x01, 0x06) => "SATA Controller",
        (0x01, 0x08) => "NVMe Controller",
        (0x01, 0x80) => "Mass Storage Controller",
        (0x02, 0x00) => "Ethernet Controller",
        (0x02, 0x80) => "Network Controller",
        (0x03, 0x00) => "VGA Controller",
        (0x03, 0x80) => "Display Controller",
        (0x04, 0x01) => "Audio Device",
        (0x04, 0x03) => "HD Audio Controller",
        (0x05, 0x00) => "RAM Controller",
        (0x06, 0x00) => "Host Bridge",
        (0x06, 0x01) => "ISA Bridge",
        (0x06, 0x04) => "PCI-to-PCI Bridge",
        (0x06, 0x80) => "Bridge Device",
        (0x07, 0x00) => "Serial Controller",
        (0x07, 0x80) => "Communication Controller",
        (0x08, 0x00) => "Interrupt Controller",
        (0x08, 0x80) => "System Peripheral",
        (0x0c, 0x03) => "USB Controller",
        (0x0c, 0x05) => "SMBus Controller",
        _ => "Unknown",
    }
}
