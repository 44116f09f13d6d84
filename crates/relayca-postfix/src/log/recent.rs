//! A table of bounded size that forgets what was not used for longest.
//!
//! Enters: keys and values. Leaves: the values, and the one that had to go. Refuses to know what they are.

use std::borrow::Borrow;
use std::collections::HashMap;
use std::hash::Hash;

const NONE: usize = usize::MAX;

#[derive(Debug)]
struct Slot<K, V> {
    key: K,
    value: V,
    older: usize,
    newer: usize,
}

/// The table.
#[derive(Debug)]
pub(super) struct Recent<K, V> {
    places: HashMap<K, usize>,
    slots: Vec<Slot<K, V>>,
    oldest: usize,
    newest: usize,
    most: usize,
}

impl<K: Hash + Eq + Clone, V> Recent<K, V> {
    /// An empty one that holds `most` at most, one at least.
    pub fn new(most: usize) -> Self {
        Self {
            places: HashMap::new(),
            slots: Vec::new(),
            oldest: NONE,
            newest: NONE,
            most: most.max(1),
        }
    }

    /// The value of a key, which is the newest from now on.
    pub fn get<Q: Hash + Eq + ?Sized>(&mut self, key: &Q) -> Option<&mut V>
    where
        K: Borrow<Q>,
    {
        let place = *self.places.get(key)?;
        if place != self.newest {
            self.unlink(place);
            self.link(place);
        }
        self.slots.get_mut(place).map(|slot| &mut slot.value)
    }

    /// Puts a value in; gives the oldest one where there was no room. A key that is there already gets the new value.
    pub fn put(&mut self, key: K, value: V) -> Option<(K, V)> {
        if let Some(old) = self.get(&key) {
            *old = value;
            return None;
        }
        let slot = Slot {
            key: key.clone(),
            value,
            older: NONE,
            newer: NONE,
        };
        if self.slots.len() < self.most {
            let place = self.slots.len();
            self.slots.push(slot);
            self.link(place);
            self.places.insert(key, place);
            return None;
        }
        let place = self.oldest;
        self.unlink(place);
        let gone = std::mem::replace(self.slots.get_mut(place)?, slot);
        self.places.remove(&gone.key);
        self.link(place);
        self.places.insert(key, place);
        Some((gone.key, gone.value))
    }

    /// Takes a key out.
    pub fn remove<Q: Hash + Eq + ?Sized>(&mut self, key: &Q) -> Option<V>
    where
        K: Borrow<Q>,
    {
        let place = self.places.remove(key)?;
        self.unlink(place);
        let last = self.slots.len() - 1;
        let gone = self.slots.swap_remove(place);
        // The last slot has moved to where the gap was.
        if place != last {
            let (older, newer) = {
                let moved = self.slots.get(place)?;
                self.places.insert(moved.key.clone(), place);
                (moved.older, moved.newer)
            };
            self.join(older, place);
            self.join(place, newer);
        }
        Some(gone.value)
    }

    /// All of them, the oldest first.
    pub fn into_oldest_first(self) -> Vec<(K, V)> {
        let mut order = Vec::with_capacity(self.slots.len());
        let mut place = self.oldest;
        while let Some(slot) = self.slots.get(place) {
            order.push(place);
            place = slot.newer;
        }
        let mut slots: Vec<Option<Slot<K, V>>> = self.slots.into_iter().map(Some).collect();
        order
            .into_iter()
            .filter_map(|place| slots.get_mut(place)?.take())
            .map(|slot| (slot.key, slot.value))
            .collect()
    }

    /// All values, in no order.
    pub fn values(&self) -> impl Iterator<Item = &V> {
        self.slots.iter().map(|slot| &slot.value)
    }

    fn unlink(&mut self, place: usize) {
        let Some((older, newer)) = self.slots.get(place).map(|slot| (slot.older, slot.newer))
        else {
            return;
        };
        if self.oldest == place {
            self.oldest = newer;
        }
        if self.newest == place {
            self.newest = older;
        }
        if let Some(slot) = self.slots.get_mut(older) {
            slot.newer = newer;
        }
        if let Some(slot) = self.slots.get_mut(newer) {
            slot.older = older;
        }
    }

    /// Makes it the newest.
    fn link(&mut self, place: usize) {
        let before = self.newest;
        if let Some(slot) = self.slots.get_mut(place) {
            slot.older = before;
            slot.newer = NONE;
        }
        match self.slots.get_mut(before) {
            Some(slot) => slot.newer = place,
            None => self.oldest = place,
        }
        self.newest = place;
    }

    /// Makes two neighbours; [`NONE`] is an end.
    fn join(&mut self, older: usize, newer: usize) {
        match self.slots.get_mut(older) {
            Some(slot) => slot.newer = newer,
            None => self.oldest = newer,
        }
        match self.slots.get_mut(newer) {
            Some(slot) => slot.older = older,
            None => self.newest = older,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn order(table: Recent<u32, u32>) -> Vec<u32> {
        table
            .into_oldest_first()
            .into_iter()
            .map(|(key, _)| key)
            .collect()
    }

    #[test]
    fn the_one_not_used_for_longest_goes() {
        let mut table = Recent::new(3);
        for key in 1..=3 {
            assert_eq!(table.put(key, key * 10), None);
        }
        assert_eq!(table.get(&1), Some(&mut 10));
        assert_eq!(table.put(4, 40), Some((2, 20)));
        assert_eq!(table.get(&2), None);
        assert_eq!(order(table), [3, 1, 4]);
    }

    /// Against a list that is searched from end to end.
    #[test]
    fn it_does_what_a_plain_list_does() {
        let (mut table, mut list) = (Recent::new(5), Vec::<(u32, u32)>::new());
        let mut state = 7_u32;
        for _ in 0..20_000 {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            let key = (state >> 8) % 9;
            match (state >> 16) % 3 {
                0 => {
                    let there = list.iter().position(|(k, _)| *k == key);
                    if let Some(at) = there {
                        list.remove(at);
                    }
                    list.push((key, state));
                    let gone = (list.len() > 5).then(|| list.remove(0));
                    assert_eq!(table.put(key, state), gone);
                }
                1 => {
                    let there = list
                        .iter()
                        .position(|(k, _)| *k == key)
                        .map(|at| list.remove(at));
                    assert_eq!(table.remove(&key), there.map(|(_, value)| value));
                }
                _ => {
                    let there = list
                        .iter()
                        .position(|(k, _)| *k == key)
                        .map(|at| list.remove(at));
                    assert_eq!(table.get(&key).copied(), there.map(|(_, value)| value));
                    list.extend(there);
                }
            }
        }
        assert_eq!(
            order(table),
            list.iter().map(|(key, _)| *key).collect::<Vec<_>>()
        );
    }
}
