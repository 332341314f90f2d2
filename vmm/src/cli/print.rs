use std::io::{self, Write};

use super::console::Live;
use crate::{Console, Error};

/// Prints to stdout. That nobody reads any more is no error.
pub(super) fn to_stdout(text: &str) -> Result<(), Error> {
    let mut out = io::stdout().lock();
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => {
            Err(Error::host("print the result")(error))
        }
        _ => Ok(()),
    }
}

/// Prints to stdout what there is room for: one who interrupts does not want to wait for a reader.
pub(super) fn to_stdout_if_read(text: &str) -> Result<(), Error> {
    // An interrupted run is over, whether its end could be printed or not.
    let _ = Live::new(io::stdout()).and_then(|mut out| out.print(text.as_bytes(), &|| true));
    Ok(())
}

/// Prints to stderr, as far as that is possible.
pub(super) fn to_stderr(text: &str) {
    let _ = io::stderr().lock().write_all(text.as_bytes());
}
