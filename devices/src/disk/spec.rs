//! The command line's words for a disk.

use std::ffi::OsStr;
use std::fmt;
use std::path::{Path, PathBuf};
use std::str::FromStr;

/// What a run may do to the user's image.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Mode {
    /// The guest may write, but the image stays as it is: writes are kept in memory.
    #[default]
    CopyOnWrite,
    /// The guest writes to the image.
    Write,
    /// The device is read-only.
    ReadOnly,
}

impl Mode {
    /// Every mode.
    pub const ALL: [Mode; 3] = [Mode::CopyOnWrite, Mode::Write, Mode::ReadOnly];

    /// The mode's word on the command line.
    pub const fn name(self) -> &'static str {
        match self {
            Mode::CopyOnWrite => "copy-on-write",
            Mode::Write => "write",
            Mode::ReadOnly => "read-only",
        }
    }
}

/// Which image to open and how: `PATH`, `PATH,write`, `PATH,read-only` or `PATH,copy-on-write`.
///
/// `PATH` alone means copy-on-write. The mode follows the last comma, so a path that itself has a
/// comma needs its mode spelt out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DiskSpec {
    path: PathBuf,
    mode: Mode,
}

impl DiskSpec {
    /// The image at `path`, opened as `mode`.
    pub fn new(path: impl Into<PathBuf>, mode: Mode) -> DiskSpec {
        DiskSpec { path: path.into(), mode }
    }

    /// Where the image is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// What a run may do to it.
    pub fn mode(&self) -> Mode {
        self.mode
    }
}

impl FromStr for DiskSpec {
    type Err = SpecError;

    fn from_str(text: &str) -> Result<DiskSpec, SpecError> {
        let (path, mode) = match text.rsplit_once(',') {
            None => (text, Mode::CopyOnWrite),
            Some((path, word)) => {
                let mode = Mode::ALL.into_iter().find(|mode| mode.name() == word);
                (path, mode.ok_or_else(|| SpecError::UnknownMode(text.into(), word.into()))?)
            }
        };
        if path.is_empty() {
            return Err(SpecError::NoPath);
        }
        Ok(DiskSpec::new(path, mode))
    }
}

impl fmt::Display for DiskSpec {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        write!(f, "{}", self.path.display())?;
        let comma = OsStr::as_encoded_bytes(self.path.as_os_str()).contains(&b',');
        if self.mode == Mode::CopyOnWrite && !comma {
            return Ok(());
        }
        write!(f, ",{}", self.mode.name())
    }
}

/// Why a text is not a [`DiskSpec`].
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SpecError {
    /// There is nothing before the mode.
    #[error("no path: give PATH, `PATH,write` or `PATH,read-only`")]
    NoPath,
    /// What follows the last comma is not a mode; the whole text, and that word.
    #[error(
        "unknown disk mode `{1}`: give PATH, `PATH,write` or `PATH,read-only`; \
         if the comma belongs to the path, give `{0},copy-on-write`"
    )]
    UnknownMode(String, String),
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_path_alone_is_copy_on_write_and_a_word_after_the_comma_is_the_mode() {
        for (text, path, mode) in [
            ("disk.img", "disk.img", Mode::CopyOnWrite),
            ("disk.img,write", "disk.img", Mode::Write),
            ("/dev/sdz,read-only", "/dev/sdz", Mode::ReadOnly),
            ("a b.img", "a b.img", Mode::CopyOnWrite),
            ("a,b.img,copy-on-write", "a,b.img", Mode::CopyOnWrite),
            ("write,write", "write", Mode::Write),
        ] {
            assert_eq!(text.parse(), Ok(DiskSpec::new(path, mode)), "{text}");
            assert_eq!(text.parse::<DiskSpec>().unwrap().to_string(), text);
        }
    }

    #[test]
    fn a_wrong_word_and_a_missing_path_say_what_may_be_written() {
        let error = |text: &str| text.parse::<DiskSpec>().unwrap_err().to_string();
        assert_eq!(
            error("a,b.img"),
            "unknown disk mode `b.img`: give PATH, `PATH,write` or `PATH,read-only`; \
             if the comma belongs to the path, give `a,b.img,copy-on-write`"
        );
        for empty in ["", ",write"] {
            assert_eq!(error(empty), "no path: give PATH, `PATH,write` or `PATH,read-only`");
        }
        assert!(error("disk.img,").starts_with("unknown disk mode ``"));
        assert!(error("disk.img,Write").starts_with("unknown disk mode `Write`"));
    }

    proptest! {
        #[test]
        fn what_is_displayed_parses_to_the_same_spec(path in "[^\0]+", mode in 0..3usize) {
            let spec = DiskSpec::new(path, Mode::ALL[mode]);
            prop_assert_eq!(spec.to_string().parse(), Ok(spec));
        }
    }
}
