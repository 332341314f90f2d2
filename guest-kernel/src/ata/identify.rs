//! What a disk tells of itself.

use core::fmt;

use super::{channel::WORDS, error::Unusable};

/// Word 0 bit 15: not an ATA device.
const NOT_ATA: u16 = 1 << 15;
/// Word 49 bit 9.
const LBA: u16 = 1 << 9;
/// Word 83 bits 15:14 are 01 where the word means something.
const VALID: u16 = 0b01 << 14;
const VALID_MASK: u16 = 0b11 << 14;
/// Word 83 bit 10: 48-bit addresses.
const LBA48: u16 = 1 << 10;
/// Word 83 bit 13: FLUSH CACHE EXT.
const FLUSH_EXT: u16 = 1 << 13;
/// Word 255, low byte: the high byte is a checksum.
const CHECKSUM: u8 = 0xa5;
/// The first sector that 28 bits and the largest count cannot tell of.
pub(super) const LBA28_END: u64 = 0x0fff_ffff;

/// The answer to IDENTIFY DEVICE (ATA/ATAPI-6, 8.15), as far as this driver goes by it.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Identity {
    model: [u8; 40],
    /// How many sectors of 512 bytes.
    pub sectors: u64,
    /// Whether the commands with 48-bit addresses are there.
    pub lba48: bool,
    /// Whether FLUSH CACHE EXT is there.
    pub flush_ext: bool,
}

impl Identity {
    /// Takes the 256 words apart.
    pub(super) fn parse(words: &[u16; WORDS]) -> Result<Self, Unusable> {
        if words[0] & NOT_ATA != 0 {
            return Err(Unusable::NotAta(words[0]));
        }
        checksum(words)?;
        if words[49] & LBA == 0 {
            return Err(Unusable::NoLba);
        }
        let commands = if words[83] & VALID_MASK == VALID { words[83] } else { 0 };
        let number = |words: &[u16]| {
            words.iter().rev().fold(0, |number: u64, word| number << 16 | u64::from(*word))
        };
        let lba48 = commands & LBA48 != 0;
        let (short, long) = (number(&words[60..62]), number(&words[100..104]));
        let sectors = if lba48 && long != 0 { long } else { short.min(LBA28_END) };
        if sectors == 0 || sectors > 1 << 48 {
            return Err(Unusable::Sectors(sectors));
        }
        Ok(Self { model: model(words), sectors, lba48, flush_ext: commands & FLUSH_EXT != 0 })
    }

    /// The model, without the spaces around it; what is not printable is a `?`.
    pub fn model(&self) -> &str {
        // Always text: `model` has let printable ASCII through only.
        core::str::from_utf8(&self.model).unwrap_or_default().trim()
    }
}

impl fmt::Debug for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Identity")
            .field("model", &self.model())
            .field("sectors", &self.sectors)
            .field("lba48", &self.lba48)
            .field("flush_ext", &self.flush_ext)
            .finish()
    }
}

/// Word 255: where there is a checksum, all bytes add up to 0.
fn checksum(words: &[u16; WORDS]) -> Result<(), Unusable> {
    let [signature, _] = words[255].to_le_bytes();
    let bytes = words.iter().flat_map(|word| word.to_le_bytes());
    match bytes.fold(0, u8::wrapping_add) {
        wrong if signature == CHECKSUM && wrong != 0 => Err(Unusable::Checksum(wrong)),
        _ => Ok(()),
    }
}

/// Words 27 to 46; the first character of two is the high byte.
fn model(words: &[u16; WORDS]) -> [u8; 40] {
    let mut model = [b' '; 40];
    let characters = words[27..47].iter().flat_map(|word| word.to_be_bytes());
    for (place, character) in model.iter_mut().zip(characters) {
        let printable = matches!(character, b' '..=b'~');
        *place = if printable { character } else { b'?' };
    }
    model
}
