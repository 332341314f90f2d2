//! The command line of Eclipse VMM.

use std::process::ExitCode;

fn main() -> ExitCode {
    eclipse_vmm::cli::main(std::env::args_os())
}
