//! The pure machines: given / when / then, tables that name every pair, and random walks.

#![expect(
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::format_push_string,
    reason = "helpers of tests stop like tests do, and tables are built as text"
)]

mod support;

mod attestations;
mod breaker_defects;
mod breaker_moves;
mod breaker_settings;
mod breaker_table;
mod breaker_world;
mod chaos_rules;
mod chaos_strikes;
mod fences;
mod gate_admission;
mod gate_clock;
mod gate_observations;
mod gate_verdicts;
mod gate_window;
mod health_combinations;
mod health_rules;
mod hysteresis;
mod key_rules;
mod lock_again;
mod lock_leases;
mod lock_model;
mod lock_ranges;
mod lock_reads;
mod lock_recovery;
mod lock_sizes;
mod lock_table;
mod lock_waiters;
mod payload_damage;
mod payloads;
mod privacy;
mod score;
mod session_limits;
mod session_rules;
mod session_subjects;
mod subject_table;
mod walks;
