//! The example runs, and says what it should.

#[expect(dead_code, reason = "the example's own `main` is not run here")]
#[path = "../../examples/booking.rs"]
mod booking;

#[tokio::test]
async fn the_booking_example_tells_its_story() {
    let data = tempfile::tempdir().unwrap();
    let mut told = Vec::new();
    booking::serve(data.path(), &mut told).await.unwrap();
    let told = String::from_utf8(told).unwrap();
    // Whether the holder tries to renew what was revoked before the journal is read is chance.
    let by_chance = "room-101 RefusalRecorded";
    let lines: Vec<&str> = told.lines().filter(|line| *line != by_chance).collect();
    let expected = [
        "health: OPTIMAL, score 100",
        "anna holds room-101 from 2026-12-01 to 2026-12-05",
        "ben waits behind anna",
        "the lease was renewed: it ends later",
        "anna's session ends: the lease ended with its session",
        "ben holds room-101 from 2026-12-03 to 2026-12-08",
        "an operator: the lease was revoked: the roof leaks",
        "room-101 LeaseGranted",
        "room-101 WaiterQueued",
        "room-101 LeaseRenewed",
        "room-101 LeaseReleased",
        "room-101 LeaseGranted",
        "room-101 LeaseClaimed",
        "room-101 LeaseRevoked",
    ];
    assert_eq!(lines, expected, "{told}");
}
