//! What a test expects of a transcript, as one sets the triggers of a bus analyser.
//!
//! A [`Capture`] is a transcript or a window of it; a [`Pattern`] says which events are meant.
//! The text of a pattern is a line of `eclipse-vmm show`, where `*` may stand for anything, so
//! what was seen once can be copied and expected from then on:
//!
//! ```no_run
//! use eclipse_trace::expect::{Capture, Phase, any, request};
//! use eclipse_trace::{Kind, RequestKind, RequestStatus};
//!
//! # let entries = Vec::new();
//! let capture = Capture::of(&entries);
//! // The status, store by store, and nothing else.
//! capture.only(["guest 00:04.0 common device_status <-"]).exactly([
//!     "guest 00:04.0 common device_status <- 00",
//!     "guest 00:04.0 common device_status <- 01",
//!     "guest 00:04.0 common device_status <- 03",
//!     "guest 00:04.0 common device_status <- 0b",
//!     "guest 00:04.0 common device_status <- 0f",
//! ]);
//! // No doorbell before DRIVER_OK.
//! capture.before("guest 00:04.0 common device_status <- 0f").never("guest 00:04.0 notify q*");
//! // One request between two lines on the console, or two marks of the guest.
//! let phase = Phase::between("guest console reading", "guest console done");
//! capture.within(&phase).exactly_once(request(RequestKind::In).status(RequestStatus::Ok));
//! capture.within(&Phase::marked(4)).in_order([
//!     "guest 00:04.0 notify q0 <- 0000",
//!     "00:04.0 q0 request *: in sector 3, * bytes: ok",
//!     "00:04.0 q0 used.idx <- 0001",
//!     "00:04.0 msix 1: * to *",
//! ]);
//! capture.never(any(Kind::Violation));
//! ```
//!
//! What fails panics with the event that comes nearest and what is otherwise about it:
//!
//! ```text
//! expected in order, as number 2 of 2:
//!     guest 00:04.0 common device_status <- 0b
//! found none after number 1:
//!        13  guest   00:04.0 common device_status <- 03
//! nearest is event 17: value 0f, not 0b
//!        15  guest   00:04.0 common driver_feature_select <- 00000001
//!        16  guest   00:04.0 common driver_feature <- 00000001
//!   >    17  guest   00:04.0 common device_status <- 0f
//!        18  guest   00:04.0 common device_status -> 0f
//! ```
//!
//! Nearest is the event of the same register, then of the same function, then with the fewest
//! other differences, then with the fewest other bits in its value; then the first. For whole
//! transcripts there is [`text::symbolic`](crate::text::symbolic) and a snapshot test.

mod capture;
mod failure;
mod parse;
mod pattern;
mod phase;
mod reading;
mod template;
mod words;

pub use capture::Capture;
pub use failure::Failure;
pub use parse::ParsePatternError;
pub use pattern::{
    Pattern, ToPattern, any, common, console, fault, mark, message, notify, ram, register, request,
};
pub use phase::Phase;
