//! The official validators of bills of materials: the JSON schema of CycloneDX 1.6, as the Python library of CycloneDX
//! brings it along, and the validation of SPDX's own Python tools. `make test-sboms` installs them.

use std::path::PathBuf;
use std::process::Command;

use crate::ministack::{TOOLS, tools};
use crate::skip::skipped;

const SCRIPT: &str = include_str!("validate_sboms.py");

/// What kind of bill of materials.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// CycloneDX 1.6, in JSON.
    CycloneDx,
    /// SPDX 2.3, in JSON.
    Spdx,
}

/// The validators, in a virtual environment of Python.
#[derive(Debug)]
pub struct Validator {
    python: PathBuf,
}

impl Validator {
    /// The validators in the folder of the tools; `None` without, and then it says that `what` is not validated.
    pub fn find_or_skip(what: &str) -> Option<Self> {
        let python = tools().map(|tools| tools.join("sbom/bin/python")).filter(|python| python.exists());
        if python.is_none() {
            skipped(format_args!(
                "{what}: {TOOLS} does not name a folder with sbom/bin/python: make test-sboms"
            ));
        }
        python.map(|python| Self { python })
    }

    /// What is wrong with `documents`: a line for each thing, with the number of the document first.
    pub fn complaints(&self, kind: Kind, documents: &[String]) -> Vec<String> {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let (name, extension) = match kind {
            Kind::CycloneDx => ("cyclonedx", "cdx.json"),
            Kind::Spdx => ("spdx", "spdx.json"),
        };
        let mut command = Command::new(&self.python);
        command.args(["-c", SCRIPT, name]);
        for (number, document) in documents.iter().enumerate() {
            let path = folder.path().join(format!("{number}.{extension}"));
            std::fs::write(&path, document).expect("a file in a temporary folder");
            command.arg(path);
        }
        let output = command.output().expect("Python starts");
        let stderr = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "the validator failed: {stderr}");
        String::from_utf8_lossy(&output.stdout).lines().map(str::to_owned).collect()
    }
}
