//! The ACPI tables: where the interrupt controllers, the PCI root and its ECAM window are.
//!
//! They lie where a PC's firmware has them, from 0xE0000 on, so that a guest finds them
//! through the start info and one that scans the BIOS area does too. There is no fixed ACPI
//! hardware (HW_REDUCED_ACPI); the reset register is the PIIX3's.

use std::ops::Range;

use eclipse_devices::pci::{self, ECAM};
use eclipse_trace::Pin;
use vm_memory::{Bytes, GuestAddress, GuestMemoryMmap};

use super::aml::{self, Window};

/// Where the tables lie; no RAM that the guest is given overlaps it.
pub(crate) const TABLES: Range<u64> = 0xE_0000..0xE_4000;

/// Where the root pointer is.
pub(crate) const ROOT_POINTER: u64 = TABLES.start;

/// A root pointer of revision 2 (ACPI 6.4, 5.2.5.3), with room to the next table.
const ROOT_POINTER_LENGTH: usize = 36;
const HEADER: usize = 36;
const OEM: &[u8; 6] = b"ECLIPS";

const LOCAL_APIC: u32 = 0xFEE0_0000;
const IO_APIC: u32 = 0xFEC0_0000;
/// The PIIX3's reset control register, and the value that resets.
const RESET: (u64, u8) = (0xCF9, 0x06);
/// Memory between RAM and the I/O APIC.
const PCI_MEMORY: Range<u64> = 0xC000_0000..IO_APIC as u64;
/// Memory for 64-bit BARs, above all RAM.
const PCI_MEMORY_HIGH: Range<u64> = 0x40_0000_0000..0x80_0000_0000;

/// Writes the tables to RAM.
pub(crate) fn write(ram: &GuestMemoryMmap<()>) {
    let mut image = vec![0; ROOT_POINTER_LENGTH];
    let mut place = |table: Vec<u8>| {
        image.resize(image.len().next_multiple_of(16), 0);
        let at = TABLES.start + image.len() as u64;
        image.extend(table);
        at
    };
    let dsdt = place(table(b"DSDT", 2, &dsdt()));
    let tables = [
        place(table(b"FACP", 6, &fadt(dsdt))),
        place(table(b"APIC", 5, &madt())),
        place(table(b"MCFG", 1, &mcfg())),
    ];
    let xsdt = place(table(b"XSDT", 1, &tables.map(u64::to_le_bytes).concat()));
    image[..ROOT_POINTER_LENGTH].copy_from_slice(&root_pointer(xsdt));
    assert!(image.len() as u64 <= TABLES.end - TABLES.start, "the tables have room");
    // Every machine has RAM here: it has 16 MiB at least.
    ram.write_slice(&image, GuestAddress(TABLES.start)).expect("the tables are in RAM");
}

fn root_pointer(xsdt: u64) -> [u8; ROOT_POINTER_LENGTH] {
    let mut bytes = [0; ROOT_POINTER_LENGTH];
    bytes[..8].copy_from_slice(b"RSD PTR ");
    bytes[9..15].copy_from_slice(OEM);
    bytes[15] = 2;
    bytes[20..24].copy_from_slice(&(ROOT_POINTER_LENGTH as u32).to_le_bytes());
    bytes[24..32].copy_from_slice(&xsdt.to_le_bytes());
    bytes[8] = balance(&bytes[..20]);
    bytes[32] = balance(&bytes);
    bytes
}

/// A table with its header (ACPI 6.4, 5.2.6).
fn table(signature: &[u8; 4], revision: u8, body: &[u8]) -> Vec<u8> {
    let length = u32::try_from(HEADER + body.len()).expect("a table is short");
    let mut bytes = [signature.as_slice(), &length.to_le_bytes(), &[revision, 0], OEM].concat();
    bytes.extend(b"ECLIPSE \x01\0\0\0ECLP\x01\0\0\0");
    bytes.extend(body);
    bytes[9] = balance(&bytes);
    bytes
}

/// What makes the sum of `bytes` zero.
fn balance(bytes: &[u8]) -> u8 {
    bytes.iter().fold(0_u8, |sum, byte| sum.wrapping_sub(*byte))
}

/// Fixed ACPI description (ACPI 6.4, 5.2.9), without its header.
fn fadt(dsdt: u64) -> Vec<u8> {
    /// WBINVD, no fixed buttons, reset register, no fixed hardware.
    const FLAGS: u32 = 1 << 0 | 1 << 4 | 1 << 5 | 1 << 10 | 1 << 20;
    /// Legacy devices and a keyboard controller, but no VGA and no clock.
    const BOOT_ARCHITECTURE: u16 = 1 << 0 | 1 << 1 | 1 << 2 | 1 << 5;
    let mut bytes = vec![0; 276 - HEADER];
    let mut put = |at: usize, value: &[u8]| {
        bytes[at - HEADER..at - HEADER + value.len()].copy_from_slice(value);
    };
    put(40, &u32::try_from(dsdt).expect("it is below 1 MiB").to_le_bytes());
    put(109, &BOOT_ARCHITECTURE.to_le_bytes());
    put(112, &FLAGS.to_le_bytes());
    // An I/O port of 8 bits, accessed by bytes.
    put(116, &[1, 8, 0, 1]);
    put(120, &RESET.0.to_le_bytes());
    put(128, &[RESET.1]);
    put(131, &[4]);
    put(140, &dsdt.to_le_bytes());
    bytes
}

/// Interrupt controllers (ACPI 6.4, 5.2.12), without its header.
fn madt() -> Vec<u8> {
    let mut bytes = LOCAL_APIC.to_le_bytes().to_vec();
    // There are also two 8259s.
    bytes.extend(1_u32.to_le_bytes());
    // The processor: local APIC 0, enabled.
    bytes.extend([0, 8, 0, 0, 1, 0, 0, 0]);
    bytes.extend([1, 12, 0, 0]);
    bytes.extend([IO_APIC, 0].map(u32::to_le_bytes).concat());
    let mut lines: Vec<_> = Pin::ALL.map(|pin| pci::gsi(0, pin)).to_vec();
    lines.dedup();
    for line in lines {
        // An ISA interrupt that is level triggered and active low, as PCI's are.
        bytes.extend([2, 10, 0, line as u8]);
        bytes.extend(line.to_le_bytes());
        bytes.extend(0x000F_u16.to_le_bytes());
    }
    // LINT1 of every processor is NMI.
    bytes.extend([4, 6, 0xFF, 0, 0, 1]);
    bytes
}

/// The ECAM window (PCI Firmware 3.0, 4.1.2), without its header.
fn mcfg() -> Vec<u8> {
    let mut bytes = vec![0; 8];
    bytes.extend(ECAM.start.to_le_bytes());
    // Segment group 0, buses 0 to 255.
    bytes.extend([0, 0, 0, 255, 0, 0, 0, 0]);
    bytes
}

/// The PCI root with what it passes on and how its interrupts are wired, and a device that
/// keeps the ECAM window for itself (PCI Firmware 3.0, 4.1.2).
fn dsdt() -> Vec<u8> {
    let windows = aml::resources(&[
        Window::Bus.descriptor(2, 0, 255),
        aml::ports(0xCF8, 8),
        Window::Io.descriptor(2, 0, 0xCF7),
        Window::Io.descriptor(2, 0xD00, 0xFFFF),
        Window::Memory.descriptor(4, PCI_MEMORY.start, ECAM.start - 1),
        Window::Memory.descriptor(4, ECAM.end, PCI_MEMORY.end - 1),
        Window::Prefetchable.descriptor(8, PCI_MEMORY_HIGH.start, PCI_MEMORY_HIGH.end - 1),
    ]);
    let routes: Vec<_> = (0..32_u8)
        .flat_map(|device| Pin::ALL.map(|pin| (device, pin)))
        .map(|(device, pin)| {
            aml::package(&[
                aml::integer(u64::from(device) << 16 | 0xFFFF),
                aml::integer(pin as u64 - 1),
                aml::integer(0),
                aml::integer(pci::gsi(device, pin).into()),
            ])
        })
        .collect();
    let root = aml::device(
        b"PCI0",
        &[
            aml::name(b"_HID", &aml::plug_and_play(0x0A03)),
            aml::name(b"_SEG", &aml::integer(0)),
            aml::name(b"_BBN", &aml::integer(0)),
            aml::name(b"_CRS", &windows),
            aml::name(b"_PRT", &aml::package(&routes)),
        ]
        .concat(),
    );
    let ecam = aml::memory(ECAM.start as u32, (ECAM.end - ECAM.start) as u32);
    let board = aml::device(
        b"MBRD",
        &[
            aml::name(b"_HID", &aml::plug_and_play(0x0C02)),
            aml::name(b"_CRS", &aml::resources(&[ecam])),
        ]
        .concat(),
    );
    aml::system_bus(&[root, board].concat())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::memory;

    struct Tables(GuestMemoryMmap<()>);

    impl Tables {
        fn bytes(&self, at: u64, length: usize) -> Vec<u8> {
            let mut bytes = vec![0; length];
            self.0.read_slice(&mut bytes, GuestAddress(at)).unwrap();
            bytes
        }

        fn long(&self, at: u64) -> u64 {
            self.0.read_obj(GuestAddress(at)).unwrap()
        }

        fn word(&self, at: u64) -> u32 {
            self.0.read_obj(GuestAddress(at)).unwrap()
        }

        /// The table that the root pointer leads to.
        fn find(&self, signature: &[u8]) -> u64 {
            let xsdt = self.long(ROOT_POINTER + 24);
            let count = (u64::from(self.word(xsdt + 4)) - 36) / 8;
            let mut tables = (0..count).map(|index| self.long(xsdt + 36 + 8 * index));
            tables.find(|at| self.bytes(*at, 4) == signature).expect("it is listed")
        }

        fn sums_to_zero(&self, at: u64) -> bool {
            let bytes = self.bytes(at, self.word(at + 4) as usize);
            bytes.iter().fold(0, |sum: u8, byte| sum.wrapping_add(*byte)) == 0
        }
    }

    fn tables() -> Tables {
        let ram = memory::create(memory::MIN_SIZE).unwrap();
        write(&ram);
        Tables(ram)
    }

    #[test]
    fn every_table_is_found_from_the_root_pointer_and_sums_to_zero() {
        let tables = tables();
        let sum = |length| {
            tables.bytes(ROOT_POINTER, length).iter().fold(0_u8, |sum, b| sum.wrapping_add(*b))
        };
        assert_eq!(tables.bytes(ROOT_POINTER, 8), b"RSD PTR ");
        assert_eq!((sum(20), sum(36)), (0, 0));
        let fadt = tables.find(b"FACP");
        let dsdt = tables.long(fadt + 140);
        assert_eq!(
            (u64::from(tables.word(fadt + 40)), tables.bytes(dsdt, 4)),
            (dsdt, b"DSDT".into())
        );
        let all = [tables.long(ROOT_POINTER + 24), fadt, tables.find(b"APIC"), dsdt];
        for at in all.into_iter().chain([tables.find(b"MCFG")]) {
            assert!(tables.sums_to_zero(at), "{at:#x}");
            assert!(
                at.is_multiple_of(16) && TABLES.contains(&(at + u64::from(tables.word(at + 4))))
            );
        }
    }

    #[test]
    fn mcfg_gives_the_window_that_the_devices_decode() {
        let tables = tables();
        let mcfg = tables.find(b"MCFG");
        assert_eq!(tables.word(mcfg + 4), 60);
        assert_eq!(tables.long(mcfg + 44), 0xE000_0000);
        assert_eq!(tables.bytes(mcfg + 52, 8), [0, 0, 0, 255, 0, 0, 0, 0]);
    }

    #[test]
    fn the_interrupt_controllers_are_where_kvm_has_them() {
        let tables = tables();
        let madt = tables.find(b"APIC");
        let body = tables.bytes(madt + 36, tables.word(madt + 4) as usize - 36);
        assert_eq!(body[..8], [0, 0, 0xE0, 0xFE, 1, 0, 0, 0]);
        assert_eq!(body[8..16], [0, 8, 0, 0, 1, 0, 0, 0]);
        assert_eq!(body[16..28], [1, 12, 0, 0, 0, 0, 0xC0, 0xFE, 0, 0, 0, 0]);
        assert_eq!(body[28..38], [2, 10, 0, 10, 10, 0, 0, 0, 0x0F, 0]);
        assert_eq!(body[38..48], [2, 10, 0, 11, 11, 0, 0, 0, 0x0F, 0]);
        assert_eq!(body[48..], [4, 6, 0xFF, 0, 0, 1]);
    }

    #[test]
    fn no_table_is_in_ram_that_the_guest_is_given() {
        for ram in memory::usable(memory::MAX_SIZE) {
            assert!(ram.end <= TABLES.start || TABLES.end <= ram.start);
            assert!(ram.end <= ECAM.start || ECAM.end <= ram.start);
        }
    }
}
