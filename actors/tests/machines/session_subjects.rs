//! What a subject must not look like: the easy cases and the hard ones.

use mainstay_actors::session::{SessionReject, check_subject};

#[track_caller]
fn refused(what: &'static str, subjects: &[&str]) {
    for subject in subjects {
        let reject = check_subject("default", subject).err();
        assert_eq!(reject, Some(SessionReject::PersonalSubject { what }), "{subject:?}");
    }
}

#[track_caller]
fn taken(subjects: &[&str]) {
    for subject in subjects {
        assert_eq!(check_subject("default", subject), Ok(()), "{subject:?}");
    }
}

#[test]
fn an_e_mail_address_is_no_subject() {
    refused(
        "an e-mail address",
        &[
            "ann@example.org",
            "mailto:ann@example.org",
            "MailTo:ann@localhost",
            "a.b+c@mail.example.co",
            "Ann Other <ann@example.org>",
            "\"ann other\"@example.org",
            "zo\u{eb}@ex\u{e4}mple.de",
            "ann\u{ff20}example.org",
            "ann\u{fe6b}example\u{3002}jp",
            "ann@example\u{ff0e}org",
            "ann%40example.org",
            "ann@[192.0.2.1]",
        ],
    );
    taken(&["x@y", "@handle", "@handle.example", "ann@", "ann@.", "100%40", "mailto:", "a.b.c"]);
}

#[test]
fn a_phone_number_is_no_subject() {
    refused(
        "a phone number",
        &[
            "+34600111222",
            "+1 (555) 010-9999",
            "600 111 222",
            "600.111.222",
            "5491155551234",
            "0034600111222",
            "0034.600.111222",
            "00491511234567890",
            " +34 600 111 222 ",
            "tel:+34-600-111-222",
            "TEL:112",
            "tel:+34600111222;ext=5",
            "sms:600111222",
            "whatsapp:+34600111222",
            "\u{ff0b}\u{ff13}\u{ff14}\u{ff16}\u{ff10}\u{ff10}\u{ff11}\u{ff11}\u{ff11}",
            "\u{660}\u{661}\u{662}\u{663}\u{664}\u{665}\u{666}\u{667}\u{668}\u{669}",
            "600\u{a0}111\u{2011}222",
            "600\u{200b}111\u{200b}222",
            "\u{202a}+34600111222\u{202c}",
            // Seven digits with something between them are one, too; with a letter they are not.
            "4711-0815",
            // As is what only begins like a date.
            "2026-13-24-001",
            "2026-11-241-001",
        ],
    );
}

#[test]
fn ids_and_order_numbers_are_subjects() {
    taken(&[
        "12345678",
        "guest 600111222",
        "+12",
        "1234567890123456",
        "000123456789012345",
        "0x600111222333",
        "2026-11-24-001",
        "2026-11-24",
        "2026/11/24/4711",
        "20.11",
        "order-4711-0815",
        "A-600-111-222",
        "019ab2c4-5d7e-7f00-8a1b-2c3d4e5f6071",
        "00000000-0000-0000-0000-000000000000",
        "12345678-1234-1234-1234-123456789012",
        "01JD8Q4Z6M3N5P7R9S1T3V5W7X",
        "01234567890123456789012345",
        "1234567890123456789",
        "tel:",
        "telephone",
        "customer-7",
    ]);
}
