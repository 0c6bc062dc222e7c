//! The function `sync-advisories`: fetches the advisories of an ecosystem when they have changed, compiles them, and puts
//! them in force.
