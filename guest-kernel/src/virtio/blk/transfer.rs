//! Whole transfers: any length, split into requests that are in flight together.

use alloc::{collections::VecDeque, vec};

use super::{Error, SECTOR, Token, VirtioBlk, request::ID_BYTES};
use crate::{
    block::{BLOCK_SIZE, Block, BlockDevice},
    hal::Hal,
};

/// Sectors of a block of this kernel.
const BLOCK_SECTORS: u64 = (BLOCK_SIZE / SECTOR) as u64;

impl<H: Hal> VirtioBlk<H> {
    /// Reads whole sectors, as many as `into` has room for.
    ///
    /// # Errors
    /// Nothing was done if the range is refused; else `into` is worth nothing.
    pub fn read_sectors(&mut self, sector: u64, into: &mut [u8]) -> Result<(), Error> {
        self.look_at_config()?;
        self.config.check(sector, into.len())?;
        let piece = self.request_bytes();
        let mut flight: VecDeque<(Token, &mut [u8])> = VecDeque::new();
        let sectors = (sector..).step_by(piece / SECTOR);
        for (part, sector) in into.chunks_mut(piece).zip(sectors) {
            let token = loop {
                match self.submit_read(sector, part.len()) {
                    Ok(token) => break token,
                    Err(error) => self.make_room(error, &mut flight)?,
                }
            };
            flight.push_back((token, part));
        }
        self.finish_all(flight)
    }

    /// Writes whole sectors.
    ///
    /// # Errors
    /// Nothing was done if the range is refused; else it holds old and new data.
    pub fn write_sectors(&mut self, sector: u64, data: &[u8]) -> Result<(), Error> {
        self.look_at_config()?;
        self.writable(sector)?;
        self.config.check(sector, data.len())?;
        let piece = self.request_bytes();
        let mut flight: VecDeque<(Token, &mut [u8])> = VecDeque::new();
        let sectors = (sector..).step_by(piece / SECTOR);
        for (part, sector) in data.chunks(piece).zip(sectors) {
            let token = loop {
                match self.submit_write(sector, part) {
                    Ok(token) => break token,
                    Err(error) => self.make_room(error, &mut flight)?,
                }
            };
            flight.push_back((token, &mut []));
        }
        self.finish_all(flight)
    }

    /// Where there was no room: finishes the oldest request, so that the next may fit.
    fn make_room(
        &mut self,
        error: Error,
        flight: &mut VecDeque<(Token, &mut [u8])>,
    ) -> Result<(), Error> {
        let ended = match flight.pop_front() {
            Some((token, into)) if error == Error::Busy => self.finish(token, into),
            Some((token, _)) => {
                self.forget(token);
                Err(error)
            }
            None => Err(error),
        };
        if ended.is_err() {
            self.forget_all(flight);
        }
        ended
    }

    fn finish_all(&mut self, mut flight: VecDeque<(Token, &mut [u8])>) -> Result<(), Error> {
        while let Some((token, into)) = flight.pop_front() {
            if let Err(error) = self.finish(token, into) {
                self.forget_all(&mut flight);
                return Err(error);
            }
        }
        Ok(())
    }

    fn forget_all(&mut self, flight: &mut VecDeque<(Token, &mut [u8])>) {
        // They are under way: nothing of theirs may be left unsaid to the device.
        self.notify();
        for (token, _) in flight.drain(..) {
            self.forget(token);
        }
    }

    /// Reads bytes at any place and of any length.
    ///
    /// # Errors
    /// As [`VirtioBlk::read_sectors`].
    pub fn read_bytes(&mut self, offset: u64, into: &mut [u8]) -> Result<(), Error> {
        if into.is_empty() {
            return Ok(());
        }
        let (sector, skip, span) = self.span(offset, into.len())?;
        let mut whole = vec![0; span];
        self.read_sectors(sector, &mut whole)?;
        into.copy_from_slice(&whole[skip..skip + into.len()]);
        Ok(())
    }

    /// Writes bytes at any place and of any length; blocks that are written in part are read
    /// before.
    ///
    /// # Errors
    /// As [`VirtioBlk::write_sectors`].
    pub fn write_bytes(&mut self, offset: u64, data: &[u8]) -> Result<(), Error> {
        if data.is_empty() {
            return Ok(());
        }
        let (sector, skip, span) = self.span(offset, data.len())?;
        self.writable(sector)?;
        let mut whole = vec![0; span];
        if skip != 0 || data.len() != span {
            self.read_sectors(sector, &mut whole)?;
        }
        whole[skip..skip + data.len()].copy_from_slice(data);
        self.write_sectors(sector, &whole)
    }

    /// The blocks around some bytes: first sector, bytes before, bytes in all.
    fn span(&self, offset: u64, len: usize) -> Result<(u64, usize, usize), Error> {
        let block = self.config.block() as u64;
        let sectors = self.config.sectors;
        let outside = || {
            let (sector, count) = (offset / SECTOR as u64, len.div_ceil(SECTOR) as u64);
            Error::OutOfRange { sector, count, sectors }
        };
        let end = offset.checked_add(len as u64).ok_or_else(outside)?;
        // Before any memory is taken for it.
        if end > self.config.bytes() {
            return Err(outside());
        }
        let first = offset / block * block;
        let last = end.checked_next_multiple_of(block).ok_or_else(outside)?;
        let whole = usize::try_from(last - first).map_err(|_| outside())?;
        // Less than a block.
        Ok((first / SECTOR as u64, (offset - first) as usize, whole))
    }

    /// How many bytes of a block of this kernel the disk has; of one behind its end as many as a
    /// request takes at least, so that it is refused.
    fn part(&self, block: u64) -> usize {
        let left = self.config.bytes().saturating_sub(block.saturating_mul(BLOCK_SIZE as u64));
        // At most a block.
        (left.min(BLOCK_SIZE as u64) as usize).max(self.config.block())
    }

    /// The device's ID: up to 20 bytes, without the zeroes behind them (VIRTIO 1.4, 5.2.6).
    ///
    /// # Errors
    /// The device has none, or failed.
    pub fn get_id(&mut self) -> Result<([u8; ID_BYTES], usize), Error> {
        let token = self.submit_get_id()?;
        let mut id = [0; ID_BYTES];
        self.finish(token, &mut id)?;
        let len = id.iter().position(|&byte| byte == 0).unwrap_or(ID_BYTES);
        Ok((id, len))
    }

    /// Discards sectors, by as many requests as the device's limits ask for.
    ///
    /// # Errors
    /// As [`VirtioBlk::submit_discard`]; a part may be done.
    pub fn discard(&mut self, sector: u64, sectors: u64) -> Result<(), Error> {
        let most = self.config.discard.map_or(1, |limits| {
            // Whole units, so that every request but the last begins and ends with one.
            (limits.sectors / limits.alignment).max(1).saturating_mul(limits.alignment)
        });
        let most = most.min(self.config.discard.map_or(1, |limits| limits.sectors));
        self.by_ranges(sector, sectors, most, |disk, sector, count| {
            disk.submit_discard(sector, count)
        })
    }

    /// Writes zeroes, by as many requests as the device's limits ask for.
    ///
    /// # Errors
    /// As [`VirtioBlk::submit_write_zeroes`]; a part may be done.
    pub fn write_zeroes(&mut self, sector: u64, sectors: u64, unmap: bool) -> Result<(), Error> {
        let most = self.config.write_zeroes.map_or(1, |limits| limits.sectors);
        self.by_ranges(sector, sectors, most, |disk, sector, count| {
            disk.submit_write_zeroes(sector, count, unmap)
        })
    }

    fn by_ranges(
        &mut self,
        sector: u64,
        sectors: u64,
        most: u32,
        submit: impl Fn(&mut Self, u64, u32) -> Result<Token, Error>,
    ) -> Result<(), Error> {
        self.config.check_range(sector, sectors)?;
        let (mut at, end) = (sector, sector + sectors);
        while at < end {
            // At most `most`.
            let count = (end - at).min(most.into()) as u32;
            let token = submit(self, at, count)?;
            self.finish(token, &mut [])?;
            at += u64::from(count);
        }
        Ok(())
    }
}

impl<H: Hal> BlockDevice for VirtioBlk<H> {
    type Error = Error;

    fn blocks(&self) -> u64 {
        self.config.sectors / BLOCK_SECTORS
    }

    fn bytes(&self) -> u64 {
        self.config.bytes()
    }

    fn read_only(&self) -> bool {
        self.config.read_only
    }

    fn read_block(&mut self, block: u64, into: &mut Block) -> Result<(), Error> {
        let (there, beyond) = into.split_at_mut(self.part(block));
        beyond.fill(0);
        self.read_sectors(block.saturating_mul(BLOCK_SECTORS), there)
    }

    fn write_block(&mut self, block: u64, data: &Block) -> Result<(), Error> {
        let part = self.part(block);
        self.write_sectors(block.saturating_mul(BLOCK_SECTORS), &data[..part])
    }

    fn flush(&mut self) -> Result<(), Error> {
        if let Some(token) = self.submit_flush()? {
            self.finish(token, &mut [])?;
        }
        self.mark_durable();
        Ok(())
    }
}
