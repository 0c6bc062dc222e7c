//! `tidewatch vex export`: the exceptions in force as an OpenVEX document.

use anyhow::anyhow;
use tidewatch_core::Digest;
use tidewatch_core::exception;
use tidewatch_core::judgement::Scope;
use tidewatch_core::names::StreamName;
use tidewatch_core::ports::Clock as _;
use tidewatch_read_results::documents::ImageName;
use tidewatch_read_results::{ImageIdentity, ImageQuery, MOST_ROWS, PageRequest, Results};
use tidewatch_runtime::system::SystemClock;

use super::super::results::{failed, next_page, open};
use super::Context;
use crate::cli::ExportVex;
use crate::failure::Failure;
use crate::output::{while_waiting, write_out};

pub(super) async fn run(context: &Context, arguments: ExportVex) -> Result<(), Failure> {
    let ExportVex { image, stream, repository, author, org } = arguments;
    let (instance, results, org) = open(context, org.org).await?;
    let query = ImageQuery { pattern: repository, ..ImageQuery::all(stream.clone()) };
    let mut images = while_waiting(context.quiet, "reading images", collect(&results, &query)).await?;
    images.retain(|(name, digest)| image.as_ref().is_none_or(|image| is_meant(image, name, digest)));
    if images.is_empty() {
        return Err(Failure::wrong_use(anyhow!("no image of {stream} is meant"))
            .hint(format!("list those that are there: tidewatch images --stream {stream}")));
    }
    let in_force = instance.records.in_force(&org, None).await?;
    let in_force = in_force.ok_or_else(|| anyhow!("there is no configuration of {org}"))?;
    let scopes: Vec<Scope<'_>> = images.iter().map(|(name, digest)| scope(name, digest, &stream)).collect();
    let author = author.unwrap_or_else(|| org.to_string());
    let document = exception::export(&in_force.criteria, &org, &scopes, &author, SystemClock.now());
    if document.statements() == 0 {
        // The specification knows no document without statements.
        return Err(Failure::new(anyhow!("no exception in force is about these images"))
            .hint("exceptions stand in the configuration: docs/POLICIES.md, \"Exceptions\""));
    }
    write_out(&(serde_json::to_string_pretty(&document)? + "\n"))
}

/// All images that are asked for, with their digests.
async fn collect(results: &Results, query: &ImageQuery) -> Result<Vec<(ImageName, Digest)>, Failure> {
    let mut images = Vec::new();
    let mut page = PageRequest { limit: MOST_ROWS, from: None };
    loop {
        let found = results.image_page(query, &page).await.map_err(failed)?;
        for row in found.images {
            let digest = row.name.digest.parse()?;
            images.push((row.name, digest));
        }
        match next_page(found.next.as_deref())? {
            Some(next) => page = next,
            None => return Ok(images),
        }
    }
}

fn is_meant(wanted: &ImageIdentity, name: &ImageName, digest: &Digest) -> bool {
    match wanted {
        ImageIdentity::Digest(wanted) => wanted == digest,
        ImageIdentity::Reference(wanted) => {
            (&wanted.registry, &wanted.repository) == (&name.registry, &name.repository)
                && wanted.digest.as_ref().map_or_else(
                    || wanted.tag.as_ref().is_none_or(|tag| *tag == name.tag),
                    |wanted| wanted == digest,
                )
        }
    }
}

fn scope<'a>(name: &'a ImageName, digest: &'a Digest, stream: &'a StreamName) -> Scope<'a> {
    Scope {
        registry: Some(&name.registry),
        repository: Some(&name.repository),
        tag: Some(&name.tag),
        digest: Some(digest),
        stream: Some(stream),
    }
}
