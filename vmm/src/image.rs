//! The guest images that this program carries.

/// The Eclipse kernel: an ELF file that PVH loaders boot, with its symbols.
pub static IMAGE: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/eclipse-kernel"));

/// The same with its line tables.
pub static LINES: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/eclipse-kernel.debug"));

/// The same kernel with the feature `mutants`: its drivers make the mistake that the command line
/// names.
pub static MUTANTS: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/eclipse-mutants"));

/// The same with its line tables.
pub static MUTANTS_LINES: &[u8] =
    include_bytes!(concat!(env!("OUT_DIR"), "/eclipse-mutants.debug"));
