//! Tables as firmware writes them, and damaged ones.

use super::{Acpi, Ecam, Error, IoApic, LONGEST, Override, TABLES};

/// The low megabyte of a machine.
struct Firmware(Vec<u8>);

/// Where the parts lie.
const ROOT: u64 = 0xE_0000;
const ROOT_TABLE: u64 = 0xE_0100;
const MADT: u64 = 0xE_0400;
const MCFG: u64 = 0xE_0600;

const LOCAL_APIC: [u8; 8] = [0, 8, 0, 0, 1, 0, 0, 0];
const IO_APIC: [u8; 12] = [1, 12, 2, 0, 0, 0, 0xC0, 0xFE, 0, 0, 0, 0];
const OVERRIDE: [u8; 10] = [2, 10, 0, 0, 2, 0, 0, 0, 0x0F, 0];
const ADDRESS: [u8; 12] = [5, 12, 0, 0, 0, 0x10, 0, 0, 1, 0, 0, 0];

impl Firmware {
    /// A machine with a MADT, an MCFG, and a table that nobody knows.
    fn new() -> Self {
        let mut this = Self(vec![0; 1 << 20]);
        this.root_pointer(ROOT, 0, ROOT_TABLE);
        this.root_table(&[MADT, MCFG, 0xE_0800]);
        this.madt(&[&LOCAL_APIC[..], &IO_APIC, &OVERRIDE].concat());
        this.mcfg(0xE000_0000, 0, 255);
        this.table(0xE_0800, b"WAET", &[1, 2, 3, 4]);
        this
    }

    fn set(&mut self, at: u64, bytes: &[u8]) {
        self.0[at as usize..][..bytes.len()].copy_from_slice(bytes);
    }

    /// Sets the byte at `at + place` so that the `len` bytes at `at` sum to zero.
    fn balance(&mut self, at: u64, place: u64, len: u64) {
        self.set(at + place, &[0]);
        let sum =
            self.0[at as usize..][..len as usize].iter().fold(0_u8, |a, b| a.wrapping_add(*b));
        self.set(at + place, &[sum.wrapping_neg()]);
    }

    fn root_pointer(&mut self, at: u64, short: u32, extended: u64) {
        self.set(at, b"RSD PTR \0ECLIPS");
        self.set(at + 15, &[if extended == 0 { 0 } else { 2 }]);
        self.set(at + 16, &short.to_le_bytes());
        self.set(at + 20, &36_u32.to_le_bytes());
        self.set(at + 24, &extended.to_le_bytes());
        self.balance(at, 8, 20);
        self.balance(at, 32, 36);
    }

    fn table(&mut self, at: u64, signature: &[u8; 4], body: &[u8]) {
        let len = 36 + body.len() as u64;
        self.set(at, signature);
        self.set(at + 4, &(len as u32).to_le_bytes());
        self.set(at + 36, body);
        self.balance(at, 9, len);
    }

    fn root_table(&mut self, tables: &[u64]) {
        let body: Vec<u8> = tables.iter().flat_map(|table| table.to_le_bytes()).collect();
        self.table(ROOT_TABLE, b"XSDT", &body);
    }

    fn madt(&mut self, entries: &[u8]) {
        self.table(MADT, b"APIC", &[&[0, 0, 0xE0, 0xFE, 1, 0, 0, 0], entries].concat());
    }

    fn mcfg(&mut self, base: u64, first: u8, last: u8) {
        let entry = [&base.to_le_bytes()[..], &[0, 0, first, last, 0, 0, 0, 0]].concat();
        self.table(MCFG, b"MCFG", &[&[0; 8][..], &entry].concat());
    }

    fn read_from(&self, root: u64) -> Result<Acpi, Error> {
        Acpi::read(root, |at, len| {
            let end = at.checked_add(len)?;
            self.0.get(usize::try_from(at).ok()?..usize::try_from(end).ok()?)
        })
    }

    fn read(&self) -> Result<Acpi, Error> {
        self.read_from(ROOT)
    }
}

#[test]
fn ecam_and_the_interrupt_controllers_are_read() {
    let acpi = Firmware::new().read().unwrap();
    assert_eq!(acpi.ecam, [Ecam { base: 0xE000_0000, segment: 0, first: 0, last: 255 }]);
    let interrupts = acpi.interrupts.unwrap();
    assert_eq!(interrupts.local_apic, 0xFEE0_0000);
    assert_eq!(interrupts.io_apics, [IoApic { id: 2, address: 0xFEC0_0000, first: 0 }]);
    assert_eq!(interrupts.overrides, [Override { source: 0, interrupt: 2, flags: 0x0F }]);
    assert_eq!((interrupts.interrupt_of(0), interrupts.interrupt_of(11)), (2, 11));
}

#[test]
fn the_64_bit_address_of_the_local_apic_counts() {
    let mut firmware = Firmware::new();
    firmware.madt(&ADDRESS);
    let interrupts = firmware.read().unwrap().interrupts.unwrap();
    assert_eq!(interrupts.local_apic, 0x1_0000_1000);
}

#[test]
fn a_root_pointer_of_revision_0_leads_to_32_bit_addresses() {
    let mut firmware = Firmware::new();
    firmware.root_pointer(ROOT, ROOT_TABLE as u32, 0);
    // What follows a short root pointer is no part of it.
    firmware.set(ROOT + 24, &[0xFF; 12]);
    let body: Vec<u8> = [MADT as u32, MCFG as u32].iter().flat_map(|at| at.to_le_bytes()).collect();
    firmware.table(ROOT_TABLE, b"RSDT", &body);
    let acpi = firmware.read().unwrap();
    assert_eq!(acpi.ecam.len(), 1);
    assert!(acpi.interrupts.is_some());
}

#[test]
fn without_an_address_the_root_pointer_is_searched_for_where_firmware_leaves_it() {
    let mut firmware = Firmware::new();
    assert_eq!(firmware.read_from(0), firmware.read());
    // A signature with a wrong checksum is passed over, in the extended BIOS data area too.
    firmware.set(0x40E, &[0x00, 0x9F]);
    firmware.set(0x9_F010, b"RSD PTR ");
    assert!(firmware.read_from(0).is_ok());
    firmware.set(ROOT, &[0; 8]);
    assert_eq!(firmware.read_from(0), Err(Error::NoRootPointer));
    firmware.root_pointer(0x9_F3F0, 0, ROOT_TABLE);
    assert!(firmware.read_from(0).is_ok());
    // Beyond the first KiB of the area it is not looked for, and between the 16-byte marks neither.
    firmware.set(0x9_F3F0, &[0; 8]);
    firmware.root_pointer(0x9_F400, 0, ROOT_TABLE);
    firmware.root_pointer(0xF_0008, 0, ROOT_TABLE);
    assert_eq!(firmware.read_from(0), Err(Error::NoRootPointer));
}

#[test]
fn tables_that_are_not_there_are_no_error() {
    let mut firmware = Firmware::new();
    firmware.root_table(&[]);
    assert_eq!(firmware.read(), Ok(Acpi::default()));
}

#[test]
fn each_thing_that_is_wrong_is_told_apart() {
    let changed = |at, bytes: &[u8]| {
        let mut firmware = Firmware::new();
        firmware.set(at, bytes);
        firmware.read().unwrap_err()
    };
    let sum = |signature: &[u8; 4], address| Error::Checksum { signature: *signature, address };
    assert_eq!(changed(ROOT + 9, b"X"), sum(b"RSDP", ROOT));
    assert_eq!(changed(ROOT + 34, b"X"), sum(b"RSDP", ROOT));
    assert_eq!(changed(ROOT_TABLE + 40, &[9]), sum(b"XSDT", ROOT_TABLE));
    assert_eq!(changed(MADT + 60, &[9]), sum(b"APIC", MADT));
    assert_eq!(changed(MCFG + 50, &[9]), sum(b"MCFG", MCFG));
    let signature = Error::Signature { expected: *b"RSDP", address: ROOT };
    assert_eq!(changed(ROOT, b"X"), signature);
    let signature = Error::Signature { expected: *b"XSDT", address: ROOT_TABLE };
    assert_eq!(changed(ROOT_TABLE, b"Y"), signature);
    for len in [0, 35, LONGEST + 1, u32::MAX] {
        let length = Error::Length { signature: *b"APIC", address: MADT, len };
        assert_eq!(changed(MADT + 4, &len.to_le_bytes()), length);
    }
}

#[test]
fn what_leads_out_of_memory_is_refused() {
    let mut firmware = Firmware::new();
    firmware.root_table(&[u64::MAX - 3]);
    assert_eq!(firmware.read(), Err(Error::OutOfReach { address: u64::MAX - 3, len: 36 }));
    firmware.root_pointer(ROOT, 0, 0x10_0000);
    assert_eq!(firmware.read(), Err(Error::OutOfReach { address: 0x10_0000, len: 36 }));
    let out = firmware.read_from(u64::MAX);
    assert_eq!(out, Err(Error::OutOfReach { address: u64::MAX, len: 20 }));
    let mut firmware = Firmware::new();
    firmware.set(0xF_FFD0, b"APIC\x00\x10\x00\x00");
    firmware.root_table(&[0xF_FFD0]);
    assert_eq!(firmware.read(), Err(Error::OutOfReach { address: 0xF_FFD0, len: 0x1000 }));
}

#[test]
fn a_root_table_that_lists_too_much_is_refused() {
    let mut firmware = Firmware::new();
    firmware.root_pointer(ROOT, 0, 0xE_1000);
    let listed = |count| [0xE_0800_u64.to_le_bytes()].repeat(count).concat();
    firmware.table(0xE_1000, b"XSDT", &listed(TABLES));
    assert_eq!(firmware.read(), Ok(Acpi::default()));
    firmware.table(0xE_1000, b"XSDT", &listed(TABLES + 1));
    assert_eq!(firmware.read(), Err(Error::TooManyTables(TABLES + 1)));
}

#[test]
fn an_entry_that_is_short_or_leaves_its_table_is_refused() {
    let entry = |entries: &[u8]| {
        let mut firmware = Firmware::new();
        firmware.madt(entries);
        firmware.read().unwrap_err()
    };
    let at = |offset| Error::Entry { signature: *b"APIC", offset };
    assert_eq!(entry(&[1, 0, 0, 0]), at(8));
    assert_eq!(entry(&[9, 1, 0, 0]), at(8));
    assert_eq!(entry(&[1]), at(8));
    assert_eq!(entry(&[1, 11, 2, 0, 0, 0, 0xC0, 0xFE, 0, 0, 0]), at(8));
    assert_eq!(entry(&[&LOCAL_APIC[..], &[2, 9, 0, 0, 2, 0, 0, 0, 0]].concat()), at(16));
    assert_eq!(entry(&[&LOCAL_APIC[..], &IO_APIC[..11]].concat()), at(16));
    let many = Error::TooManyEntries { signature: *b"APIC", limit: 32 };
    assert_eq!(entry(&OVERRIDE.repeat(33)), many);
    let mut firmware = Firmware::new();
    firmware.table(MADT, b"APIC", &[0; 7]);
    let short = Error::Length { signature: *b"APIC", address: MADT, len: 43 };
    assert_eq!(firmware.read(), Err(short));
}

#[test]
fn an_ecam_window_that_cannot_be_is_refused() {
    for (base, first, last) in
        [(0, 0, 255), (0xE000_1000, 0, 255), (0xE000_0000, 2, 1), (u64::MAX << 20, 0, 0)]
    {
        let mut firmware = Firmware::new();
        firmware.mcfg(base, first, last);
        assert_eq!(firmware.read(), Err(Error::Ecam { base, first, last }));
    }
    let mut firmware = Firmware::new();
    firmware.table(MCFG, b"MCFG", &[0; 8 + 15]);
    let cut = Error::Entry { signature: *b"MCFG", offset: 8 };
    assert_eq!(firmware.read(), Err(cut));
    firmware.table(MCFG, b"MCFG", &[0; 7]);
    assert!(matches!(firmware.read(), Err(Error::Entry { .. })));
}

#[test]
fn no_wrong_byte_makes_the_reader_panic_or_go_on_for_ever() {
    // Checksums are put right again, so that the damage gets past them.
    for at in (ROOT..ROOT + 36).chain(ROOT_TABLE..ROOT_TABLE + 60).chain(MADT..MADT + 76) {
        for value in [0, 1, 2, 0x7F, 0x80, 0xFF] {
            let mut firmware = Firmware::new();
            firmware.set(at, &[value]);
            firmware.balance(ROOT, 8, 20);
            firmware.balance(ROOT, 32, 36);
            firmware.balance(ROOT_TABLE, 9, 60);
            firmware.balance(MADT, 9, 74);
            // It reads them, or it refuses; the sweep is about how.
            let _ = (firmware.read(), firmware.read_from(0));
        }
    }
}
