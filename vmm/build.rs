//! Builds the guest image, and that of the mutants, so that the program can carry them.
//!
//! A nested cargo builds `eclipse-kernel` for the bare machine, in a target
//! directory of its own. The outer build's settings are kept away from it: they
//! are meant for a program of this host.

use std::{
    env,
    ffi::{OsStr, OsString},
    fmt::Display,
    fs,
    path::{Path, PathBuf},
    process::{Command, ExitCode},
};

/// The target that the image is meant for.
const BARE: &str = "x86_64-unknown-none";

/// What cargo's own settings start with that the nested build may see: where
/// packages come from, and how cargo talks.
const KEPT: [&str; 6] =
    ["CARGO_HOME", "CARGO_NET_", "CARGO_HTTP_", "CARGO_REGISTR", "CARGO_SOURCE_", "CARGO_TERM_"];

/// What else the outer build sets for its own purposes.
const DROPPED: [&str; 11] = [
    "RUSTFLAGS",
    "RUSTDOCFLAGS",
    "RUSTC_WRAPPER",
    "RUSTC_WORKSPACE_WRAPPER",
    "RUSTC_LINKER",
    "MAKEFLAGS",
    "MFLAGS",
    "TARGET",
    "OUT_DIR",
    "PROFILE",
    "CLIPPY_ARGS",
];

fn main() -> ExitCode {
    match build() {
        Ok(()) => ExitCode::SUCCESS,
        Err(sentence) => {
            eprintln!("error: {sentence}");
            ExitCode::FAILURE
        }
    }
}

/// Builds the images and puts them where `src/image.rs` includes it from.
fn build() -> Result<(), String> {
    let manifest = PathBuf::from(variable("CARGO_MANIFEST_DIR")?);
    let out = PathBuf::from(variable("OUT_DIR")?);
    let root = manifest.parent().ok_or("the package has no workspace around it")?;
    let kernel = root.join("guest-kernel");
    for path in [
        kernel.join("src"),
        kernel.join("build.rs"),
        kernel.join("Cargo.toml"),
        kernel.join("image.ld"),
        root.join("Cargo.toml"),
        root.join("Cargo.lock"),
    ] {
        println!("cargo::rerun-if-changed={}", path.display());
    }
    println!("cargo::rerun-if-changed=build.rs");

    let target = target()?;
    let nested = out.join("guest");
    for (features, name) in [("image", "eclipse-kernel"), ("image,mutants", "eclipse-mutants")] {
        build_with(features, root, &target, &nested)?;
        let built = nested.join(&target).join("guest/eclipse-kernel");
        let failed = |error: &dyn Display| format!("{}: {error}", built.display());
        let whole = fs::read(&built).map_err(|error| failed(&error))?;
        let image = without_line_tables(&whole).map_err(|error| failed(&error))?;
        fs::write(out.join(name), image).map_err(|error| failed(&error))?;
        fs::write(out.join(format!("{name}.debug")), whole).map_err(|error| failed(&error))?;
    }
    Ok(())
}

/// The same image without debug information. Symbols stay: the report of a dead guest names
/// functions.
fn without_line_tables(whole: &[u8]) -> Result<Vec<u8>, object::build::Error> {
    let mut image = object::build::elf::Builder::read(whole)?;
    for section in &mut image.sections {
        section.delete = section.name.as_slice().starts_with(b".debug");
    }
    image.delete_orphans();
    image.delete_unused_versions();
    let mut bytes = Vec::new();
    image.write(&mut bytes)?;
    Ok(bytes)
}

/// Builds the image with `features` in the target directory `nested`.
fn build_with(features: &str, root: &Path, target: &str, nested: &Path) -> Result<(), String> {
    let mut cargo = Command::new(variable("CARGO")?);
    for (name, _) in env::vars_os() {
        if !reaches_the_guest(&name) {
            cargo.env_remove(name);
        }
    }
    let status = cargo
        .current_dir(root)
        .args(["build", "--package", "eclipse-kernel", "--bin", "eclipse-kernel"])
        .args(["--features", features, "--profile", "guest", "--target", target])
        .arg("--target-dir")
        .arg(nested)
        .env("RUSTC", variable("RUSTC")?)
        .env("CARGO_ENCODED_RUSTFLAGS", flags(target, root))
        .status()
        .map_err(|error| format!("cargo cannot be started for the guest image: {error}"))?;
    if !status.success() {
        return Err(format!(
            "the guest image did not build for {target} ({status}); what the nested cargo said is \
             above"
        ));
    }
    Ok(())
}

/// Whether the nested build may see a variable of the outer one.
fn reaches_the_guest(name: &OsStr) -> bool {
    let name = name.to_string_lossy();
    let kept = KEPT.iter().any(|kept| name.starts_with(kept));
    kept || !(name.starts_with("CARGO") || DROPPED.contains(&&*name))
}

/// The target to build for: the bare one, or else the host's with the flags that make it as bare.
fn target() -> Result<String, String> {
    let library = Command::new(variable("RUSTC")?)
        .args(["--print", "target-libdir", "--target", BARE])
        .output()
        .map_err(|error| format!("rustc cannot be started: {error}"))?;
    if Path::new(String::from_utf8_lossy(&library.stdout).trim()).is_dir() {
        return Ok(BARE.into());
    }
    let host = variable("HOST")?.to_string_lossy().into_owned();
    if host.starts_with("x86_64-") && host.contains("-linux-") {
        return Ok(host);
    }
    Err(format!(
        "the guest image cannot be built for {host}; `rustup target add {BARE}` gives what it needs"
    ))
}

/// The compiler's flags, in the form that may hold spaces.
fn flags(target: &str, root: &Path) -> OsString {
    let mut flags: Vec<OsString> = [
        "-Crelocation-model=static",
        "-Ccode-model=kernel",
        "-Cforce-frame-pointers=yes",
        "-Cforce-unwind-tables=no",
    ]
    .map(Into::into)
    .into();
    // The bare target calls the linker itself, the host's calls it through the C compiler.
    let linker = ["--build-id=none", "-zmax-page-size=4096"];
    if target == BARE {
        flags.extend(linker.map(|option| format!("-Clink-arg={option}").into()));
    } else {
        flags.extend(linker.map(|option| format!("-Clink-arg=-Wl,{option}").into()));
        flags.extend(
            [
                "-Cno-redzone=yes",
                "-Ctarget-feature=-sse,-sse2,-sse3,+soft-float",
                "-Clink-arg=-nostartfiles",
                "-Clink-arg=-nostdlib",
                "-Clink-arg=-static",
            ]
            .map(Into::into),
        );
    }
    // The image is the same bytes wherever it is built.
    let home = env::var_os("CARGO_HOME").map(PathBuf::from);
    let home = home.or_else(|| Some(PathBuf::from(env::var_os("HOME")?).join(".cargo")));
    if let Some(home) = home {
        flags.push(joined(&["--remap-path-prefix=".as_ref(), home.as_ref(), "=cargo".as_ref()]));
    }
    flags.push(joined(&["--remap-path-prefix=".as_ref(), root.as_ref(), "=.".as_ref()]));
    flags.join(OsStr::new("\u{1f}"))
}

fn joined(parts: &[&OsStr]) -> OsString {
    parts.iter().copied().collect()
}

/// A variable that cargo sets for build scripts.
fn variable(name: &str) -> Result<OsString, String> {
    env::var_os(name).ok_or_else(|| format!("cargo did not set {name}"))
}
