//! Paths through a tree, by RFC 9162: inclusion (2.1.3.2) and consistency (2.1.4.2).

use sha2::{Digest, Sha256};

use super::Invalid;

pub(super) type Hash = [u8; 32];

/// SHA-256 of a leaf's bytes.
pub(super) fn leaf(bytes: &[u8]) -> Hash {
    Sha256::new().chain_update([0]).chain_update(bytes).finalize().into()
}

fn node(left: &Hash, right: &Hash) -> Hash {
    Sha256::new().chain_update([1]).chain_update(left).chain_update(right).finalize().into()
}

/// Where a leaf and the last one are, level by level.
struct Climb {
    leaf: u64,
    last: u64,
}

impl Climb {
    fn up(&mut self) {
        self.leaf >>= 1;
        self.last >>= 1;
    }

    /// Whether the next hash of the path lies on the left.
    fn is_on_the_left(&self) -> bool {
        self.leaf & 1 == 1 || self.leaf == self.last
    }

    /// Levels at which the last leaf has no sibling.
    fn skip(&mut self) {
        while self.leaf & 1 == 0 && self.leaf != 0 {
            self.up();
        }
    }
}

fn no_path() -> Invalid {
    Invalid::False("the path is not of this tree: it is too long or too short".to_owned())
}

/// Asserts that leaf `index` of a tree of `size` leaves leads to its root.
pub(super) fn included(
    leaf: Hash,
    index: u64,
    size: u64,
    root: &Hash,
    path: &[Hash],
) -> Result<(), Invalid> {
    if index >= size {
        let reason = format!("there is no leaf {index} in a tree of {size} leaves");
        return Err(Invalid::False(reason));
    }
    let mut at = Climb { leaf: index, last: size - 1 };
    let mut hash = leaf;
    for step in path {
        if at.last == 0 {
            return Err(no_path());
        }
        if at.is_on_the_left() {
            hash = node(step, &hash);
            at.skip();
        } else {
            hash = node(&hash, step);
        }
        at.up();
    }
    if at.last != 0 {
        return Err(no_path());
    }
    if hash == *root {
        return Ok(());
    }
    Err(Invalid::False("leaf and path do not lead to the root of the checkpoint".to_owned()))
}

/// Asserts that a tree of `to` leaves begins with one of `from`.
pub(super) fn consistent(
    (from, old): (u64, &Hash),
    (to, new): (u64, &Hash),
    path: &[Hash],
) -> Result<(), Invalid> {
    let differ = |what: &str| {
        Invalid::False(format!("the path does not lead to the root of the {what} checkpoint"))
    };
    if from > to {
        return Err(Invalid::False(format!("{to} events do not continue {from}")));
    }
    if from == 0 || from == to {
        let empty: Hash = Sha256::digest([]).into();
        let right = if from == 0 { *old == empty } else { old == new };
        let right = right && (to > 0 || *new == empty);
        return if !path.is_empty() {
            Err(no_path())
        } else if right {
            Ok(())
        } else {
            Err(differ("earlier"))
        };
    }
    let mut at = Climb { leaf: from - 1, last: to - 1 };
    let mut steps = path.iter();
    while at.leaf & 1 == 1 {
        at.up();
    }
    let first = if from.is_power_of_two() { old } else { steps.next().ok_or_else(no_path)? };
    let (mut earlier, mut later) = (*first, *first);
    for step in steps {
        if at.last == 0 {
            return Err(no_path());
        }
        if at.is_on_the_left() {
            (earlier, later) = (node(step, &earlier), node(step, &later));
            at.skip();
        } else {
            later = node(&later, step);
        }
        at.up();
    }
    if at.last != 0 {
        return Err(no_path());
    }
    if earlier != *old {
        return Err(differ("earlier"));
    }
    if later == *new { Ok(()) } else { Err(differ("later")) }
}

#[cfg(test)]
mod tests;
