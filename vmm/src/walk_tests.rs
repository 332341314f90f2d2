use super::*;
use crate::memory;

fn ram(words: &[(u64, u64)]) -> GuestMemoryMmap<()> {
    let ram = memory::create(memory::MIN_SIZE).unwrap();
    for &(address, value) in words {
        ram.write_obj(value, GuestAddress(address)).unwrap();
    }
    ram
}

fn long_mode(cr3: u64) -> kvm_sregs {
    kvm_sregs { cr0: CR0_PG | 1, cr3, cr4: CR4_PAE, efer: EFER_LMA, ..Default::default() }
}

#[test]
fn without_paging_an_address_is_physical() {
    let (memory, sregs) = (ram(&[(0x1000, 7)]), kvm_sregs::default());
    let view = View { memory: &memory, sregs: &sregs };
    assert_eq!(view.number::<u64>(0x1000), Some(7));
    assert_eq!(view.number::<u64>(0xFFFF_FFFF_0000_1000), Some(7));
    assert_eq!(view.number::<u64>(memory::MIN_SIZE - 4), None);
}

#[test]
fn four_levels_lead_to_pages_of_every_size() {
    let memory = ram(&[
        (0x1FF8, 0x2003),      // PML4[511]
        (0x2FF0, 0x3003),      // PDPT[510]
        (0x2FF8, 0x0000_0083), // PDPT[511]: 1 GiB at 0
        (0x3000, 0x4003),      // PD[0]
        (0x3008, 0x20_0083),   // PD[1]: 2 MiB at 2 MiB
        (0x4000, 0x5003),      // PT[0]
        (0x5008, 0xDEAD),
        (0x20_0010, 0xBEEF),
    ]);
    let sregs = long_mode(0x1000);
    let view = View { memory: &memory, sregs: &sregs };
    assert_eq!(view.translate(0xFFFF_FFFF_8000_0008), Some(0x5008));
    assert_eq!(view.number::<u64>(0xFFFF_FFFF_8000_0008), Some(0xDEAD));
    assert_eq!(view.number::<u64>(0xFFFF_FFFF_8020_0010), Some(0xBEEF));
    assert_eq!(view.translate(0xFFFF_FFFF_C012_3456), Some(0x12_3456));
    assert_eq!(view.translate(0xFFFF_FFFF_8000_1000), None);
    assert_eq!(view.translate(0), None);
    assert_eq!(view.translate(0x8000_0000_0000_0000), None, "not canonical");
    // A read goes up to the page that is missing.
    assert_eq!(view.read(0xFFFF_FFFF_8000_0FF0, &mut [0; 64]), 16);
}

#[test]
fn five_levels_take_57_bits() {
    let memory = ram(&[(0x1000 + 8 * 0x1FF, 0x2003), (0x2000, 0x3003), (0x3000, 0x83)]);
    let mut sregs = long_mode(0x1000);
    sregs.cr4 |= CR4_LA57;
    let view = View { memory: &memory, sregs: &sregs };
    assert_eq!(view.translate(0xFFFF_0000_0000_1234), Some(0x1234));
    sregs.cr4 &= !CR4_LA57;
    let view = View { memory: &memory, sregs: &sregs };
    assert_eq!(view.translate(0xFFFF_0000_0000_1234), None);
}

#[test]
fn the_32_bit_modes_are_walked_too() {
    let memory = ram(&[(0x1000 + 4 * 3, 0x2003), (0x2000, 0x6003_0000_5003)]);
    let mut sregs = kvm_sregs { cr0: CR0_PG | 1, cr3: 0x1000, ..Default::default() };
    let view = View { memory: &memory, sregs: &sregs };
    assert_eq!(view.translate(3 << 22 | 0x123), Some(0x5123));
    let memory = ram(&[(0x1020 + 8 * 2, 0x2001), (0x2000 + 8 * 5, 0x60_0083)]);
    sregs.cr4 = CR4_PAE;
    sregs.cr3 = 0x1020;
    let view = View { memory: &memory, sregs: &sregs };
    assert_eq!(view.translate(2 << 30 | 5 << 21 | 0x1_2345), Some(0x61_2345));
}

#[test]
fn tables_that_point_to_themselves_or_nowhere_end_the_walk() {
    let memory = ram(&[(0x1000, 0x1003), (0x1008, 0x000F_FFFF_FFFF_F003)]);
    let sregs = long_mode(0x1000);
    let view = View { memory: &memory, sregs: &sregs };
    assert_eq!(view.translate(0x10), Some(0x1010));
    assert_eq!(view.translate(1 << 39), None);
    let sregs = long_mode(u64::MAX);
    let view = View { memory: &memory, sregs: &sregs };
    assert_eq!(view.translate(0x10), None);
}
