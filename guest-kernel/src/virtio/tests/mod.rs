//! Tests of the driver against a device that does what the test says.

mod defects;
mod defects_blk;
mod defects_dma;
mod faults;
mod in_flight;
mod init;
mod recovery;
mod requests;
mod shared;
