#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| eclipse_tests::fuzz::queue(input));
