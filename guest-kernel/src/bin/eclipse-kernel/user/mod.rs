//! A scenario with a task in ring 3, which has its files from servers, by message.

mod task;

use core::time::Duration;

use eclipse_kernel::{
    cmdline::CommandLine,
    disk::{self, Disk, Found},
    hal::Hal,
    ipc::{self, Ipc, Mailbox},
    log,
    mark::{self, Phase},
    scenario,
    server::{
        block::{self, BlockClient, Immediate},
        file::{self, FileClient},
    },
    syscall::Errno,
    task::{Stuck, Tasks},
    virtio,
};

use crate::metal::Metal;

use task::Program;
pub use task::{End, UnknownProgram};

/// The file that is printed where no other is asked for.
const PATH: &str = "/etc/motd";
/// The time for all of it.
const LIMIT: Duration = Duration::from_secs(20);

/// Why the scenario failed.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// There is no such program.
    #[error(transparent)]
    Program(#[from] UnknownProgram),
    /// What stands before the disk on the ladder failed.
    #[error(transparent)]
    VirtIo(#[from] virtio::Error),
    /// The disk cannot be looked for.
    #[error(transparent)]
    Scenario(#[from] scenario::Error),
    /// A queue cannot be made.
    #[error(transparent)]
    Ipc(#[from] ipc::Error),
    /// The tasks do not come to an end.
    #[error("tasks: {0}")]
    Stuck(#[from] Stuck),
    /// There is no memory for the task.
    #[error("no memory for a task")]
    Memory,
    /// The servers do not end as they should.
    #[error("the servers do not end: {0}")]
    Server(Errno),
    /// The disk does not end as it should.
    #[error(transparent)]
    Disk(#[from] disk::Error),
    /// The task did not succeed.
    #[error("task `{program}` {end}")]
    Task {
        /// What it ran.
        program: &'static str,
        /// How it ended.
        end: End,
    },
}

/// What system servers need before there is a disk: the tasks, and the queues by their names.
pub struct Servers {
    tasks: Tasks<Metal>,
    ipc: Ipc<Metal>,
    block: Mailbox<Metal>,
    file: Mailbox<Metal>,
}

impl Servers {
    /// Registers the servers.
    ///
    /// # Errors
    /// [`ipc::Error`]
    pub fn register(tasks: Tasks<Metal>, ipc: Ipc<Metal>) -> Result<Self, ipc::Error> {
        let (block, file) = (ipc.register("block")?, ipc.register("file")?);
        Ok(Self { tasks, ipc, block, file })
    }

    /// Starts the servers on the disk, runs one task, and ends all of it.
    ///
    /// # Errors
    /// [`Error`]; the task's own end is one, too, unless it exits with 0.
    pub fn run_task(self, asked: &CommandLine<'_>) -> Result<(), Error> {
        let program = task::find(asked.program.unwrap_or("print"))?;
        Metal.mark(mark::phase(Phase::Begin));
        let Found { disk, failures } = scenario::system_disk(&Metal, asked)?;
        Metal.mark(mark::phase(Phase::Work));
        let tasks = self.tasks.clone();
        let ended = self.run_on(disk, program, asked);
        // One that still waits would keep the disk, and with it the device running.
        tasks.end();
        Metal.mark(mark::phase(Phase::End));
        let end = ended?;
        // Whatever ran, it ran from a fall-back.
        if let Some(failure) = failures.into_iter().next() {
            return Err(failure.into());
        }
        match end {
            End::Exit(0) => Ok(()),
            end => Err(Error::Task { program: program.name, end }),
        }
    }

    fn run_on(
        self,
        disk: Disk<Metal>,
        program: Program,
        asked: &CommandLine<'_>,
    ) -> Result<End, Error> {
        let Self { tasks, ipc, block, file } = self;
        let (block_id, file_id) = (block.id(), file.id());
        let blocks = BlockClient::new(ipc.register("blocks of files")?, block_id);
        let mut files = FileClient::new(ipc.register("files of the task")?, file_id);
        let disk = tasks.spawn("block server", block::serve(block, Immediate(disk)));
        let blocks = tasks.spawn("file server", file::serve(file, blocks));
        log!(Metal, "[SRV] Block server and file server started");

        let mut space = task::Space::new(asked.path.unwrap_or(PATH)).ok_or(Error::Memory)?;
        let name = program.name;
        let user = tasks.spawn("user task", async move {
            let end = space.run(program, &mut files).await;
            space.release();
            (end, files)
        });
        let (end, files) = tasks.run_until(&user, LIMIT)?;
        log!(Metal, "[USER] Task `{name}` {end}");
        let stop = tasks.spawn("end", async move {
            files.stop().await?;
            blocks.await.stop().await
        });
        tasks.run_until(&stop, LIMIT)?.map_err(Error::Server)?;
        let Immediate(disk) = tasks.run_until(&disk, LIMIT)?;
        Metal.mark(mark::phase(Phase::Close));
        disk.close()?;
        Ok(end)
    }
}
