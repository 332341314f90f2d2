//! The kernel's core on KVM: interrupts, faults, and tasks in ring 3.

use eclipse_tests::kvm;
use eclipse_vmm::{Outcome, Run};
use expect_test::expect;

/// What the kernel printed.
fn console(run: &Run) -> String {
    String::from_utf8_lossy(&run.console).into_owned()
}

/// The last line before a scenario.
const STAGES: &str = "[SRV] Servers registered: block, file\n";

/// What the kernel printed behind a line.
fn after(run: &Run, line: &str) -> String {
    let console = console(run);
    let (_, rest) = console.split_once(line).unwrap_or_else(|| panic!("no {line}: {console}"));
    rest.to_string()
}

#[test]
fn interrupts_come_once_each_and_strays_do_no_harm() {
    let run = kvm::boot("scenario=interrupts");
    assert_eq!(run.outcome, Outcome::Success, "{}", console(&run));
    expect![[r#"
        [INT] Line 4 connected, once for all who share it
        . Line 4 raised, 1
        . Line 4 raised, 2
        . Line 4 raised, 3
        [INT] A message that nobody waited for ended one sleep
        [INT] Stray interrupts did no harm
        [INT] The clock goes on
    "#]]
    .assert_eq(&after(&run, STAGES));
}

/// How a task of ring 3 ends: what the kernel prints once the servers are there.
fn task(cmdline: &str) -> (Outcome, String) {
    let run = kvm::boot(&format!("scenario=user {cmdline}"));
    let log = after(&run, "[SRV] Block server and file server started\n");
    (run.outcome, log)
}

#[test]
fn a_task_in_ring_3_prints_a_file_by_system_calls() {
    let (outcome, log) = task("");
    assert_eq!(outcome, Outcome::Success, "{log}");
    assert!(log.starts_with("Welcome to Eclipse.\n"), "{log}");
    let end = "and your bounds be checked.\n[USER] Task `print` exited with status 0\n";
    assert!(log.ends_with(end), "{log}");
}

#[test]
fn a_call_that_fails_tells_the_task_why() {
    for (cmdline, program, status) in [
        ("path=/none", "print", 2),
        ("path=/etc", "print", 21),
        ("program=pointer", "pointer", 14),
        ("program=overwrite", "overwrite", 14),
        ("program=number", "number", 38),
    ] {
        let (outcome, log) = task(cmdline);
        assert_eq!(outcome, Outcome::Failure(0x11));
        let end = format!("ask `{program}` exited with status {status}\n");
        assert_eq!(log, format!("[USER] T{end}[ERROR] t{end}"), "{cmdline}");
    }
}

#[test]
fn a_call_leaves_the_task_its_registers() {
    let (outcome, log) = task("program=registers");
    assert_eq!(
        (outcome, &*log),
        (Outcome::Success, "[USER] Task `registers` exited with status 0\n")
    );
}

#[test]
fn what_a_task_may_not_ends_the_task_and_not_the_kernel() {
    for (program, report) in [
        // Some KVMs say that a page is not mapped where its rights are the reason.
        ("load", "load from 0xffff800000200000, which"),
        ("text", "store to 0x0000000000400"),
        ("execute", "fetch from 0x000000000040bff8, which"),
        ("stack", "store to 0x0000000000407ff8, which is not mapped"),
        ("halt", "exception 13, general protection fault, at rip 0x400"),
        ("lost", "Task `lost` was ended: its stack or code is at no address"),
        ("loop", "Task `loop` was ended: it took too long"),
    ] {
        let (outcome, log) = task(&format!("program={program}"));
        assert_eq!(outcome, Outcome::Failure(0x11));
        assert!(log.contains(report), "{program}: {log}");
        let last = log.lines().last().unwrap_or_default();
        assert!(last.starts_with(&format!("[ERROR] task `{program}` was ended")), "{log}");
    }
}

#[test]
fn a_program_that_is_not_known_is_refused_with_those_that_are() {
    let run = kvm::boot("scenario=user program=dance");
    assert_eq!(run.outcome, Outcome::Failure(0x11));
    expect!["[ERROR] unknown program `dance`: known are print, pointer, overwrite, number, registers, load, text, execute, stack, halt, lost, loop\n"]
        .assert_eq(&after(&run, STAGES));
}

#[test]
fn what_the_kernel_may_not_ends_with_a_report_of_what_and_where() {
    for (kind, report) in [
        ("null", "[FAULT] load from 0x0000000000000000, which is not mapped"),
        ("text", "[FAULT] store to 0xffffffff802"),
        ("data", "[FAULT] fetch from 0xffffffff802"),
        ("stack", "[FAULT] store to 0xffffffff802"),
    ] {
        let run = kvm::boot(&format!("scenario=fault kind={kind}"));
        assert_eq!(run.outcome, Outcome::Failure(0x11));
        let log = after(&run, STAGES);
        assert!(log.starts_with("[FAULT] exception 14, page fault, at rip 0x"), "{kind}: {log}");
        let line = log.lines().nth(1).unwrap_or_default();
        assert!(line.starts_with(report), "{kind}: {log}");
        // The page below a stack is not there; the others are, and forbid it.
        let why = if matches!(kind, "null" | "stack") { "is not mapped" } else { "forbids it" };
        assert!(line.ends_with(why), "{kind}: {log}");
    }
}

/// What `scenario=memory` says, line by line; each is about one of the defects that drivers of this
/// kernel have really had.
fn memory_drill() -> String {
    let run = kvm::boot("scenario=memory");
    assert_eq!(run.outcome, Outcome::Success, "{}", console(&run));
    after(&run, STAGES)
}

#[test]
fn defect_07_device_memory_is_mapped_to_its_end_before_it_is_touched() {
    assert!(memory_drill().contains("[MEM] Device memory is mapped to its end\n"));
}

#[test]
fn defect_14_where_nothing_is_mapped_there_is_no_physical_address() {
    assert!(memory_drill().contains("[MEM] Each address has its own physical one, or none\n"));
}

#[test]
fn defect_22_the_kernel_refuses_memory_that_is_released_twice() {
    let run = kvm::boot("scenario=fault kind=release");
    assert_eq!(run.outcome, Outcome::Failure(0x11));
    let log = after(&run, STAGES);
    assert!(log.contains(": DMA memory: nothing is allocated at 0x"), "{log}");
}

#[test]
fn defect_23_no_memory_is_left_uncached() {
    assert!(memory_drill().contains("[MEM] Device memory is not cached, all other is\n"));
}

#[test]
fn defect_24_no_live_page_table_is_free_memory() {
    assert!(memory_drill().contains("[MEM] No live table is free memory\n"));
}

#[test]
fn dma_memory_that_goes_astray_is_a_failure() {
    let run = kvm::boot("scenario=fault kind=leak");
    assert_eq!(run.outcome, Outcome::Failure(0x11));
    let log = after(&run, STAGES);
    let end = "[MEM] DMA: 4096 bytes in use\n[ERROR] DMA memory was not given back\n";
    assert_eq!(log, end);
}

#[test]
fn a_kind_of_fault_that_is_not_known_is_refused_with_those_that_are() {
    let run = kvm::boot("scenario=fault kind=line");
    assert_eq!(run.outcome, Outcome::Failure(0x11));
    expect![
        "[ERROR] unknown kind `line`: known are unmapped, null, text, data, stack, leak, release\n"
    ]
    .assert_eq(&after(&run, STAGES));
}
