//! OSV advisories: records, version ordering, the compiled index, matching and severity.
