//! Interrupts of the block device by its pin, as a driver without MSI-X has them.

use eclipse_devices::Completion;
use eclipse_devices::disk::MemoryDisk;
use eclipse_tests::Bare;
use expect_test::expect;

/// Slot 4, INTA#.
const GSI: u32 = 10;

/// The device ready, with MSI-X off and bus mastering on.
fn ready() -> Bare {
    let bare = Bare::ready(MemoryDisk::counting(64));
    bare.config_store(0x04, 2, 0x0006);
    bare.config_store(0x42, 2, 0);
    bare
}

fn flush(bare: &Bare) {
    bare.header(4, 0);
    bare.submit(&[(Bare::HEADER, 16, 1, 1), (Bare::STATUS, 1, 2, 0)]);
}

#[test]
fn a_used_buffer_raises_the_line_until_the_isr_status_is_read() {
    let bare = ready();
    assert_eq!(bare.config_load(0x3c, 2), 0x010a, "INTA#, on line 10");
    bare.header(4, 0);
    bare.descriptors(&[(Bare::HEADER, 16, 1, 1), (Bare::STATUS, 1, 2, 0)]);
    let transcript = bare.transcript_of(|| bare.make_available(0));
    assert!(transcript.ends_with("00:04.0 inta asserted, gsi 10\n"), "{transcript}");
    assert!(bare.machine.line(GSI));
    flush(&bare);
    assert!(bare.machine.line(GSI), "a level, however many buffers");
    expect![[r#"
        guest   config_address <- 80002004
        guest   00:04.0 config status -> 0018
        guest   00:04.0 isr -> 01
        00:04.0 inta deasserted, gsi 10
        guest   config_address <- 80002004
        guest   00:04.0 config status -> 0010
        guest   00:04.0 isr -> 00
    "#]]
    .assert_eq(&bare.transcript_of(|| {
        bare.config_load(0x06, 2);
        bare.load(Bare::ISR, 1);
        bare.config_load(0x06, 2);
        bare.load(Bare::ISR, 1);
    }));
    assert!(!bare.machine.line(GSI));
}

#[test]
fn interrupt_disable_and_msix_each_hold_the_line_low() {
    let bare = ready();
    bare.config_store(0x04, 2, 0x0406);
    flush(&bare);
    assert!(!bare.machine.line(GSI));
    assert_eq!(bare.config_load(0x06, 2), 0x0018, "the request stands (PCI 3.0, 6.2.3)");
    bare.config_store(0x04, 2, 0x0006);
    assert!(bare.machine.line(GSI));
    bare.config_store(0x42, 2, 0x8000);
    assert!(!bare.machine.line(GSI));
    bare.config_store(0x42, 2, 0);
    assert!(bare.machine.line(GSI));
}

#[test]
fn a_device_reset_ends_the_request() {
    let bare = ready();
    flush(&bare);
    assert!(bare.machine.line(GSI));
    bare.common(0x14, 1, 0);
    assert!(!bare.machine.line(GSI));
    assert_eq!(bare.load(Bare::ISR, 1), 0);
}

#[test]
fn a_completion_that_comes_later_raises_the_line_when_it_comes() {
    let bare = ready();
    bare.machine.complete_by(Completion::After(1));
    flush(&bare);
    assert!(!bare.machine.line(GSI), "only taken");
    expect![[r#"
        guest   config_address <- 80002004
        00:04.0 q0 desc[0] read 16 bytes at 0x4000
        00:04.0 q0 request 0: flush sector 0, 0 bytes: ok
        00:04.0 q0 desc[1] write 1 bytes at 0x4010
        00:04.0 q0 used.ring[0] <- id 0 len 1
        00:04.0 q0 used.idx <- 0001
        00:04.0 q0 avail.flags -> 0000
        00:04.0 inta asserted, gsi 10
        guest   00:04.0 config status -> 0018
    "#]]
    .assert_eq(&bare.transcript_of(|| {
        bare.config_load(0x06, 2);
    }));
    bare.load(Bare::ISR, 1);
    assert!(!bare.machine.line(GSI));

    bare.machine.complete_by(Completion::Halt);
    flush(&bare);
    assert!(!bare.machine.line(GSI));
    bare.machine.halt();
    assert!(bare.machine.line(GSI));
}

#[test]
fn a_configuration_change_raises_the_line_too() {
    let bare = ready();
    // A chain that begins outside the table: the device needs a reset, and says so.
    bare.make_available(Bare::SIZE);
    assert_eq!(bare.load_common(0x14, 1) & 0x40, 0x40);
    assert!(bare.machine.line(GSI));
    assert_eq!(bare.load(Bare::ISR, 1) & 2, 2);
    assert!(!bare.machine.line(GSI));
}
