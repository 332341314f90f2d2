//! System calls: numbers and errors are Linux's, arguments come from a task that is not trusted.
//!
//! The call itself is ordinary code over three things that the machine lends it:
//! the task's memory, files, and the console. So it is tested without a processor.

mod errno;

use alloc::{string::String, vec, vec::Vec};
use core::future::Future;

pub use errno::Errno;

/// The calls that there are, by their numbers (Linux, x86-64).
const READ: u64 = 0;
const WRITE: u64 = 1;
const OPEN: u64 = 2;
const CLOSE: u64 = 3;
const EXIT: u64 = 60;

/// Most bytes that one call reads or writes; a caller that wants more calls again.
pub const MAX_COUNT: u64 = 4096;

/// Longest path, with its NUL.
pub const MAX_PATH: u64 = 256;

/// Most descriptors of a process.
const DESCRIPTORS: usize = 16;

/// `open`'s access mode is in these bits; 0 is to read only.
const ACCESS_MODE: u64 = 0b11;
/// `open`'s flags that would change the file system: O_CREAT, O_TRUNC, O_APPEND.
const CHANGES: u64 = 0o100 | 0o1000 | 0o2000;

/// What a task asks for: what it left in its registers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Call {
    /// `rax`.
    pub number: u64,
    /// `rdi`, `rsi`, `rdx`.
    pub arguments: [u64; 3],
}

/// What becomes of the task.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It goes on with this in `rax`.
    Return(u64),
    /// It is over, with this status.
    Exit(u8),
}

/// A task's memory, which only the task's own page tables make reachable.
pub trait UserMemory {
    /// Loads bytes as the task could.
    ///
    /// # Errors
    /// [`Errno::Fault`]: the task could not load one of them.
    fn load(&self, address: u64, into: &mut [u8]) -> Result<(), Errno>;

    /// Stores bytes as the task could; none if it could not store one of them.
    ///
    /// # Errors
    /// [`Errno::Fault`]
    fn store(&mut self, address: u64, data: &[u8]) -> Result<(), Errno>;

    /// Whether the task could store `len` bytes.
    ///
    /// # Errors
    /// [`Errno::Fault`]: it could not.
    fn writable(&self, address: u64, len: u64) -> Result<(), Errno>;
}

/// Files, as a server has them.
pub trait Files {
    /// Opens a file to read; its handle.
    ///
    /// # Errors
    /// What `open` answers.
    fn open(&mut self, path: &str) -> impl Future<Output = Result<u32, Errno>>;

    /// Reads the next bytes, `count` at most; none at the end.
    ///
    /// # Errors
    /// What `read` answers.
    fn read(&mut self, handle: u32, count: u32) -> impl Future<Output = Result<Vec<u8>, Errno>>;

    /// Gives a handle back.
    ///
    /// # Errors
    /// What `close` answers.
    fn close(&mut self, handle: u32) -> impl Future<Output = Result<(), Errno>>;
}

/// What a descriptor stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Descriptor {
    /// Nothing can be read here.
    Input,
    /// The console.
    Output,
    /// A file.
    File(u32),
}

/// What the kernel keeps for a task: its descriptors.
#[derive(Debug)]
pub struct Process {
    descriptors: [Option<Descriptor>; DESCRIPTORS],
}

impl Default for Process {
    fn default() -> Self {
        Self::new()
    }
}

impl Process {
    /// With input at 0, and output at 1 and 2.
    pub fn new() -> Self {
        let mut descriptors = [None; DESCRIPTORS];
        let standard = [Descriptor::Input, Descriptor::Output, Descriptor::Output];
        for (place, descriptor) in descriptors.iter_mut().zip(standard) {
            *place = Some(descriptor);
        }
        Self { descriptors }
    }

    /// Carries a call out.
    pub async fn call(
        &mut self,
        call: Call,
        memory: &mut impl UserMemory,
        files: &mut impl Files,
        print: &mut impl FnMut(&[u8]),
    ) -> Outcome {
        let [a, b, c] = call.arguments;
        let result = match call.number {
            READ => self.read(a, b, c, memory, files).await,
            WRITE => self.write(a, b, c, memory, print),
            OPEN => self.open(a, b, memory, files).await,
            CLOSE => self.close(a, files).await,
            EXIT => return Outcome::Exit(a as u8),
            _ => Err(Errno::NoSys),
        };
        Outcome::Return(result.unwrap_or_else(Errno::register))
    }

    /// Closes every file that is still open.
    pub async fn end(&mut self, files: &mut impl Files) {
        for descriptor in 0..DESCRIPTORS as u64 {
            // Nobody is left to tell.
            let _ = self.close(descriptor, files).await;
        }
    }

    async fn read(
        &mut self,
        descriptor: u64,
        address: u64,
        count: u64,
        memory: &mut impl UserMemory,
        files: &mut impl Files,
    ) -> Result<u64, Errno> {
        let count = count.min(MAX_COUNT);
        match self.find(descriptor)? {
            Descriptor::Input => Ok(0),
            Descriptor::Output => Err(Errno::BadF),
            Descriptor::File(handle) => {
                // Before the file moves on, or the bytes would be lost.
                memory.writable(address, count)?;
                let data = files.read(handle, count as u32).await?;
                memory.store(address, &data)?;
                Ok(data.len() as u64)
            }
        }
    }

    fn write(
        &mut self,
        descriptor: u64,
        address: u64,
        count: u64,
        memory: &impl UserMemory,
        print: &mut impl FnMut(&[u8]),
    ) -> Result<u64, Errno> {
        if self.find(descriptor)? != Descriptor::Output {
            return Err(Errno::BadF);
        }
        let count = count.min(MAX_COUNT);
        let mut data = vec![0; count as usize];
        memory.load(address, &mut data)?;
        print(&data);
        Ok(count)
    }

    async fn open(
        &mut self,
        address: u64,
        flags: u64,
        memory: &impl UserMemory,
        files: &mut impl Files,
    ) -> Result<u64, Errno> {
        let path = path(memory, address)?;
        if flags & ACCESS_MODE != 0 || flags & CHANGES != 0 {
            return Err(Errno::Rofs);
        }
        let free = self.descriptors.iter().position(Option::is_none).ok_or(Errno::MFile)?;
        let handle = files.open(&path).await?;
        if let Some(place) = self.descriptors.get_mut(free) {
            *place = Some(Descriptor::File(handle));
        }
        Ok(free as u64)
    }

    async fn close(&mut self, descriptor: u64, files: &mut impl Files) -> Result<u64, Errno> {
        let closed = self.find(descriptor)?;
        if let Some(place) = self.descriptors.get_mut(descriptor as usize) {
            *place = None;
        }
        if let Descriptor::File(handle) = closed {
            files.close(handle).await?;
        }
        Ok(0)
    }

    fn find(&self, descriptor: u64) -> Result<Descriptor, Errno> {
        let index = usize::try_from(descriptor).map_err(|_| Errno::BadF)?;
        self.descriptors.get(index).copied().flatten().ok_or(Errno::BadF)
    }
}

/// The path at `address`, up to its NUL.
fn path(memory: &impl UserMemory, address: u64) -> Result<String, Errno> {
    let mut path = Vec::new();
    for offset in 0..MAX_PATH {
        let mut byte = [0];
        memory.load(address.checked_add(offset).ok_or(Errno::Fault)?, &mut byte)?;
        if byte == [0] {
            return match String::from_utf8(path) {
                Ok(path) if path.is_empty() => Err(Errno::NoEnt),
                Ok(path) => Ok(path),
                Err(_) => Err(Errno::Inval),
            };
        }
        path.extend(byte);
    }
    Err(Errno::NameTooLong)
}

#[cfg(test)]
mod tests;
