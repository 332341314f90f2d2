//! Servers: tasks that do for others what they ask for by message.
//!
//! A reply begins with an error number, 0 for none. What comes by message is not
//! believed: a request that cannot be read is answered with an error.

pub mod block;
pub mod file;

use alloc::vec::Vec;

use crate::{
    hal::Hal,
    ipc::{Kind, Mailbox, Message, ServerId},
    syscall::Errno,
};

/// The system request that ends a server, after a reply.
const STOP: u8 = 0;

/// A reply, as its bytes.
fn encode(result: Result<Vec<u8>, Errno>) -> Vec<u8> {
    let (number, data) = match result {
        Ok(data) => (0, data),
        Err(errno) => (errno as u32, Vec::new()),
    };
    let mut bytes = Vec::with_capacity(4 + data.len());
    bytes.extend(number.to_le_bytes());
    bytes.extend(data);
    bytes
}

/// What a reply says.
fn decode(mut reply: Vec<u8>) -> Result<Vec<u8>, Errno> {
    let number = reply.first_chunk().map(|&number| u32::from_le_bytes(number)).ok_or(Errno::Io)?;
    if number != 0 {
        return Err(Errno::from_number(number).unwrap_or(Errno::Io));
    }
    reply.drain(..4);
    Ok(reply)
}

/// Answers `request`. A client that no longer waits has no use for it.
fn answer<H: Hal>(mailbox: &Mailbox<H>, request: &Message, result: Result<Vec<u8>, Errno>) {
    let _ = mailbox.reply(request, encode(result));
}

/// Whether a request is to end the server.
fn is_stop(request: &Message) -> bool {
    request.kind == Kind::System && request.data.first() == Some(&STOP)
}

/// A client's end: its own mailbox, and whom it asks.
struct Client<H: Hal> {
    mailbox: Mailbox<H>,
    server: ServerId,
    kind: Kind,
}

impl<H: Hal> Client<H> {
    async fn ask(&self, data: Vec<u8>) -> Result<Vec<u8>, Errno> {
        let reply = self.mailbox.call(self.server, self.kind, data).await;
        decode(reply.map_err(|_| Errno::Io)?)
    }

    async fn stop(&self) -> Result<(), Errno> {
        let reply = self.mailbox.call(self.server, Kind::System, [STOP].into()).await;
        decode(reply.map_err(|_| Errno::Io)?).map(drop)
    }
}

/// The little-endian number of `N` bytes at the start of `bytes`, and the rest.
fn split<const N: usize>(bytes: &[u8]) -> Result<([u8; N], &[u8]), Errno> {
    let (&number, rest) = bytes.split_first_chunk().ok_or(Errno::Inval)?;
    Ok((number, rest))
}

#[cfg(test)]
mod tests;
