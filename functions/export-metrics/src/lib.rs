//! Answers a scrape: token, snapshot, Prometheus text.
