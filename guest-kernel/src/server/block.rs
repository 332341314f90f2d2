//! The block server: reads, writes and flushes of one block device, in the order of the requests.

use alloc::{vec, vec::Vec};
use core::future::{Future, ready};

use super::{Client, answer, is_stop, split};
use crate::{
    block::{BLOCK_SIZE, Block, BlockDevice, zeroed},
    hal::Hal,
    ipc::{Kind, Mailbox, ServerId},
    syscall::Errno,
};

/// The operations, as the first byte of a request.
const SIZE: u8 = 0;
const READ: u8 = 1;
const WRITE: u8 = 2;
const FLUSH: u8 = 3;

/// A device of 4 KiB blocks whose calls may wait without keeping others from running.
pub trait AsyncBlock {
    /// Why a call failed.
    type Error: core::error::Error + 'static;

    /// The number of whole blocks.
    fn blocks(&self) -> u64;

    /// Whether writes are refused.
    fn read_only(&self) -> bool;

    /// Reads a block.
    ///
    /// # Errors
    /// The device failed; `into` is then worth nothing.
    fn read(
        &mut self,
        block: u64,
        into: &mut Block,
    ) -> impl Future<Output = Result<(), Self::Error>>;

    /// Writes a block.
    ///
    /// # Errors
    /// The device failed.
    fn write(&mut self, block: u64, data: &Block) -> impl Future<Output = Result<(), Self::Error>>;

    /// Makes everything written before durable.
    ///
    /// # Errors
    /// The device failed.
    fn flush(&mut self) -> impl Future<Output = Result<(), Self::Error>>;
}

/// A [`BlockDevice`] as one whose calls never wait, because they wait inside.
pub struct Immediate<D>(pub D);

impl<D: BlockDevice> AsyncBlock for Immediate<D> {
    type Error = D::Error;

    fn blocks(&self) -> u64 {
        self.0.blocks()
    }

    fn read_only(&self) -> bool {
        self.0.read_only()
    }

    fn read(
        &mut self,
        block: u64,
        into: &mut Block,
    ) -> impl Future<Output = Result<(), Self::Error>> {
        ready(self.0.read_block(block, into))
    }

    fn write(&mut self, block: u64, data: &Block) -> impl Future<Output = Result<(), Self::Error>> {
        ready(self.0.write_block(block, data))
    }

    fn flush(&mut self) -> impl Future<Output = Result<(), Self::Error>> {
        ready(self.0.flush())
    }
}

/// Serves requests until one ends it; gives the device back.
pub async fn serve<H: Hal, D: AsyncBlock>(mailbox: Mailbox<H>, mut device: D) -> D {
    loop {
        let request = mailbox.receive().await;
        if is_stop(&request) {
            answer(&mailbox, &request, Ok(Vec::new()));
            return device;
        }
        let result = match request.kind {
            Kind::Block => carry_out(&mut device, &request.data).await,
            _ => Err(Errno::Inval),
        };
        answer(&mailbox, &request, result);
    }
}

async fn carry_out<D: AsyncBlock>(device: &mut D, request: &[u8]) -> Result<Vec<u8>, Errno> {
    let ([operation], rest) = split(request)?;
    match operation {
        SIZE => return Ok(device.blocks().to_le_bytes().to_vec()),
        FLUSH => return device.flush().await.map(|()| Vec::new()).map_err(|_| Errno::Io),
        _ => {}
    }
    let (block, data) = split(rest)?;
    let block = u64::from_le_bytes(block);
    if block >= device.blocks() {
        return Err(Errno::Inval);
    }
    match operation {
        READ => {
            let mut into = zeroed();
            device.read(block, &mut into).await.map_err(|_| Errno::Io)?;
            Ok(into.to_vec())
        }
        WRITE if device.read_only() => Err(Errno::Rofs),
        WRITE => {
            let data: &Block = data.try_into().map_err(|_| Errno::Inval)?;
            device.write(block, data).await.map(|()| Vec::new()).map_err(|_| Errno::Io)
        }
        _ => Err(Errno::Inval),
    }
}

/// Whoever asks a block server.
pub struct BlockClient<H: Hal>(Client<H>);

impl<H: Hal> BlockClient<H> {
    /// A client with a mailbox of its own.
    pub fn new(mailbox: Mailbox<H>, server: ServerId) -> Self {
        Self(Client { mailbox, server, kind: Kind::Block })
    }

    /// The number of blocks.
    ///
    /// # Errors
    /// The server is gone.
    pub async fn blocks(&self) -> Result<u64, Errno> {
        let reply = self.0.ask([SIZE].into()).await?;
        Ok(u64::from_le_bytes(split(&reply)?.0))
    }

    /// Reads a block.
    ///
    /// # Errors
    /// It is not there, the device failed, or the server is gone.
    pub async fn read(&self, block: u64, into: &mut Block) -> Result<(), Errno> {
        let reply = self.0.ask(request(READ, block, &[])).await?;
        let data: &Block = reply.as_slice().try_into().map_err(|_| Errno::Io)?;
        *into = *data;
        Ok(())
    }

    /// Writes a block.
    ///
    /// # Errors
    /// As for reads, and [`Errno::Rofs`].
    pub async fn write(&self, block: u64, data: &Block) -> Result<(), Errno> {
        self.0.ask(request(WRITE, block, data)).await.map(drop)
    }

    /// Makes everything written before durable.
    ///
    /// # Errors
    /// The device failed, or the server is gone.
    pub async fn flush(&self) -> Result<(), Errno> {
        self.0.ask([FLUSH].into()).await.map(drop)
    }

    /// Ends the server.
    ///
    /// # Errors
    /// It is gone.
    pub async fn stop(&self) -> Result<(), Errno> {
        self.0.stop().await
    }
}

fn request(operation: u8, block: u64, data: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(9 + data.len().min(BLOCK_SIZE));
    bytes.extend(vec![operation]);
    bytes.extend(block.to_le_bytes());
    bytes.extend(data);
    bytes
}
