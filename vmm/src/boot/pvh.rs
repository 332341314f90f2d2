//! The PVH boot protocol (Xen, x86/HVM direct boot ABI): what the guest finds at its entry.

use std::ops::Range;

use eclipse_devices::pci::ECAM;
use kvm_bindings::{kvm_dtable, kvm_regs, kvm_segment, kvm_sregs};
use kvm_ioctls::VcpuFd;
use linux_loader::{
    cmdline::Cmdline,
    configurator::{BootConfigurator, BootParams, pvh::PvhBootConfigurator},
    loader::{
        elf::start_info::{
            XEN_HVM_MEMMAP_TYPE_ACPI, XEN_HVM_MEMMAP_TYPE_RAM, XEN_HVM_MEMMAP_TYPE_RESERVED,
            XEN_HVM_START_MAGIC_VALUE, hvm_memmap_table_entry, hvm_start_info,
        },
        load_cmdline,
    },
};
use vm_memory::{GuestAddress, GuestMemoryMmap};

use super::acpi;
use crate::{Error, memory};

/// Where the start info, the memory map and the command line lie.
pub const BOOT_INFO: Range<u64> = 0x6000..0x9000;

const START_INFO: GuestAddress = GuestAddress(0x6000);
const MEMORY_MAP: GuestAddress = GuestAddress(0x7000);
const COMMAND_LINE: GuestAddress = GuestAddress(0x8000);

/// The most bytes that a command line can have, without its NUL.
pub const MAX_COMMAND_LINE: usize = 2047;

/// `CR0.PE`: protected mode.
const CR0_PE: u64 = 1 << 0;
/// `CR0.ET`, which is always set.
const CR0_ET: u64 = 1 << 4;
/// The bit of RFLAGS that is always set.
const RFLAGS_ONE: u64 = 1 << 1;

/// Whether a guest can be given `text` as its command line.
pub fn check_command_line(text: &str) -> Result<(), Error> {
    if let Some(found) = text.chars().find(|c| !matches!(c, ' '..='~')) {
        return Err(Error::CommandLineText { found });
    }
    if text.len() > MAX_COMMAND_LINE {
        return Err(Error::CommandLineTooLong { len: text.len(), max: MAX_COMMAND_LINE });
    }
    Ok(())
}

/// Writes the start info, the memory map of `size` bytes of RAM, the ACPI tables, and the
/// command line.
pub(crate) fn write_boot_info(
    ram: &GuestMemoryMmap<()>,
    size: u64,
    command_line: &str,
) -> Result<(), Error> {
    check_command_line(command_line)?;
    // Only a lack of room is possible, and there is room in the least of machines.
    let no_room = "the boot information fits into RAM";
    let text = Cmdline::try_from(command_line, MAX_COMMAND_LINE + 1).expect(no_room);
    load_cmdline(ram, COMMAND_LINE, &text).expect(no_room);

    acpi::write(ram);
    let map = memory_map(size);
    let info = hvm_start_info {
        magic: XEN_HVM_START_MAGIC_VALUE,
        version: 1,
        cmdline_paddr: COMMAND_LINE.0,
        memmap_paddr: MEMORY_MAP.0,
        memmap_entries: u32::try_from(map.len()).expect("RAM has at most three ranges"),
        rsdp_paddr: acpi::ROOT_POINTER,
        ..Default::default()
    };
    let mut params = BootParams::new(&info, START_INFO);
    params.set_sections(&map, MEMORY_MAP);
    PvhBootConfigurator::write_bootparams(&params, ram).expect(no_room);
    Ok(())
}

/// The memory map: RAM that the guest may use, the ACPI tables, and the ECAM window, which
/// operating systems use only if it is reserved (PCI Firmware 3.0, 4.1.2).
fn memory_map(size: u64) -> Vec<hvm_memmap_table_entry> {
    let ram = memory::usable(size).into_iter().map(|range| (range, XEN_HVM_MEMMAP_TYPE_RAM));
    let others = [(acpi::TABLES, XEN_HVM_MEMMAP_TYPE_ACPI), (ECAM, XEN_HVM_MEMMAP_TYPE_RESERVED)];
    let mut map: Vec<_> = ram
        .chain(others)
        .map(|(range, type_)| hvm_memmap_table_entry {
            addr: range.start,
            size: range.end - range.start,
            type_,
            reserved: 0,
        })
        .collect();
    map.sort_by_key(|entry| entry.addr);
    map
}

/// Puts the processor into the state of a PVH entry: 32-bit protected mode with flat segments,
/// paging and interrupts off, EBX at the start info.
pub(crate) fn enter(vcpu: &VcpuFd, entry: u64) -> Result<(), Error> {
    let mut sregs = vcpu.get_sregs().map_err(Error::kvm("read the vCPU's registers"))?;
    set_protected_mode(&mut sregs);
    vcpu.set_sregs(&sregs).map_err(Error::kvm("set the vCPU's registers"))?;
    let regs = kvm_regs { rip: entry, rbx: START_INFO.0, rflags: RFLAGS_ONE, ..Default::default() };
    vcpu.set_regs(&regs).map_err(Error::kvm("set the vCPU's registers"))
}

fn set_protected_mode(sregs: &mut kvm_sregs) {
    // Types are those of descriptors (Intel SDM 3A, 3.4.5.1 and 3.5), each marked accessed or busy.
    let code = flat_segment(0x10, 0xB);
    let data = flat_segment(0x18, 0x3);
    sregs.cs = code;
    sregs.ds = data;
    sregs.es = data;
    sregs.fs = data;
    sregs.gs = data;
    sregs.ss = data;
    sregs.tr = kvm_segment { limit: 0x67, type_: 0xB, present: 1, ..Default::default() };
    sregs.ldt = kvm_segment { unusable: 1, ..Default::default() };
    // The protocol leaves GDTR open; an empty table makes a guest that counts on one fail at once.
    sregs.gdt = kvm_dtable::default();
    sregs.idt = kvm_dtable::default();
    sregs.cr0 = CR0_PE | CR0_ET;
    sregs.cr4 = 0;
    sregs.efer = 0;
}

fn flat_segment(selector: u16, type_: u8) -> kvm_segment {
    kvm_segment {
        selector,
        limit: u32::MAX,
        type_,
        present: 1,
        s: 1,
        db: 1,
        g: 1,
        ..Default::default()
    }
}

#[cfg(test)]
mod tests {
    use vm_memory::Bytes;

    use super::*;

    #[test]
    fn the_guest_finds_the_map_and_the_command_line_through_the_start_info() {
        let size = 16 << 20;
        let ram = memory::create(size).unwrap();
        write_boot_info(&ram, size, "scenario=boot -- path=/etc/motd").unwrap();
        let word = |address| ram.read_obj::<u32>(GuestAddress(address)).unwrap();
        let long = |address| ram.read_obj::<u64>(GuestAddress(address)).unwrap();
        assert_eq!((word(0x6000), word(0x6004)), (0x336e_c578, 1));
        assert_eq!((long(0x6018), long(0x6028), word(0x6030)), (0x8000, 0x7000, 4));
        assert_eq!(long(0x6020), 0xE_0000, "the ACPI root pointer");
        let entry = |at| (long(at), long(at + 8), word(at + 16));
        assert_eq!(entry(0x7000), (0, 0x9_FC00, 1));
        assert_eq!(entry(0x7018), (0xE_0000, 0x4000, 3));
        assert_eq!(entry(0x7030), (0x10_0000, 0xF0_0000, 1));
        assert_eq!(entry(0x7048), (0xE000_0000, 0x1000_0000, 2));
        let mut text = [0; 32];
        ram.read_slice(&mut text, GuestAddress(0x8000)).unwrap();
        assert_eq!(&text, b"scenario=boot -- path=/etc/motd\0");
    }

    #[test]
    fn a_command_line_is_short_printable_ascii() {
        assert!(check_command_line("").is_ok());
        assert!(check_command_line(&"x".repeat(MAX_COMMAND_LINE)).is_ok());
        let long = check_command_line(&"x".repeat(MAX_COMMAND_LINE + 1));
        assert!(matches!(long, Err(Error::CommandLineTooLong { len: 2048, max: 2047 })));
        for bad in ['é', '\n', '\0', '\x7f'] {
            let refused = check_command_line(&format!("a={bad}"));
            assert!(matches!(refused, Err(Error::CommandLineText { found }) if found == bad));
        }
        assert!(write_boot_info(&memory::create(16 << 20).unwrap(), 16 << 20, "é").is_err());
    }
}
