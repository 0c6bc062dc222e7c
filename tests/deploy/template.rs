//! The template itself: before it is deployed, and after the stack is gone.

use anyhow::{Context as _, ensure};
use tidewatch_core::names::OrgName;

use crate::Outcome;
use crate::deployment::{Deployment, STACK, template};

pub(crate) async fn passes_every_linter(deployment: &Deployment) -> Outcome {
    let template = template();
    let template = template.to_str().context("the folder's name is no text")?;
    deployment.sam(&["validate", "--lint", "--template-file", template, "--region", "us-east-1"])?;
    deployment.tool("cfn-lint", &["--regions", "us-east-1", "--", template])?;
    Ok(())
}

/// What was scanned must outlive a stack that somebody deletes.
pub(crate) async fn deleted(deployment: &Deployment) -> Outcome {
    let org: OrgName = "acme".parse()?;
    let records = deployment.stores()?.records;
    deployment.sam(&["delete", "--stack-name", STACK, "--no-prompts", "--region", "us-east-1"])?;
    let gone = deployment.run(&["images", "--org", "acme"])?;
    ensure!(gone.code != Some(0), "the command still finds the stack: {}", gone.stdout);
    // An item of the table names the object of the bucket that is read here.
    let kept = records.config(&org).await?;
    ensure!(kept.is_some(), "the configuration of {org} is gone");
    Ok(())
}
