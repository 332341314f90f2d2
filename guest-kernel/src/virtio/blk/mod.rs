//! The block device (VIRTIO 1.4, 5.2): init, requests, and an end without loose DMA.
//!
//! A request goes through memory that the driver owns: what a caller passes is
//! copied, so the device never knows of a caller's memory. That memory is kept until the
//! device has given it back or has confirmed a reset; if it never does, it is leaked
//! on purpose, and the log says so.

mod config;
mod error;
mod inflight;
mod recovery;
mod request;
mod requestq;
mod shared;
mod slots;
mod transfer;
mod waiting;

use alloc::vec::Vec;
use core::time::Duration;

pub use config::{Config, Limits, SECTOR, Topology};
pub use error::Error;
pub use recovery::TRIES;
pub use request::{Failure, ID_BYTES, Kind};
pub use shared::SharedBlk;
pub use slots::Token;
pub use waiting::COMPLETION_LIMIT;

use self::{inflight::REQUEST_BYTES, requestq::RequestQueue, slots::Slots};
use super::{
    features::Features,
    transport::{Signalling, Transport},
};
use crate::{
    hal::Hal,
    mark::{self, Told},
    mutant::mutated,
    pci::{self, Address, Pci},
};

/// The most request queues that the driver uses.
const QUEUES: u16 = 8;

/// How a device is to be driven.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Options {
    /// The features to be accepted where they are offered.
    pub wanted: Features,
    /// How the device is to tell that it is done.
    pub signalling: Signalling,
    /// The legacy interface, even where there is a modern one.
    pub legacy: bool,
}

impl Default for Options {
    /// All that the driver knows.
    fn default() -> Self {
        Self { wanted: Features::all(), signalling: Signalling::Best, legacy: false }
    }
}

/// Whether the device may access memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// It may.
    Running,
    /// It was reset, and said so.
    Failed,
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
    options: Options,
    features: Features,
    config: Config,
    queues: Vec<RequestQueue<H>>,
    /// Which queue is next for a request.
    turn: usize,
    slots: Slots<H>,
    state: State,
    /// How often the device was started again since it completed a request.
    tries: u32,
    /// When that was last.
    restarted: Duration,
    /// The device said that its configuration changed.
    config_changed: bool,
    /// How many requests came back.
    completed: u64,
    /// How many requests were found complete without the interrupt that tells of them.
    interrupts_lost: u32,
    /// How often a caller was told that its data is durable, and that its request failed.
    durable: Told,
    failed: Told,
}

impl<H: Hal> VirtioBlk<H> {
    /// Finds the structures of a PCI function, enables it, and starts the device.
    ///
    /// # Errors
    /// The device is not one that can be driven; it was told so, where it was reached.
    pub fn new_from_pci(pci: &Pci<H>, device: pci::Device) -> Result<Self, Error> {
        let options = Options::default();
        Self::start(Transport::open(pci, device)?, options)
    }

    /// Starts a device (VIRTIO 1.4, 3.1.1).
    ///
    /// # Errors
    /// As [`VirtioBlk::new_from_pci`].
    pub fn start(mut transport: Transport<H>, options: Options) -> Result<Self, Error> {
        let hal = transport.hal().clone();
        let started = negotiate(&mut transport, &options).and_then(|negotiated| {
            let (features, config) = negotiated;
            let slots = Slots::new(&hal)?;
            if mutated!(&hal, M48) {
                transport.driver_ok();
            }
            let queues = enable_queues(&mut transport, &options, features, &config)?;
            Ok((features, config, slots, queues))
        });
        let (features, config, slots, queues) = match started {
            Ok(parts) => parts,
            Err(error) => {
                transport.fail();
                return Err(error);
            }
        };
        transport.unmask_interrupts();
        if !mutated!(&hal, M48) {
            transport.driver_ok();
        }
        Ok(Self {
            hal,
            transport,
            options,
            features,
            config,
            queues,
            turn: 0,
            slots,
            state: State::Running,
            tries: 0,
            restarted: Duration::ZERO,
            config_changed: false,
            completed: 0,
            interrupts_lost: 0,
            durable: Told::default(),
            failed: Told::default(),
        })
    }

    /// Starts the device once more after a reset; its queues are gone, its requests are not.
    fn bring_up(&mut self) -> Result<(), Error> {
        let started =
            negotiate(&mut self.transport, &self.options).and_then(|(features, config)| {
                let queues = enable_queues(&mut self.transport, &self.options, features, &config)?;
                Ok((features, config, queues))
            });
        let (features, config, queues) = match started {
            Ok(parts) => parts,
            Err(error) => {
                self.transport.fail();
                return Err(error);
            }
        };
        (self.features, self.config, self.queues, self.turn) = (features, config, queues, 0);
        self.transport.unmask_interrupts();
        self.transport.driver_ok();
        Ok(())
    }

    /// How many requests were found complete without the interrupt that tells of them.
    pub fn interrupts_lost(&self) -> u32 {
        self.interrupts_lost
    }

    /// Where the device is.
    pub fn address(&self) -> Address {
        self.transport.device().address()
    }

    /// What the device says of itself.
    pub fn config(&self) -> &Config {
        &self.config
    }

    /// What was negotiated.
    pub fn features(&self) -> Features {
        self.features
    }

    /// Marks that a caller is told of durable data.
    fn mark_durable(&mut self) {
        let number = self.durable.tell();
        self.hal.mark(mark::durable(number));
    }

    /// Marks that a caller is told of a failed request.
    fn mark_failed(&mut self) {
        let number = self.failed.tell();
        self.hal.mark(mark::failed(number));
    }

    /// How many request queues are in use.
    pub fn queue_count(&self) -> usize {
        self.queues.len()
    }

    /// Whether a request with so many bytes of data fits beside those in flight.
    pub fn has_room(&self, bytes: usize) -> bool {
        let pieces = (bytes as u64).div_ceil(self.config.segment_bytes.into());
        // A request has at most `request_bytes`.
        let chain = pieces as usize + 2;
        self.slots.has_room() && self.queues.iter().any(|queue| queue.fits(chain))
    }

    /// The machine.
    pub fn hal(&self) -> &H {
        &self.hal
    }

    /// The most bytes of one request: whole blocks.
    pub fn request_bytes(&self) -> usize {
        let room = self.queues.iter().map(RequestQueue::data_descriptors).min().unwrap_or(1);
        let pieces = self.config.segments.min(room);
        let most = u64::from(pieces) * u64::from(self.config.segment_bytes);
        // At most `REQUEST_BYTES`, so it fits; both are whole blocks.
        most.min(REQUEST_BYTES as u64) as usize
    }

    /// Takes the device out of the game: afterwards every request fails.
    fn stop(&mut self) {
        if self.state == State::Running {
            self.state = match self.transport.shut_down() {
                Ok(()) => {
                    self.slots.reset();
                    State::Failed
                }
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
        let ended = match mutated!(&self.hal, M157) {
            false => self.transport.shut_down(),
            true => Ok(()),
        };
        self.state = if ended.is_ok() { State::Failed } else { State::Lost };
        if ended.is_ok() {
            self.slots.reset();
        }
        Ok(ended?)
    }
}

/// Reset, features, configuration (VIRTIO 1.4, 3.1.1, steps 1 to 6).
fn negotiate<H: Hal>(
    transport: &mut Transport<H>,
    options: &Options,
) -> Result<(Features, Config), Error> {
    let features = transport.negotiate(options.wanted)?;
    let config = Config::load(transport, features)?;
    Ok((features, config))
}

/// Interrupts and queues (step 7).
///
/// Where a later step fails, memory that the device was told of is kept for good if a reset does
/// not take that from it.
fn enable_queues<H: Hal>(
    transport: &mut Transport<H>,
    options: &Options,
    features: Features,
    config: &Config,
) -> Result<Vec<RequestQueue<H>>, Error> {
    // `num_queues` of the device configuration is a claim; that of the transport is a fact.
    let count = match config.queues.min(QUEUES) {
        1 => 1,
        claimed => claimed.min(transport.queues()),
    };
    if count == 0 {
        return Err(Error::NoQueues);
    }
    transport.set_up_interrupts(count, options.signalling);
    let mut queues = Vec::new();
    for index in 0..count {
        match RequestQueue::enable(transport, features, index) {
            Ok(queue) => queues.push(queue),
            Err(error) => {
                // The device knows of them until it is reset.
                if !queues.is_empty() && transport.fail_and_reset().is_err() {
                    queues.iter_mut().for_each(RequestQueue::abandon);
                }
                return Err(error);
            }
        }
    }
    // Only now: the device may have refused one queue's entry, and all share its line since.
    for (queue, index) in queues.iter_mut().zip(0..) {
        queue.listen(transport.queue_interrupt(index));
    }
    Ok(queues)
}

impl<H: Hal> Drop for VirtioBlk<H> {
    fn drop(&mut self) {
        self.stop();
        if self.state == State::Lost {
            self.transport.log_lost();
            self.queues.iter_mut().for_each(RequestQueue::abandon);
            self.slots.abandon();
        }
    }
}
