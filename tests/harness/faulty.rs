//! What tests of faults share: a device with a schedule, reads by it, and what came of them.

use eclipse_devices::disk::MemoryDisk;
use eclipse_devices::fault::{Action, Fault, Trigger};
use expect_test::Expect;

use crate::Bare;
use crate::bare::{Descriptor, NEXT, WRITE};

/// The chain of a read: header, a sector of data, status.
pub const READ: [Descriptor; 3] =
    [(Bare::HEADER, 16, NEXT, 1), (Bare::DATA, 512, NEXT | WRITE, 2), (Bare::STATUS, 1, WRITE, 0)];

/// A fault that strikes at the next completion.
pub fn completion(action: Action) -> Fault {
    Fault::new(Trigger::Completion(None), action)
}

/// A device that is ready for requests, with a schedule.
pub fn ready(faults: &[Fault]) -> Bare {
    Bare::with_faults(MemoryDisk::counting(64), faults)
}

/// Makes a read of `sector` available.
pub fn read(bare: &Bare, sector: u64) {
    bare.header(0, sector);
    bare.descriptors(&READ);
    bare.make_available(0);
}

/// Compares the transcript of what `accesses` do.
pub fn check(bare: &Bare, accesses: impl FnOnce(), expected: Expect) {
    expected.assert_eq(&bare.transcript_of(accesses));
}

/// Compares the part of it that is about completions.
pub fn check_completion(bare: &Bare, accesses: impl FnOnce(), expected: Expect) {
    expected.assert_eq(&bare.completions_of(accesses));
}
