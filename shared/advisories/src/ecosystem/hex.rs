//! Hex, the packages of Erlang and Elixir: EEF records and GitHub's. <https://cna.erlef.org/osv>

use super::{Family, LANGUAGE};

pub(super) static FAMILY: Family =
    Family { id: "hex", ecosystem: "Hex", compare: super::orders::hex, ..LANGUAGE };
