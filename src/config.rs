//! Configuration: flags > environment > file > defaults.
//!
//! ```text
//!   mainstay.toml ──► unknown key? wrong type? file:line:column and the nearest known key
//!   MAINSTAY__SERVER__LISTEN=… ──► overlays the file, one variable per key
//! ```

mod access;
mod backup;
mod dependency;
mod duration;
mod error;
mod guard;
mod limits;
mod list;
pub mod origin;
mod probe_target;
#[cfg(feature = "cli")]
mod schema;
mod server;

pub use access::{AccessConfig, KeysNeeded};
pub use backup::{BackupConfig, DrillConfig, KeepConfig};
pub use dependency::{BreakerConfig, DependencyConfig, check_name};
pub use duration::Span;
pub use error::ConfigError;
pub use guard::{BulkheadConfig, GuardConfig, RateLimitConfig, RetryConfig};
pub use limits::{Count, LimitsConfig};
pub use list::List;
pub use probe_target::{PostgresTarget, ProbeTarget, RedisTarget};
#[cfg(feature = "cli")]
pub use schema::schema;
pub use server::{DEFAULT_PORT, ServerConfig, TlsConfig, is_host, parts};

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::{Path, PathBuf};

use crate::guard::Layers;
use mainstay_actors::dependency::Settings;
use mainstay_journal::{Keyring, KeyringError, Reading};
use serde::{Deserialize, Serialize};

/// Everything that can be configured. An unknown key is an error.
#[derive(Debug, Clone, PartialEq, Deserialize, Serialize, Default)]
#[cfg_attr(feature = "cli", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// Where the server listens and keeps its data.
    pub server: ServerConfig,
    /// Whom the server lets in.
    pub access: AccessConfig,
    /// Which journal.
    pub journal: JournalConfig,
    /// What is copied elsewhere.
    pub backup: BackupConfig,
    /// How that is practised.
    pub drill: DrillConfig,
    /// How global health follows from the dependencies.
    pub health: HealthConfig,
    /// What bounds memory and queues.
    pub limits: LimitsConfig,
    /// The dependencies: `[[dependency]]`.
    pub dependency: Vec<DependencyConfig>,
}

/// `[journal]`
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, Serialize, Default)]
#[cfg_attr(feature = "cli", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields, default)]
pub struct JournalConfig {
    /// Which implementation; `local` keeps segments and store in the data directory.
    pub url: JournalUrl,
    /// The file with the keys of blocks at rest, the newest last; none: they lie in the plain.
    pub key_file: Option<PathBuf>,
    /// Where the archive of dropped months lies; none: where it lay when they were dropped.
    pub archive: Option<PathBuf>,
}

impl JournalConfig {
    /// With what the journal is read.
    ///
    /// # Errors
    /// The file of keys gives none.
    pub fn reading(&self) -> Result<Reading, KeyringError> {
        let keyring =
            self.key_file.as_ref().map_or_else(|| Ok(Keyring::default()), Keyring::read)?;
        Ok(Reading { keyring, archive: self.archive.clone(), ..Reading::default() })
    }
}

/// Which journal.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, Serialize, Default)]
#[cfg_attr(feature = "cli", derive(schemars::JsonSchema))]
#[serde(rename_all = "lowercase")]
pub enum JournalUrl {
    /// Segments and store in the data directory.
    #[default]
    Local,
}

/// `[health]`
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, Serialize)]
#[cfg_attr(feature = "cli", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields, default)]
pub struct HealthConfig {
    /// The level rises only after a better one has held this long.
    pub recover_after: Span,
}

impl Default for HealthConfig {
    fn default() -> Self {
        Self { recover_after: Span::from_ms(10_000) }
    }
}

impl Config {
    /// Reads a file and overlays the process environment.
    ///
    /// # Errors
    /// The file cannot be read or says something that cannot be; the error names the place.
    pub fn from_file(path: &Path) -> Result<Self, ConfigError> {
        let text = std::fs::read_to_string(path)
            .map_err(|error| ConfigError::Read { path: path.to_owned(), error })?;
        Self::from_text(&text, &path.display().to_string(), ours(std::env::vars_os())?)
    }

    /// The defaults, overlaid by the process environment.
    ///
    /// # Errors
    /// A variable says something that cannot be.
    pub fn from_environment() -> Result<Self, ConfigError> {
        Self::from_text("", "environment", ours(std::env::vars_os())?)
    }

    /// Reads TOML text and overlays the given variables.
    ///
    /// # Errors
    /// See [`Config::from_file`].
    pub fn from_text(
        text: &str,
        name: &str,
        environment: impl IntoIterator<Item = (String, String)>,
    ) -> Result<Self, ConfigError> {
        let from_file: Self =
            toml::from_str(text).map_err(|error| ConfigError::from_toml(name, text, &error))?;
        let variables: Vec<_> = environment
            .into_iter()
            .filter_map(|(key, value)| Some((key.strip_prefix(PREFIX)?.to_lowercase(), value)))
            .collect();
        let config = if variables.is_empty() { from_file } else { overlay(text, name, variables)? };
        config.check(name)?;
        Ok(config)
    }

    /// The settings of every dependency, by name.
    #[must_use]
    pub fn settings(&self) -> BTreeMap<String, Settings> {
        self.dependency.iter().map(|it| (it.name.clone(), it.settings())).collect()
    }

    /// What stands around the calls to each dependency, by name.
    pub(crate) fn layers(&self) -> BTreeMap<String, Layers> {
        let layers = |it: &DependencyConfig| Some((it.name.clone(), it.guard.layers().ok()?));
        self.dependency.iter().filter_map(layers).collect()
    }

    fn check(&self, name: &str) -> Result<(), ConfigError> {
        let says = |reason: String| ConfigError::Value { place: name.to_owned(), reason };
        self.server.check().map_err(says)?;
        self.access.check().map_err(says)?;
        self.limits.check().map_err(says)?;
        self.backup.check().map_err(says)?;
        self.drill.check(&self.server.data).map_err(says)?;
        let mut seen = std::collections::BTreeSet::new();
        for dependency in &self.dependency {
            if !seen.insert(&dependency.name) {
                return Err(says(format!("two dependencies are named {:?}", dependency.name)));
            }
            dependency
                .check()
                .map_err(|reason| says(format!("dependency {:?}: {reason}", dependency.name)))?;
        }
        Ok(())
    }
}

/// `MAINSTAY__SERVER__LISTEN` overlays `server.listen`.
const PREFIX: &str = "MAINSTAY__";

/// Our variables; the others may hold what they like, ours must be Unicode.
fn ours(
    variables: impl Iterator<Item = (OsString, OsString)>,
) -> Result<Vec<(String, String)>, ConfigError> {
    let ours = variables.filter(|(key, _)| key.to_string_lossy().starts_with(PREFIX));
    ours.map(|(key, value)| {
        let place = key.to_string_lossy().into_owned();
        let reason = "name and value must be Unicode (UTF-8)".to_owned();
        match (key.into_string(), value.into_string()) {
            (Ok(key), Ok(value)) => Ok((key, value)),
            _ => Err(ConfigError::Value { place, reason }),
        }
    })
    .collect()
}

fn overlay(
    text: &str,
    name: &str,
    variables: Vec<(String, String)>,
) -> Result<Config, ConfigError> {
    let mut table: toml::Table =
        toml::from_str(text).map_err(|error| ConfigError::from_toml(name, text, &error))?;
    for (key, value) in variables {
        let variable = format!("{PREFIX}{}", key.to_uppercase());
        let Some((sections, field)) = key.rsplit_once("__") else {
            let reason = "needs a section and a key: MAINSTAY__SERVER__LISTEN".to_owned();
            return Err(ConfigError::Value { place: variable, reason });
        };
        let Some(section) = sections.split("__").try_fold(&mut table, section) else {
            let reason = "only keys of a plain section can be set by a variable".to_owned();
            return Err(ConfigError::Value { place: variable, reason });
        };
        section.insert(field.to_owned(), toml::Value::String(value));
        // One by one, so that the error names its variable.
        table
            .clone()
            .try_into::<Config>()
            .map_err(|error| ConfigError::from_toml(&variable, "", &error))?;
    }
    table.try_into().map_err(|error| ConfigError::from_toml(name, "", &error))
}

/// The section of a name, made if there is none.
fn section<'t>(table: &'t mut toml::Table, name: &str) -> Option<&'t mut toml::Table> {
    let section = table.entry(name).or_insert_with(|| toml::Value::Table(toml::Table::new()));
    section.as_table_mut()
}
