use super::drive::Drive;
use crate::disk::SECTOR_SIZE;

/// The answer to IDENTIFY DEVICE for a disk of `sectors` sectors (ATA/ATAPI-6, 8).
pub(super) fn identify(sectors: u64) -> [u8; SECTOR_SIZE] {
    let mut words = [0; SECTOR_SIZE / 2];
    // A disk that cannot be taken out.
    words[0] = 0x0040;
    // The geometry of old, for those who look at it.
    words[1] = (sectors / (16 * 63)).min(16_383) as u16;
    words[3] = 16;
    words[6] = 63;
    put_text(&mut words[10..20], "eclipse-ata-0");
    put_text(&mut words[23..27], "1.0");
    put_text(&mut words[27..47], "Eclipse ATA disk");
    words[47] = 0x8000;
    // Addresses are LBA; there is no DMA.
    words[49] = 0x0200;
    words[50] = 0x4000;
    let sectors_28 = sectors.min(Drive::SECTORS_28);
    words[60] = sectors_28 as u16;
    words[61] = (sectors_28 >> 16) as u16;
    // ATA/ATAPI-4 to -6.
    words[80] = 0x0070;
    // Write cache; FLUSH CACHE, FLUSH CACHE EXT and 48-bit addresses: there, and on.
    words[82] = 0x0020;
    words[83] = 0x7400;
    words[84] = 0x4000;
    words[85] = 0x0020;
    words[86] = 0x3400;
    words[87] = 0x4000;
    for (word, shift) in words[100..104].iter_mut().zip([0, 16, 32, 48]) {
        *word = (sectors >> shift) as u16;
    }
    let mut bytes = [0; SECTOR_SIZE];
    for (place, word) in bytes.chunks_exact_mut(2).zip(words) {
        place.copy_from_slice(&word.to_le_bytes());
    }
    // Word 255: with the checksum all bytes add up to 0.
    bytes[SECTOR_SIZE - 2] = 0xa5;
    let sum = bytes.iter().fold(0, |sum: u8, byte| sum.wrapping_add(*byte));
    bytes[SECTOR_SIZE - 1] = sum.wrapping_neg();
    bytes
}

/// Text is padded with spaces, and its first character is the high byte of a word.
fn put_text(words: &mut [u16], text: &str) {
    let mut characters = text.bytes().chain(std::iter::repeat(b' '));
    for word in words {
        let pair = [characters.next().unwrap_or(b' '), characters.next().unwrap_or(b' ')];
        *word = u16::from_be_bytes(pair);
    }
}
