//! The guest image that this program carries.

/// The Eclipse kernel: an ELF file that PVH loaders boot, with its symbols.
pub static IMAGE: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/eclipse-kernel"));
