//! Lists one repository, applies the rules and writes work rows.
