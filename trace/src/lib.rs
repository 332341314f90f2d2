//! What a driver did to a device, as data.
//!
//! This crate owns the vocabulary of a transcript: which registers exist
//! ([`register`]), what can happen at them and in the memory that driver and
//! device share ([`Event`]), how it is kept ([`Recorder`]), and how it reads as
//! text ([`text`]) and as JSON lines ([`jsonl`]), and what a test may expect of it
//! ([`expect`]). It knows neither KVM nor the
//! devices; both write what happens to them in these words.
//!
//! An event is recorded where it takes effect, before anything that it causes,
//! so the sequence number alone tells cause from consequence.

#![forbid(unsafe_code)]

mod access;
mod event;
pub mod expect;
mod fault;
mod filter;
mod function;
pub mod import;
pub mod jsonl;
mod names;
mod packed_violation;
mod ram;
mod recorder;
pub mod register;
mod request;
pub mod rules;
mod summary;
pub mod text;
mod violation;

pub use access::{Access, Refusal, Space};
pub use event::{Actor, DescriptorFlags, Direction, Entry, Event, Ring, Table};
pub use fault::{Effect, Setting};
pub use filter::{Filter, Kind};
pub use function::{Bdf, ParseBdfError, Pin};
pub use packed_violation::PackedViolation;
pub use ram::{Area, Field, Mark, MemoryKind, Place, Snapshot};
pub use recorder::{Recorder, Sink};
pub use register::Register;
pub use request::{RequestKind, RequestStatus};
pub use summary::Summary;
pub use violation::Violation;
