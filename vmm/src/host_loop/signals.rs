use std::{
    fs, io,
    os::fd::{AsRawFd, RawFd},
    os::unix::net::UnixStream,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
};

use signal_hook::{flag, low_level::pipe};

/// The signals by which a user ends the program.
const ENDING: [i32; 4] = [libc::SIGHUP, libc::SIGINT, libc::SIGQUIT, libc::SIGTERM];

/// Catches the signals by which a user ends the program, for the whole process.
///
/// While it lives, they are taken note of instead of ending the process, so that nothing
/// half-written is left behind. After it is dropped they end the process again.
#[derive(Debug)]
pub struct Signals {
    receiver: UnixStream,
    caught: Arc<AtomicUsize>,
    released: Arc<AtomicBool>,
}

impl Signals {
    /// Begins to catch. What this process was started to ignore, as by `nohup`, stays ignored.
    pub fn catch() -> io::Result<Self> {
        let (receiver, sender) = UnixStream::pair()?;
        receiver.set_nonblocking(true)?;
        let caught = Arc::new(AtomicUsize::new(0));
        let released = Arc::new(AtomicBool::new(false));
        let ignored = ignored_signals();
        for signal in ENDING {
            if ignored & (1 << (signal - 1)) != 0 {
                continue;
            }
            flag::register_conditional_default(signal, Arc::clone(&released))?;
            let number = usize::try_from(signal).expect("signals have small numbers");
            flag::register_usize(signal, Arc::clone(&caught), number)?;
            pipe::register(signal, sender.try_clone()?)?;
        }
        Ok(Self { receiver, caught, released })
    }

    /// The signal that came last, if one came since the last call.
    pub fn take(&self) -> Option<i32> {
        // What the handler wrote says only that there is something to see.
        while matches!(io::Read::read(&mut &self.receiver, &mut [0; 16]), Ok(1..)) {}
        let number = self.caught.swap(0, Ordering::SeqCst);
        (number != 0).then(|| i32::try_from(number).expect("signals have small numbers"))
    }
}

impl Drop for Signals {
    fn drop(&mut self) {
        self.released.store(true, Ordering::SeqCst);
    }
}

impl AsRawFd for Signals {
    fn as_raw_fd(&self) -> RawFd {
        self.receiver.as_raw_fd()
    }
}

/// The signals that this process ignores, as a mask whose bit 0 is signal 1.
fn ignored_signals() -> u64 {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    mask.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok()).unwrap_or(0)
}
