//! Values by name, packed: what a session holds, and what a patch changes.
//!
//! ```text
//!   name, value ‖ name, value ‖ …      one allocation, by name
//!   └ 64 bytes ─┘                      a short name and a short value lie inside
//! ```
//!
//! As bytes and as text it is a map.

use std::fmt;
use std::marker::PhantomData;

use serde::de::{MapAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use smol_str::SmolStr;

use super::{MAX_CHANGES, Sealed};

/// Values by name, in the order of the names.
#[derive(Clone, PartialEq, Eq)]
pub struct Attributes<V = Sealed>(Vec<(SmolStr, V)>);

const _: () = assert!(size_of::<(SmolStr, Sealed)>() == 64, "an attribute is one cache line");

impl<V> Attributes<V> {
    /// How many there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The value of one.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&V> {
        let place = self.place(name).ok()?;
        self.0.get(place).map(|(_, value)| value)
    }

    /// All of them, by name.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &V)> {
        self.0.iter().map(|(name, value)| (name.as_str(), value))
    }

    /// Their names, in order.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.iter().map(|(name, _)| name)
    }

    /// Where it is, or where it would be.
    fn place(&self, name: &str) -> Result<usize, usize> {
        self.0.binary_search_by(|(known, _)| known.as_str().cmp(name))
    }

    /// Of two of a name the later one counts.
    fn sorted(mut pairs: Vec<(SmolStr, V)>) -> Self {
        if !pairs.is_sorted_by(|(one, _), (next, _)| one < next) {
            pairs.sort_by(|(one, _), (other, _)| one.cmp(other));
            pairs.dedup_by(|later, earlier| {
                let same = later.0 == earlier.0;
                if same {
                    std::mem::swap(later, earlier);
                }
                same
            });
        }
        Self(pairs)
    }
}

impl Attributes {
    /// Sets and removes. What is replaced keeps its place: a patch of a hot session allocates nothing.
    pub(super) fn patch(&mut self, changes: &Attributes<Option<Sealed>>) {
        for (name, value) in &changes.0 {
            match (self.place(name), value) {
                (Ok(place), Some(new)) => {
                    if let Some((_, old)) = self.0.get_mut(place) {
                        old.clone_from(new);
                    }
                },
                (Ok(place), None) => drop(self.0.remove(place)),
                (Err(place), Some(new)) => {
                    // Sessions are many and new names rare: no room is kept for the next one.
                    self.0.reserve_exact(1);
                    self.0.insert(place, (name.clone(), new.clone()));
                },
                (Err(_), None) => {},
            }
        }
    }
}

impl<V> Default for Attributes<V> {
    fn default() -> Self {
        Self(Vec::new())
    }
}

impl<N: Into<SmolStr>, V> FromIterator<(N, V)> for Attributes<V> {
    fn from_iter<I: IntoIterator<Item = (N, V)>>(pairs: I) -> Self {
        Self::sorted(pairs.into_iter().map(|(name, value)| (name.into(), value)).collect())
    }
}

impl<N: Into<SmolStr>, V, const COUNT: usize> From<[(N, V); COUNT]> for Attributes<V> {
    fn from(pairs: [(N, V); COUNT]) -> Self {
        pairs.into_iter().collect()
    }
}

impl<V: fmt::Debug> fmt::Debug for Attributes<V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_map().entries(self.iter()).finish()
    }
}

impl<V: Serialize> Serialize for Attributes<V> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.iter())
    }
}

impl<'de, V: Deserialize<'de>> Deserialize<'de> for Attributes<V> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(Map(PhantomData))
    }
}

struct Map<V>(PhantomData<V>);

impl<'de, V: Deserialize<'de>> Visitor<'de> for Map<V> {
    type Value = Attributes<V>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("values by name")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Attributes<V>, A::Error> {
        // A damaged count must not claim memory without bound.
        let count = map.size_hint().unwrap_or_default().min(MAX_CHANGES);
        let mut pairs = Vec::with_capacity(count);
        while let Some(pair) = map.next_entry()? {
            pairs.push(pair);
        }
        Ok(Attributes::sorted(pairs))
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::Attributes;
    use crate::codec;
    use crate::session::Sealed;

    fn name() -> impl Strategy<Value = String> {
        // Few names, so that they meet; some do not fit inside.
        "[ab]{0,2}(x{30})?"
    }

    fn value() -> impl Strategy<Value = Sealed> {
        prop::collection::vec(any::<u8>(), 0..60).prop_map(|bytes| Sealed::plain(&bytes))
    }

    fn bytes(value: &impl serde::Serialize) -> Vec<u8> {
        let mut bytes = Vec::new();
        codec::encode("test", value, &mut bytes).unwrap();
        bytes
    }

    proptest! {
        #[test]
        fn attributes_agree_with_a_sorted_map(
            pairs in prop::collection::vec((name(), value()), 0..12),
            patches in prop::collection::vec(
                prop::collection::vec((name(), prop::option::of(value())), 0..6), 0..4),
        ) {
            let mut attributes: Attributes = pairs.iter().cloned().collect();
            let mut tree: BTreeMap<String, Sealed> = pairs.into_iter().collect();
            for patch in patches {
                attributes.patch(&patch.iter().cloned().collect());
                let patch: BTreeMap<String, Option<Sealed>> = patch.into_iter().collect();
                for (name, value) in patch {
                    match value {
                        Some(value) => drop(tree.insert(name, value)),
                        None => drop(tree.remove(&name)),
                    }
                }
            }
            let sorted = tree.iter().map(|(name, value)| (name.as_str(), value));
            prop_assert_eq!(attributes.iter().collect::<Vec<_>>(), sorted.collect::<Vec<_>>());
            prop_assert_eq!((attributes.len(), attributes.is_empty()), (tree.len(), tree.is_empty()));
            for name in ["", "a", "b", "ab", "c"] {
                prop_assert_eq!(attributes.get(name), tree.get(name));
            }
            prop_assert_eq!(bytes(&attributes), bytes(&tree));
            prop_assert_eq!(
                serde_json::to_string(&attributes).unwrap(),
                serde_json::to_string(&tree).unwrap()
            );
            prop_assert_eq!(format!("{attributes:?}"), format!("{tree:?}"));
            let again: Attributes = codec::decode("test", &bytes(&tree)).unwrap();
            prop_assert_eq!(again, attributes);
        }
    }

    #[test]
    fn names_in_another_order_are_read_and_the_later_of_two_counts() {
        let pairs = vec![("b", 1_u8), ("a", 2), ("b", 3)];
        let attributes: Attributes<u8> = codec::decode("test", &bytes(&pairs)).unwrap();
        assert_eq!(attributes, Attributes::from([("a", 2), ("b", 3)]));
    }
}
