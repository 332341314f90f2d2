//! The guest images that this program carries.

/// The Eclipse kernel: an ELF file that PVH loaders boot, with its symbols.
pub static IMAGE: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/eclipse-kernel"));

/// The same kernel with the feature `mutants`: its drivers make the mistake that the command line
/// names.
pub static MUTANTS: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/eclipse-mutants"));
