//! Down at once, up only after the better level has held.
