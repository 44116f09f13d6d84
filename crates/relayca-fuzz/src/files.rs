//! What people, other programs and hosts write: relayca.toml, lists of hosts, answers to `deploy`, the trees of other CAs. The promises stand beside the readers, in `relayca::outside`.

use crate::words::kept;

/// relayca.toml, and its edits by commands.
pub fn settings(data: &[u8]) -> bool {
    kept(data, relayca::outside::settings)
}

/// What a host says over ssh.
pub fn host_answers(data: &[u8]) -> bool {
    kept(data, relayca::outside::host_answer)
}

/// Lists of hosts, of mail hosts and of relays.
pub fn host_lists(data: &[u8]) -> bool {
    kept(data, relayca::outside::host_list)
}

/// What `import` finds in a tree. Each file begins with a line of `==== ` and its name.
pub fn imports(data: &[u8]) -> bool {
    const MARK: &[u8] = b"==== ";
    let mut files: Vec<(&str, &[u8])> = Vec::new();
    let mut starts: Vec<usize> = (0..data.len())
        .filter(|at| {
            data[*at..].starts_with(MARK) && (*at == 0 || data.get(*at - 1) == Some(&b'\n'))
        })
        .take(64)
        .collect();
    starts.push(data.len());
    for pair in starts.windows(2) {
        let file = &data[pair[0] + MARK.len()..pair[1]];
        let end = file
            .iter()
            .position(|byte| *byte == b'\n')
            .unwrap_or(file.len());
        let (name, content) = file.split_at(end);
        if let Ok(name) = std::str::from_utf8(name)
            && files.iter().all(|(other, _)| *other != name)
        {
            files.push((name, content.get(1..).unwrap_or_default()));
        }
    }
    relayca::outside::import_tree(&files, crate::fixed::now())
        .unwrap_or_else(|broken| panic!("{broken}"))
}
