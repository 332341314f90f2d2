//! A disk in a file or block device of the host.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Seek, SeekFrom};
use std::ops::Range;
use std::os::unix::fs::{FileExt, FileTypeExt};
use std::path::{Path, PathBuf};

use rustix::fs::{FallocateFlags, fallocate};
use rustix::io::Errno;

use super::{
    Abilities, Disk, OpenError, SECTOR_SIZE, invalid, locate, locate_sectors, write_refused,
};

/// A raw image: a file or block device of the host, sector by sector.
///
/// Its size is taken when it is opened, and again by [`Disk::resize`]. A read of what was cut off
/// since is the host's [`io::ErrorKind::UnexpectedEof`].
#[derive(Debug)]
pub struct FileDisk {
    file: File,
    sectors: u64,
    read_only: bool,
}

impl FileDisk {
    /// Opens the image for reading; nothing that a guest does changes it.
    pub fn read_only(path: impl AsRef<Path>) -> Result<FileDisk, OpenError> {
        FileDisk::open(path.as_ref(), true)
    }

    /// Opens the image for reading and writing.
    pub fn read_write(path: impl AsRef<Path>) -> Result<FileDisk, OpenError> {
        FileDisk::open(path.as_ref(), false)
    }

    fn open(path: &Path, read_only: bool) -> Result<FileDisk, OpenError> {
        let refused = |source| refusal(path, read_only, source);
        // To open a pipe is to wait for its other end, so the kind of file comes first.
        let kind = fs::metadata(path).map_err(refused)?.file_type();
        if kind.is_dir() {
            return Err(OpenError::Directory { path: path.into() });
        }
        if !kind.is_file() && !kind.is_block_device() {
            return Err(OpenError::NotADisk { path: path.into() });
        }
        let mut file =
            OpenOptions::new().read(true).write(!read_only).open(path).map_err(refused)?;
        // The metadata of a block device says nothing of its size; its end does.
        let size = file.seek(SeekFrom::End(0)).map_err(refused)?;
        if size == 0 {
            return Err(OpenError::Empty { path: path.into() });
        }
        if !size.is_multiple_of(SECTOR_SIZE as u64) {
            return Err(OpenError::PartialSector { path: path.into(), size });
        }
        Ok(FileDisk { file, sectors: size / SECTOR_SIZE as u64, read_only })
    }
}

/// The sentence for what the host said.
fn refusal(path: &Path, read_only: bool, source: io::Error) -> OpenError {
    let path = PathBuf::from(path);
    match source.kind() {
        io::ErrorKind::NotFound => OpenError::Missing { path },
        io::ErrorKind::PermissionDenied if read_only => OpenError::Unreadable { path, source },
        io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem => {
            OpenError::Unwritable { path, source }
        }
        _ => OpenError::Host { path, source },
    }
}

impl Disk for FileDisk {
    fn sectors(&self) -> u64 {
        self.sectors
    }

    fn read_only(&self) -> bool {
        self.read_only
    }

    fn read(&mut self, sector: u64, buffer: &mut [u8]) -> io::Result<()> {
        let offset = locate(self.sectors, sector, buffer.len())?;
        self.file.read_exact_at(buffer, offset)
    }

    fn write(&mut self, sector: u64, data: &[u8]) -> io::Result<()> {
        if self.read_only {
            return Err(write_refused());
        }
        let offset = locate(self.sectors, sector, data.len())?;
        self.file.write_all_at(data, offset)
    }

    /// `fdatasync`: the data is on the host's disk, the file's times need not be.
    fn flush(&mut self) -> io::Result<()> {
        self.file.sync_data()
    }

    /// Not erasing: where a file system has put older copies of a sector is not known.
    fn abilities(&self) -> Abilities {
        match self.read_only {
            true => Abilities::empty(),
            false => Abilities::DISCARD | Abilities::WRITE_ZEROES | Abilities::UNMAP,
        }
    }

    /// Gives the space back to the host where that is possible; where not, nothing changes.
    fn discard(&mut self, sector: u64, count: u64) -> io::Result<()> {
        let range = self.writable(sector, count)?;
        self.allocate(FallocateFlags::PUNCH_HOLE, range).map(|_| ())
    }

    fn write_zeroes(&mut self, sector: u64, count: u64, unmap: bool) -> io::Result<()> {
        let range = self.writable(sector, count)?;
        let mode = if unmap { FallocateFlags::PUNCH_HOLE } else { FallocateFlags::ZERO_RANGE };
        if self.allocate(mode, range.clone())? {
            return Ok(());
        }
        static ZEROES: [u8; 64 * 1024] = [0; 64 * 1024];
        let mut at = range.start;
        while at < range.end {
            let chunk = (range.end - at).min(ZEROES.len() as u64);
            self.file.write_all_at(&ZEROES[..chunk as usize], at)?;
            at += chunk;
        }
        Ok(())
    }

    /// The file must have that length already: it is the user who changes its size, and a file
    /// of which the guest is to see less may be longer.
    fn resize(&mut self, sectors: u64) -> io::Result<()> {
        let size = self.file.seek(SeekFrom::End(0))?;
        if sectors > size / SECTOR_SIZE as u64 {
            return Err(invalid(format!("a file of {size} bytes has no {sectors} sectors")));
        }
        self.sectors = sectors;
        Ok(())
    }
}

impl FileDisk {
    /// The bytes of sectors that are to be changed.
    fn writable(&self, sector: u64, count: u64) -> io::Result<Range<u64>> {
        if self.read_only {
            return Err(write_refused());
        }
        let start = locate_sectors(self.sectors, sector, count)?;
        Ok(start..start + count * SECTOR_SIZE as u64)
    }

    /// Makes a range of the file read as zeroes; `false` when the host cannot do it this way.
    fn allocate(&self, mode: FallocateFlags, range: Range<u64>) -> io::Result<bool> {
        // The host takes no empty range.
        if range.is_empty() {
            return Ok(true);
        }
        let mode = mode | FallocateFlags::KEEP_SIZE;
        match fallocate(&self.file, mode, range.start, range.end - range.start) {
            Ok(()) => Ok(true),
            // A file system without holes, an old kernel, a device that is not aligned so.
            Err(Errno::OPNOTSUPP | Errno::NOSYS | Errno::INVAL | Errno::NODEV) => Ok(false),
            Err(error) => Err(error.into()),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::error::Error;
    use std::os::unix::net::UnixListener;

    use tempfile::TempDir;

    use super::*;

    fn image(bytes: &[u8]) -> (TempDir, PathBuf) {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("disk.img");
        fs::write(&path, bytes).unwrap();
        (directory, path)
    }

    /// The error's sentence, with the path replaced by `PATH`.
    fn sentence(path: &Path, error: OpenError) -> String {
        error.to_string().replace(path.to_str().unwrap(), "PATH")
    }

    #[test]
    fn what_is_written_and_flushed_is_in_the_file() {
        let (_directory, path) = image(&[1; 2048]);
        let mut disk = FileDisk::read_write(&path).unwrap();
        assert_eq!((disk.sectors(), disk.read_only()), (4, false));
        disk.write(2, &[2; 512]).unwrap();
        disk.flush().unwrap();
        assert_eq!(fs::read(&path).unwrap(), [[1; 1024].as_slice(), &[2; 512], &[1; 512]].concat());

        let mut two = [0; 1024];
        disk.read(1, &mut two).unwrap();
        assert_eq!(two, [[1; 512], [2; 512]].concat()[..]);
    }

    #[test]
    fn an_access_past_the_end_is_refused_and_the_file_keeps_its_size() {
        let (_directory, path) = image(&[1; 1024]);
        let mut disk = FileDisk::read_write(&path).unwrap();
        for sector in [1, 2, u64::MAX / 512, u64::MAX] {
            let write = disk.write(sector, &[0; 1024]).unwrap_err();
            let read = disk.read(sector, &mut [0; 1024]).unwrap_err();
            assert_eq!(write.kind(), io::ErrorKind::InvalidInput, "write at {sector}");
            assert_eq!(read.kind(), io::ErrorKind::InvalidInput, "read at {sector}");
        }
        assert_eq!(fs::read(&path).unwrap(), [1; 1024]);
    }

    #[test]
    fn a_read_only_file_disk_reads_and_flushes_and_refuses_to_write() {
        let (_directory, path) = image(&[1; 512]);
        let mut disk = FileDisk::read_only(&path).unwrap();
        assert!(disk.read_only());
        let mut sector = [0; 512];
        disk.read(0, &mut sector).unwrap();
        assert_eq!(sector, [1; 512]);
        disk.flush().unwrap();
        let refusal = disk.write(0, &[2; 512]).unwrap_err();
        assert_eq!(refusal.kind(), io::ErrorKind::ReadOnlyFilesystem);
        assert_eq!(fs::read(&path).unwrap(), [1; 512]);
    }

    #[test]
    fn what_is_zeroed_reads_as_zeroes_and_what_is_discarded_gives_its_space_back() {
        use std::os::unix::fs::MetadataExt;
        let (_directory, path) = image(&[1; 1 << 20]);
        let mut disk = FileDisk::read_write(&path).unwrap();
        for (sector, unmap) in [(8, false), (24, true)] {
            disk.write_zeroes(sector, 3, unmap).unwrap();
        }
        disk.write_zeroes(100, 0, true).unwrap();
        let mut expected = vec![1; 1 << 20];
        expected[8 * 512..11 * 512].fill(0);
        expected[24 * 512..27 * 512].fill(0);
        assert_eq!(fs::read(&path).unwrap(), expected);

        disk.flush().unwrap();
        let blocks = || fs::metadata(&path).unwrap().blocks();
        let before = blocks();
        disk.discard(1024, 1024).unwrap();
        disk.flush().unwrap();
        assert!(blocks() < before, "{} of {before} blocks are left", blocks());
        assert_eq!(fs::read(&path).unwrap()[..512 * 1024], expected[..512 * 1024]);
        assert_eq!(fs::metadata(&path).unwrap().len(), 1 << 20);
    }

    #[test]
    fn a_range_beyond_the_end_or_of_a_read_only_file_is_refused_and_changes_nothing() {
        let (_directory, path) = image(&[1; 1024]);
        let mut disk = FileDisk::read_write(&path).unwrap();
        for (sector, count) in [(2, 1), (0, 3), (u64::MAX, 1), (1, u64::MAX), (1, 1 << 55)] {
            let discard = disk.discard(sector, count).unwrap_err();
            let zeroes = disk.write_zeroes(sector, count, true).unwrap_err();
            assert_eq!(discard.kind(), io::ErrorKind::InvalidInput);
            assert_eq!(zeroes.kind(), io::ErrorKind::InvalidInput);
        }
        assert_eq!(disk.secure_erase(0, 1).unwrap_err().kind(), io::ErrorKind::Unsupported);
        let mut disk = FileDisk::read_only(&path).unwrap();
        assert_eq!(disk.abilities(), Abilities::empty());
        let discard = disk.discard(0, 1).unwrap_err();
        let zeroes = disk.write_zeroes(0, 1, false).unwrap_err();
        assert_eq!(discard.kind(), io::ErrorKind::ReadOnlyFilesystem);
        assert_eq!(zeroes.kind(), io::ErrorKind::ReadOnlyFilesystem);
        assert_eq!(fs::read(&path).unwrap(), [1; 1024]);
    }

    // A character device knows no holes, and `/dev/full` takes no byte either: so it is seen that
    // zeroes were written one by one, and that the host's answer to that is the disk's.
    #[test]
    fn where_the_host_knows_no_holes_zeroes_are_written_and_a_discard_does_nothing() {
        let disk = |path: &str| {
            let file = OpenOptions::new().read(true).write(true).open(path).unwrap();
            FileDisk { file, sectors: 1000, read_only: false }
        };
        disk("/dev/null").write_zeroes(1, 999, true).unwrap();
        disk("/dev/null").write_zeroes(1, 999, false).unwrap();
        disk("/dev/full").discard(0, 1000).unwrap();
        let refusal = disk("/dev/full").write_zeroes(0, 1, true).unwrap_err();
        assert_eq!(refusal.kind(), io::ErrorKind::StorageFull);
    }

    #[test]
    fn a_file_that_grew_or_shrank_is_taken_at_its_new_size() {
        let (_directory, path) = image(&[1; 1024]);
        let mut disk = FileDisk::read_write(&path).unwrap();
        let resize = |size| File::options().write(true).open(&path).unwrap().set_len(size).unwrap();
        assert_eq!(disk.resize(3).unwrap_err().kind(), io::ErrorKind::InvalidInput);
        assert_eq!(disk.sectors(), 2);
        resize(2048);
        disk.resize(4).unwrap();
        disk.write(3, &[2; 512]).unwrap();
        let expected = [[1; 512], [1; 512], [0; 512], [2; 512]].concat();
        assert_eq!(fs::read(&path).unwrap(), expected);
        resize(512);
        disk.resize(1).unwrap();
        assert_eq!(disk.read(1, &mut [0; 512]).unwrap_err().kind(), io::ErrorKind::InvalidInput);
    }

    // What cannot be made durable, as `/dev/null`, answers `fdatasync` with an error.
    #[test]
    fn a_flush_is_as_good_as_the_hosts_answer() {
        let mut disk =
            FileDisk { file: File::open("/dev/null").unwrap(), sectors: 1, read_only: false };
        assert!(disk.flush().is_err());
    }

    #[test]
    fn a_file_cut_short_while_in_use_is_an_error_and_not_old_data() {
        let (_directory, path) = image(&[1; 1024]);
        let mut disk = FileDisk::read_only(&path).unwrap();
        File::options().write(true).open(&path).unwrap().set_len(512).unwrap();
        let error = disk.read(1, &mut [0; 512]).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::UnexpectedEof);
    }

    #[test]
    fn what_is_no_disk_image_is_refused_with_a_sentence() {
        let (directory, path) = image(&[]);
        let sentences = |path: &Path| {
            let read_only = sentence(path, FileDisk::read_only(path).unwrap_err());
            assert_eq!(sentence(path, FileDisk::read_write(path).unwrap_err()), read_only);
            read_only
        };

        assert_eq!(
            sentences(&path),
            "disk image PATH is empty; name one with contents, or give a file a size, for example \
             by `truncate -s 1M PATH`"
        );
        fs::write(&path, [0; 1000]).unwrap();
        assert_eq!(
            sentences(&path),
            "disk image PATH has 1000 bytes, which is not a multiple of 512; fill its last \
             sector, for example by `truncate -s %512 PATH`"
        );
        assert_eq!(fs::read(&path).unwrap(), [0; 1000]);
        assert_eq!(
            sentences(directory.path()),
            "PATH is a directory, not a disk image; name a file in it"
        );
        let missing = directory.path().join("missing.img");
        assert_eq!(
            sentences(&missing),
            "disk image PATH does not exist; check the path, or name no disk to use the embedded one"
        );
        assert!(!missing.exists());
        let socket = directory.path().join("socket");
        let _listener = UnixListener::bind(&socket).unwrap();
        for neither in [socket.as_path(), Path::new("/dev/zero")] {
            assert_eq!(
                sentences(neither),
                "PATH is neither a file nor a block device; copy its contents to a file and name that"
            );
        }
        assert_eq!(
            sentences(&path.join("below-a-file")),
            "disk image PATH could not be opened; check the path, or name no disk to use the \
             embedded one"
        );
    }

    // Root may read and write everything, so the host's answer is made here and not asked for.
    #[test]
    fn a_lack_of_permission_says_which_permission() {
        let denied = || io::Error::from(io::ErrorKind::PermissionDenied);
        let path = Path::new("disk.img");
        let unreadable = refusal(path, true, denied());
        assert_eq!(unreadable.source().unwrap().to_string(), "permission denied");
        assert_eq!(
            unreadable.to_string(),
            "disk image disk.img may not be read by this user; change its permissions, or name a copy"
        );
        for kind in [io::ErrorKind::PermissionDenied, io::ErrorKind::ReadOnlyFilesystem] {
            assert_eq!(
                refusal(path, false, kind.into()).to_string(),
                "disk image disk.img may not be written by this user; change its permissions, or \
                 leave out `,write` to keep the guest's writes in memory"
            );
        }
    }
}
