//! The program by its command line: what is wrong is said in one sentence, with the right exit code.

#![allow(clippy::unwrap_used)]

mod common;

use std::{
    fs,
    io::Read,
    path::{Path, PathBuf},
    process::{Child, Command, ExitStatus, Output, Stdio},
};

use common::{LOAD, SLEEP, SPIN, Segment, UNDEFINED, exit, image, note_segment, print, pvh_note};
use tempfile::TempDir;

/// A directory for one test, with a kernel `kernel.elf` in it.
struct Place {
    directory: TempDir,
}

impl Place {
    fn with_kernel(code: &[u8]) -> Self {
        let place = Self { directory: tempfile::tempdir().unwrap() };
        place.put("kernel.elf", &image(code));
        place
    }

    fn new() -> Self {
        Self::with_kernel(&[&print("hello\n")[..], &exit(0x10)].concat())
    }

    fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    fn put(&self, name: &str, bytes: &[u8]) {
        fs::write(self.path(name), bytes).unwrap();
    }

    fn names(&self) -> Vec<String> {
        let names = fs::read_dir(self.directory.path()).unwrap();
        let mut names: Vec<_> =
            names.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_eclipse-vmm"));
        command.args(arguments).current_dir(self.directory.path()).stdin(Stdio::null());
        command
    }

    fn call(&self, arguments: &[&str]) -> Output {
        self.command(arguments).output().unwrap()
    }

    /// Calls with arguments that must be refused, and returns the sentence.
    fn refused(&self, code: i32, arguments: &[&str]) -> String {
        let before = self.names();
        let output = self.call(arguments);
        let sentence = text(&output.stderr);
        assert_eq!(output.status.code(), Some(code), "{arguments:?}: {sentence}");
        assert!(sentence.starts_with("error: "), "{arguments:?}: {sentence}");
        assert!(!sentence.contains("panicked"), "{sentence}");
        assert_eq!(text(&output.stdout), "", "{arguments:?}");
        assert_eq!(self.names(), before, "{arguments:?} left something behind");
        let sentence = sentence.strip_prefix("error: ").unwrap();
        let lines = sentence.trim_end().lines().count();
        assert!(code == 2 || lines == 1, "{arguments:?}: {sentence}");
        sentence.trim_end().to_owned()
    }
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).unwrap()
}

#[track_caller]
fn assert_says(sentence: &str, parts: &[&str]) {
    for part in parts {
        assert!(sentence.contains(part), "{sentence:?} does not say {part:?}");
    }
}

const KERNEL: [&str; 2] = ["--kernel", "kernel.elf"];

#[test]
fn a_guest_that_succeeds_is_shown_live_and_counted_and_judged() {
    let output = Place::new().call(&KERNEL);
    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
    let out = text(&output.stdout);
    assert!(out.starts_with("hello\n\naccesses "), "{out}");
    assert_says(&out, &["\nrequests ", "\nbytes ", "\ninterrupts ", "\nguest ", "\nVMM "]);
    assert!(out.ends_with("\nverdict: success\n"), "{out}");
    assert_eq!(text(&output.stderr), "");
    assert_eq!(Place::new().call(&["run", KERNEL[0], KERNEL[1]]).status.code(), Some(0));
}

#[test]
fn quiet_prints_the_verdict_alone() {
    let output = Place::with_kernel(&exit(0x11)).call(&["--quiet", KERNEL[0], KERNEL[1]]);
    assert_eq!(output.status.code(), Some(1));
    assert_eq!(text(&output.stdout), "verdict: failure (exit value 0x11)\n");
    assert_eq!(text(&output.stderr), "");
    let output = Place::with_kernel(&UNDEFINED).call(&["--quiet", KERNEL[0], KERNEL[1]]);
    assert_eq!(output.status.code(), Some(4));
    assert_eq!(text(&output.stdout), "verdict: died: triple fault\n");
    assert_eq!(text(&output.stderr), "");
}

#[test]
fn json_is_one_object_and_the_guest_goes_to_stderr() {
    let output = Place::new().call(&["--json", KERNEL[0], KERNEL[1]]);
    assert_eq!(text(&output.stderr), "hello\n");
    let object: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(object["verdict"], "success");
    assert_eq!((&object["exit_code"], &object["exit_value"]), (&0.into(), &16.into()));
    assert_eq!(object["summary"]["console_lines"], 1);
    assert!(object["post_mortem"].is_null() && object["startup_us"].is_u64());
}

#[test]
fn what_is_watched_is_counted_and_what_cannot_be_is_refused() {
    let ram = |watch: &[&str]| {
        let output = Place::new().call(&[&["--json"], watch].concat());
        assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
        let object: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
        object["summary"]["ram"].as_u64().unwrap()
    };
    let (stores, all) = (ram(&["--watch", "rings"]), ram(&["--watch", "dma,rings=load"]));
    assert!(ram(&[]) == 0 && stores > 50 && all > stores, "{stores} and {all}");
    assert_eq!(ram(&["--watch", "rings", "--watch", "rings=load"]), all);
    let refused = Place::new().refused(2, &["--watch", "ring"]);
    let forms = "\"ring\" cannot be watched; write rings, rings=load, dma or barriers";
    assert_says(&refused, &["--watch <WHAT>", forms]);
}

#[test]
fn a_guest_that_dies_leaves_a_post_mortem() {
    let place = Place::with_kernel(&[&print("so far")[..], &UNDEFINED].concat());
    let output = place.call(&KERNEL);
    assert_eq!(output.status.code(), Some(4));
    let report = text(&output.stderr);
    assert_says(&report, &["the guest died: triple fault", "registers\n", "control\n"]);
    assert_says(&report, &["instruction\n", "backtrace\n  #0 ", "last 3 events\n", "so far"]);
    assert!(text(&output.stdout).ends_with("\nverdict: died: triple fault\n"));

    let place = Place::with_kernel(&SLEEP);
    let output = place.call(&["--timeout", "0.2", KERNEL[0], KERNEL[1]]);
    assert_eq!(output.status.code(), Some(4));
    assert_says(&text(&output.stderr), &["hang, no end within 0.2 s", "asleep in hlt"]);
}

#[test]
fn a_missing_or_foreign_kvm_is_named() {
    let place = Place::new();
    let refused = |path: &str| place.refused(3, &["--kvm", path, KERNEL[0], KERNEL[1]]);
    assert_says(&refused("no-kvm"), &["no-kvm: there is no KVM here", "kvm_intel"]);
    assert_says(&refused("kernel.elf"), &["kernel.elf: is not KVM's device", "--kvm"]);
    assert_says(&refused("."), &[".: is not KVM's device"]);
}

#[test]
fn a_kernel_that_cannot_be_booted_is_named_with_the_reason() {
    let place = Place::new();
    let refused = |path: &str| place.refused(3, &["--kernel", path]);
    assert_says(&refused("missing.elf"), &["missing.elf: cannot be read", "No such file"]);
    assert_says(&refused("."), &[".: is a directory; name a file"]);
    assert_says(&refused("/dev/null"), &["/dev/null: is not a regular file"]);

    place.put("text.elf", b"this is no program\n");
    assert_says(&refused("text.elf"), &["text.elf: cannot be booted: it is not an ELF file"]);
    place.put("empty.elf", b"");
    assert_says(&refused("empty.elf"), &["it is not an ELF file"]);
    let mut arm = image(&exit(0x10));
    arm[18] = 183;
    place.put("arm.elf", &arm);
    assert_says(&refused("arm.elf"), &["not a 64-bit one for x86-64"]);
    let whole = image(&exit(0x10));
    place.put("short.elf", &whole[..whole.len() - 1]);
    assert_says(&refused("short.elf"), &["it ends early"]);

    let load =
        |address, size| Segment { kind: LOAD, offset: 0, address, file_size: 0, memory_size: size };
    place.put("no-note.elf", &common::with_segments(&[load(0x10_0000, 16)]));
    assert_says(&refused("no-note.elf"), &["it has no PVH note"]);
    let put = |name: &str, segments: &[Segment]| {
        let note = note_segment(64 + 56 * (segments.len() + 1));
        let mut image = common::with_segments(&[segments, &[note]].concat());
        image.extend(pvh_note(0x10_0000));
        place.put(name, &image);
    };
    put("large.elf", &[load(0x10_0000, 64 << 20)]);
    assert_says(&refused("large.elf"), &["is outside RAM; 64 MiB", "--memory"]);
    put("outside.elf", &[load(0x10_0000, 16), load(0xFEC0_0000, 16)]);
    assert_says(&refused("outside.elf"), &["0xfec00000 to 0xfec00010 is outside RAM"]);
    put("overlap.elf", &[load(0x10_0000, 32), load(0x10_0010, 32)]);
    assert_says(&refused("overlap.elf"), &["overlap"]);
    put("overflow.elf", &[load(u64::MAX - 4, 16)]);
    assert_says(&refused("overflow.elf"), &["damaged", "overflows"]);
}

#[test]
fn a_command_line_that_does_not_fit_is_refused() {
    let place = Place::new();
    let long = "x".repeat(2048);
    let sentence = place.refused(2, &["--cmdline", &long]);
    assert_says(&sentence, &["--cmdline", "has 2048 bytes; 2047 are possible"]);
    assert_says(&place.refused(2, &["--cmdline", "motd=é"]), &["--cmdline", "printable ASCII"]);
    assert_eq!(place.call(&["--cmdline", &long[1..], KERNEL[0], KERNEL[1]]).status.code(), Some(0));
}

#[test]
fn a_disk_that_cannot_be_used_is_named_with_the_reason() {
    let place = Place::new();
    place.put("empty.img", b"");
    place.put("odd.img", &[0; 1000]);
    place.put("good.img", &[0; 1024]);
    let refused = |spec: &str| place.refused(3, &["--disk", spec, KERNEL[0], KERNEL[1]]);
    for mode in ["", ",write", ",read-only"] {
        assert_says(&refused(&format!("missing.img{mode}")), &["missing.img does not exist"]);
        assert_says(&refused(&format!(".{mode}")), &[". is a directory"]);
        assert_says(&refused(&format!("empty.img{mode}")), &["empty.img is empty"]);
        assert_says(&refused(&format!("odd.img{mode}")), &["odd.img", "multiple of 512"]);
        let good = format!("good.img{mode}");
        assert_eq!(place.call(&["--disk", &good, KERNEL[0], KERNEL[1]]).status.code(), Some(0));
    }
    assert_says(&place.refused(2, &["--disk", "good.img,rw"]), &["unknown disk mode `rw`"]);
}

#[test]
fn memory_out_of_range_is_a_usage_error() {
    let place = Place::new();
    let refused = |size| place.refused(2, &["--memory", size]);
    assert_says(&refused("15M"), &["'15M'", "--memory", "at least 16 MiB"]);
    assert_says(&refused("0"), &["at least 16 MiB"]);
    assert_says(&refused("17M"), &["a multiple of 2 MiB"]);
    assert_says(&refused("1000000000G"), &["at most 64 GiB"]);
    assert_says(&refused("lots"), &["write a number"]);
}

#[test]
fn other_values_out_of_range_are_usage_errors_too() {
    let place = Place::new();
    assert_says(&place.refused(2, &["--timeout", "0"]), &["--timeout", "more than 0"]);
    assert_says(&place.refused(2, &["--preset", "amiga"]), &["no preset", "modern"]);
    assert_says(&place.refused(2, &["--unknown"]), &["--unknown"]);
    assert_says(&place.refused(2, &["show", "x", "--from", "9", "--to", "8"]), &["--from 9"]);
    assert_says(&place.refused(2, &["show", "x", "--kind", "odd"]), &["odd", "config"]);
    assert_says(&place.refused(2, &["show", "x", "--device", "4"]), &["00:04.0"]);
}

#[test]
fn a_transcript_is_written_whole_or_not_at_all() {
    let place = Place::new();
    let run = |path: &str| place.call(&["--quiet", "--trace", path, KERNEL[0], KERNEL[1]]);
    let refused = |path: &str| place.refused(3, &["--trace", path, KERNEL[0], KERNEL[1]]);
    assert_says(&refused("missing/t.jsonl"), &["missing/t.jsonl: cannot be written"]);
    assert_says(&refused("."), &[".: is a directory"]);
    assert_says(&refused("/dev/null"), &["/dev/null: is not a regular file"]);
    assert_says(&refused("kernel.elf/t.jsonl"), &["cannot be written"]);
    assert_says(&refused("/proc/t.jsonl"), &["/proc/t.jsonl: cannot be written"]);

    assert_eq!(run("t.jsonl").status.code(), Some(0));
    assert_eq!(place.names(), ["kernel.elf", "t.jsonl"]);
    let first = fs::read(place.path("t.jsonl")).unwrap();
    assert_eq!(run("t.jsonl").status.code(), Some(0));
    assert_eq!(fs::read(place.path("t.jsonl")).unwrap(), first);
    let shown = place.call(&["show", "t.jsonl"]);
    assert_eq!(shown.status.code(), Some(0));
    assert_says(&text(&shown.stdout), &["     2  guest   console hello\n", "debug_exit <- 10\n"]);
    let shown = place.call(&["show", "t.jsonl", "--kind", "port,mmio", "--from", "3", "--to", "3"]);
    assert_eq!(text(&shown.stdout), "     3  guest   debug_exit <- 10\n");
    assert!(place.call(&["show", "t.jsonl", "--device", "00:04.0"]).stdout.is_empty());
}

#[test]
fn a_truncated_or_foreign_transcript_is_refused() {
    let place = Place::new();
    place.call(&["--quiet", "--trace", "t.jsonl", KERNEL[0], KERNEL[1]]);
    let whole = fs::read(place.path("t.jsonl")).unwrap();
    place.put("cut.jsonl", &whole[..whole.len() - 10]);
    assert_says(&place.refused(3, &["show", "cut.jsonl"]), &["cut.jsonl is cut off after 4"]);
    place.put("empty.jsonl", b"");
    place.put("binary.jsonl", &[0xFF; 100]);
    for foreign in ["empty.jsonl", "binary.jsonl", "kernel.elf"] {
        let sentence = place.refused(3, &["show", foreign]);
        assert_says(&sentence, &[foreign, "is not a transcript", "--trace"]);
    }
    assert_says(&place.refused(3, &["show", "no.jsonl"]), &["no.jsonl: cannot be read"]);
    assert_says(&place.refused(3, &["show", "."]), &[".: is a directory"]);
}

#[test]
fn the_image_and_the_disk_are_written_as_they_are_embedded() {
    let place = Place::new();
    assert_eq!(place.call(&["image", "image.elf"]).status.code(), Some(0));
    assert_eq!(fs::read(place.path("image.elf")).unwrap(), eclipse_vmm::image::IMAGE);
    place.put("disk.img", b"what was there is replaced");
    assert_eq!(place.call(&["disk", "disk.img"]).status.code(), Some(0));
    let disk = fs::read(place.path("disk.img")).unwrap();
    assert_eq!(disk, eclipse_devices::disk::default_image());
    assert_eq!(place.names(), ["disk.img", "image.elf", "kernel.elf"]);
    for command in ["image", "disk"] {
        assert_says(&place.refused(3, &[command, "."]), &[".: is a directory"]);
        assert_says(&place.refused(3, &[command, "/"]), &["/: is a directory"]);
        assert_says(&place.refused(3, &[command, "no/where"]), &["no/where: cannot be written"]);
        assert_says(&place.refused(2, &[command, ""]), &["a value is required"]);
        assert_says(&place.refused(3, &[command, "/dev/null"]), &["not a regular file"]);
    }
}

#[test]
fn a_link_stays_and_what_it_leads_to_is_replaced() {
    let place = Place::new();
    place.put("real.img", b"");
    std::os::unix::fs::symlink("real.img", place.path("link.img")).unwrap();
    assert_eq!(place.call(&["disk", "link.img"]).status.code(), Some(0));
    assert!(fs::symlink_metadata(place.path("link.img")).unwrap().is_symlink());
    assert_ne!(fs::metadata(place.path("real.img")).unwrap().len(), 0);
}

#[test]
fn qemu_that_is_not_installed_is_named_by_its_package() {
    let place = Place::new();
    let output = place.command(&["qemu", KERNEL[0], KERNEL[1]]).env("PATH", ".").output().unwrap();
    assert_eq!(output.status.code(), Some(3));
    assert_says(&text(&output.stderr), &["qemu-system-x86_64: not found", "qemu-system-x86 "]);
    let refused = |arguments| place.refused(3, arguments);
    assert_says(&refused(&["qemu", "--kernel", "no.elf"]), &["no.elf: cannot be read"]);
    assert_says(&refused(&["qemu", "--disk", "no.img"]), &["no.img does not exist"]);
}

#[test]
fn a_reader_that_goes_away_is_no_failure() {
    let place = Place::new();
    let path = Path::new(env!("CARGO_BIN_EXE_eclipse-vmm"));
    let script = format!("{} --kernel kernel.elf | true; exit ${{PIPESTATUS[0]}}", path.display());
    let output = Command::new("bash")
        .args(["-c", &script])
        .current_dir(place.directory.path())
        .stdin(Stdio::null())
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
    assert_eq!(text(&output.stderr), "");
}

/// Sends a signal, and waits for the end that it brings.
fn end_by(signal: &str, child: &mut Child) -> ExitStatus {
    let pid = child.id().to_string();
    assert!(Command::new("kill").args([signal, &pid]).status().unwrap().success());
    child.wait().unwrap()
}

#[test]
fn a_signal_ends_the_run_and_leaves_a_whole_transcript() {
    let place = Place::with_kernel(&[&print("ready\n")[..], &SPIN].concat());
    for (signal, code, name) in [("-INT", 130, "SIGINT"), ("-TERM", 143, "SIGTERM")] {
        let mut command = place.command(&["--trace", "t.jsonl", KERNEL[0], KERNEL[1]]);
        let mut child = command.stdout(Stdio::piped()).spawn().unwrap();
        let mut out = child.stdout.take().unwrap();
        out.read_exact(&mut [0; 6]).unwrap();
        assert_eq!(end_by(signal, &mut child).code(), Some(code));
        let mut rest = String::new();
        out.read_to_string(&mut rest).unwrap();
        assert!(rest.ends_with(&format!("\nverdict: interrupted by {name}\n")), "{rest}");
        assert_eq!(place.names(), ["kernel.elf", "t.jsonl"]);
        assert_eq!(place.call(&["show", "t.jsonl"]).status.code(), Some(0));
    }
}

#[test]
fn a_signal_ends_a_run_whose_output_nobody_reads() {
    // mov dx, 0x3f8; out dx, al; jmp back: it prints for ever, until the pipe is full.
    let place = Place::with_kernel(&[0x66, 0xBA, 0xF8, 0x03, 0xEE, 0xEB, 0xFD]);
    let mut child = place.command(&KERNEL).stdout(Stdio::piped()).spawn().unwrap();
    let mut out = child.stdout.take().unwrap();
    out.read_exact(&mut [0; 1]).unwrap();
    assert_eq!(end_by("-TERM", &mut child).code(), Some(143));
}
