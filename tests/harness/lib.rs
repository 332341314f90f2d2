//! What the tests stand on.
//!
//! [`Loopback`] runs the guest's drivers in the test's own process, against the
//! emulated devices and without KVM; it is quick, and any host tool works on it.
//! [`Bare`] does to the block device exactly what a test says, right or wrong.
//! [`kvm`] boots the image under the VMM.
//! [`expected`] has the transcripts that both are held to, and
//! [`mod@slice`] cuts a transcript into the parts that a test is about.

pub mod bare;
pub mod expected;
pub mod kvm;
mod loopback;
pub mod slice;

pub use bare::Bare;
pub use loopback::Loopback;
