//! Tests of the driver against a device that does what the test says.

mod defects;
mod faults;
mod init;
mod recovery;
mod requests;
