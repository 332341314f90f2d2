//! The devices of `run` in QEMU's words.

use std::{ffi::OsString, path::Path};

use clap::{CommandFactory, ValueEnum, error::ErrorKind};
use eclipse_devices::{
    ConfigError, Preset,
    disk::{self, Mode},
};
use eclipse_trace::Bdf;

use super::{Cli, Failure, disks::DisksArgs};
use crate::Error;

/// Which board QEMU emulates.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum Board {
    /// i440FX and PIIX: PCI, as the machine of `run` is.
    Pc,
    /// Q35 and ICH9: PCI Express.
    Q35,
}

impl Board {
    /// QEMU's name of it.
    pub fn name(self) -> &'static str {
        match self {
            Board::Pc => "pc",
            Board::Q35 => "q35",
        }
    }

    /// QEMU's name of its root bus.
    fn root(self) -> &'static str {
        match self {
            Board::Pc => "pci.0",
            Board::Q35 => "pcie.0",
        }
    }

    /// What leads to bus 1.
    fn bridge(self) -> &'static str {
        match self {
            Board::Pc => "pci-bridge,id=behind,chassis_nr=1,addr=05.0",
            Board::Q35 => "pcie-root-port,id=behind,chassis=1,addr=05.0",
        }
    }
}

/// Opens what QEMU will open, for the same messages as those of `run`.
pub(super) fn check(board: Board, disks: &DisksArgs) -> Result<(), Failure> {
    if board == Board::Q35 && disks.ide.is_some() {
        let what = "--ide needs --machine pc: a q35 has no IDE controller";
        return Err(Failure::Usage(Cli::command().error(ErrorKind::ArgumentConflict, what)));
    }
    for block in &disks.block {
        if block.function.bus() > 1 {
            return Err(Error::devices(ConfigError::NoBus(block.function)).into());
        }
    }
    for spec in disks.block.iter().map(|block| &block.disk).chain(&disks.ide) {
        drop(disk::open(spec)?);
    }
    Ok(())
}

/// The arguments for the devices, with the image at `path` behind the preset's block device.
///
/// Where QEMU is to record, the stores that notify a queue must reach the device: as a rule QEMU
/// takes them for an eventfd, and its trace does not show them.
pub(super) fn arguments(
    board: Board,
    disks: &DisksArgs,
    path: &Path,
    mode: Mode,
    recorded: bool,
) -> Vec<OsString> {
    let notified = if recorded { ",ioeventfd=off" } else { "" };
    let mut blocks = Vec::new();
    if !disks.no_disk {
        blocks.push((disks.preset.block_device(), properties(disks.preset), path, mode));
    }
    for block in &disks.block {
        let properties = properties(Preset::Modern);
        blocks.push((block.function, properties, block.disk.path(), block.disk.mode()));
    }
    let mut arguments: Vec<OsString> = Vec::new();
    if blocks.iter().any(|(function, ..)| function.bus() != 0) {
        arguments.extend(["-device".into(), board.bridge().into()]);
    }
    for (number, (function, properties, path, mode)) in blocks.into_iter().enumerate() {
        let id = format!("d{number}");
        let place = place(board, function);
        let device = format!("virtio-blk-pci,drive={id},{place},{properties}{notified}");
        arguments.extend(["-drive".into(), drive(&id, path, mode)]);
        arguments.extend(["-device".into(), device.into()]);
    }
    if let Some(spec) = &disks.ide {
        arguments.extend(["-drive".into(), drive("ide", spec.path(), spec.mode())]);
        arguments.extend(["-device".into(), "ide-hd,drive=ide,bus=ide.0,unit=0".into()]);
    }
    arguments
}

/// How virtio-blk-pci is what the preset's device is.
fn properties(preset: Preset) -> &'static str {
    match preset {
        Preset::Modern | Preset::Bridge => "disable-legacy=on",
        Preset::Transitional => "disable-legacy=off,disable-modern=off",
        Preset::Legacy => "disable-legacy=off,disable-modern=on",
        Preset::Packed => "disable-legacy=on,packed=on",
    }
}

fn place(board: Board, function: Bdf) -> String {
    let bus = if function.bus() == 0 { board.root() } else { "behind" };
    format!("bus={bus},addr={:02x}.{}", function.device(), function.function())
}

/// A disk in QEMU's words, where a comma in a name is written twice.
fn drive(id: &str, path: &Path, mode: Mode) -> OsString {
    let how = match mode {
        Mode::CopyOnWrite => "snapshot=on",
        Mode::Write => "snapshot=off",
        Mode::ReadOnly => "readonly=on",
    };
    let mut drive = OsString::from(format!("if=none,id={id},format=raw,{how},file="));
    // A name that QEMU could take for a protocol's, such as `nbd:`, is not one with a directory.
    if path.is_relative() {
        drive.push("./");
    }
    // Only UTF-8 comes from the command line and from the temporary directory of such a user.
    drive.push(path.to_string_lossy().replace(',', ",,"));
    drive
}
