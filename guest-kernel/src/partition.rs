//! Partition tables: MBR and GPT.
//!
//! Only where partitions are is read. Extended partitions are not looked into, and no
//! alternate GPT header is looked for; sectors have 512 bytes.

use alloc::vec::Vec;

use crate::crc32::crc32;

const SECTOR: u64 = 512;
/// The last two bytes of a sector that has an MBR.
const SIGNATURE: [u8; 2] = [0x55, 0xaa];
/// Where the four entries of an MBR begin.
const MBR_ENTRIES: usize = 446;
const MBR_ENTRY: usize = 16;
/// The type of the one partition that keeps old programs away from a GPT.
const PROTECTIVE: u8 = 0xee;
/// UEFI 2.10, 5.3.2.
const GPT_SIGNATURE: &[u8; 8] = b"EFI PART";
/// Bytes of a GPT header that have a meaning.
const GPT_HEADER: usize = 92;
/// The most entries of a GPT that are looked at.
const GPT_ENTRIES: u32 = 128;

/// Where a partition is on its device.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Partition {
    /// Its number, from 1.
    pub number: u32,
    /// The byte at which it begins.
    pub start: u64,
    /// Its bytes, as far as the device has them.
    pub bytes: u64,
}

impl Partition {
    /// The partition, if it begins on the device.
    fn new(number: u32, first: u64, sectors: u64, device: u64) -> Option<Self> {
        let start = first.checked_mul(SECTOR).filter(|start| *start < device)?;
        let bytes = sectors.saturating_mul(SECTOR).min(device - start);
        (start != 0 && bytes != 0).then_some(Self { number, start, bytes })
    }
}

/// The partitions of a device of `device` bytes; none where it has no table.
///
/// `fill` reads the bytes from an offset on.
///
/// # Errors
/// Those of `fill`.
pub fn table<E>(
    device: u64,
    mut fill: impl FnMut(u64, &mut [u8]) -> Result<(), E>,
) -> Result<Vec<Partition>, E> {
    if device < 2 * SECTOR {
        return Ok(Vec::new());
    }
    let mut sector = [0; SECTOR as usize];
    fill(0, &mut sector)?;
    if !sector.ends_with(&SIGNATURE) {
        return Ok(Vec::new());
    }
    let (entries, _) = sector[MBR_ENTRIES..].as_chunks::<MBR_ENTRY>();
    let entries = entries.iter().take(4);
    if entries.clone().any(|entry| entry[4] == PROTECTIVE) {
        return gpt(device, fill);
    }
    let partition = |(entry, number): (&[u8; MBR_ENTRY], u32)| {
        let [.., a, b, c, d, e, f, g, h] = *entry;
        let first = u32::from_le_bytes([a, b, c, d]);
        let sectors = u32::from_le_bytes([e, f, g, h]);
        let used = entry[4] != 0;
        Partition::new(number, first.into(), sectors.into(), device).filter(|_| used)
    };
    Ok(entries.zip(1..).filter_map(partition).collect())
}

fn gpt<E>(
    device: u64,
    mut fill: impl FnMut(u64, &mut [u8]) -> Result<(), E>,
) -> Result<Vec<Partition>, E> {
    let mut header = [0; GPT_HEADER];
    fill(SECTOR, &mut header)?;
    let Some((start, count, size)) = gpt_entries(&header) else { return Ok(Vec::new()) };
    let mut partitions = Vec::new();
    for index in 0..count {
        let offset = start.checked_add(u64::from(index) * u64::from(size));
        let Some(offset) = offset.filter(|offset| *offset <= device - SECTOR) else { break };
        let mut entry = [0; 48];
        fill(offset, &mut entry)?;
        let (first, last) = (u64_at(&entry, 32), u64_at(&entry, 40));
        // An unused entry has the type GUID 0.
        if entry[..16] == [0; 16] || last < first {
            continue;
        }
        let sectors = (last - first).saturating_add(1);
        partitions.extend(Partition::new(index + 1, first, sectors, device));
    }
    Ok(partitions)
}

/// Where the entries are, how many, and how long each is; `None` of a header that is not right.
fn gpt_entries(header: &[u8; GPT_HEADER]) -> Option<(u64, u32, u32)> {
    let (len, checksum) = (u32_at(header, 12), u32_at(header, 16));
    let zeroed = header.iter().enumerate().map(|(at, byte)| match at {
        16..20 => 0,
        _ => *byte,
    });
    let valid = header.starts_with(GPT_SIGNATURE)
        && len as usize == GPT_HEADER
        && crc32(zeroed) == checksum;
    let size = u32_at(header, 84);
    let start = u64_at(header, 72).checked_mul(SECTOR)?;
    (valid && size >= 128).then_some((start, u32_at(header, 80).min(GPT_ENTRIES), size))
}

fn u32_at(bytes: &[u8], at: usize) -> u32 {
    u32::from_le_bytes(core::array::from_fn(|byte| bytes[at + byte]))
}

fn u64_at(bytes: &[u8], at: usize) -> u64 {
    u64::from_le_bytes(core::array::from_fn(|byte| bytes[at + byte]))
}
