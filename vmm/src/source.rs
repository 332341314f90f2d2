//! Where in its source a guest's kernel is.

use std::{fmt, sync::Arc};

use addr2line::Context;
use gimli::{Dwarf, EndianArcSlice, LittleEndian};
use object::{
    LittleEndian as LE, Object, ObjectSection,
    read::{ReadRef, elf::ElfFile64},
};

use crate::symbols::Symbols;

/// So many functions that were inlined into one another are named.
const INLINED: usize = 6;

type Reader = EndianArcSlice<LittleEndian>;

/// The functions of a kernel, and their source lines if the image has line tables.
#[derive(Default)]
pub struct Source {
    symbols: Symbols,
    lines: Option<Context<Reader>>,
}

impl Source {
    /// Reads symbols and line tables; what is damaged is as if it were not there.
    pub(crate) fn read<'d>(data: impl ReadRef<'d>) -> Self {
        Self { symbols: Symbols::read(data), lines: lines(data) }
    }

    /// What is at `rip`: `function at file:line`, and the functions that this one was inlined
    /// into; without line tables `function+offset`.
    pub fn locate(&self, rip: u64) -> Option<String> {
        self.line(self.symbols.linked(rip)).or_else(|| self.symbols.find(rip))
    }

    fn line(&self, address: u64) -> Option<String> {
        let mut frames = self.lines.as_ref()?.find_frames(address).skip_all_loads().ok()?;
        let mut named = Vec::new();
        while let Ok(Some(frame)) = frames.next() {
            let Some(function) = frame.function else { continue };
            let (Ok(name), Some(location)) = (function.demangle(), frame.location) else {
                continue;
            };
            let (Some(file), Some(line)) = (location.file, location.line) else { continue };
            // How the core library stores a byte is nobody's mistake.
            if !file.starts_with("/rustc/") {
                named.push(format!("{name} at {file}:{line}"));
            }
        }
        named.truncate(INLINED);
        (!named.is_empty()).then(|| named.join(", in "))
    }
}

impl fmt::Debug for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Source").field("lines", &self.lines.is_some()).finish_non_exhaustive()
    }
}

fn lines<'d>(data: impl ReadRef<'d>) -> Option<Context<Reader>> {
    let file = ElfFile64::<LE, _>::parse(data).ok()?;
    file.section_by_name(".debug_line")?;
    let sections = Dwarf::load(|id| {
        let bytes = file.section_by_name(id.name());
        let bytes = bytes.and_then(|section| section.uncompressed_data().ok());
        let bytes: Arc<[u8]> = bytes.unwrap_or_default().into();
        Ok::<_, ()>(EndianArcSlice::new(bytes, LittleEndian))
    });
    Context::from_dwarf(sections.ok()?).ok()
}

#[cfg(test)]
mod tests {
    use object::ObjectSymbol;

    use super::*;

    #[inline(never)]
    #[unsafe(no_mangle)]
    extern "C" fn a_function_to_be_found(number: u64) -> u64 {
        std::hint::black_box(number + 1)
    }

    // A test program has line tables of its own.
    #[test]
    fn an_address_is_named_by_function_file_and_line() {
        assert_eq!(a_function_to_be_found(1), 2);
        let itself = std::fs::read(std::env::current_exe().unwrap()).unwrap();
        let file = ElfFile64::<LE, _>::parse(&itself[..]).unwrap();
        let symbol = file.symbol_by_name("a_function_to_be_found").unwrap();
        let line = Source::read(&itself[..]).locate(symbol.address()).unwrap();
        assert!(line.contains("a_function_to_be_found at "), "{line}");
        assert!(line.contains("src/source.rs:"), "{line}");
    }

    #[test]
    fn without_line_tables_there_is_the_function() {
        let image = crate::image::IMAGE;
        let file = ElfFile64::<LE, _>::parse(image).unwrap();
        let named = |symbol: &object::read::elf::ElfSymbol64<'_, '_, LE>| {
            symbol.size() != 0 && symbol.kind() == object::SymbolKind::Text
        };
        let symbol = file.symbols().find(named).unwrap();
        let place = Source::read(image).locate(symbol.address() + 1).unwrap();
        assert!(place.ends_with("+0x1") || place.contains(" at "), "{place}");
        assert_eq!(Source::read(image).locate(3), None);
        assert_eq!(Source::read(&b"\x7fELF"[..]).locate(3), None);
    }
}
