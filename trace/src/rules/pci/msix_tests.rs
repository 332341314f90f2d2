use crate::register::{CapabilityKind, ConfigHeader, MsixEntry, Structure};
use crate::rules::testing::{BLOCK, Transcript};
use crate::{Access, Refusal, Register};

const LOW: MsixEntry = MsixEntry::MessageAddressLow;
const HIGH: MsixEntry = MsixEntry::MessageAddressHigh;
const DATA: MsixEntry = MsixEntry::MessageData;
const CONTROL: MsixEntry = MsixEntry::VectorControl;

fn config(inside: u16) -> Register {
    Transcript::config(BLOCK, 0x40 + inside, Some((CapabilityKind::Msix, 0x40)))
}

fn table(driver: &mut Transcript, vector: u16, register: MsixEntry, width: u8, value: u64) {
    driver.store(Register::MsixTable { function: BLOCK, vector, register }, width, value);
}

fn refused(driver: &mut Transcript, structure: Structure, offset: u32, access: Access) {
    let why = match (structure, access) {
        (Structure::MsixPba, _) => Refusal::ReadOnly,
        (_, Access::Store { width: 4, .. }) => Refusal::NoRegister,
        _ => Refusal::Width,
    };
    driver.refused(Register::None { function: BLOCK, structure, offset }, access, why);
}

/// A driver that has found the capability.
fn found() -> Transcript {
    let mut driver = Transcript::new();
    driver.load(Transcript::header(BLOCK, ConfigHeader::VendorId), 2, 0x1af4);
    driver.load(config(2), 2, 1);
    driver.load(config(4), 4, 0);
    driver
}

fn program(driver: &mut Transcript, vector: u16) {
    table(driver, vector, LOW, 4, 0xfee0_0000);
    table(driver, vector, HIGH, 4, 0);
    table(driver, vector, DATA, 4, 0x30);
}

fn enable(driver: &mut Transcript, control: u64) {
    driver.store(config(2), 2, control);
}

#[test]
fn entries_are_programmed_then_enabled_then_unmasked() {
    let mut driver = found();
    program(&mut driver, 0);
    table(&mut driver, 1, LOW, 8, 0xfee0_0000);
    table(&mut driver, 1, DATA, 8, 1 << 32 | 0x31);
    enable(&mut driver, 0x8001);
    table(&mut driver, 0, CONTROL, 4, 0);
    table(&mut driver, 1, CONTROL, 4, 0);
    driver.keeps("P20", 2);
    driver.keeps("P21", 5);
    driver.keeps("P22", 3);
    driver.keeps("P23", 1);
    driver.keeps("P24", 1);
}

#[test]
fn a_table_that_nobody_looked_for_is_met_by_a_wrong_offset() {
    let mut driver = Transcript::new();
    table(&mut driver, 0, LOW, 4, 0);
    driver.keeps("P20", 0);
    driver.load(Transcript::header(BLOCK, ConfigHeader::VendorId), 2, 0x1af4);
    table(&mut driver, 0, LOW, 4, 0);
    refused(&mut driver, Structure::MsixTable, 0x20, Access::Store { width: 4, value: 0 });
    let nobody = "a store to what nobody asked the place of";
    driver.breaks("P20", &[nobody, "a store at 0x20"]);
}

#[test]
fn entries_are_accessed_whole_and_changed_while_masked() {
    let mut driver = found();
    program(&mut driver, 0);
    enable(&mut driver, 0x8001);
    table(&mut driver, 0, CONTROL, 4, 0);
    // Nothing changes; then all is masked.
    table(&mut driver, 0, DATA, 4, 0x30);
    enable(&mut driver, 0xc001);
    table(&mut driver, 0, DATA, 4, 0x32);
    enable(&mut driver, 0x8001);
    driver.keeps("P21", 5);
    table(&mut driver, 0, DATA, 4, 0x33);
    table(&mut driver, 1, LOW, 4, 0xfee0_0001);
    refused(&mut driver, Structure::MsixTable, 0, Access::Store { width: 2, value: 0 });
    let seen = ["message_data of an entry that is not", "0xfee00001", "2 bytes at 0x0"];
    driver.breaks("P21", &seen);
}

#[test]
fn an_entry_that_is_live_has_a_message() {
    let mut driver = found();
    enable(&mut driver, 0x8001);
    table(&mut driver, 0, CONTROL, 4, 0);
    driver.breaks("P22", &["an entry unmasked without one"]);
    let mut driver = found();
    table(&mut driver, 1, CONTROL, 4, 0);
    enable(&mut driver, 0xc001);
    driver.keeps("P22", 0);
    enable(&mut driver, 0x8001);
    driver.breaks("P22", &["MSI-X on, 1 unmasked"]);
}

#[test]
fn the_size_of_the_table_and_what_is_reserved_stay() {
    let mut driver = found();
    enable(&mut driver, 0x8000);
    enable(&mut driver, 0x8001);
    driver.keeps("P23", 2);
    enable(&mut driver, 0x8002);
    enable(&mut driver, 0x8801);
    driver.store(config(4), 4, 0);
    driver.breaks("P23", &["0x8002", "0x8801", "one at +0x4"]);
}

#[test]
fn pending_bits_are_the_functions_own() {
    let mut driver = found();
    refused(&mut driver, Structure::MsixPba, 0, Access::Store { width: 4, value: 1 });
    driver.breaks("P24", &["0x1 stored"]);
}

#[test]
fn with_messages_the_pin_stays_off() {
    let command = Transcript::header(BLOCK, ConfigHeader::Command);
    let mut driver = found();
    driver.store(command, 2, 0x0406);
    driver.store(command, 2, 0x0006);
    driver.store(command, 2, 0x0406);
    enable(&mut driver, 0x8001);
    driver.status(&[0, 1, 3, 0xb, 0xf]);
    driver.store(command, 2, 0);
    driver.keeps("P25", 1);
    driver.store(command, 2, 0x0406);
    driver.store(command, 2, 0x0006);
    driver.breaks("P25", &["COMMAND 0x0006"]);
}

#[test]
fn message_control_is_stored_whole_or_in_parts() {
    for (inside, width, value) in [(2, 2, 0x8801), (0, 4, 0x8801_0011), (3, 1, 0x88)] {
        let mut driver = found();
        driver.store(config(inside), width, value);
        driver.breaks("P23", &["0x8801"]);
    }
    let mut driver = found();
    driver.store(config(2), 1, 2);
    driver.breaks("P23", &["0x0002"]);
}
