//! The bootable image under the VMM.

use eclipse_devices::disk::Disk;
use eclipse_devices::watch::Watching;
use eclipse_devices::{PlatformConfig, Preset};
use eclipse_trace::Entry;
use eclipse_vmm::{Config, Machine, Outcome, Run, RunOptions};

/// Boots the embedded image with the default disk and runs it to its end.
///
/// # Panics
/// The host cannot: no `/dev/kvm`, for example. The message says what is wrong.
pub fn boot(cmdline: &str) -> Run {
    run(Config { cmdline: cmdline.into(), ..Config::default() })
}

/// The same with `disk` behind the block device.
///
/// # Panics
/// As [`boot`].
pub fn boot_with_disk(cmdline: &str, disk: impl Disk + 'static) -> Run {
    boot_with(cmdline, Preset::default().config(Box::new(disk)))
}

/// Boots the embedded image with `devices` and runs it to its end.
///
/// # Panics
/// As [`boot`].
pub fn boot_with(cmdline: &str, devices: PlatformConfig) -> Run {
    run(Config { cmdline: cmdline.into(), devices, ..Config::default() })
}

/// What the guest of a successful boot with `devices` did, to memory as well where that is
/// watched.
///
/// # Panics
/// As [`entries`].
pub fn watched(cmdline: &str, devices: PlatformConfig, watching: Watching) -> Vec<Entry> {
    let run = run(Config { cmdline: cmdline.into(), devices, watching, ..Config::default() });
    assert_eq!(run.outcome, Outcome::Success, "{}", String::from_utf8_lossy(&run.console));
    run.recorder.entries().to_vec()
}

/// What the guest of a successful boot did.
///
/// # Panics
/// As [`boot`], and when the guest did not succeed; the message has its console.
pub fn entries(cmdline: &str) -> Vec<Entry> {
    let run = boot(cmdline);
    assert_eq!(run.outcome, Outcome::Success, "{}", String::from_utf8_lossy(&run.console));
    run.recorder.entries().to_vec()
}

fn run(config: Config) -> Run {
    Machine::new(config)
        .and_then(|machine| machine.run(RunOptions::default()))
        .unwrap_or_else(|error| panic!("{error}"))
}
