//! The vault over real files: what is torn, lost, foreign or destroyed.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use tempfile::{TempDir, tempdir};

use super::*;

const SLOT: usize = 64;

fn opened(data: &Path) -> Arc<Vault> {
    let vault = Vault::at(data);
    vault.open().unwrap();
    vault
}

fn refused(data: &Path) -> String {
    Vault::at(data).open().unwrap_err().to_string()
}

fn file(data: &Path) -> PathBuf {
    data.join("keys/subjects")
}

fn wait<T>(work: impl Future<Output = T>) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    runtime.block_on(work)
}

fn values(pairs: &[(&str, &str)]) -> BTreeMap<String, Option<Sealed>> {
    let value = |value: &str| Some(Sealed::plain(value.as_bytes()));
    pairs.iter().map(|(name, it)| ((*name).to_owned(), value(it))).collect()
}

/// Seals one value of a subject; what goes to the journal.
fn seal(vault: &Vault, subject: &str, value: &str) -> Attributes {
    let name = vault.name("t", subject).unwrap();
    let sealed = wait(vault.seal_all(name, "t/1", values(&[("a", value)]))).unwrap();
    sealed.into_iter().map(|(name, value)| (name, value.unwrap())).collect()
}

fn open(vault: &Vault, subject: &str, sealed: &Attributes) -> Result<String, VaultError> {
    let name = vault.name("t", subject).unwrap();
    let opened = vault.open_all(name, "t/1", sealed)?;
    Ok(String::from_utf8(opened["a"].clone()).unwrap())
}

/// The slot of the n-th subject that got a key, from 1.
fn slot(data: &Path, number: usize) -> Vec<u8> {
    fs::read(file(data)).unwrap()[number * SLOT..][..SLOT].to_vec()
}

fn damage(data: &Path, at: usize) {
    let mut bytes = fs::read(file(data)).unwrap();
    bytes[at] ^= 1;
    fs::write(file(data), bytes).unwrap();
}

/// A directory with keys of two subjects, and a value of each.
fn two() -> (TempDir, Attributes, Attributes) {
    let data = tempdir().unwrap();
    let vault = opened(data.path());
    let (ann, ben) = (seal(&vault, "ann", "soap"), seal(&vault, "ben", "tea"));
    (data, ann, ben)
}

#[test]
fn what_was_sealed_opens_after_a_reopening_and_is_not_in_the_sealed_bytes() {
    let (data, ann, ben) = two();
    let vault = opened(data.path());
    assert_eq!(open(&vault, "ann", &ann).unwrap(), "soap");
    assert_eq!(open(&vault, "ben", &ben).unwrap(), "tea");
    let bytes = ann.get("a").unwrap().as_under_key().unwrap();
    assert!(!bytes.windows(4).any(|part| part == b"soap"));
    assert_eq!(bytes.len(), 24 + 4 + 16);
    // The same value never looks the same twice.
    assert_ne!(ann, seal(&vault, "ann", "soap"));
}

#[test]
fn a_value_opens_only_with_its_key_in_its_session_under_its_name() {
    let (data, ann, _) = two();
    let vault = opened(data.path());
    let unopened = VaultError::Unopened { names: vec!["a".to_owned()] };
    assert_eq!(open(&vault, "ben", &ann), Err(unopened.clone()));
    let name = vault.name("t", "ann").unwrap();
    assert_eq!(vault.open_all(name, "t/2", &ann), Err(unopened));
    let renamed = [("b", ann.get("a").unwrap().clone())].into_iter().collect();
    let unopened = VaultError::Unopened { names: vec!["b".to_owned()] };
    assert_eq!(vault.open_all(name, "t/1", &renamed), Err(unopened));
    // Another tenant's subject of the same name has another key.
    assert_ne!(vault.name("t", "ann"), vault.name("u", "ann"));
    assert_ne!(vault.name("t", "ann"), vault.name("tan", "n"));
}

#[test]
fn plain_values_of_older_journals_still_open() {
    let data = tempdir().unwrap();
    let vault = opened(data.path());
    let plain = [("a", Sealed::plain(b"old"))].into_iter().collect();
    assert_eq!(open(&vault, "ann", &plain).unwrap(), "old");
}

#[test]
fn a_destroyed_key_is_nowhere_and_there_is_never_another_one() {
    let (data, ann, ben) = two();
    let key = slot(data.path(), 1)[17..49].to_vec();
    let vault = opened(data.path());
    vault.destroy("t", "ann").unwrap();
    vault.destroy("t", "ann").unwrap();
    assert_eq!(open(&vault, "ann", &ann), Err(VaultError::Erased));
    vault.close();
    let bytes = fs::read(file(data.path())).unwrap();
    assert!(!bytes.windows(8).any(|part| part == &key[..8]), "a part of the key is left");
    let vault = opened(data.path());
    assert_eq!(open(&vault, "ann", &ann), Err(VaultError::Erased));
    let name = vault.name("t", "ann").unwrap();
    assert_eq!(wait(vault.key_to_seal(name)).unwrap_err(), VaultError::Erased);
    let nothing = BTreeMap::from([("a".to_owned(), None)]);
    assert_eq!(wait(vault.seal_all(name, "t/1", nothing)), Err(VaultError::Erased));
    assert_eq!(open(&vault, "ben", &ben).unwrap(), "tea");
    // One who never had a key can be erased, too.
    vault.destroy("t", "carl").unwrap();
    let name = vault.name("t", "carl").unwrap();
    assert_eq!(wait(vault.key_to_seal(name)).unwrap_err(), VaultError::Erased);
}

#[test]
fn a_torn_slot_is_damage_of_one_subject_who_can_still_be_erased() {
    let (data, ann, ben) = two();
    damage(data.path(), SLOT + 20);
    let vault = opened(data.path());
    assert_eq!(open(&vault, "ann", &ann), Err(VaultError::Damaged));
    let name = vault.name("t", "ann").unwrap();
    assert_eq!(wait(vault.key_to_seal(name)).unwrap_err(), VaultError::Damaged);
    assert_eq!(open(&vault, "ben", &ben).unwrap(), "tea");
    seal(&vault, "carl", "rum");
    let key = slot(data.path(), 1)[17..49].to_vec();
    vault.destroy("t", "ann").unwrap();
    assert_eq!(open(&vault, "ann", &ann), Err(VaultError::Erased));
    let bytes = fs::read(file(data.path())).unwrap();
    assert!(!bytes.windows(8).any(|part| part == &key[..8]));
}

#[test]
fn a_slot_with_a_damaged_name_is_still_its_subjects_and_dies_with_it() {
    let (data, ann, ben) = two();
    damage(data.path(), SLOT + 3);
    let vault = opened(data.path());
    assert_eq!(open(&vault, "ann", &ann).unwrap(), "soap");
    assert_eq!(open(&vault, "ben", &ben).unwrap(), "tea");
    let anew = seal(&vault, "ann", "salt");
    assert_eq!(open(&vault, "ann", &anew).unwrap(), "salt");
    seal(&vault, "carl", "rum");
    let key = slot(data.path(), 1)[17..49].to_vec();
    vault.destroy("t", "ann").unwrap();
    assert_eq!(open(&vault, "ann", &ann), Err(VaultError::Erased));
    drop(vault);
    let bytes = fs::read(file(data.path())).unwrap();
    assert!(!bytes.windows(8).any(|part| part == &key[..8]));
    let vault = opened(data.path());
    assert_eq!(open(&vault, "ann", &ann), Err(VaultError::Erased));
    assert_eq!(open(&vault, "ben", &ben).unwrap(), "tea");
}

#[test]
fn without_the_file_old_values_stay_sealed_and_new_ones_work() {
    let (data, ann, _) = two();
    fs::remove_file(file(data.path())).unwrap();
    let vault = opened(data.path());
    let unopened = VaultError::Unopened { names: vec!["a".to_owned()] };
    assert_eq!(open(&vault, "ann", &ann), Err(unopened.clone()));
    let anew = seal(&vault, "ann", "salt");
    assert_eq!(open(&vault, "ann", &anew).unwrap(), "salt");
    assert_eq!(open(&vault, "ann", &ann), Err(unopened));
}

#[test]
fn keys_that_others_can_read_are_refused_with_the_command_that_helps() {
    let (data, ..) = two();
    let all = [("keys", 0o750, 0o700), ("keys/subjects", 0o640, 0o600), ("secret", 0o604, 0o600)];
    for (name, open, private) in all {
        let path = data.path().join(name);
        let mode = |mode| fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
        mode(open);
        let text = refused(data.path());
        assert!(text.contains(&format!("chmod {private:o} {}", path.display())), "{text}");
        mode(private);
    }
    opened(data.path());
}

#[test]
fn keys_are_made_private_whatever_the_umask_says() {
    let (data, ..) = two();
    for (name, wanted) in [("keys", 0o700), ("keys/subjects", 0o600), ("secret", 0o600)] {
        let mode = fs::metadata(data.path().join(name)).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, wanted, "{name}");
    }
}

#[test]
fn keys_of_another_secret_are_refused_for_no_subject_would_be_found() {
    let (data, ..) = two();
    fs::remove_file(data.path().join("secret")).unwrap();
    let text = refused(data.path());
    assert!(text.contains("another secret; put the file `secret` back"), "{text}");
}

#[test]
fn a_damaged_header_costs_nobody_a_key() {
    let (data, ann, _) = two();
    damage(data.path(), 30);
    assert_eq!(open(&opened(data.path()), "ann", &ann).unwrap(), "soap");
}

#[test]
fn many_who_ask_at_once_get_a_key_each_and_keep_it() {
    let data = tempdir().unwrap();
    let vault = opened(data.path());
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    let subjects: Vec<String> = (0..5_000).map(|n| format!("s{}", n % 4_500)).collect();
    runtime.block_on(async {
        for some in subjects.chunks(1_000) {
            let mut asked = tokio::task::JoinSet::new();
            for subject in some {
                let (vault, name) = (vault.clone(), vault.name("t", subject).unwrap());
                asked.spawn(async move { vault.key_to_seal(name).await.map(drop) });
            }
            assert!(asked.join_all().await.into_iter().all(|made| made.is_ok()));
        }
    });
    let sealed = seal(&vault, "s4499", "x");
    vault.close();
    let bytes = fs::read(file(data.path())).unwrap();
    let slots = bytes.as_chunks::<SLOT>().0[1..].iter();
    let live: std::collections::BTreeSet<&[u8]> =
        slots.filter(|slot| slot[0] == 1).map(|slot| &slot[17..49]).collect();
    assert_eq!(live.len(), 4_500, "a key each");
    assert_eq!(open(&opened(data.path()), "s4499", &sealed).unwrap(), "x");
}
