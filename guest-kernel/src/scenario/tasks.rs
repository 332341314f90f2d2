//! Scenarios about tasks that run together.

use alloc::{
    string::{String, ToString},
    vec::Vec,
};
use core::time::Duration;

use super::{Error, Run, disk_error, files::PATH, sector_of};
use crate::{
    block::{self, BlockDevice},
    crc32::crc32,
    hal::Hal,
    ipc::Ipc,
    log,
    server::{
        block::{self as block_server, BlockClient},
        file::{self as file_server, FileClient},
    },
    syscall::{Errno, Files},
    task::Tasks,
    virtio::blk::{self, SharedBlk, VirtioBlk},
};

/// How long all tasks together may take.
const LIMIT: Duration = Duration::from_secs(60);
/// Bytes of a file that are asked for at once.
const PIECE: u32 = 1024;

/// Reads `count` blocks, each by a task of its own.
pub(super) fn run<H: Hal>(run: &Run<'_, H>, count: u32) -> Result<(), Error> {
    run.with_disk_of_its_own(|disk| {
        let failed = disk_error(&disk);
        let blocks = disk.blocks();
        if blocks == 0 {
            return Err(Error::TooSmall(disk.config().sectors));
        }
        with_tasks(run, disk, |tasks, shared| {
            let reads: Vec<_> = (0..u64::from(count))
                .map(|number| {
                    let disk = shared.clone();
                    tasks.spawn("reader", async move {
                        let mut data = block::zeroed();
                        disk.read_sectors(sector_of(number % blocks), &mut *data).await?;
                        Ok::<_, blk::Error>(crc32(data.iter().copied()))
                    })
                })
                .collect();
            let mut crc = 0_u32;
            for read in &reads {
                let block = tasks.run_until(read, LIMIT)?.map_err(failed)?;
                crc = crc32(block.to_le_bytes().into_iter().chain(crc.to_le_bytes()));
            }
            log!(*run.hal, "[TASK] {count} task(s) read a block each: CRC-32 0x{crc:08X}");
            Ok(())
        })
    })
}

/// Does work by tasks that share a disk, and ends them however it went: one that still waits
/// would keep the disk, and with it the device running.
fn with_tasks<H: Hal>(
    run: &Run<'_, H>,
    disk: VirtioBlk<H>,
    work: impl FnOnce(&Tasks<H>, &SharedBlk<H>) -> Result<(), Error>,
) -> Result<VirtioBlk<H>, Error> {
    let tasks = Tasks::new(run.hal);
    let shared = SharedBlk::new(&tasks, disk);
    let worked = work(&tasks, &shared);
    tasks.end();
    worked?;
    shared.into_inner().ok_or(Error::StillShared)
}

/// Prints a file that a file server reads through a block server.
pub(super) fn servers<H: Hal>(run: &Run<'_, H>) -> Result<(), Error> {
    let path = run.asked.path.unwrap_or(PATH);
    run.with_disk_of_its_own(|disk| {
        with_tasks(run, disk, |tasks, shared| print_file(run, path, tasks, shared))
    })
}

fn print_file<H: Hal>(
    run: &Run<'_, H>,
    path: &str,
    tasks: &Tasks<H>,
    shared: &SharedBlk<H>,
) -> Result<(), Error> {
    let ipc = Ipc::new(run.hal);
    let (block, file) = (ipc.register("block")?, ipc.register("file")?);
    let (block_id, file_id) = (block.id(), file.id());
    let blocks = BlockClient::new(ipc.register("blocks of files")?, block_id);
    let mut files = FileClient::new(ipc.register("files")?, file_id);
    tasks.spawn("block server", block_server::serve(block, shared.clone()));
    let blocks = tasks.spawn("file server", file_server::serve(file, blocks));
    let name = path.to_string();
    let reader = tasks.spawn("reader", async move {
        let text = read_file(&mut files, &name).await;
        files.stop().await?;
        blocks.await.stop().await?;
        text
    });
    let text = tasks.run_until(&reader, LIMIT)??;
    log!(*run.hal, "[SRV] {path}: {} bytes", text.len());
    for line in String::from_utf8_lossy(&text).lines() {
        log!(*run.hal, "{line}");
    }
    Ok(())
}

/// Reads a file to its end, piece by piece.
async fn read_file<F: Files>(files: &mut F, path: &str) -> Result<Vec<u8>, Errno> {
    let handle = files.open(path).await?;
    let mut text = Vec::new();
    loop {
        let piece = files.read(handle, PIECE).await?;
        if piece.is_empty() {
            break;
        }
        text.extend(piece);
    }
    files.close(handle).await?;
    Ok(text)
}
