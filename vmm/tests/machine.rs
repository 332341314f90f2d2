//! The machine by its library, with guests of a few bytes.

#![allow(clippy::unwrap_used)]

mod common;

use std::{
    fs::File,
    io::Write,
    thread,
    time::{Duration, Instant},
};

use common::{CODE, RESET, SLEEP, SPIN, UNDEFINED, exit, image, print};
use eclipse_vmm::{Config, Death, Kernel, Machine, Outcome, Run, RunOptions};

fn machine(code: &[u8]) -> Machine {
    let kernel = Kernel::from_bytes("a guest of a few bytes", image(code));
    Machine::new(Config { kernel, ..Config::default() }).unwrap()
}

fn run(code: &[u8]) -> Run {
    machine(code).run(RunOptions::default()).unwrap()
}

/// Runs a guest that never ends, for a tenth of a second.
fn run_shortly(code: &[u8]) -> Run {
    run_for(code, Duration::from_millis(100))
}

fn run_for(code: &[u8], timeout: Duration) -> Run {
    let began = Instant::now();
    let run = machine(code).run(RunOptions { timeout, ..RunOptions::default() }).unwrap();
    assert!(began.elapsed() >= timeout);
    assert_eq!(run.outcome, Outcome::Died(Death::Hang(timeout)));
    run
}

#[test]
fn the_value_at_the_debug_exit_is_the_outcome() {
    assert_eq!(run(&exit(0x10)).outcome, Outcome::Success);
    assert_eq!(run(&exit(0x11)).outcome, Outcome::Failure(0x11));
    assert_eq!(run(&exit(0)).outcome, Outcome::Failure(0));
}

#[test]
fn the_guest_is_entered_as_pvh_says() {
    // Exits with the first byte of the start info that EBX points to: mov al, [ebx]; out 0xf4, al.
    assert_eq!(run(&[0x8A, 0x03, 0xE6, 0xF4]).outcome, Outcome::Failure(0x78));
}

#[test]
fn what_the_guest_prints_is_kept_and_recorded_by_the_line() {
    let run = run(&[&print("one\ntwo")[..], &exit(0x10)].concat());
    assert_eq!(run.console, b"one\ntwo");
    assert_eq!(run.recorder.summary().console_lines, 2);
}

#[test]
fn a_string_instruction_makes_one_access_for_each_element() {
    // mov esi, text; mov ecx, 5; mov edx, 0x3f8; rep outsb
    let text = CODE + 17 + 4;
    let mut code = vec![0xBE];
    code.extend(text.to_le_bytes());
    code.extend([0xB9, 5, 0, 0, 0, 0xBA, 0xF8, 0x03, 0, 0, 0xF3, 0x6E]);
    code.extend(exit(0x10));
    code.extend(b"hello");
    assert_eq!(run(&code).console, b"hello");

    // mov edi, 0x200000; mov ecx, 4; mov edx, 0xcfc; rep insw; mov al, [edi - 1]; out 0xf4, al
    let mut code = vec![0xBF, 0, 0, 0x20, 0, 0xB9, 4, 0, 0, 0, 0xBA, 0xFC, 0x0C, 0, 0];
    code.extend([0xF3, 0x66, 0x6D, 0x8A, 0x47, 0xFF, 0xE6, 0xF4]);
    let run = run(&code);
    assert_eq!(run.outcome, Outcome::Failure(0xFF));
    assert_eq!(run.recorder.summary().accesses(), 5);
}

#[test]
fn a_triple_fault_is_reported_with_where_and_how() {
    let run = run(&[&print("last words\n")[..], &UNDEFINED].concat());
    assert_eq!(run.outcome, Outcome::Died(Death::TripleFault));
    let post_mortem = run.post_mortem.unwrap();
    let text = post_mortem.to_string();
    assert!(text.starts_with("the guest died: triple fault\n"), "{text}");
    assert!(text.contains("last words"), "{text}");
    // Some KVMs forget the state at a triple fault; then it is that of the last character.
    let stopped = if post_mortem.earlier { "ee  out dx,al" } else { "0f 0b  ud2" };
    assert!(text.contains(stopped), "{text}");
}

#[test]
fn an_instruction_that_the_machine_cannot_do_is_shown() {
    // movaps xmm0, xmm1: SSE is off, so the processor faults; a KVM that emulates gives up.
    let run = run(&[0x0F, 0x28, 0xC1]);
    let text = run.post_mortem.unwrap().to_string();
    match run.outcome {
        Outcome::Died(Death::TripleFault) => {}
        Outcome::Died(Death::InternalError { suberror: 1, .. }) => {
            assert!(text.contains("0f 28 c1  movaps xmm0,xmm1"), "{text}");
        }
        other => panic!("{other}"),
    }
}

#[test]
fn the_backtrace_of_the_embedded_kernel_has_its_functions_names() {
    let config = Config { cmdline: "scenario=hang".into(), ..Config::default() };
    let timeout = Duration::from_secs(2);
    let options = RunOptions { timeout, ..RunOptions::default() };
    let run = Machine::new(config).unwrap().run(options).unwrap();
    assert_eq!(run.outcome, Outcome::Died(Death::Hang(timeout)));
    let post_mortem = run.post_mortem.unwrap();
    let frames = post_mortem.backtrace.iter().map(|frame| frame.symbol.as_deref().unwrap_or("?"));
    assert!(frames.clone().any(|name| name.starts_with("kernel_start+")), "{post_mortem}");
    assert!(frames.clone().all(|name| name != "?"), "{post_mortem}");
}

#[test]
fn a_reset_is_a_death_of_its_own() {
    let run = run(&[&RESET[..], &SPIN].concat());
    assert_eq!(run.outcome, Outcome::Died(Death::Reset));
    assert_eq!(run.post_mortem.unwrap().regs.rip, u64::from(CODE) + 4);
}

#[test]
fn a_guest_that_spins_or_sleeps_for_ever_ends_by_its_timeout() {
    let spinning = run_shortly(&SPIN).post_mortem.unwrap();
    assert_eq!(spinning.regs.rip, u64::from(CODE));
    assert_eq!(spinning.instruction.bytes, SPIN);
    assert!(!spinning.halted);
    let asleep = run_shortly(&SLEEP).post_mortem.unwrap();
    assert_eq!(asleep.regs.rip, u64::from(CODE) + 2);
    assert_eq!(asleep.instruction.text, "hlt");
    assert!(asleep.halted && asleep.to_string().contains("interrupts off, asleep in hlt"));
}

#[test]
fn a_guest_that_never_stops_making_accesses_ends_by_its_timeout() {
    // in al, 0x64; jmp back. Long enough for a slow host to make twenty of them.
    let run = run_for(&[0xE4, 0x64, 0xEB, 0xFC], Duration::from_secs(1));
    assert!(run.recorder.recorded() > 20);
    assert_eq!(run.post_mortem.unwrap().events.len(), 20);
}

#[test]
fn a_frame_pointer_that_leads_nowhere_ends_the_backtrace() {
    // mov ebp, 0xfffffff8; jmp $: no memory is there. mov ebp, 0x5000; mov [ebp], ebp: a circle.
    let nowhere = run_shortly(&[0xBD, 0xF8, 0xFF, 0xFF, 0xFF, 0xEB, 0xFE]);
    assert_eq!(nowhere.post_mortem.unwrap().backtrace.len(), 1);
    let circle = [0xBD, 0, 0x50, 0, 0, 0x89, 0x6D, 0, 0x89, 0x6D, 4, 0xEB, 0xFE];
    assert_eq!(run_shortly(&circle).post_mortem.unwrap().backtrace.len(), 2);
}

#[test]
fn two_machines_run_at_the_same_time() {
    let runs = [exit(0x10), exit(0x42)].map(|code| thread::spawn(move || run(&code).outcome));
    let outcomes = runs.map(|run| run.join().unwrap());
    assert_eq!(outcomes, [Outcome::Success, Outcome::Failure(0x42)]);
}

#[test]
fn what_the_user_types_reaches_the_serial_port_in_order_and_whole() {
    // mov dx, 0x3fd; in al, dx; test al, 1; jz back; mov dx, 0x3f8; in al, dx; out dx, al;
    // cmp al, '.'; jne back; then exit: an echo up to a full stop.
    let echo = [
        0x66, 0xBA, 0xFD, 0x03, 0xEC, 0xA8, 0x01, 0x74, 0xFB, 0x66, 0xBA, 0xF8, 0x03, 0xEC, 0xEE,
        0x3C, b'.', 0x75, 0xED,
    ];
    let code = [&echo[..], &exit(0x10)].concat();
    let text = "0123456789abcdef".repeat(40) + ".";

    let (reader, mut writer) = std::io::pipe().unwrap();
    writer.write_all(text.as_bytes()).unwrap();
    let input = Some(File::from(std::os::fd::OwnedFd::from(reader)));
    let run = machine(&code).run(RunOptions { input, ..RunOptions::default() }).unwrap();
    assert_eq!(String::from_utf8_lossy(&run.console), text, "from a pipe");

    let mut file = tempfile::tempfile().unwrap();
    file.write_all(text.as_bytes()).unwrap();
    std::io::Seek::rewind(&mut file).unwrap();
    let input = Some(file);
    let run = machine(&code).run(RunOptions { input, ..RunOptions::default() }).unwrap();
    assert_eq!(String::from_utf8_lossy(&run.console), text, "from a file");
}

#[test]
fn what_the_user_types_does_not_wake_a_guest_that_sleeps_with_interrupts_off() {
    let (reader, mut writer) = std::io::pipe().unwrap();
    writer.write_all(b"x").unwrap();
    drop(writer);
    let options = RunOptions {
        timeout: Duration::from_millis(100),
        input: Some(File::from(std::os::fd::OwnedFd::from(reader))),
        ..RunOptions::default()
    };
    let run = machine(&SLEEP).run(options).unwrap();
    assert!(matches!(run.outcome, Outcome::Died(Death::Hang(_))));
    assert!(run.post_mortem.unwrap().halted);
}

#[test]
fn memory_beyond_three_gib_goes_above_four() {
    let kernel = Kernel::from_bytes("a guest", image(&exit(0x10)));
    let machine = Machine::new(Config { kernel, memory: 5 << 30, ..Config::default() }).unwrap();
    assert_eq!(machine.run(RunOptions::default()).unwrap().outcome, Outcome::Success);
}
