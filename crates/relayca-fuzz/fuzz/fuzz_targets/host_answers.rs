#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    relayca_fuzz::host_answers(data);
});
