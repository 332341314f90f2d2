//! The block device (VIRTIO 1.4, 5.2): init, requests, and an end without loose DMA.
//!
//! A request goes through memory that the driver owns: what a caller passes is
//! copied, so the device never knows of a caller's memory. That memory is kept until the
//! device has given it back or has confirmed a reset; if it never does, it is leaked
//! on purpose, and the log says so.

mod config;
mod error;
mod inflight;
mod request;

use alloc::vec::Vec;

pub use config::{Config, SECTOR};
pub use error::Error;
pub use inflight::Token;
pub use request::{Failure, Kind};

use self::{
    inflight::{REQUEST_BYTES, Slot},
    request::Headers,
};
use super::{
    split::SplitQueue,
    transport::{Doorbell, Transport},
};
use crate::{
    block::{BLOCK_SIZE, Block, BlockDevice},
    hal::{Hal, Interrupt},
    log,
    pci::{self, Address, Pci},
};

/// The only queue.
const QUEUE: u16 = 0;
/// Header, data, status.
const CHAIN: u16 = 3;

/// Whether the device may access memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// It may.
    Running,
    /// It was reset, and said so.
    Stopped,
    /// It was reset, and did not say so: it may.
    Lost,
}

/// A VIRTIO block device, ready for requests.
///
/// Dropping it resets the device before any memory is released.
#[derive(Debug)]
pub struct VirtioBlk<H: Hal> {
    hal: H,
    transport: Transport<H>,
    queue: SplitQueue<H>,
    doorbell: Doorbell<H>,
    interrupt: Interrupt,
    headers: Headers<H>,
    slots: Vec<Slot<H>>,
    config: Config,
    state: State,
}

/// What initialisation makes, beside the transport.
struct Parts<H: Hal> {
    queue: SplitQueue<H>,
    doorbell: Doorbell<H>,
    interrupt: Interrupt,
    headers: Headers<H>,
    slots: Vec<Slot<H>>,
    config: Config,
}

impl<H: Hal> VirtioBlk<H> {
    /// Finds the structures of a PCI function, enables it, and starts the device.
    ///
    /// # Errors
    /// The device is not one that can be driven; it was told so, where it was reached.
    pub fn new_from_pci(pci: &Pci<H>, device: pci::Device) -> Result<Self, Error> {
        Self::start(Transport::open(pci, device)?)
    }

    /// Starts a device (VIRTIO 1.4, 3.1.1).
    ///
    /// # Errors
    /// As [`VirtioBlk::new_from_pci`].
    pub fn start(mut transport: Transport<H>) -> Result<Self, Error> {
        // No step fails once the device was told of memory: what is dropped on the way
        // was never the device's.
        let parts = match Self::initialise(&mut transport) {
            Ok(parts) => parts,
            Err(error) => {
                transport.fail();
                return Err(error);
            }
        };
        transport.unmask_vectors();
        transport.driver_ok();
        Ok(Self {
            hal: transport.hal().clone(),
            transport,
            queue: parts.queue,
            doorbell: parts.doorbell,
            interrupt: parts.interrupt,
            headers: parts.headers,
            slots: parts.slots,
            config: parts.config,
            state: State::Running,
        })
    }

    fn initialise(transport: &mut Transport<H>) -> Result<Parts<H>, Error> {
        let features = transport.negotiate()?;
        let config = Config::load(transport, features)?;
        let (entry, interrupt) = transport.set_up_vectors()?;
        let size = SplitQueue::<H>::size_for(transport.select_queue(QUEUE)?);
        if size < CHAIN {
            return Err(Error::QueueSize(size));
        }
        let hal = transport.hal();
        let queue = SplitQueue::new(hal, size)?;
        let headers = Headers::new(hal)?;
        let slots = (0..size).map(|_| Slot::new()).collect();
        let doorbell = transport.enable_queue(QUEUE, size, entry, queue.areas())?;
        Ok(Parts { queue, doorbell, interrupt, headers, slots, config })
    }

    /// Where the device is.
    pub fn address(&self) -> Address {
        self.transport.device().address()
    }

    /// What the device says of itself.
    pub fn config(&self) -> &Config {
        &self.config
    }

    /// Takes the device out of the game: afterwards every request fails.
    fn stop(&mut self) {
        if self.state == State::Running {
            self.state = match self.transport.shut_down() {
                Ok(()) => State::Stopped,
                Err(_) => State::Lost,
            };
        }
    }

    /// Resets the device and releases its memory.
    ///
    /// # Errors
    /// The device does not confirm the reset; its memory is leaked.
    pub fn close(mut self) -> Result<(), Error> {
        self.running()?;
        let ended = self.transport.shut_down();
        self.state = if ended.is_ok() { State::Stopped } else { State::Lost };
        Ok(ended?)
    }

    /// Reads whole sectors, as many as `into` has room for, by requests of at most 64 KiB.
    ///
    /// # Errors
    /// Nothing was done if the range is refused; else `into` is worth nothing.
    pub fn read_sectors(&mut self, sector: u64, into: &mut [u8]) -> Result<(), Error> {
        self.config.check(sector, into.len())?;
        let pieces = into.chunks_mut(REQUEST_BYTES);
        for (piece, sector) in pieces.zip((sector..).step_by(REQUEST_BYTES / SECTOR)) {
            let token = self.submit_read(sector, piece.len())?;
            self.finish(token, piece)?;
        }
        Ok(())
    }

    /// Writes whole sectors, by requests of at most 64 KiB.
    ///
    /// # Errors
    /// Nothing was done if the range is refused; else it holds old and new data.
    pub fn write_sectors(&mut self, sector: u64, data: &[u8]) -> Result<(), Error> {
        self.check_write(sector, data.len())?;
        let pieces = data.chunks(REQUEST_BYTES);
        for (piece, sector) in pieces.zip((sector..).step_by(REQUEST_BYTES / SECTOR)) {
            let token = self.submit_write(sector, piece)?;
            self.finish(token, &mut [])?;
        }
        Ok(())
    }
}

/// Sectors of a block.
const BLOCK_SECTORS: u64 = (BLOCK_SIZE / SECTOR) as u64;

impl<H: Hal> BlockDevice for VirtioBlk<H> {
    type Error = Error;

    fn blocks(&self) -> u64 {
        self.config.sectors / BLOCK_SECTORS
    }

    fn read_only(&self) -> bool {
        self.config.read_only
    }

    fn read_block(&mut self, block: u64, into: &mut Block) -> Result<(), Error> {
        self.read_sectors(block.saturating_mul(BLOCK_SECTORS), into)
    }

    fn write_block(&mut self, block: u64, data: &Block) -> Result<(), Error> {
        self.write_sectors(block.saturating_mul(BLOCK_SECTORS), data)
    }

    fn flush(&mut self) -> Result<(), Error> {
        match self.submit_flush()? {
            Some(token) => self.finish(token, &mut []),
            None => Ok(()),
        }
    }
}

impl<H: Hal> Drop for VirtioBlk<H> {
    fn drop(&mut self) {
        self.stop();
        if self.state == State::Lost {
            log!(
                self.hal,
                "[VirtIO] {} did not confirm its reset: its DMA memory is not released",
                self.transport.device().address()
            );
            self.queue.abandon();
            self.headers.abandon();
            for data in self.slots.iter_mut().filter_map(|slot| slot.data.as_mut()) {
                data.abandon();
            }
        }
    }
}
