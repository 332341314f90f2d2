//! As much of the ACPI machine language as a PCI root needs (ACPI 6.4, 20.2 and 6.4.3).

/// A definition at the level of a name: `Name (name, value)`.
pub(super) fn name(name: &[u8; 4], value: &[u8]) -> Vec<u8> {
    [&[0x08], name.as_slice(), value].concat()
}

/// An integer, in the shortest form.
pub(super) fn integer(value: u64) -> Vec<u8> {
    let bytes = value.to_le_bytes();
    let [b0, b1, b2, b3, ..] = bytes;
    match value {
        0 | 1 => vec![b0],
        2..=0xff => vec![0x0a, b0],
        0x100..=0xffff => vec![0x0b, b0, b1],
        0x1_0000..=0xffff_ffff => vec![0x0c, b0, b1, b2, b3],
        _ => [&[0x0e], bytes.as_slice()].concat(),
    }
}

/// A Plug and Play device with this number: `EisaId ("PNPxxxx")`.
pub(super) fn plug_and_play(number: u16) -> Vec<u8> {
    let [low, high] = number.to_le_bytes();
    vec![0x0c, 0x41, 0xd0, high, low]
}

/// `Scope (\_SB)`.
pub(super) fn system_bus(body: &[u8]) -> Vec<u8> {
    measured(&[0x10], &[b"\\_SB_", body].concat())
}

/// `Device (name)`.
pub(super) fn device(name: &[u8; 4], body: &[u8]) -> Vec<u8> {
    measured(&[0x5b, 0x82], &[name.as_slice(), body].concat())
}

/// `Package` of up to 255 elements.
pub(super) fn package(elements: &[Vec<u8>]) -> Vec<u8> {
    let count = u8::try_from(elements.len()).expect("a package has at most 255 elements");
    measured(&[0x12], &[[count].as_slice(), &elements.concat()].concat())
}

/// `ResourceTemplate`: a buffer of resource descriptors and their end tag.
pub(super) fn resources(descriptors: &[Vec<u8>]) -> Vec<u8> {
    // A checksum of zero stands for any.
    let bytes = [descriptors.concat(), vec![0x79, 0]].concat();
    measured(&[0x11], &[integer(bytes.len() as u64), bytes].concat())
}

/// What an address space descriptor describes, with its type-specific flags.
#[derive(Clone, Copy)]
pub(super) enum Window {
    /// Bus numbers.
    Bus,
    /// I/O ports, ISA and others.
    Io,
    /// Memory that is read and written, and not cached.
    Memory,
    /// The same that may be prefetched.
    Prefetchable,
}

impl Window {
    fn kind_and_flags(self) -> [u8; 2] {
        match self {
            Window::Memory => [0, 0x01],
            Window::Prefetchable => [0, 0x07],
            Window::Io => [1, 0x03],
            Window::Bus => [2, 0x00],
        }
    }

    /// A window that the root passes on, in fields of `width` (2, 4 or 8) bytes.
    pub(super) fn descriptor(self, width: usize, first: u64, last: u64) -> Vec<u8> {
        let tag = match width {
            2 => 0x88,
            4 => 0x87,
            _ => 0x8a,
        };
        let length = 3 + 5 * width as u16;
        let [kind, flags] = self.kind_and_flags();
        // Both ends fixed, produced for what is behind.
        let mut bytes = [&[tag], length.to_le_bytes().as_slice(), &[kind, 0x0c, flags]].concat();
        for field in [0, first, last, 0, last - first + 1] {
            bytes.extend(&field.to_le_bytes()[..width]);
        }
        bytes
    }
}

/// `IO`: `count` ports from `first` on, that the device itself uses.
pub(super) fn ports(first: u16, count: u8) -> Vec<u8> {
    let [low, high] = first.to_le_bytes();
    vec![0x47, 0x01, low, high, low, high, 1, count]
}

/// `Memory32Fixed`: memory that the device itself uses.
pub(super) fn memory(first: u32, length: u32) -> Vec<u8> {
    let head: &[u8] = &[0x86, 9, 0, 1];
    [head, &first.to_le_bytes(), &length.to_le_bytes()].concat()
}

/// `opcode`, the length of the package, and `body` (ACPI 6.4, 20.2.4).
fn measured(opcode: &[u8], body: &[u8]) -> Vec<u8> {
    // The length counts its own bytes, one to four of them.
    let short = body.len() + 1;
    let length = if short < 0x40 {
        vec![short as u8]
    } else {
        let follow = if body.len() + 2 < 0x1000 { 1 } else { 2 };
        let length = body.len() + 1 + follow;
        assert!(length < 1 << 20, "a table is short");
        let head = (follow as u8) << 6 | (length & 0xf) as u8;
        [&[head], &(length >> 4).to_le_bytes()[..follow]].concat()
    };
    [opcode, &length, body].concat()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_package_length_counts_itself() {
        let lead = |len: usize| measured(&[0x10], &vec![0; len])[1..4].to_vec();
        assert_eq!(lead(0x3e)[0], 0x3f);
        assert_eq!(lead(0x3f)[..2], [0x41, 0x04], "0x41 with its two bytes");
        assert_eq!(lead(0xffd)[..2], [0x4f, 0xff], "0xfff");
        assert_eq!(lead(0xffe), [0x81, 0x00, 0x01], "0x1001 with three");
    }

    #[test]
    fn integers_and_names_are_as_the_compiler_makes_them() {
        assert_eq!(integer(0), [0]);
        assert_eq!(integer(0xff), [0x0a, 0xff]);
        assert_eq!(integer(0x1234), [0x0b, 0x34, 0x12]);
        assert_eq!(integer(0x4_ffff), [0x0c, 0xff, 0xff, 0x04, 0x00]);
        assert_eq!(plug_and_play(0x0a03), [0x0c, 0x41, 0xd0, 0x0a, 0x03]);
        assert_eq!(name(b"_SEG", &integer(0)), *b"\x08_SEG\x00");
    }
}
