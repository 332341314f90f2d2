//! Block server and file server over the virtio driver, in loopback.

use std::time::Duration;

use eclipse_devices::Preset;
use eclipse_devices::disk::{MemoryDisk, default_image};
use eclipse_kernel::block::{BLOCK_SIZE, BlockDevice};
use eclipse_kernel::ipc::Ipc;
use eclipse_kernel::pci::Pci;
use eclipse_kernel::server::block::{self, BlockClient, Immediate};
use eclipse_kernel::server::file::{self, FileClient};
use eclipse_kernel::syscall::{Errno, Files};
use eclipse_kernel::task::Tasks;
use eclipse_kernel::virtio::{self, blk::Options};
use eclipse_tests::Loopback;

const LIMIT: Duration = Duration::from_secs(60);

#[test]
fn a_file_and_a_block_go_through_the_servers_and_all_memory_comes_back() {
    let machine = Loopback::new(Preset::Modern, MemoryDisk::new(default_image()));
    let (tasks, ipc) = (Tasks::new(&machine), Ipc::new(&machine));
    let disk = virtio::init(&Pci::init(&machine), Options::default()).expect("there is a disk");
    let last = disk.blocks() - 1;
    let server = |name| ipc.register(name).expect("the name is free");
    let (block, file) = (server("block"), server("file"));
    let (block_id, file_id) = (block.id(), file.id());
    let device = tasks.spawn("block", block::serve(block, Immediate(disk)));
    let blocks = BlockClient::new(server("blocks of files"), block_id);
    let blocks = tasks.spawn("file", file::serve(file, blocks));
    let mut files = FileClient::new(server("files"), file_id);
    let scratch = BlockClient::new(server("scratch"), block_id);
    let work = tasks.spawn("work", async move {
        let motd = files.open("/etc/motd").await?;
        let text = files.read(motd, 4096).await?;
        assert_eq!(files.open("/none").await, Err(Errno::NoEnt));
        files.close(motd).await?;
        let (pattern, mut back) = ([0x5A; BLOCK_SIZE], [0; BLOCK_SIZE]);
        scratch.write(last, &pattern).await?;
        scratch.flush().await?;
        scratch.read(last, &mut back).await?;
        assert_eq!(back, pattern);
        files.stop().await?;
        blocks.await.stop().await?;
        Ok::<_, Errno>(text)
    });
    let text = tasks.run_until(&work, LIMIT).expect("it ends").expect("it succeeds");
    assert!(text.starts_with(b"Welcome to Eclipse.\n"));
    let Immediate(disk) = tasks.run_until(&device, LIMIT).expect("the server ends");
    disk.close().expect("the device is reset");
    assert_eq!(machine.dma_allocated(), 0);
    let summary = machine.entries().iter().filter(|e| e.to_string().contains("violation")).count();
    assert_eq!(summary, 0, "no rule is broken");
}
