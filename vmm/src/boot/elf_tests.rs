use super::*;

#[path = "../../tests/common/mod.rs"]
mod common;

use common::{CODE, LOAD, Segment, image, note_segment, pvh_note, with_segments};

const MEMORY: u64 = 16 << 20;

fn refused(image: &[u8]) -> String {
    let error = check(image, MEMORY).unwrap_err();
    assert!(!error.to_string().contains('\n'));
    error.to_string()
}

fn load(address: u64, size: u64) -> Segment {
    Segment { kind: LOAD, offset: 0, address, file_size: 0, memory_size: size }
}

/// An image of these segments and a note that enters at [`CODE`].
fn placed(segments: &[Segment]) -> Vec<u8> {
    let at = 64 + 56 * (segments.len() + 1);
    let mut image = with_segments(&[segments, &[note_segment(at)]].concat());
    image.extend(pvh_note(CODE));
    image
}

#[test]
fn an_image_with_its_code_in_ram_is_entered_where_the_note_says() {
    assert_eq!(check(&image(&[0xF4])[..], MEMORY).unwrap().entry, u64::from(CODE));
    let whole = placed(&[load(0x10_0000, MEMORY - 0x10_0000), load(0, 0x6000)]);
    assert!(check(&whole[..], MEMORY).is_ok());
}

#[test]
fn what_is_no_image_for_this_processor_is_refused() {
    assert!(refused(b"").starts_with("it is not an ELF file;"));
    assert!(refused(b"#!/bin/sh\nexit 0\n").starts_with("it is not an ELF file;"));
    let wrong = "it is an ELF file, but not a 64-bit one for x86-64";
    for (at, value) in [(4, 1), (5, 2), (18, 3)] {
        let mut image = image(&[0xF4]);
        image[at] = value;
        assert!(refused(&image).starts_with(wrong), "byte {at}");
    }
}

#[test]
fn an_image_cut_off_anywhere_is_refused() {
    let image = image(&[0x90; 100]);
    for len in 0..image.len() {
        let text = refused(&image[..len]);
        assert!(len < 4 || text.starts_with("it ends early: "), "{len}: {text}");
    }
}

#[test]
fn an_image_without_segments_or_pvh_note_is_refused() {
    assert!(refused(&with_segments(&[])).starts_with("it has nothing to load"));
    assert!(refused(&placed(&[])).starts_with("it has nothing to load"));
    assert!(refused(&placed(&[load(0x10_0000, 0)])).starts_with("it has nothing to load"));
    assert!(refused(&with_segments(&[load(0x10_0000, 16)])).starts_with("it has no PVH note"));
    let mut other = placed(&[load(0x10_0000, 16)]);
    let kind = other.len() - 12;
    other[kind] = 17;
    assert!(refused(&other).starts_with("it has no PVH note"));
}

#[test]
fn an_entry_outside_the_segments_is_refused() {
    let text = refused(&placed(&[load(0x20_0000, 16)]));
    assert_eq!(text, "its PVH entry point 0x100000 is in none of its segments");
}

#[test]
fn segments_lie_in_ram_apart_from_each_other_and_the_boot_information() {
    for outside in [
        load(0x10_0000, MEMORY),
        load(MEMORY, 1),
        load(0x9_FC00, 1),
        load(0xF_FFFF, 2),
        load(0xC000_0000, 16),
        load(1 << 32, 16),
    ] {
        let text = refused(&placed(&[load(0x10_0000, 16), outside]));
        assert!(text.starts_with("its segment at "), "{text}");
        assert!(text.contains("is outside RAM; 16 MiB of memory may be too little"), "{text}");
    }
    let text = refused(&placed(&[load(0x10_1000, 16), load(0x10_0000, 0x1001)]));
    assert_eq!(
        text,
        "its segments at 0x100000 to 0x101001 and at 0x101000 to 0x101010 overlap; link it anew"
    );
    let text = refused(&placed(&[load(0x10_0000, 16), load(0x5000, 0x1001)]));
    assert!(text.contains("overlaps the boot information at 0x6000 to 0x9000"), "{text}");
}

#[test]
fn numbers_that_overflow_are_refused() {
    let damaged = "its ELF headers are damaged: an address overflows";
    assert_eq!(refused(&placed(&[load(u64::MAX, 2)])), damaged);
    let segment = Segment { offset: u64::MAX, file_size: 2, ..load(0x10_0000, 2) };
    assert_eq!(refused(&placed(&[segment])), damaged);
    let segment = Segment { file_size: 2, ..load(0x10_0000, 1) };
    assert!(refused(&placed(&[segment])).contains("larger in the file than in memory"));
    let mut image = image(&[0xF4]);
    image[32..40].fill(0xFF);
    assert_eq!(refused(&image), damaged);
}

#[test]
fn no_byte_that_is_wrong_makes_the_check_or_the_loader_panic() {
    let good = image(&[0xF4; 16]);
    for at in 0..good.len() {
        for value in [0, 1, 0x7F, 0x80, 0xFF] {
            let mut image = good.clone();
            image[at] = value;
            let kernel = crate::Kernel::from_bytes("a damaged image", image);
            if kernel.check(MEMORY).is_ok() {
                kernel.load(&memory::create(MEMORY).unwrap()).unwrap();
            }
        }
    }
}
