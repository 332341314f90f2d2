use std::{
    fs::File,
    io::{self, Write},
    os::fd::{AsFd, AsRawFd},
};

use vmm_sys_util::epoll::{ControlOperation, Epoll, EpollEvent, EventSet};

use crate::Console;

/// A pipe that is ready takes this much without making its writer wait.
const CHUNK: usize = 4096;

/// How often one who waits for the reader looks whether it is to stop, in milliseconds.
const LOOK: i32 = 50;

/// Prints on stdout or stderr at once, and never waits for a reader beyond the end of a run.
pub(super) struct Live {
    out: File,
    /// Knows when `out` takes more; none when it is a file, which always does.
    ready: Option<Epoll>,
}

impl Live {
    pub fn new(out: impl AsFd) -> io::Result<Self> {
        let out = File::from(out.as_fd().try_clone_to_owned()?);
        let epoll = Epoll::new()?;
        let event = EpollEvent::new(EventSet::OUT, 0);
        let waits = epoll.ctl(ControlOperation::Add, out.as_raw_fd(), event).is_ok();
        Ok(Self { out, ready: waits.then_some(epoll) })
    }

    /// Whether there is room; not when the run is to stop before.
    fn wait(&self, stopping: &dyn Fn() -> bool) -> io::Result<bool> {
        let Some(ready) = &self.ready else { return Ok(true) };
        loop {
            match ready.wait(LOOK, &mut [EpollEvent::default()]) {
                Ok(0) => {}
                Ok(_) => return Ok(true),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
            if stopping() {
                return Ok(false);
            }
        }
    }
}

impl Console for Live {
    fn print(&mut self, bytes: &[u8], stopping: &dyn Fn() -> bool) -> io::Result<()> {
        for chunk in bytes.chunks(CHUNK) {
            if !self.wait(stopping)? {
                break;
            }
            self.out.write_all(chunk)?;
        }
        Ok(())
    }
}
