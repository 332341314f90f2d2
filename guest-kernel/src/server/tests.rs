//! Both servers on a machine with a fake block device.

use std::{future::Future, time::Duration};

use super::{
    block::{self, AsyncBlock, BlockClient, Immediate},
    file::{self, FileClient, Stat},
};
use crate::{
    block::{BLOCK_SIZE, Block, BlockDevice},
    eclipsefs::tests::sample_image,
    fake::FakeHal,
    hal::Interrupt,
    ipc::{Ipc, Kind},
    syscall::{Errno, Files},
    task::{Tasks, sleep},
};

const LIMIT: Duration = Duration::from_secs(60);

/// A disk in memory, with a block that cannot be read.
struct Disk {
    bytes: Vec<u8>,
    bad: Option<u64>,
    read_only: bool,
    flushes: u32,
}

#[derive(Debug, thiserror::Error)]
#[error("it is broken")]
struct Broken;

impl BlockDevice for Disk {
    type Error = Broken;

    fn blocks(&self) -> u64 {
        (self.bytes.len() / BLOCK_SIZE) as u64
    }

    fn read_only(&self) -> bool {
        self.read_only
    }

    fn read_block(&mut self, block: u64, into: &mut Block) -> Result<(), Broken> {
        if self.bad == Some(block) {
            return Err(Broken);
        }
        into.copy_from_slice(&self.bytes[block as usize * BLOCK_SIZE..][..BLOCK_SIZE]);
        Ok(())
    }

    fn write_block(&mut self, block: u64, data: &Block) -> Result<(), Broken> {
        self.bytes[block as usize * BLOCK_SIZE..][..BLOCK_SIZE].copy_from_slice(data);
        Ok(())
    }

    fn flush(&mut self) -> Result<(), Broken> {
        self.flushes += 1;
        Ok(())
    }
}

fn disk(bytes: Vec<u8>) -> Disk {
    Disk { bytes, bad: None, read_only: false, flushes: 0 }
}

struct Machine {
    tasks: Tasks<FakeHal>,
    ipc: Ipc<FakeHal>,
}

impl Machine {
    fn new() -> Self {
        let hal = FakeHal::new();
        Self { tasks: Tasks::new(&hal), ipc: Ipc::new(&hal) }
    }

    fn run<T: 'static>(&self, future: impl Future<Output = T> + 'static) -> T {
        self.tasks.run_until(&self.tasks.spawn("test", future), LIMIT).unwrap()
    }

    /// Starts a block server; a client of it.
    fn with_blocks(&self, device: impl AsyncBlock + 'static) -> BlockClient<FakeHal> {
        let mailbox = self.ipc.register("block").unwrap();
        let server = mailbox.id();
        let serve = block::serve(mailbox, device);
        drop(self.tasks.spawn("block", serve));
        BlockClient::new(self.ipc.register("block client").unwrap(), server)
    }

    /// Starts both servers; a client of the file server.
    fn with_files(&self, device: impl AsyncBlock + 'static) -> FileClient<FakeHal> {
        let blocks = self.with_blocks(device);
        let mailbox = self.ipc.register("file").unwrap();
        drop(self.tasks.spawn("file", file::serve(mailbox, blocks)));
        self.file_client("file client")
    }

    fn file_client(&self, name: &'static str) -> FileClient<FakeHal> {
        let server = self.ipc.find("file").unwrap();
        FileClient::new(self.ipc.register(name).unwrap(), server)
    }
}

#[test]
fn blocks_are_written_flushed_and_read_back_and_the_device_comes_back() {
    let machine = Machine::new();
    let mailbox = machine.ipc.register("block").unwrap();
    let server = mailbox.id();
    let device =
        machine.tasks.spawn("block", block::serve(mailbox, Immediate(disk(vec![0; 8192]))));
    let client = BlockClient::new(machine.ipc.register("client").unwrap(), server);
    machine.run(async move {
        let (pattern, mut back) = ([0xA5; BLOCK_SIZE], [0; BLOCK_SIZE]);
        assert_eq!(client.blocks().await, Ok(2));
        client.write(1, &pattern).await.unwrap();
        client.flush().await.unwrap();
        client.read(1, &mut back).await.unwrap();
        assert_eq!(back, pattern);
        assert_eq!(client.read(2, &mut back).await, Err(Errno::Inval));
        assert_eq!(client.write(u64::MAX, &back).await, Err(Errno::Inval));
        client.stop().await.unwrap();
        assert_eq!(client.flush().await, Err(Errno::Io), "the server is gone");
    });
    let Immediate(device) = machine.tasks.run_until(&device, LIMIT).unwrap();
    assert_eq!((device.flushes, device.bytes[4095], device.bytes[4096]), (1, 0, 0xA5));
}

#[test]
fn a_device_that_fails_or_refuses_is_told_apart() {
    let machine = Machine::new();
    let device = Disk { bad: Some(0), read_only: true, ..disk(vec![0; 8192]) };
    let client = machine.with_blocks(Immediate(device));
    machine.run(async move {
        let mut back = [0; BLOCK_SIZE];
        assert_eq!(client.read(0, &mut back).await, Err(Errno::Io));
        assert_eq!(client.read(1, &mut back).await, Ok(()));
        assert_eq!(client.write(1, &back).await, Err(Errno::Rofs));
    });
}

#[test]
fn a_request_that_cannot_be_read_is_an_error_and_not_the_end() {
    let machine = Machine::new();
    let files = machine.with_files(Immediate(disk(sample_image())));
    let stranger = machine.ipc.register("stranger").unwrap();
    let servers = ["block", "file"].map(|name| machine.ipc.find(name).unwrap());
    machine.run(async move {
        for server in servers {
            for kind in [Kind::System, Kind::Block, Kind::FileSystem] {
                for data in [&[][..], &[9], &[1], &[2], &[1, 0, 0, 0, 0], &[2; 4096], &[0, 0xFF]] {
                    let stops = kind == Kind::System && data.first() == Some(&0);
                    let size = kind == Kind::Block && data.first() == Some(&0);
                    if !stops && !size {
                        let reply = stranger.call(server, kind, data.to_vec()).await.unwrap();
                        assert_ne!(reply, [0; 4], "{kind:?} {data:?}");
                    }
                }
            }
        }
        assert!(files.stat("/etc/motd").await.is_ok());
    });
}

#[test]
fn a_file_is_read_to_its_end_by_whoever_opened_it() {
    let machine = Machine::new();
    let mut files = machine.with_files(Immediate(disk(sample_image())));
    let mut other = machine.file_client("other");
    machine.run(async move {
        let motd = files.open("/etc/motd").await.unwrap();
        assert_eq!(files.read(motd, 7).await.unwrap(), b"Welcome");
        assert_eq!(other.read(motd, 7).await, Err(Errno::BadF));
        assert_eq!(other.close(motd).await, Err(Errno::BadF));
        assert_eq!(files.read(motd, 4096).await.unwrap(), b" to Eclipse.\n");
        assert_eq!(files.read(motd, 4096).await.unwrap(), b"");
        files.close(motd).await.unwrap();
        assert_eq!(files.read(motd, 1).await, Err(Errno::BadF));
        let Stat { mode, size, .. } = files.stat("/etc/motd").await.unwrap();
        assert_eq!((mode, size), (0o100_644, 20));
    });
}

#[test]
fn what_is_wrong_with_a_path_is_told_apart() {
    let machine = Machine::new();
    let mut files = machine.with_files(Immediate(disk(sample_image())));
    machine.run(async move {
        assert_eq!(files.open("/none").await, Err(Errno::NoEnt));
        assert_eq!(files.open("etc/motd").await, Err(Errno::NoEnt));
        assert_eq!(files.open("/etc").await, Err(Errno::IsDir));
        assert_eq!(files.open("/etc/motd/more").await, Err(Errno::NotDir));
        assert_eq!(files.open(&"/x".repeat(100)).await, Err(Errno::NoEnt));
        for _ in 0..32 {
            files.open("/etc/motd").await.unwrap();
        }
        assert_eq!(files.open("/etc/motd").await, Err(Errno::MFile));
    });
}

#[test]
fn a_disk_that_is_none_of_eclipsefs_or_broken_is_an_error() {
    for device in [disk(vec![0; 8192]), Disk { bad: Some(0), ..disk(sample_image()) }] {
        let machine = Machine::new();
        let mut files = machine.with_files(Immediate(device));
        assert_eq!(machine.run(async move { files.open("/etc/motd").await }), Err(Errno::Io));
    }
}

/// A disk whose reads take a second, in which others run.
struct Slow(Disk, Tasks<FakeHal>);

impl AsyncBlock for Slow {
    type Error = Broken;

    fn blocks(&self) -> u64 {
        self.0.blocks()
    }

    fn read_only(&self) -> bool {
        true
    }

    async fn read(&mut self, block: u64, into: &mut Block) -> Result<(), Broken> {
        let _ = sleep(&self.1, Duration::from_secs(1)).await;
        self.0.read_block(block, into)
    }

    async fn write(&mut self, _: u64, _: &Block) -> Result<(), Broken> {
        Err(Broken)
    }

    async fn flush(&mut self) -> Result<(), Broken> {
        Ok(())
    }
}

#[test]
fn others_run_while_a_device_is_waited_for() {
    let machine = Machine::new();
    let mut files = machine.with_files(Slow(disk(sample_image()), machine.tasks.clone()));
    let line = crate::task::interrupt(&machine.tasks, Interrupt(5), LIMIT);
    let other = machine.tasks.spawn("other", line);
    let read = machine.tasks.spawn("read", async move { files.open("/etc/motd").await });
    machine.tasks.hal().machine().pending = 1;
    assert_eq!(machine.tasks.run_until(&other, Duration::from_millis(1)), Ok(Ok(())));
    assert_eq!(machine.tasks.run_until(&read, LIMIT), Ok(Ok(0)));
}
