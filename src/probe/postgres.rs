//! A query to PostgreSQL, on a server that takes writes.

use tokio::runtime::Runtime;
use tokio_postgres::config::{SslMode, TargetSessionAttrs};
use tokio_postgres_rustls::MakeRustlsConnect;

use super::budget::Budget;
use super::credential::Credential;
use crate::config::PostgresTarget;

/// How one PostgreSQL is asked: on a runtime of the probe's thread.
pub(super) struct Postgres {
    config: tokio_postgres::Config,
    tls: MakeRustlsConnect,
    query: String,
    credential: Credential,
    runtime: Option<Runtime>,
}

impl Postgres {
    pub(super) fn new(
        target: &PostgresTarget,
        query: &str,
        tls: rustls::ClientConfig,
        credential: Credential,
    ) -> Result<Self, std::io::Error> {
        let mut config = tokio_postgres::Config::new();
        config
            .host(&target.host)
            .port(target.port)
            .application_name("mainstay-probe")
            .ssl_mode(if target.tls { SslMode::Require } else { SslMode::Disable })
            .target_session_attrs(TargetSessionAttrs::ReadWrite);
        if let Some(user) = &credential.user {
            config.user(user);
        }
        if let Some(database) = &target.database {
            config.dbname(database);
        }
        // One thread for lookups: a name server that hangs holds one, not one for each probe.
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_io()
            .enable_time()
            .max_blocking_threads(1)
            .build()?;
        let (tls, query) = (MakeRustlsConnect::new(tls), query.to_owned());
        Ok(Self { config, tls, query, credential, runtime: Some(runtime) })
    }

    pub(super) fn ask(&self, budget: Budget) -> Result<(), String> {
        let mut config = self.config.clone();
        if let Some(password) = self.credential.password()? {
            config.password(password.as_str());
        }
        let late = || "no answer in time".to_owned();
        let (left, runtime) = (budget.left().ok_or_else(late)?, self.runtime.as_ref());
        let runtime = runtime.ok_or_else(late)?;
        runtime.block_on(async {
            tokio::time::timeout(left, self.converse(&config)).await.unwrap_or_else(|_| Err(late()))
        })
    }

    async fn converse(&self, config: &tokio_postgres::Config) -> Result<(), String> {
        let told = |doing: &str, error: &tokio_postgres::Error| format!("{doing}: {}", tell(error));
        let connected = config.connect(self.tls.clone()).await;
        let (client, connection) = connected.map_err(|error| told("connect", &error))?;
        tokio::select! {
            answer = client.batch_execute(&self.query) => {
                answer.map_err(|error| told("query", &error))
            },
            _ = connection => Err("query: the server closed the connection".to_owned()),
        }
    }
}

impl Drop for Postgres {
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            // Not the plain drop: it waits for a lookup that hangs.
            runtime.shutdown_background();
        }
    }
}

/// What went wrong. Of an error that the server sent only the code is told: its text is the
/// server's, and may hold what it was sent.
fn tell(error: &tokio_postgres::Error) -> String {
    if let Some(state) = error.code() {
        let code = state.code();
        let plain = code.len() == 5 && code.bytes().all(|it| it.is_ascii_alphanumeric());
        return format!("SQLSTATE {}", if plain { code } else { "unknown" });
    }
    let cause = std::error::Error::source(error);
    cause.map_or_else(|| error.to_string(), |cause| format!("{error}: {cause}"))
}
