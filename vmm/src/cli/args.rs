//! What `run` and `qemu` take alike.

use std::{path::PathBuf, time::Duration};

use clap::Args;
use eclipse_devices::disk::{self, Disk, DiskSpec, MemoryDisk, default_image};

use crate::{Error, Kernel, RunOptions, boot, memory};

/// The longest time that a guest can be given, in seconds.
const MAX_TIMEOUT: f64 = 1e6;

/// The guest, and how to report on it.
#[derive(Debug, Args)]
pub(super) struct GuestArgs {
    /// The guest's kernel: a 64-bit ELF image with a PVH note [default: the embedded one]
    #[arg(long, value_name = "FILE")]
    pub kernel: Option<PathBuf>,
    /// The disk: a raw image, PATH[,write|,read-only] [default: the embedded one]
    ///
    /// The guest's writes are kept in memory and are gone afterwards; with `,write` they go to
    /// the image, with `,read-only` the device refuses them.
    #[arg(long, value_name = "PATH[,MODE]")]
    pub disk: Option<DiskSpec>,
    /// RAM: a multiple of 2 MiB from 16M to 64G; a number alone is MiB
    #[arg(long, value_name = "SIZE", default_value = "64M", value_parser = parse_memory)]
    pub memory: u64,
    /// The guest's command line: `scenario=NAME key=value ...`
    #[arg(long, value_name = "TEXT", default_value = "", hide_default_value = true)]
    #[arg(allow_hyphen_values = true, value_parser = parse_cmdline)]
    pub cmdline: String,
    /// Seconds after which a guest that has not ended is called dead
    #[arg(long, value_name = "SECONDS", default_value = "30", value_parser = parse_timeout)]
    pub timeout: Duration,
    /// Print the verdict and nothing else
    #[arg(long)]
    pub quiet: bool,
    /// Print one JSON object on stdout; the guest's output goes to stderr
    #[arg(long)]
    pub json: bool,
}

impl GuestArgs {
    pub fn open_kernel(&self) -> Result<Kernel, Error> {
        self.kernel.as_deref().map_or_else(|| Ok(Kernel::embedded()), Kernel::open)
    }

    pub fn open_disk(&self) -> Result<Box<dyn Disk>, Error> {
        match &self.disk {
            Some(spec) => Ok(disk::open(spec)?),
            None => Ok(Box::new(MemoryDisk::new(default_image()))),
        }
    }
}

fn parse_memory(text: &str) -> Result<u64, String> {
    let how = "write a number and K, M or G, such as 64M";
    let (digits, unit) = match text.char_indices().last() {
        Some((at, 'K' | 'k')) => (&text[..at], 1 << 10),
        Some((at, 'M' | 'm')) => (&text[..at], 1 << 20),
        Some((at, 'G' | 'g')) => (&text[..at], 1 << 30),
        _ => (text, 1 << 20),
    };
    if digits.is_empty() || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(how.into());
    }
    // A number that does not fit is too large in any unit.
    let size = digits.parse::<u64>().ok().and_then(|n| n.checked_mul(unit)).unwrap_or(u64::MAX);
    memory::check_size(size).map_err(|error| error.to_string())?;
    Ok(size)
}

fn parse_cmdline(text: &str) -> Result<String, String> {
    boot::check_command_line(text).map_err(|error| error.to_string())?;
    Ok(text.into())
}

fn parse_timeout(text: &str) -> Result<Duration, String> {
    let seconds: f64 = text.parse().map_err(|_| "write a number of seconds, such as 2.5")?;
    let time = (seconds <= MAX_TIMEOUT).then(|| Duration::try_from_secs_f64(seconds).ok());
    match time.flatten() {
        Some(time) if !time.is_zero() => Ok(time),
        _ => Err("a timeout is more than 0 and at most 1000000 seconds".into()),
    }
}

// The text above says so.
const _: () = assert!(RunOptions::TIMEOUT.as_secs() == 30 && memory::DEFAULT_SIZE == 64 << 20);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_is_a_number_with_a_unit_in_range() {
        assert_eq!(parse_memory("64M"), Ok(64 << 20));
        assert_eq!(parse_memory("64"), Ok(64 << 20));
        assert_eq!(parse_memory("16384k"), Ok(16 << 20));
        assert_eq!(parse_memory("2G"), Ok(2 << 30));
        for bad in ["", "M", "-1", "+64", "64MB", "6 4M", "0x40", "64.5M", "é"] {
            let refused = parse_memory(bad).unwrap_err();
            assert!(refused.starts_with("write a number"), "{bad}: {refused}");
        }
        for large in ["65G", "99999999999999999999999", "18446744073709551615G"] {
            assert_eq!(parse_memory(large).unwrap_err(), "a machine has at most 64 GiB of memory");
        }
        assert_eq!(parse_memory("15M").unwrap_err(), "a machine has at least 16 MiB of memory");
        assert_eq!(parse_memory("17M").unwrap_err(), "memory is a multiple of 2 MiB");
    }

    #[test]
    fn a_timeout_is_a_time_that_can_pass() {
        assert_eq!(parse_timeout("30"), Ok(Duration::from_secs(30)));
        assert_eq!(parse_timeout("0.25"), Ok(Duration::from_millis(250)));
        for bad in ["0", "-1", "nan", "inf", "1e-12", "1e7", "1e400", "", "x", "5s"] {
            assert!(parse_timeout(bad).is_err(), "{bad}");
        }
    }
}
