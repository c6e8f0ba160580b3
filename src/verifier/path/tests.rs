//! Every proof of every small tree, from a prover that is RFC 6962's text and nothing more.

use super::*;

const MOST: u64 = 34;

fn at(index: u64) -> usize {
    usize::try_from(index).unwrap()
}

fn leaves(count: u64) -> Vec<Hash> {
    (0..count).map(|index| leaf(&index.to_le_bytes())).collect()
}

/// The largest power of two below the number of leaves.
fn split(leaves: &[Hash]) -> usize {
    let mut k = 1;
    while 2 * k < leaves.len() {
        k *= 2;
    }
    k
}

fn root(leaves: &[Hash]) -> Hash {
    match leaves {
        [] => Sha256::digest([]).into(),
        [one] => *one,
        _ => {
            let (left, right) = leaves.split_at(split(leaves));
            node(&root(left), &root(right))
        },
    }
}

/// PATH(m, D) of section 2.1.1.
fn audit(m: usize, leaves: &[Hash]) -> Vec<Hash> {
    if leaves.len() == 1 {
        return Vec::new();
    }
    let k = split(leaves);
    let (left, right) = leaves.split_at(k);
    let (mut path, last) =
        if m < k { (audit(m, left), root(right)) } else { (audit(m - k, right), root(left)) };
    path.push(last);
    path
}

/// SUBPROOF(m, D, b) of section 2.1.2.
fn subproof(m: usize, leaves: &[Hash], whole: bool) -> Vec<Hash> {
    if m == leaves.len() {
        return if whole { Vec::new() } else { vec![root(leaves)] };
    }
    let k = split(leaves);
    let (left, right) = leaves.split_at(k);
    let (mut path, last) = if m <= k {
        (subproof(m, left, whole), root(right))
    } else {
        (subproof(m - k, right, false), root(left))
    };
    path.push(last);
    path
}

/// The path with one thing changed, each in turn.
fn changed(path: &[Hash]) -> Vec<Vec<Hash>> {
    let mut all = vec![[path, &[[7; 32]]].concat()];
    for at in 0..path.len() {
        let mut flipped = path.to_vec();
        flipped[at][at % 32] ^= 1;
        let mut shorter = path.to_vec();
        shorter.remove(at);
        let mut longer = path.to_vec();
        longer.insert(at, [7; 32]);
        all.extend([flipped, shorter, longer]);
    }
    all
}

#[test]
fn every_inclusion_is_taken_and_no_changed_one() {
    for size in 1..=MOST {
        let leaves = leaves(size);
        let root = root(&leaves);
        for index in 0..size {
            let hash = leaves[at(index)];
            let path = audit(at(index), &leaves);
            assert_eq!(included(hash, index, size, &root, &path), Ok(()), "{index} of {size}");
            for path in changed(&path) {
                assert!(included(hash, index, size, &root, &path).is_err(), "{index} of {size}");
            }
            for other in (0..size + 2).filter(|other| *other != index) {
                assert!(included(hash, other, size, &root, &path).is_err(), "{index} as {other}");
            }
            assert!(included([7; 32], index, size, &root, &path).is_err());
            assert!(included(hash, index, size, &[7; 32], &path).is_err());
        }
    }
}

#[test]
fn every_consistency_is_taken_and_no_changed_one() {
    for to in 1..=MOST {
        let later = leaves(to);
        let new = root(&later);
        for from in 0..=to {
            let old = root(&later[..at(from)]);
            let path = if from == 0 { Vec::new() } else { subproof(at(from), &later, true) };
            let check =
                |old: &Hash, new: &Hash, path: &[Hash]| consistent((from, old), (to, new), path);
            assert_eq!(check(&old, &new, &path), Ok(()), "{from} to {to}");
            for path in changed(&path) {
                assert!(check(&old, &new, &path).is_err(), "{from} to {to}");
            }
            assert!(check(&[7; 32], &new, &path).is_err(), "{from} to {to}");
            // Everything continues nothing.
            assert_eq!(check(&old, &[7; 32], &path).is_err(), from > 0, "{from} to {to}");
        }
        assert!(consistent((to + 1, &new), (to, &new), &[]).is_err());
    }
    let empty = root(&[]);
    assert_eq!(consistent((0, &empty), (0, &empty), &[]), Ok(()));
    assert!(consistent((0, &empty), (0, &[7; 32]), &[]).is_err());
}
