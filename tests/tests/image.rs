//! The guest image as a file: what loaders look at, and what its instructions may be.

use std::collections::BTreeSet;

use eclipse_vmm::image::IMAGE;
use iced_x86::{CpuidFeature, Decoder, DecoderOptions, Instruction, Mnemonic};
use object::{
    LittleEndian, Object, ObjectSection, ObjectSymbol,
    elf::{self, ProgramHeader64, ProgramType},
    read::elf::{ElfFile64, ProgramHeader, SectionHeader},
};

/// What the image is linked at, less where it is loaded.
const KERNEL_BASE: u64 = 0xFFFF_FFFF_8000_0000;

/// The large page that the image has for itself.
const PLACE: std::ops::Range<u64> = 0x20_0000..0x40_0000;

/// The only functions of 32-bit code: the PVH entry.
const CODE32: &str = "pvh_start";

/// Extensions that the image may use: those of every x86-64 processor that touch general
/// registers only. Floating point, MMX, SSE and AVX are each a feature of their own.
const ALLOWED: [CpuidFeature; 13] = [
    CpuidFeature::INTEL8086,
    CpuidFeature::INTEL186,
    CpuidFeature::INTEL286,
    CpuidFeature::INTEL386,
    CpuidFeature::INTEL486,
    CpuidFeature::X64,
    CpuidFeature::CPUID,
    CpuidFeature::MSR,
    CpuidFeature::SYSCALL,
    CpuidFeature::TSC,
    CpuidFeature::CMOV,
    CpuidFeature::MULTIBYTENOP,
    CpuidFeature::PAUSE,
];

/// Instructions of those extensions that the image may not use all the same.
const FORBIDDEN: [Mnemonic; 6] = [
    Mnemonic::Int,
    Mnemonic::Int1,
    Mnemonic::Int3,
    Mnemonic::Into,
    Mnemonic::Wait,
    Mnemonic::Cmpxchg16b,
];

/// Why `instruction` may not be in the image.
fn objection(instruction: &Instruction) -> Option<String> {
    if instruction.is_invalid() {
        return Some("not an instruction".into());
    }
    if FORBIDDEN.contains(&instruction.mnemonic()) {
        return Some(format!("{:?} is forbidden", instruction.mnemonic()));
    }
    let feature = instruction.cpuid_features().iter().find(|feature| !ALLOWED.contains(feature))?;
    Some(format!("{:?} needs {feature:?}", instruction.mnemonic()))
}

/// What is wrong with the instructions in `code`, which lies at `address`.
///
/// Decoding starts anew at each of `starts`, and an instruction may not cross one.
fn objections(code: &[u8], bitness: u32, address: u64, starts: &BTreeSet<u64>) -> Vec<String> {
    let mut wrong = Vec::new();
    let mut decoder = Decoder::with_ip(bitness, code, address, DecoderOptions::NONE);
    for instruction in &mut decoder {
        let (ip, next) = (instruction.ip(), instruction.next_ip());
        if let Some(why) = objection(&instruction) {
            wrong.push(format!("{ip:#x}: {why}"));
        }
        if starts.range(ip + 1..next).next().is_some() {
            wrong.push(format!("{ip:#x}: runs into the next function"));
        }
    }
    wrong
}

/// The image, parsed.
fn image() -> ElfFile64<'static, LittleEndian> {
    ElfFile64::parse(IMAGE).expect("the image is an ELF64 file")
}

/// The program headers of one type.
fn headers(kind: ProgramType) -> Vec<&'static ProgramHeader64<LittleEndian>> {
    let image = image();
    let all = image.elf_program_headers().iter();
    all.filter(|header| header.p_type(LittleEndian) == kind).collect()
}

#[test]
fn the_only_note_is_the_pvh_entry_which_is_the_elf_entry() {
    let entry = image().entry();
    let [note] = headers(elf::PT_NOTE)[..] else { panic!("loaders expect one PT_NOTE") };
    assert_eq!(note.p_align(LittleEndian), 4);
    let data = note.data(LittleEndian, IMAGE).expect("the note lies in the file");
    let mut expected = Vec::new();
    for word in [4_u32, 8, 18] {
        expected.extend(word.to_le_bytes());
    }
    expected.extend(b"Xen\0");
    expected.extend(entry.to_le_bytes());
    assert_eq!(data, expected);
    assert!(PLACE.contains(&entry), "the entry is a physical address");
}

#[test]
fn the_segments_are_code_constants_and_data_in_one_large_page() {
    let loads = headers(elf::PT_LOAD);
    let flags: Vec<u32> = loads.iter().map(|load| load.p_flags(LittleEndian).0).collect();
    let (read, write, execute) = (elf::PF_R.0, elf::PF_W.0, elf::PF_X.0);
    assert_eq!(flags, [read | execute, read, read | write]);
    let mut end = PLACE.start;
    for load in loads {
        let (phys, in_memory) = (load.p_paddr(LittleEndian), load.p_memsz(LittleEndian));
        let in_file = load.p_filesz(LittleEndian);
        assert_eq!(load.p_vaddr(LittleEndian), KERNEL_BASE + phys);
        assert!(phys >= end, "segments lie in order and apart");
        assert!(in_file > 0, "a segment without file bytes counts in no loader's kernel end");
        assert!(in_memory >= in_file);
        end = phys + in_memory;
    }
    assert!(end <= PLACE.end, "the image ends at {end:#x}");
    assert!(headers(elf::PT_INTERP).is_empty() && headers(elf::PT_DYNAMIC).is_empty());
}

#[test]
fn the_image_is_small_and_names_its_functions() {
    assert!(IMAGE.len() <= 400 * 1024, "the image has {} bytes", IMAGE.len());
    let image = image();
    let names: BTreeSet<&str> = image.symbols().filter_map(|symbol| symbol.name().ok()).collect();
    for name in ["pvh_start", "kernel_start", "exception_report", "memcpy"] {
        assert!(names.contains(name), "no symbol {name}");
    }
}

#[test]
fn every_executable_byte_is_of_an_instruction_that_any_kvm_can_run() {
    let image = image();
    let mut wrong = Vec::new();
    let mut checked = 0;
    for section in image.sections() {
        let header = section.elf_section_header();
        if header.sh_flags(LittleEndian).0 & elf::SHF_EXECINSTR.0 == 0 {
            continue;
        }
        let code = section.data().expect("the section lies in the file");
        let place = section.address()..section.address() + section.size();
        // Where functions start, and where 32-bit code ends.
        let mut starts = BTreeSet::from([place.start]);
        let mut code32 = 0..0;
        for symbol in image.symbols().filter(|symbol| place.contains(&symbol.address())) {
            starts.insert(symbol.address());
            if symbol.name() == Ok(CODE32) {
                code32 = symbol.address()..symbol.address() + symbol.size();
                starts.insert(code32.end);
            }
        }
        assert!(!code32.is_empty(), "{CODE32} has no size");
        let ends = starts.iter().skip(1).copied().chain([place.end]);
        for (&start, end) in starts.iter().zip(ends) {
            let bytes = &code[(start - place.start) as usize..(end - place.start) as usize];
            let bitness = if code32.contains(&start) { 32 } else { 64 };
            wrong.extend(objections(bytes, bitness, start, &starts));
            checked += bytes.len();
        }
    }
    let executable: u64 = headers(elf::PT_LOAD)
        .iter()
        .filter(|load| load.p_flags(LittleEndian).0 & elf::PF_X.0 != 0)
        .map(|load| load.p_filesz(LittleEndian))
        .sum();
    assert_eq!(checked as u64, executable, "all that is executable lies in a section");
    assert!(wrong.is_empty(), "{} instructions:\n{}", wrong.len(), wrong.join("\n"));
}

/// The objections to 64-bit code at address 0.
fn objections_to(code: &[u8]) -> Vec<String> {
    objections(code, 64, 0, &BTreeSet::from([0]))
}

#[test]
fn ordinary_kernel_code_is_not_objected_to() {
    for code in [
        &[0x55][..],                           // push rbp
        &[0xF3, 0x48, 0xA5],                   // rep movsq
        &[0x0F, 0x01, 0x18],                   // lidt [rax]
        &[0xF0, 0x83, 0x0C, 0x24, 0x00],       // lock or dword ptr [rsp], 0
        &[0x48, 0xCF],                         // iretq
        &[0x0F, 0x0B],                         // ud2
        &[0x66, 0x0F, 0x1F, 0x44, 0x00, 0x00], // nop word ptr [rax + rax]
        &[0xF3, 0x90],                         // pause
        &[0xF0, 0x0F, 0xB1, 0x0F],             // lock cmpxchg [rdi], ecx
        &[0xFB, 0xF4],                         // sti; hlt
    ] {
        assert!(objections_to(code).is_empty(), "{code:02x?}: {:?}", objections_to(code));
    }
}

#[test]
fn each_kind_of_forbidden_instruction_is_objected_to() {
    for (code, why) in [
        (&[0xCC][..], "0x0: Int3 is forbidden"),
        (&[0xCD, 0x80], "0x0: Int is forbidden"),
        (&[0xF1], "0x0: Int1 is forbidden"),
        (&[0x9B], "0x0: Wait is forbidden"),
        (&[0x48, 0x0F, 0xC7, 0x0F], "0x0: Cmpxchg16b is forbidden"),
        (&[0x0F, 0x57, 0xC0], "0x0: Xorps needs SSE"),
        (&[0x66, 0x0F, 0xEF, 0xC0], "0x0: Pxor needs SSE2"),
        (&[0x0F, 0xEF, 0xC0], "0x0: Pxor needs MMX"),
        (&[0xD9, 0xE8], "0x0: Fld1 needs FPU"),
        (&[0xC5, 0xF8, 0x57, 0xC0], "0x0: Vxorps needs AVX"),
        (&[0x0F, 0xAE, 0xF0], "0x0: Mfence needs SSE2"),
        (&[0x06], "0x0: not an instruction"),
    ] {
        assert_eq!(objections_to(code), [why]);
    }
    let into = objections(&[0xCE], 32, 0, &BTreeSet::new());
    assert_eq!(into, ["0x0: Into is forbidden"]);
}

#[test]
fn what_hides_behind_a_good_instruction_is_found() {
    // nop; mov eax, 0xCC (a constant, not INT3); pxor xmm0, xmm0; a constant that runs on.
    let code = [0x90, 0xB8, 0xCC, 0, 0, 0, 0x66, 0x0F, 0xEF, 0xC0, 0xB8, 0];
    assert_eq!(objections_to(&code), ["0x6: Pxor needs SSE2", "0xa: not an instruction"]);
    let starts = BTreeSet::from([0, 3]);
    let crossing = objections(&[0x90, 0xB8, 0x90, 0x90, 0x90, 0x90], 64, 0, &starts);
    assert_eq!(crossing, ["0x1: runs into the next function"]);
}
