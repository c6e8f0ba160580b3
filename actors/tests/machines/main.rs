//! The pure machines: given / when / then, tables that name every pair, and random walks.

mod support;

mod lock_again;
mod lock_leases;
mod lock_model;
mod lock_ranges;
mod lock_recovery;
mod lock_table;
mod lock_waiters;
