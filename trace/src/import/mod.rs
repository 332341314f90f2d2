//! Transcripts from what others print.

pub mod qemu;
