//! A small virtual machine monitor on KVM that puts every access of its guest's drivers on record.
//!
//! A [`Machine`] is made from a [`Config`] and run once. It has one processor, which runs on a
//! thread of its own and owns the devices: the exit that rings a doorbell is the exit that
//! completes the request, so everything that happens has one order. The caller's thread meanwhile
//! watches the clock, the signals and what the user types.
//!
//! ```no_run
//! use eclipse_vmm::{Config, Machine, Outcome, RunOptions};
//!
//! let machine = Machine::new(Config { cmdline: "scenario=read".into(), ..Config::default() })?;
//! let run = machine.run(RunOptions::default())?;
//! assert_eq!(run.outcome, Outcome::Success);
//! # Ok::<(), eclipse_vmm::Error>(())
//! ```

mod barrier;
mod board;
pub mod boot;
pub mod cli;
mod error;
mod host_loop;
pub mod image;
mod irq;
mod kvm;
mod machine;
pub mod memory;
pub mod mutants;
mod origin;
mod outcome;
mod postmortem;
mod slots;
mod source;
mod stepping;
mod symbols;
mod timing;
mod vcpu;
mod walk;

pub use boot::Kernel;
pub use error::Error;
pub use host_loop::Signals;
pub use machine::{Config, Console, Machine, Run, RunOptions};
pub use outcome::{Death, Outcome};
pub use postmortem::{Frame, Instruction, PostMortem};
pub use source::Source;
pub use timing::Timing;
