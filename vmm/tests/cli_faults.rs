//! Faults on the command line: by name, by file, and what is wrong with them.

#![allow(clippy::unwrap_used)]

mod common;

use std::{
    fs,
    process::{Command, Output},
};

use common::{exit, image};

fn call(directory: &std::path::Path, arguments: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_eclipse-vmm"));
    command.args(arguments).current_dir(directory).output().unwrap()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).unwrap()
}

#[test]
fn the_catalogue_is_listed_and_a_row_explained() {
    let directory = tempfile::tempdir().unwrap();
    let list = call(directory.path(), &["faults"]);
    assert_eq!(list.status.code(), Some(0));
    let list = text(&list.stdout);
    assert_eq!(list.lines().count(), 90);
    assert!(list.contains("F65   malicious  used.id is outside the table [id, nth]\n"), "{list}");
    assert_eq!(text(&call(directory.path(), &["run", "--fault", "help"]).stdout), list);
    let row = text(&call(directory.path(), &["faults", "f65"]).stdout);
    assert!(row.starts_with("F65, malicious: used.id is outside the table\n  id=0x10003"), "{row}");
}

#[test]
fn what_is_no_fault_is_a_usage_error() {
    let directory = tempfile::tempdir().unwrap();
    let refused = |arguments: &[&str]| {
        let output = call(directory.path(), arguments);
        assert_eq!(output.status.code(), Some(2), "{}", text(&output.stderr));
        text(&output.stderr)
    };
    assert!(refused(&["--fault", "F3"]).contains("there is no fault \"F3\""));
    assert!(refused(&["--fault", "F65:x=1"]).contains("it has id, nth"));
    assert!(refused(&["faults", "F3"]).contains("there is no fault \"F3\""));
    fs::write(
        directory.path().join("wrong.toml"),
        "[[fault]]\non = { load = \"statsu\" }\ndo = { return = 1 }\n",
    )
    .unwrap();
    let sentence = refused(&["--faults", "wrong.toml"]);
    assert!(sentence.contains("wrong.toml: line 2, column 15: there is no register \"statsu\""));
}

#[test]
fn a_fault_of_what_the_machine_does_not_have_is_a_usage_error_that_says_where() {
    let directory = tempfile::tempdir().unwrap();
    let refused = |file: &str, more: &[&str]| {
        fs::write(directory.path().join("my.toml"), file).unwrap();
        let output = call(directory.path(), &[&["run", "--faults", "my.toml"], more].concat());
        assert_eq!(output.status.code(), Some(2), "{}", text(&output.stderr));
        text(&output.stderr)
    };
    let good = "[[fault]]\non = { halt = true }\ndo = { remove = true }\n";
    let absent = "[[fault]]\ndevice = \"00:07.0\"\non = { halt = true }\ndo = { remove = true }\n";
    let sentence = refused(&format!("{good}{absent}"), &[]);
    assert!(sentence.contains("my.toml: line 5, column 10: there is no function 00:07.0"));
    let queue = "[[fault]]\non = { notify = 3 }\ndo = { ignore = true }\n";
    let sentence = refused(&format!("{good}{queue}"), &[]);
    assert!(sentence.contains("my.toml: line 5, column 6: 00:04.0 has no queue 3"), "{sentence}");
    let poll = "[[fault]]\non = { halt = true }\ndo = { poll = 1 }\n";
    assert!(refused(poll, &[]).contains("my.toml: line 3, column 6: 00:04.0 has no queue 1"));
    // What the preset calls the block device is the one that is meant.
    assert!(refused(poll, &["--preset", "bridge"]).contains("01:00.0 has no queue 1"));
    let named = refused(good, &["--fault", "F59:multiplier=3"]);
    assert!(named.contains("F59: notify_multiplier cannot be 0x3"), "{named}");
}

#[test]
fn a_run_has_the_faults_of_the_file_and_of_the_command_line() {
    let directory = tempfile::tempdir().unwrap();
    // mov dx, 0xcf8; mov eax, 0x80002000; out dx, eax; mov dx, 0xcfc; in al, dx; out 0xf4, al
    let mut code = vec![0x66, 0xBA, 0xF8, 0x0C, 0xB8];
    code.extend(0x8000_2000u32.to_le_bytes());
    code.extend([0xEF, 0x66, 0xBA, 0xFC, 0x0C, 0xEC, 0xE6, 0xF4]);
    code.extend(exit(0x10));
    fs::write(directory.path().join("kernel.elf"), image(&code)).unwrap();
    fs::write(
        directory.path().join("faults.toml"),
        "[[fault]]\non = { load = \"config.vendor_id\" }\ndo = { return = 0x42 }\n",
    )
    .unwrap();
    let run = |more: &[&str]| {
        let arguments = [&["--kernel", "kernel.elf", "--json"], more].concat();
        let output = call(directory.path(), &arguments);
        text(&output.stdout)
    };
    assert!(run(&[]).contains("\"exit_value\":244"), "the low byte of 1af4");
    let faulty = run(&["--faults", "faults.toml"]);
    assert!(faulty.contains("\"exit_value\":66"), "{faulty}");
    assert!(faulty.contains("\"faults\":1"), "{faulty}");
    // A named fault is one of the block device, wherever the preset has it.
    let bridge = run(&["--preset", "bridge", "--fault", "F15"]);
    assert!(bridge.contains("\"exit_value\":255"), "{bridge}");
    assert!(!bridge.contains("\"faults\":0"), "{bridge}");
    let gone = run(&["--fault", "F111:exit=2"]);
    assert!(gone.contains("\"exit_value\":255"), "{gone}");
}
