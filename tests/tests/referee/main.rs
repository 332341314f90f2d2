//! The referee over the drivers as they are: on every machine, whatever its devices do, it finds
//! nothing; and most of its rules had something to look at.

mod bench;
mod by_hand;
mod coverage;
mod faults;
mod machines;
mod stimuli;
