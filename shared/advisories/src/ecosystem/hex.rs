//! Hex, the packages of Erlang and Elixir: EEF records and GitHub's. <https://cna.erlef.org/osv>

use super::{Family, LANGUAGE};
use crate::order::semver;

pub(super) static FAMILY: Family =
    Family { id: "hex", ecosystem: "Hex", compare: semver::compare, ..LANGUAGE };
