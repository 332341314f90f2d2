//! Tests of the driver against a device that does what the test says.

mod init;
mod requests;
mod split;
