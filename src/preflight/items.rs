//! The registry: one table for each category.

mod access;
mod backups;
mod budgets;
mod capacity;
mod certificates;
mod clocks;
mod configuration;
mod dependencies;
mod documents;
mod journal;
mod observability;
mod security;

use super::item::{Category, Item};

pub(super) use self::backups::DRILL_MS;
pub(super) use self::budgets::worst;

/// The items of a category.
pub(super) const fn of(category: Category) -> &'static [Item] {
    match category {
        Category::Configuration => configuration::ITEMS,
        Category::Journal => journal::ITEMS,
        Category::Backups => backups::ITEMS,
        Category::Dependencies => dependencies::ITEMS,
        Category::Budgets => budgets::ITEMS,
        Category::Security => security::ITEMS,
        Category::Capacity => capacity::ITEMS,
        Category::Clocks => clocks::ITEMS,
        Category::Certificates => certificates::ITEMS,
        Category::Observability => observability::ITEMS,
        Category::Access => access::ITEMS,
        Category::Documents => documents::ITEMS,
    }
}

/// Every item with its category, in order.
pub fn all() -> impl Iterator<Item = (Category, &'static Item)> {
    Category::ALL.into_iter().flat_map(|category| of(category).iter().map(move |it| (category, it)))
}

/// The item of an id.
#[must_use]
pub fn find(id: &str) -> Option<&'static Item> {
    all().map(|(_, item)| item).find(|item| item.id == id)
}

/// The item whose id is most like this.
#[must_use]
pub fn nearest(id: &str) -> &'static str {
    let distance = |item: &&Item| strsim::damerau_levenshtein(id, item.id);
    all().map(|(_, item)| item).min_by_key(distance).map_or("", |item| item.id)
}
