//! The example that tests a foreign kernel, on kernels that keep what it expects and that do not.

#![allow(clippy::unwrap_used)]

mod common;
#[path = "common/driver.rs"]
mod driver;
#[allow(dead_code)]
#[path = "../examples/foreign_kernel.rs"]
mod foreign_kernel;

use std::fs;

use common::{exit, image};
use driver::{AVAIL, COMMON, Code, DATA, DESC, HEADER, USED};
use eclipse_vmm::{Outcome, Run, image::IMAGE};
use foreign_kernel::{boot, check};

/// Boots a kernel by its path, as somebody else's is.
fn boot_file(bytes: &[u8], cmdline: &str) -> Run {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("kernel");
    fs::write(&path, bytes).unwrap();
    boot(&path, cmdline).unwrap()
}

/// A driver that keeps to 3.1.1, in a few stores.
fn careful() -> Code {
    let status = COMMON + 0x14;
    // Bus mastering and memory, as in `Code::ready`.
    let code = vec![
        0xB8, 0x04, 0x20, 0x00, 0x80, 0x66, 0xBA, 0xF8, 0x0C, 0xEF, 0x66, 0xBA, 0xFC, 0x0C, 0x66,
        0xB8, 0x06, 0x04, 0x66, 0xEF,
    ];
    let code = Code(code).store8(status, 0).expect8(status, 0, 1);
    let code = code.store8(status, 0x01).store8(status, 0x03);
    let code = code.store32(COMMON + 0x08, 1).store32(COMMON + 0x0C, 1);
    let code = code.store8(status, 0x0B).expect8(status, 0x0B, 2);
    let code = code.store16(COMMON + 0x18, 8).store32(COMMON + 0x20, DESC);
    let code = code.store32(COMMON + 0x28, AVAIL).store32(COMMON + 0x30, USED);
    let code = code.store16(COMMON + 0x1C, 1).store8(status, 0x0F);
    let code = code.descriptor(0, HEADER, 16, 1, 1).descriptor(1, DATA, 512, 3, 2);
    code.descriptor(2, HEADER + 16, 1, 2, 0)
}

fn boot_code(code: Code) -> Run {
    boot_file(&image(&code.bytes(&exit(0x10)).0), "")
}

#[test]
fn a_careful_kernel_meets_the_expectations() {
    let run = boot_code(careful().make_available(1).notify());
    assert_eq!(run.outcome, Outcome::Success);
    check(run.recorder.entries()).unwrap();
}

#[test]
fn the_eclipse_kernel_is_a_kernel_like_any_other() {
    let run = boot_file(IMAGE, "scenario=read sector=3");
    assert_eq!(run.outcome, Outcome::Success);
    check(run.recorder.entries()).unwrap();
}

#[test]
fn a_kernel_that_does_not_reset_the_device_is_told_so() {
    let run = boot_code(Code::ready().make_available(1).notify());
    let failure = check(run.recorder.entries()).unwrap_err();
    let expected = "\
expected in order, as number 1 of 5:
    guest 00:04.0 common device_status <- 00
found never
nearest is event 4: value 01, not 00
         2  guest   config_address <- 80002004
         3  guest   00:04.0 config command <- 0406
  >      4  guest   00:04.0 common device_status <- 01
         5  guest   00:04.0 common device_status <- 03
         6  guest   00:04.0 common driver_feature_select <- 00000001";
    assert_eq!(failure.to_string(), expected);
}

#[test]
fn a_kernel_that_asks_nothing_of_the_device_is_told_so() {
    let run = boot_code(careful());
    let failure = check(run.recorder.entries()).unwrap_err().to_string();
    let expected = "\
expected in order, as number 1 of 3, after `guest 00:04.0 common device_status <- 04/04` (event 22):
    guest 00:04.0 notify q0
found never
nothing comes near it";
    assert!(failure.starts_with(expected), "{failure}");
}
