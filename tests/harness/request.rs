//! Block requests of a [`Bare`] driver, and what they come to.

use crate::Bare;
use crate::bare::{Descriptor, NEXT, WRITE};

/// Where [`ask`] has the device put data.
pub const ROOM: u64 = 0x8_0000;

/// What a request came to.
#[derive(Debug, PartialEq, Eq)]
pub struct Answer {
    /// The status byte.
    pub status: u8,
    /// `len` of the used element.
    pub used: u32,
    /// The violations without `VIRTIO 1.4, `.
    pub violations: Vec<String>,
}

/// The answer that a test expects.
pub fn answer<const N: usize>(status: u8, used: u32, violations: [&str; N]) -> Answer {
    Answer { status, used, violations: violations.map(String::from).to_vec() }
}

/// Asks with `data` for the device to read and `room` bytes for it to write.
pub fn ask(bare: &Bare, kind: u32, sector: u64, data: &[u8], room: u32) -> Answer {
    for (address, &byte) in (Bare::DATA..).zip(data) {
        bare.write(address, byte);
    }
    let mut chain = vec![(Bare::HEADER, 16, 0)];
    chain.extend((!data.is_empty()).then_some((Bare::DATA, data.len() as u32, 0)));
    chain.extend((room > 0).then_some((ROOM, room, WRITE)));
    chain.push((Bare::STATUS, 1, WRITE));
    submit(bare, kind, sector, &linked(&chain)).0
}

/// The chain of these buffers: address, length, flags without NEXT.
pub fn linked(chain: &[(u64, u32, u16)]) -> Vec<Descriptor> {
    let last = chain.len() - 1;
    let link = |(index, &(addr, len, flags)): (usize, &(u64, u32, u16))| {
        let next = if index == last { 0 } else { NEXT };
        (addr, len, flags | next, index as u16 + 1)
    };
    chain.iter().enumerate().map(link).collect()
}

/// Carries out the request in `chain`, whose header lies at [`Bare::HEADER`] and whose status is
/// looked for at [`Bare::STATUS`]; the answer and the transcript.
pub fn submit(bare: &Bare, kind: u32, sector: u64, chain: &[Descriptor]) -> (Answer, String) {
    bare.header(kind, sector);
    let transcript = bare.submit(chain);
    let violation = |line: &str| line.split_once("violation of VIRTIO 1.4, ").map(|v| v.1.into());
    let idx = bare.read::<u16>(Bare::USED + 2).wrapping_sub(1);
    let element = Bare::USED + 4 + 8 * u64::from(idx % Bare::SIZE);
    let answer = Answer {
        status: bare.read(Bare::STATUS),
        used: bare.read(element + 4),
        violations: transcript.lines().filter_map(violation).collect(),
    };
    (answer, transcript)
}

/// `struct virtio_blk_discard_write_zeroes` (VIRTIO 1.4, 5.2.6).
pub fn segment(sector: u64, sectors: u32, flags: u32) -> Vec<u8> {
    [&sector.to_le_bytes()[..], &sectors.to_le_bytes(), &flags.to_le_bytes()].concat()
}
