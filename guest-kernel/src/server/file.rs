//! The file server: open, read, close and stat of an EclipseFS, on top of a block server.
//!
//! EclipseFS reads a block device that answers at once. Here that is a shelf of
//! the blocks that came from the block server so far: a call that misses one is
//! given up, the block is asked for by message, and the call is made again.

use alloc::{boxed::Box, rc::Rc, vec::Vec};
use core::{cell::RefCell, str};

use super::{Client, answer, block::BlockClient, is_stop, split};
use crate::{
    block::{Block, BlockDevice, zeroed},
    disk::{self, AnyDisk},
    eclipsefs::{self, EclipseFs, Kind as NodeKind, Node},
    hal::Hal,
    ipc::{Kind, MAX_DATA, Mailbox, Message, ServerId},
    sorted::SortedMap,
    syscall::{Errno, Files},
};

/// The operations, as the first byte of a request.
const OPEN: u8 = 0;
const READ: u8 = 1;
const CLOSE: u8 = 2;
const STAT: u8 = 3;

/// Most files that are open at once.
const OPEN_FILES: usize = 32;

/// Blocks that are kept from one call to the next.
const KEPT: usize = 64;

/// Most blocks that are asked for at one miss.
const READ_AHEAD: u64 = 64;

/// The blocks that came.
#[derive(Clone)]
struct Shelf {
    blocks: u64,
    came: Rc<RefCell<SortedMap<u64, Box<Block>>>>,
}

impl BlockDevice for Shelf {
    type Error = disk::Error;

    fn blocks(&self) -> u64 {
        self.blocks
    }

    fn read_only(&self) -> bool {
        true
    }

    fn read_block(&mut self, block: u64, into: &mut Block) -> Result<(), disk::Error> {
        let came = self.came.borrow();
        *into = **came.get(&block).ok_or(disk::Error::Awaited(block))?;
        Ok(())
    }

    fn write_block(&mut self, block: u64, _data: &Block) -> Result<(), disk::Error> {
        Err(disk::Error::Awaited(block))
    }

    fn flush(&mut self) -> Result<(), disk::Error> {
        Ok(())
    }
}

/// What a file is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stat {
    /// Its inode.
    pub inode: u32,
    /// `st_mode`.
    pub mode: u32,
    /// Bytes.
    pub size: u64,
}

/// A file that is open.
struct Open {
    owner: ServerId,
    data: Vec<u8>,
    at: usize,
}

/// A file server's state.
struct Server<H: Hal> {
    disk: BlockClient<H>,
    shelf: Shelf,
    /// Mounted at the first request.
    fs: Option<EclipseFs<AnyDisk<'static>>>,
    open: [Option<Open>; OPEN_FILES],
}

/// Serves requests until one ends it; gives the client of the block server back.
pub async fn serve<H: Hal>(mailbox: Mailbox<H>, disk: BlockClient<H>) -> BlockClient<H> {
    let shelf = Shelf { blocks: 0, came: Rc::default() };
    let mut server = Server { disk, shelf, fs: None, open: [const { None }; OPEN_FILES] };
    loop {
        let request = mailbox.receive().await;
        if is_stop(&request) {
            answer(&mailbox, &request, Ok(Vec::new()));
            return server.disk;
        }
        let result = server.carry_out(&request).await;
        answer(&mailbox, &request, result);
    }
}

impl<H: Hal> Server<H> {
    async fn carry_out(&mut self, request: &Message) -> Result<Vec<u8>, Errno> {
        if request.kind != Kind::FileSystem {
            return Err(Errno::Inval);
        }
        let ([operation], rest) = split(&request.data)?;
        match operation {
            OPEN => self.open(path(rest)?, request.from).await,
            STAT => self.stat(path(rest)?).await,
            READ | CLOSE => {
                let (handle, rest) = split(rest)?;
                let place = self.open.get_mut(u32::from_le_bytes(handle) as usize);
                let place = place.ok_or(Errno::BadF)?;
                // A handle is worth nothing to anyone but whom it was given to.
                let file = place.as_mut().filter(|file| file.owner == request.from);
                let file = file.ok_or(Errno::BadF)?;
                if operation == READ {
                    return Ok(file.read(u32::from_le_bytes(split(rest)?.0)));
                }
                *place = None;
                Ok(Vec::new())
            }
            _ => Err(Errno::Inval),
        }
    }

    async fn open(&mut self, path: &str, owner: ServerId) -> Result<Vec<u8>, Errno> {
        let free = self.open.iter().position(Option::is_none).ok_or(Errno::MFile)?;
        let data = self
            .with_fs(|fs| {
                let node = fs.lookup(path)?;
                fs.read_file(&node)
            })
            .await?;
        if let Some(place) = self.open.get_mut(free) {
            *place = Some(Open { owner, data, at: 0 });
        }
        Ok((free as u32).to_le_bytes().to_vec())
    }

    async fn stat(&mut self, path: &str) -> Result<Vec<u8>, Errno> {
        let Node { inode, mode, size, .. } = self.with_fs(|fs| fs.lookup(path)).await?;
        let mut bytes = Vec::new();
        bytes.extend(inode.to_le_bytes());
        bytes.extend(mode.to_le_bytes());
        bytes.extend(size.to_le_bytes());
        Ok(bytes)
    }

    /// Makes a call of the file system, as often as it misses blocks.
    async fn with_fs<T>(
        &mut self,
        call: impl Fn(&mut EclipseFs<AnyDisk<'static>>) -> Result<T, eclipsefs::Error<disk::Error>>,
    ) -> Result<T, Errno> {
        if self.shelf.came.borrow().len() > KEPT {
            self.shelf.came.borrow_mut().clear();
        }
        self.shelf.blocks = self.disk.blocks().await?;
        let mut ahead = 1;
        loop {
            let result = match &mut self.fs {
                Some(fs) => call(fs),
                None => match EclipseFs::mount(Box::new(self.shelf.clone()) as AnyDisk<'_>) {
                    Ok(fs) => {
                        self.fs = Some(fs);
                        continue;
                    }
                    Err(error) => Err(error),
                },
            };
            match result {
                Ok(done) => return Ok(done),
                Err(eclipsefs::Error::Device { source: disk::Error::Awaited(block), .. }) => {
                    self.fetch(block, ahead).await?;
                    // So that a long file is not gone through again for each of its blocks.
                    ahead = (2 * ahead).min(READ_AHEAD);
                }
                Err(error) => return Err(errno(&error)),
            }
        }
    }

    /// Asks for `block`, and for those behind it up to `count` in all.
    async fn fetch(&mut self, block: u64, count: u64) -> Result<(), Errno> {
        let end = block.saturating_add(count).min(self.shelf.blocks).max(block.saturating_add(1));
        for block in block..end {
            if self.shelf.came.borrow().contains_key(&block) {
                continue;
            }
            let mut data = zeroed();
            self.disk.read(block, &mut data).await?;
            self.shelf.came.borrow_mut().insert(block, data);
        }
        Ok(())
    }
}

impl Open {
    fn read(&mut self, count: u32) -> Vec<u8> {
        let rest = self.data.get(self.at..).unwrap_or_default();
        let count = rest.len().min(count as usize).min(MAX_DATA - size_of::<u32>());
        let data = rest.get(..count).unwrap_or_default().to_vec();
        self.at += count;
        data
    }
}

fn path(bytes: &[u8]) -> Result<&str, Errno> {
    str::from_utf8(bytes).map_err(|_| Errno::Inval)
}

fn errno(error: &eclipsefs::Error<disk::Error>) -> Errno {
    use eclipsefs::Error;
    match error {
        Error::NotAbsolute(_) | Error::NotFound { .. } | Error::Dangling { .. } => Errno::NoEnt,
        Error::PathTooLong { .. } | Error::NameTooLong { .. } => Errno::NameTooLong,
        Error::SymlinkLoop { .. } => Errno::Loop,
        Error::NotADirectory { .. } => Errno::NotDir,
        Error::Kind { kind: NodeKind::Directory, .. } => Errno::IsDir,
        Error::Kind { .. } => Errno::Inval,
        Error::TooLarge { .. } => Errno::FBig,
        // The rest is damage.
        _ => Errno::Io,
    }
}

/// Whoever asks a file server.
pub struct FileClient<H: Hal>(Client<H>);

impl<H: Hal> FileClient<H> {
    /// A client with a mailbox of its own.
    pub fn new(mailbox: Mailbox<H>, server: ServerId) -> Self {
        Self(Client { mailbox, server, kind: Kind::FileSystem })
    }

    /// What the file at `path` is.
    ///
    /// # Errors
    /// It is not there, or cannot be read.
    pub async fn stat(&self, path: &str) -> Result<Stat, Errno> {
        let reply = self.0.ask([&[STAT], path.as_bytes()].concat()).await?;
        let (inode, rest) = split(&reply)?;
        let (mode, rest) = split(rest)?;
        let (inode, mode) = (u32::from_le_bytes(inode), u32::from_le_bytes(mode));
        Ok(Stat { inode, mode, size: u64::from_le_bytes(split(rest)?.0) })
    }

    /// Ends the server.
    ///
    /// # Errors
    /// It is gone.
    pub async fn stop(&self) -> Result<(), Errno> {
        self.0.stop().await
    }
}

impl<H: Hal> Files for FileClient<H> {
    async fn open(&mut self, path: &str) -> Result<u32, Errno> {
        let reply = self.0.ask([&[OPEN], path.as_bytes()].concat()).await?;
        Ok(u32::from_le_bytes(split(&reply)?.0))
    }

    async fn read(&mut self, handle: u32, count: u32) -> Result<Vec<u8>, Errno> {
        let numbers = [handle.to_le_bytes(), count.to_le_bytes()].concat();
        self.0.ask([&[READ], numbers.as_slice()].concat()).await
    }

    async fn close(&mut self, handle: u32) -> Result<(), Errno> {
        self.0.ask([&[CLOSE], handle.to_le_bytes().as_slice()].concat()).await.map(drop)
    }
}
