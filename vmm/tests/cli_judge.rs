//! The judge by its command line: reports, exit codes, and what it refuses to judge.

#![allow(clippy::unwrap_used)]

#[path = "common/driver.rs"]
mod driver;

mod common;

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Command, Output},
};

use common::{exit, image};
use driver::{COMMON, Code};
use eclipse_trace::{
    Access, Actor, Bdf, Entry, Event, Register,
    jsonl::{About, Writer},
    register::CommonCfg,
};
use serde_json::Value;
use tempfile::TempDir;

const BLOCK: Bdf = Bdf::new(0, 4, 0);

/// A transcript in which a driver stores `values` to the status, one after the other.
fn transcript(values: &[u64]) -> Vec<u8> {
    let about = About { preset: "modern".into(), cmdline: String::new() };
    let mut writer = Writer::new(Vec::new(), &about).unwrap();
    for (seq, &value) in (0..).zip(values) {
        let register = Register::Common { function: BLOCK, register: CommonCfg::DeviceStatus };
        let event = Event::Register { register, access: Access::Store { width: 1, value } };
        writer.write(&[Entry { seq, rip: None, by: Actor::Guest, event }]).unwrap();
    }
    writer.end("success").unwrap()
}

struct Place {
    directory: TempDir,
}

impl Place {
    /// A directory with a right and a wrong transcript, and a kernel with a wrong driver.
    fn new() -> Self {
        let place = Self { directory: tempfile::tempdir().unwrap() };
        place.put("right.jsonl", &transcript(&[0, 1, 3, 0x0b, 0x0f]));
        place.put("wrong.jsonl", &transcript(&[0, 1, 2]));
        // It decodes memory, and says DRIVER without ACKNOWLEDGE.
        let code = Code::ready().store8(COMMON + 0x14, 0).store8(COMMON + 0x14, 1);
        let code = code.store8(COMMON + 0x14, 2).bytes(&exit(0x10));
        place.put("wrong.elf", &image(&code.0));
        place
    }

    fn put(&self, name: &str, bytes: &[u8]) {
        fs::write(self.path(name), bytes).unwrap();
    }

    fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    fn call(&self, arguments: &[&str]) -> Output {
        let mut command = Command::new(env!("CARGO_BIN_EXE_eclipse-vmm"));
        command.args(arguments).current_dir(self.directory.path()).output().unwrap()
    }

    /// What is printed, which ends with this code.
    #[track_caller]
    fn prints(&self, code: i32, arguments: &[&str]) -> String {
        let output = self.call(arguments);
        let error = text(&output.stderr);
        assert_eq!(output.status.code(), Some(code), "{arguments:?}: {error}");
        assert_eq!(error, "", "{arguments:?}");
        text(&output.stdout)
    }

    /// The sentence on stderr, after which nothing was printed.
    #[track_caller]
    fn refused(&self, code: i32, arguments: &[&str]) -> String {
        let output = self.call(arguments);
        let error = text(&output.stderr);
        assert_eq!(output.status.code(), Some(code), "{arguments:?}: {error}");
        assert_eq!(text(&output.stdout), "", "{arguments:?}");
        error
    }
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).unwrap()
}

fn read(path: &Path) -> String {
    fs::read_to_string(path).unwrap()
}

const RULE: &str = "--rules=D2.1.1-b";

#[test]
fn a_broken_rule_is_told_with_its_clause_the_event_and_what_was_expected() {
    let expected = "\
broken D2.1.1-b MUST (VIRTIO 1.4, 2.1.1): A bit of the status is cleared by a reset only.
       2  guest   00:04.0 common device_status <- 02
          expected  a value with all bits of 0x01, or 0
          seen      0x02, which lacks 0x01
judge: 0 rules kept, 1 broken (must 1); 0 had no occasion
";
    assert_eq!(Place::new().prints(5, &["judge", "wrong.jsonl", RULE]), expected);
}

#[test]
fn a_right_driver_ends_with_success() {
    let expected = "judge: 1 rules kept, 0 broken; 0 had no occasion\n";
    assert_eq!(Place::new().prints(0, &["judge", "right.jsonl", RULE]), expected);
}

#[test]
fn from_which_level_on_it_fails_can_be_chosen() {
    let place = Place::new();
    for (level, code) in [("must", 5), ("should", 5), ("recipe", 5), ("never", 0)] {
        place.prints(code, &["judge", "wrong.jsonl", RULE, "--fail-on", level]);
    }
}

#[test]
fn coverage_lists_every_rule_and_those_that_are_not_judged() {
    let text = Place::new().prints(0, &["judge", "right.jsonl", "--coverage", "--fail-on=never"]);
    let line = |id: &str| text.lines().find(|line| line.starts_with(id)).unwrap_or_default();
    let row: Vec<_> = line("D2.1.1-b ").split_whitespace().take(4).collect();
    assert_eq!(row, ["D2.1.1-b", "must", "3", "0"]);
    assert!(line("D4.1.4.1-e ").contains("not judged: how much"), "{text}");
}

#[test]
fn a_report_is_written_as_json_and_as_junit() {
    let place = Place::new();
    let files = ["--report", "report.json", "--junit", "report.xml"];
    place.prints(5, &[&["judge", "wrong.jsonl", RULE][..], &files].concat());
    let report: Value = serde_json::from_str(&read(&place.path("report.json"))).unwrap();
    assert_eq!(report["entries"], 3);
    assert_eq!(report["broken"]["must"], 1);
    assert_eq!(report["findings"][0]["rule"], "D2.1.1-b");
    assert_eq!(report["findings"][0]["seq"], 2);
    assert_eq!(report["findings"][0]["function"], "00:04.0");
    assert_eq!(report["rules"][0]["broken"], 1);
    let xml = read(&place.path("report.xml"));
    assert!(xml.contains(r#"<testcase name="D2.1.1-b" classname="VIRTIO 1.4, 2.1.1">"#), "{xml}");
    assert!(xml.contains(r#"failures="1""#), "{xml}");
    assert!(xml.contains("event 2: guest   00:04.0 common device_status &lt;- 02"), "{xml}");
    let object: Value =
        serde_json::from_str(&place.prints(5, &["judge", "wrong.jsonl", RULE, "--json"])).unwrap();
    assert_eq!(object, report);
}

#[test]
fn what_is_no_transcript_is_not_judged() {
    let place = Place::new();
    let whole = transcript(&[0, 1]);
    place.put("cut.jsonl", &whole[..whole.len() - 30]);
    place.put("foreign.jsonl", b"{}\n");
    let sentence = |arguments: &[&str]| place.refused(3, arguments);
    assert!(sentence(&["judge", "cut.jsonl"]).contains("is cut off after 2 entries"));
    assert!(sentence(&["judge", "foreign.jsonl"]).contains("is not a transcript"));
    assert!(sentence(&["judge", "nothing.jsonl"]).contains("nothing.jsonl"));
    assert!(sentence(&["judge", "."]).starts_with("error: .: "));
}

#[test]
fn a_rule_that_is_not_there_is_a_mistake_of_the_user() {
    let place = Place::new();
    let sentence = place.refused(2, &["judge", "right.jsonl", "--rules", "D9.9.9-x"]);
    assert!(sentence.contains("there is no rule \"D9.9.9-x\"; `eclipse-vmm rules`"), "{sentence}");
    let sentence = place.refused(2, &["judge", "right.jsonl", "--rules", "D4.1.4.1-e"]);
    assert!(sentence.contains("D4.1.4.1-e is not judged: how much of a structure"), "{sentence}");
    place.refused(2, &["run", "--no-judge", "--coverage"]);
}

#[test]
fn a_run_judges_and_its_exit_code_says_so() {
    let place = Place::new();
    let run = ["run", "--kernel", "wrong.elf", RULE];
    let text = place.prints(5, &run);
    assert!(text.contains("\nbroken D2.1.1-b MUST (VIRTIO 1.4, 2.1.1): "), "{text}");
    assert!(text.contains("guest   00:04.0 common device_status <- 02\n"), "{text}");
    assert!(text.ends_with("\nverdict: success\n"), "{text}");
    let quiet = place.prints(5, &[&run[..], &["--quiet"]].concat());
    assert_eq!(
        quiet,
        "verdict: success\njudge: 0 rules kept, 1 broken (must 1); 0 had no occasion\n"
    );
    let text = place.prints(0, &["run", "--kernel", "wrong.elf", "--no-judge"]);
    assert!(!text.contains("judge"), "{text}");
}

#[test]
fn a_guest_that_fails_and_breaks_a_rule_ends_as_one_that_broke_a_rule() {
    let place = Place::new();
    let code = Code::ready().store8(COMMON + 0x14, 0x01).bytes(&exit(0x11));
    place.put("failing.elf", &image(&code.0));
    let text = place.prints(5, &["run", "--kernel", "failing.elf", RULE]);
    assert!(text.ends_with("\nverdict: failure (exit value 0x11)\n"), "{text}");
    // One that dies ends as one that died.
    let code = Code::ready().store8(COMMON + 0x14, 0x01).bytes(&[0x0F, 0x0B]);
    place.put("dying.elf", &image(&code.0));
    let output = place.call(&["run", "--kernel", "dying.elf", RULE]);
    assert_eq!(output.status.code(), Some(4));
}

#[test]
fn a_transcript_of_a_run_is_judged_as_the_run_was() {
    let place = Place::new();
    let run = ["run", "--kernel", "wrong.elf", "--trace", "t.jsonl", "--report", "run.json"];
    place.call(&run);
    place.call(&["judge", "t.jsonl", "--report", "again.json"]);
    let (run, again) = (read(&place.path("run.json")), read(&place.path("again.json")));
    assert_eq!(run, again);
    let report: Value = serde_json::from_str(&run).unwrap();
    assert!(report["broken"]["must"].as_u64().unwrap() >= 1);
    assert!(report["findings"][0]["rip"].is_u64(), "{report:#}");
}

/// What stock QEMU prints of a driver that stores 1 and then 2 to the status.
const QEMU_LOG: &str = "\
memory_region_ops_write cpu 0 mr 0x1 addr 0xcf8 value 0x80002004 size 4 name 'pci-conf-idx'
pci_cfg_write virtio-blk-pci 00:04.0 @0x4 <- 0x6
";

#[test]
fn a_damaged_log_of_qemu_is_refused_with_its_line() {
    let place = Place::new();
    place.put("cut.log", &QEMU_LOG.as_bytes()[..QEMU_LOG.len() - 6]);
    let sentence = place.refused(3, &["judge", "--qemu", "cut.log"]);
    assert!(sentence.starts_with("error: cut.log: line 2: the log is cut off"), "{sentence}");
    let sentence = place.refused(3, &["judge", "--qemu", "right.jsonl"]);
    assert!(sentence.contains("no line is of QEMU's trace"), "{sentence}");
}
