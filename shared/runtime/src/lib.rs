//! Configuration, tracing, system ports, and the entries for queue messages, HTTP and schedules.
