//! Names for addresses of a guest's kernel.

use std::ops::Range;

use object::{
    LittleEndian as LE, Object, ObjectSymbol, SymbolKind,
    elf::PT_LOAD,
    read::{
        ReadRef,
        elf::{ElfFile64, ProgramHeader as _},
    },
};

/// The functions of a kernel, in order of their addresses.
#[derive(Clone, Debug, Default)]
pub(crate) struct Symbols {
    functions: Vec<(Range<u64>, String)>,
    /// Where the segments lie physically, and what to add to get the address that symbols have.
    loaded: Vec<(Range<u64>, u64)>,
}

impl Symbols {
    /// Reads the symbols; there are none in a stripped or damaged image.
    pub fn read<'d>(data: impl ReadRef<'d>) -> Self {
        let Ok(file) = ElfFile64::<LE, _>::parse(data) else { return Self::default() };
        let mut functions: Vec<_> = file
            .symbols()
            .filter(|symbol| symbol.kind() == SymbolKind::Text && symbol.is_definition())
            .filter_map(|symbol| {
                let start = symbol.address();
                let name = rustc_demangle::demangle(symbol.name().ok()?);
                Some((start..start.saturating_add(symbol.size()), format!("{name:#}")))
            })
            .collect();
        functions.sort_by_key(|(range, _)| range.start);
        let loaded = file
            .elf_program_headers()
            .iter()
            .filter(|segment| segment.p_type(LE) == PT_LOAD)
            .map(|segment| {
                let start = segment.p_paddr(LE);
                let moved = segment.p_vaddr(LE).wrapping_sub(start);
                (start..start.saturating_add(segment.p_memsz(LE)), moved)
            })
            .collect();
        Self { functions, loaded }
    }

    /// The function that holds `address`, as `name+offset`.
    ///
    /// A kernel that has not turned on paging yet runs at the physical addresses of its functions.
    pub fn find(&self, address: u64) -> Option<String> {
        self.find_linked(address).or_else(|| self.find_linked(self.linked(address)))
    }

    /// The address that a symbol has for `address`, if that is a physical one.
    pub fn linked(&self, address: u64) -> u64 {
        let loaded = self.loaded.iter().find(|(range, _)| range.contains(&address));
        loaded.map_or(address, |(_, moved)| address.wrapping_add(*moved))
    }

    fn find_linked(&self, address: u64) -> Option<String> {
        let after = self.functions.partition_point(|(range, _)| range.start <= address);
        let (range, name) = self.functions.get(after.checked_sub(1)?)?;
        // Hand-written assembly often gives no sizes: such a function reaches to the next one.
        let next = self.functions.get(after).map_or(u64::MAX, |(range, _)| range.start);
        let end =
            if range.is_empty() { next.min(range.start.saturating_add(4096)) } else { range.end };
        (address < end).then(|| format!("{name}+{:#x}", address - range.start))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_named_by_the_function_that_holds_it() {
        let symbols = Symbols {
            functions: vec![
                (0x100..0x110, "a".into()),
                (0x200..0x200, "b".into()),
                (0x300..0x310, "c".into()),
            ],
            loaded: vec![(0x1000..0x2000, 0u64.wrapping_sub(0xF00))],
        };
        let find = |address| symbols.find(address).unwrap_or_default();
        assert_eq!(find(0x10F), "a+0xf");
        assert_eq!(find(0x110), "");
        assert_eq!(find(0x2FF), "b+0xff");
        assert_eq!(find(0x1004), "a+0x4", "by its physical address");
        assert_eq!((find(0xFF), find(u64::MAX)), (String::new(), String::new()));
    }

    #[test]
    fn damaged_images_have_no_symbols() {
        assert!(Symbols::read(&b"\x7fELF"[..]).functions.is_empty());
        assert!(Symbols::read(&[][..]).functions.is_empty());
    }
}
