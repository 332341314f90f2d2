//! Tells the linker how the bootable image is laid out.

use std::env;

fn main() {
    println!("cargo::rerun-if-changed=image.ld");
    if let (Some(_), Ok(package)) =
        (env::var_os("CARGO_FEATURE_IMAGE"), env::var("CARGO_MANIFEST_DIR"))
    {
        println!("cargo::rustc-link-arg-bins=-T{package}/image.ld");
    }
}
