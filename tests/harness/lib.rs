//! What the tests stand on.
//!
//! [`Loopback`] runs the guest's drivers in the test's own process, against the
//! emulated devices and without KVM; it is quick, and any host tool works on it.
//! [`Bare`] does to the block device exactly what a test says, right or wrong, and
//! [`rings`] has its queue with the features that a test wants.
//! [`kvm`] boots the image under the VMM, and [`qtest`] has QEMU's devices to compare with
//! ([`parallel`]); what both have in common with a loopback is a [`substrate`].
//! [`matrix`] has every scenario and the machines for it, and [`life`] what a driver is asked for
//! whose device is wrong. [`expected`] has the transcripts that both are held to, and
//! [`mod@slice`] cuts a transcript into the parts that a test is about.

pub mod ata;
pub mod bare;
mod dma;
pub mod expected;
pub mod faulty;
pub mod fuzz;
#[cfg(feature = "kvm")]
pub mod kvm;
pub mod life;
mod loopback;
pub mod matrix;
pub mod parallel;
pub mod qtest;
mod qtest_machine;
pub mod request;
pub mod rings;
pub mod slice;
pub mod substrate;

pub use bare::Bare;
pub use loopback::Loopback;
pub use qtest_machine::QtestMachine;
