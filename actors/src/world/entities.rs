//! Every entity of one kind, by id: quick to find, and in the order of their ids when asked.
//!
//! ```text
//!   get, insert, remove ──► hash of the id ──► slot ──► id, state
//!   iter, after         ──► order: slots by id, made when asked for, kept until an id comes or goes
//! ```
//!
//! Nothing here depends on chance: the hash has no seed, and what is shown is shown by id.

use std::fmt;
use std::hash::{BuildHasherDefault, Hash, Hasher};
use std::sync::OnceLock;

use indexmap::{Equivalent, IndexMap};
use serde::{Serialize, Serializer};
use smallvec::SmallVec;

use crate::fast::Fast;

/// States by id.
#[derive(Clone)]
pub struct Entities<S> {
    by_id: IndexMap<Id, S, BuildHasherDefault<Fast>>,
    /// Places in `by_id`, by id.
    order: OnceLock<Vec<usize>>,
}

/// An id's bytes, which lie beside the state: in a table of a million each step to memory counts.
#[derive(Clone, PartialEq, Eq)]
struct Id(SmallVec<[u8; INLINE_BYTES]>);

/// `{tenant}/{id}` with a UUID and a tenant of eleven letters.
const INLINE_BYTES: usize = 48;

/// An id that is looked for.
struct Wanted<'i>(&'i str);

impl<S> Entities<S> {
    /// How many there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.by_id.len()
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.by_id.is_empty()
    }

    /// The state of one.
    #[must_use]
    pub fn get(&self, id: &str) -> Option<&S> {
        self.by_id.get(&Wanted(id))
    }

    /// The state of one, to be changed.
    pub fn get_mut(&mut self, id: &str) -> Option<&mut S> {
        self.by_id.get_mut(&Wanted(id))
    }

    /// Gives one a state; returns the one it had.
    pub fn insert(&mut self, id: &str, state: S) -> Option<S> {
        if let Some(known) = self.by_id.get_mut(&Wanted(id)) {
            return Some(std::mem::replace(known, state));
        }
        self.order.take();
        self.by_id.insert(Id(id.as_bytes().into()), state)
    }

    /// Takes one out.
    pub fn remove(&mut self, id: &str) -> Option<S> {
        let removed = self.by_id.swap_remove(&Wanted(id))?;
        self.order.take();
        Some(removed)
    }

    /// Takes one out if its state is such a one.
    pub fn take_if(&mut self, id: &str, such: impl Fn(&S) -> bool) -> Option<S> {
        self.get(id).is_some_and(such).then(|| self.remove(id))?
    }

    /// Moves all whose states are such ones.
    pub fn move_into(&mut self, other: &mut Self, such: impl Fn(&S) -> bool) {
        (self.order, other.order) = Default::default();
        for (id, state) in std::mem::take(&mut self.by_id) {
            let into = if such(&state) { &mut other.by_id } else { &mut self.by_id };
            into.insert(id, state);
        }
    }

    /// All with their ids, by id.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &S)> {
        self.onward_from(0)
    }

    /// Those whose ids come after this one, by id.
    pub fn after(&self, id: &str) -> impl Iterator<Item = (&str, &S)> + use<'_, S> {
        let before = |place: &usize| self.at(*place).is_some_and(|(known, _)| known <= id);
        self.onward_from(self.order().partition_point(before))
    }

    /// All states, in no order that means anything.
    pub fn values(&self) -> impl Iterator<Item = &S> {
        self.by_id.values()
    }

    /// As [`Entities::values`], to keep.
    pub fn into_values(self) -> impl Iterator<Item = S> {
        self.by_id.into_values()
    }

    fn onward_from(&self, first: usize) -> impl Iterator<Item = (&str, &S)> {
        self.order().iter().skip(first).filter_map(|place| self.at(*place))
    }

    fn at(&self, place: usize) -> Option<(&str, &S)> {
        self.by_id.get_index(place).map(|(id, state)| (id.text(), state))
    }

    fn order(&self) -> &[usize] {
        self.order.get_or_init(|| {
            let mut ids: Vec<(&str, usize)> =
                self.by_id.keys().enumerate().map(|(place, id)| (id.text(), place)).collect();
            // A stable sort is quick with runs, and ids of our own making rise with time.
            ids.sort_by_key(|(id, _)| *id);
            ids.into_iter().map(|(_, place)| place).collect()
        })
    }
}

impl Id {
    fn text(&self) -> &str {
        // It was made of text.
        std::str::from_utf8(&self.0).unwrap_or_default()
    }
}

impl Hash for Id {
    fn hash<H: Hasher>(&self, state: &mut H) {
        state.write(&self.0);
    }
}

impl Hash for Wanted<'_> {
    fn hash<H: Hasher>(&self, state: &mut H) {
        state.write(self.0.as_bytes());
    }
}

impl Equivalent<Id> for Wanted<'_> {
    fn equivalent(&self, id: &Id) -> bool {
        self.0.as_bytes() == &*id.0
    }
}

impl<S> Default for Entities<S> {
    fn default() -> Self {
        Self { by_id: IndexMap::default(), order: OnceLock::new() }
    }
}

/// The same states under the same ids, whichever came first.
impl<S: PartialEq> PartialEq for Entities<S> {
    fn eq(&self, other: &Self) -> bool {
        self.by_id == other.by_id
    }
}

impl<S: fmt::Debug> fmt::Debug for Entities<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_map().entries(self.iter()).finish()
    }
}

impl<S: Serialize> Serialize for Entities<S> {
    fn serialize<W: Serializer>(&self, serializer: W) -> Result<W::Ok, W::Error> {
        serializer.collect_map(self.iter())
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::ops::Bound::{Excluded, Unbounded};

    use proptest::prelude::*;

    use super::Entities;

    #[derive(Debug, Clone)]
    enum Step {
        Insert(String, u32),
        Change(String, u32),
        Remove(String),
        List(String),
    }

    fn step() -> impl Strategy<Value = Step> {
        // Few ids, so that they meet; one is a prefix of another, some lie outside the table.
        let id = || "[ab]{0,2}(x{60})?";
        prop_oneof![
            3 => (id(), any::<u32>()).prop_map(|(id, state)| Step::Insert(id, state)),
            1 => (id(), any::<u32>()).prop_map(|(id, state)| Step::Change(id, state)),
            2 => id().prop_map(Step::Remove),
            1 => id().prop_map(Step::List),
        ]
    }

    fn pairs<'s>(all: impl Iterator<Item = (&'s str, &'s u32)>) -> Vec<(String, u32)> {
        all.map(|(id, state)| (id.to_owned(), *state)).collect()
    }

    fn both(steps: &[Step]) -> (Entities<u32>, BTreeMap<String, u32>) {
        let (mut entities, mut tree) = (Entities::default(), BTreeMap::new());
        for step in steps {
            match step.clone() {
                Step::Insert(id, state) => {
                    assert_eq!(entities.insert(&id, state), tree.insert(id, state));
                },
                Step::Change(id, state) => {
                    let changed = entities.get_mut(&id).map(|it| std::mem::replace(it, state));
                    assert_eq!(changed, tree.get_mut(&id).map(|it| std::mem::replace(it, state)));
                },
                Step::Remove(id) => assert_eq!(entities.remove(&id), tree.remove(&id)),
                Step::List(id) => {
                    let rest = tree.range::<str, _>((Excluded(id.as_str()), Unbounded));
                    let rest = rest.map(|(id, state)| (id.as_str(), state));
                    assert_eq!(pairs(entities.after(&id)), pairs(rest));
                    assert_eq!(entities.get(&id), tree.get(&id));
                },
            }
            assert_eq!((entities.len(), entities.is_empty()), (tree.len(), tree.is_empty()));
        }
        (entities, tree)
    }

    proptest! {
        #[test]
        fn entities_agree_with_a_sorted_map(steps in prop::collection::vec(step(), 0..60)) {
            let (entities, tree) = both(&steps);
            let sorted = tree.iter().map(|(id, state)| (id.as_str(), state));
            prop_assert_eq!(pairs(entities.iter()), pairs(sorted));
            prop_assert_eq!(
                serde_json::to_string(&entities).unwrap(),
                serde_json::to_string(&tree).unwrap()
            );
            prop_assert_eq!(format!("{entities:?}"), format!("{tree:?}"));
            let mut values = entities.values().copied().collect::<Vec<u32>>();
            prop_assert_eq!(&values, &entities.clone().into_values().collect::<Vec<u32>>());
            values.sort_unstable();
            let mut expected: Vec<u32> = tree.into_values().collect();
            expected.sort_unstable();
            prop_assert_eq!(values, expected);
        }

        #[test]
        fn the_order_of_arrival_does_not_make_worlds_differ(
            steps in prop::collection::vec(step(), 0..60),
            other in any::<u32>(),
        ) {
            let (entities, tree) = both(&steps);
            let mut again = Entities::default();
            for (id, state) in tree.iter().rev() {
                again.insert(id, *state);
            }
            prop_assert_eq!(&entities, &again);
            if let Some((id, state)) = tree.first_key_value() {
                again.insert(id, state ^ (other | 1));
                prop_assert_ne!(&entities, &again);
                again.remove(id);
                prop_assert_ne!(&entities, &again);
            }
        }
    }
}
