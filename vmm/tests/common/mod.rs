//! Guests of a few bytes, assembled by hand.

// Each test program uses some of it.
#![allow(dead_code, clippy::unwrap_used)]

/// Where [`image`] puts its code.
pub const CODE: u32 = 0x10_0000;

/// Leaves through the debug exit with `value`: `mov al, value; out 0xf4, al`.
pub const fn exit(value: u8) -> [u8; 4] {
    [0xB0, value, 0xE6, 0xF4]
}

/// `ud2`: without an interrupt table, a triple fault.
pub const UNDEFINED: [u8; 2] = [0x0F, 0x0B];

/// `jmp $`.
pub const SPIN: [u8; 2] = [0xEB, 0xFE];

/// `cli; hlt; jmp $`: asleep for ever.
pub const SLEEP: [u8; 4] = [0xFA, 0xF4, 0xEB, 0xFE];

/// Resets the machine through the keyboard controller: `mov al, 0xfe; out 0x64, al`.
pub const RESET: [u8; 4] = [0xB0, 0xFE, 0xE6, 0x64];

/// Prints `text` on COM1, one `mov al, byte; out dx, al` after another.
pub fn print(text: &str) -> Vec<u8> {
    let mut code = vec![0x66, 0xBA, 0xF8, 0x03];
    code.extend(text.bytes().flat_map(|byte| [0xB0, byte, 0xEE]));
    code
}

/// One part of an ELF image.
#[derive(Clone, Copy)]
pub struct Segment {
    pub kind: u32,
    pub offset: u64,
    pub address: u64,
    pub file_size: u64,
    pub memory_size: u64,
}

pub const LOAD: u32 = 1;
pub const NOTE: u32 = 4;
/// `PF_R` and `PF_X`.
const READ_EXECUTE: u32 = 5;

const HEADER: usize = 64;
const PROGRAM_HEADER: usize = 56;

/// An ELF image that holds `code` at [`CODE`] and enters there by PVH.
pub fn image(code: &[u8]) -> Vec<u8> {
    let note = HEADER + 2 * PROGRAM_HEADER;
    let start = note + 20;
    let load = Segment {
        kind: LOAD,
        offset: start as u64,
        address: CODE.into(),
        file_size: code.len() as u64,
        memory_size: code.len() as u64,
    };
    let mut image = with_segments(&[load, note_segment(note)]);
    image.extend(pvh_note(CODE));
    image.extend(code);
    image
}

/// The segment of a [`pvh_note`] at `offset`.
pub fn note_segment(offset: usize) -> Segment {
    Segment { kind: NOTE, offset: offset as u64, address: 0, file_size: 20, memory_size: 20 }
}

/// A note that says that PVH enters at `entry`.
pub fn pvh_note(entry: u32) -> Vec<u8> {
    let mut note: Vec<u8> = [4u32, 4, 18].into_iter().flat_map(u32::to_le_bytes).collect();
    note.extend(b"Xen\0");
    note.extend(entry.to_le_bytes());
    note
}

/// The header of an ELF image and the table of its segments; what they hold is for the caller.
pub fn with_segments(segments: &[Segment]) -> Vec<u8> {
    let mut image = Vec::from(*b"\x7fELF\x02\x01\x01\0\0\0\0\0\0\0\0\0");
    image.extend([2u16, 62].into_iter().flat_map(u16::to_le_bytes));
    image.extend(1u32.to_le_bytes());
    image.extend([u64::from(CODE), HEADER as u64, 0].into_iter().flat_map(u64::to_le_bytes));
    image.extend(0u32.to_le_bytes());
    let count = u16::try_from(segments.len()).unwrap();
    let sizes = [HEADER as u16, PROGRAM_HEADER as u16, count, 0, 0, 0];
    image.extend(sizes.into_iter().flat_map(u16::to_le_bytes));
    for s in segments {
        image.extend([s.kind, READ_EXECUTE].into_iter().flat_map(u32::to_le_bytes));
        let words = [s.offset, s.address, s.address, s.file_size, s.memory_size, 4];
        image.extend(words.into_iter().flat_map(u64::to_le_bytes));
    }
    image
}

/// Stores `value`, `width` bytes wide, to memory: `mov [address], value`.
pub fn store(address: u32, width: u8, value: u32) -> Vec<u8> {
    let opcode: &[u8] = match width {
        1 => &[0xC6, 0x05],
        2 => &[0x66, 0xC7, 0x05],
        _ => &[0xC7, 0x05],
    };
    let value = value.to_le_bytes();
    [opcode, &address.to_le_bytes(), &value[..width.min(4).into()]].concat()
}

/// Leaves with `otherwise` unless the byte at `address` is `value`:
/// `cmp byte [address], value; je over; mov al, otherwise; out 0xf4, al`.
pub fn expect_byte(address: u32, value: u8, otherwise: u8) -> Vec<u8> {
    [&[0x80, 0x3D], &address.to_le_bytes()[..], &[value, 0x74, 4], &exit(otherwise)].concat()
}

/// Stores a doubleword to a port: `mov edx, port; mov eax, value; out dx, eax`.
pub fn port_store(port: u16, value: u32) -> Vec<u8> {
    let port = u32::from(port).to_le_bytes();
    [&[0xBA], &port[..], &[0xB8], &value.to_le_bytes(), &[0xEF]].concat()
}

/// Fills `count` doublewords from `address` on: `mov edi, …; mov ecx, …; mov eax, …; rep stosd`.
pub fn fill(address: u32, count: u32, value: u32) -> Vec<u8> {
    let [address, count, value] = [address, count, value].map(u32::to_le_bytes);
    [&[0xBF], &address[..], &[0xB9], &count, &[0xB8], &value, &[0xF3, 0xAB]].concat()
}
