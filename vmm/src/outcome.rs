use std::{fmt, time::Duration};

/// What became of the guest.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It left through the debug-exit port with [`Outcome::SUCCESS`].
    Success,
    /// It left through the debug-exit port with another value.
    Failure(u8),
    /// It stopped in a way that it did not choose.
    Died(Death),
    /// A signal to this program ended the run.
    Interrupted {
        /// The signal's number.
        signal: i32,
    },
}

/// How a guest died.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Death {
    /// An exception while entering the handler of a double fault.
    TripleFault,
    /// It asked for a reset: through the keyboard controller or the reset control register, or as
    /// KVM says.
    Reset,
    /// It turned the machine off.
    Shutdown,
    /// It was still running when its time was over.
    Hang(Duration),
    /// KVM could not go on (`KVM_EXIT_INTERNAL_ERROR`).
    InternalError {
        /// KVM's reason; 1 is an instruction that it cannot emulate.
        suberror: u32,
        /// What KVM adds to it.
        data: Vec<u64>,
    },
    /// The processor refused the guest's state (`KVM_EXIT_FAIL_ENTRY`).
    EntryFailed {
        /// The processor's reason.
        reason: u64,
    },
    /// The vCPU stopped for a reason that this machine never asked for.
    Unexpected(String),
}

impl Outcome {
    /// The value at the debug-exit port that means success.
    pub const SUCCESS: u8 = 0x10;

    /// What the guest meant by `value` at the debug-exit port.
    pub fn of_exit(value: u8) -> Self {
        if value == Self::SUCCESS { Outcome::Success } else { Outcome::Failure(value) }
    }

    /// The exit code of the command line.
    pub fn exit_code(&self) -> u8 {
        match self {
            Outcome::Success => 0,
            Outcome::Failure(_) => 1,
            Outcome::Died(_) => 4,
            // As shells do it; no signal has a number above 64.
            Outcome::Interrupted { signal } => {
                u8::try_from(*signal).unwrap_or(127).saturating_add(128)
            }
        }
    }

    /// The outcome in one word, for programs.
    pub fn word(&self) -> &'static str {
        match self {
            Outcome::Success => "success",
            Outcome::Failure(_) => "failure",
            Outcome::Died(_) => "died",
            Outcome::Interrupted { .. } => "interrupted",
        }
    }
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Outcome::Success => f.write_str("success"),
            Outcome::Failure(value) => write!(f, "failure (exit value {value:#04x})"),
            Outcome::Died(death) => write!(f, "died: {death}"),
            Outcome::Interrupted { signal } => write!(f, "interrupted by {}", name(*signal)),
        }
    }
}

impl fmt::Display for Death {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Death::TripleFault => f.write_str("triple fault"),
            Death::Reset => f.write_str("the guest reset the machine"),
            Death::Shutdown => f.write_str("the guest turned the machine off"),
            Death::Hang(time) => write!(f, "hang, no end within {} s", time.as_secs_f64()),
            Death::InternalError { suberror: 1, .. } => {
                f.write_str("KVM cannot emulate the instruction (internal error 1)")
            }
            Death::InternalError { suberror, .. } => write!(f, "KVM internal error {suberror}"),
            Death::EntryFailed { reason } => {
                write!(f, "the processor refused the guest's state (reason {reason:#x})")
            }
            Death::Unexpected(exit) => write!(f, "the vCPU stopped unexpectedly: {exit}"),
        }
    }
}

fn name(signal: i32) -> String {
    match signal {
        libc::SIGHUP => "SIGHUP".into(),
        libc::SIGINT => "SIGINT".into(),
        libc::SIGQUIT => "SIGQUIT".into(),
        libc::SIGTERM => "SIGTERM".into(),
        other => format!("signal {other}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn exit_codes_are_those_that_are_documented() {
        let code = |outcome: Outcome| outcome.exit_code();
        assert_eq!(code(Outcome::of_exit(0x10)), 0);
        assert_eq!(code(Outcome::of_exit(0x11)), 1);
        assert_eq!(code(Outcome::of_exit(0)), 1);
        assert_eq!(code(Outcome::Died(Death::TripleFault)), 4);
        assert_eq!(code(Outcome::Interrupted { signal: libc::SIGINT }), 130);
        assert_eq!(code(Outcome::Interrupted { signal: libc::SIGTERM }), 143);
    }
}
