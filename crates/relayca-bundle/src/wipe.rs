//! Wiping what was secret.
//!
//! In: bytes. Out: nothing. `Zeroizing` wipes on drop byte by byte, which is right and slow: a bundle is in memory three
//! times over, and a bulk issue spent 2 % of its time there. It still wipes wherever an error leaves a function early.

use zeroize::{Zeroizing, optimization_barrier};

/// Overwrites a buffer with zeros, all of its capacity, and frees it.
pub fn wipe(mut secret: Zeroizing<Vec<u8>>) {
    let mut bytes = std::mem::take(&mut *secret);
    overwrite(&mut bytes);
}

fn overwrite(bytes: &mut Vec<u8>) {
    bytes.clear();
    // Never more than there is room for, so nothing is moved.
    bytes.resize(bytes.capacity(), 0);
    // Without this the compiler could leave out writing what nobody reads.
    optimization_barrier(bytes.as_slice());
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_that_was_allocated_is_overwritten_in_its_place() {
        let mut bytes = vec![7u8; 1000];
        bytes.truncate(10);
        let (place, capacity) = (bytes.as_ptr(), bytes.capacity());
        overwrite(&mut bytes);
        assert_eq!((bytes.as_ptr(), bytes.len()), (place, capacity));
        assert!(bytes.iter().all(|byte| *byte == 0));
        wipe(Zeroizing::new(Vec::new()));
    }
}
