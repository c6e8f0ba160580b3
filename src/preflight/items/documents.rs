//! What people wrote and signed: no machine can check it.

use crate::preflight::item::Severity::{Critical, Major, Minor};
use crate::preflight::item::{Item, attested};

pub(super) const ITEMS: &[Item] = &[
    attested(
        "documents.runbooks",
        Critical,
        "There is a runbook for each thing that is expected to go wrong",
        "write them, with a command for each step",
        180,
    ),
    attested(
        "documents.rollback",
        Critical,
        "How this release is taken back is written down, and was tried",
        "go back to the release before, in a test environment",
        30,
    ),
    attested(
        "documents.on-call",
        Critical,
        "Who is on call for the launch is named, and has agreed",
        "ask them",
        14,
    ),
    attested(
        "documents.team-trained",
        Critical,
        "The people who run the service have worked with mainstay",
        "let each of them read docs/operating.md and follow an incident",
        180,
    ),
    attested(
        "documents.customers-told",
        Critical,
        "Customers know of the launch and of what changes for them",
        "tell them",
        30,
    ),
    attested(
        "documents.privacy",
        Critical,
        "What personal data the service sends to mainstay is written down, and why it may",
        "go through docs/privacy.md",
        365,
    ),
    attested(
        "documents.legal-review",
        Critical,
        "A lawyer has read what the service promises, and what it does with data",
        "have it read",
        365,
    ),
    attested(
        "documents.incidents",
        Major,
        "What happens in an incident is written down: severities, who decides, who is told",
        "write it down",
        180,
    ),
    attested(
        "documents.objectives",
        Major,
        "What the service promises in figures is agreed with those who use it",
        "agree on availability, latency and errors",
        180,
    ),
    attested(
        "documents.architecture",
        Minor,
        "What the service is made of, and what it calls, is drawn as it is now",
        "draw it anew",
        365,
    ),
    attested(
        "documents.sign-off-technical",
        Critical,
        "The technical lead has signed the launch off",
        "ask for it",
        30,
    ),
    attested(
        "documents.sign-off-security",
        Critical,
        "Who is responsible for security has signed the launch off",
        "ask for it",
        30,
    ),
    attested(
        "documents.sign-off-legal",
        Critical,
        "Who is responsible for law and compliance has signed the launch off",
        "ask for it",
        30,
    ),
    attested(
        "documents.sign-off-product",
        Critical,
        "The product owner has signed the launch off",
        "ask for it",
        30,
    ),
    attested(
        "documents.sign-off-sponsor",
        Critical,
        "The executive sponsor has signed the launch off",
        "ask for it",
        30,
    ),
];
