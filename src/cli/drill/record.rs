//! What came of a drill goes into the live journal: through its server, or with none running.

use std::io::{self, Write};

use mainstay_actors::machine::Machine as _;
use mainstay_actors::system::{DRILLS, Operation, System, SystemCommand};
use mainstay_journal::StreamId;

use super::Drill;
use crate::cli::exit::Failed;
use crate::cli::inside::Inside;
use crate::cli::online::Online;
use crate::drill::{Plan, Report};
use crate::server::NewDrill;

impl Drill {
    /// Records each scenario.
    pub(super) fn record(&self, plan: &Plan, report: &Report) -> Result<(), Failed> {
        if let Some(server) = &self.server {
            let online = Online::new(server, "or record nothing with --no-record")?;
            for outcome in &report.scenarios {
                let body = serde_json::to_value(NewDrill::of(outcome.record()));
                let body = body.map_err(|error| Failed::work(error.to_string()))?;
                online.post("/api/v1/drills", &body)?;
            }
            return Ok(());
        }
        let Some(data) = &plan.data else {
            let text = "not recorded: name the live server with --server";
            return Ok(writeln!(io::stderr(), "mainstay: {text}")?);
        };
        let instead = "its server records the drill with --server";
        match Inside::open(data, plan.config.journal.clone(), instead) {
            Ok(inside) => {
                for outcome in &report.scenarios {
                    let stream = StreamId::new(System::KIND, DRILLS);
                    let stream = stream.ok_or_else(|| Failed::work("there is no such stream"))?;
                    let drill = Operation::DrillCompleted(Box::new(outcome.record()));
                    inside.ask::<System>(stream, SystemCommand::Record(drill))?;
                }
                Ok(())
            },
            Err(failed) => {
                let reason = failed.into_message();
                Ok(writeln!(io::stderr(), "mainstay: not recorded: {reason}")?)
            },
        }
    }
}
