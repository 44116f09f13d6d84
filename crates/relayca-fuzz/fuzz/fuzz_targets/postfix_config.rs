#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    relayca_fuzz::postfix_config(data);
});
