//! An instance that is deployed as a stack of CloudFormation: found by the stack's outputs, and worked on with the
//! credentials of whoever runs the command. Its functions do the work; the command only reads and writes its records,
//! sends messages, and keeps what it downloads in the user's cache folder.

mod failure;
mod outputs;

use std::path::PathBuf;
use std::sync::Arc;

use aws_sdk_cloudformation::Client;
use tidewatch_runtime::aws::{SdkConfig, caller_config};
use tidewatch_runtime::environment::variable;
use tidewatch_runtime::system::SystemSleeper;
use tidewatch_store::{Deployed, Places};

use crate::failure::Failure;
use crate::instance::{Instance, Place, StackName};
use crate::output::while_waiting;

use failure::StackError;
pub(crate) use failure::explain;

/// The instance of the stack `name`, in the account and region of the caller. It is not changed.
pub(crate) async fn open(name: &StackName, quiet: bool) -> Result<Instance, Failure> {
    // Boxed, because the clients of AWS make large futures, which every command would carry.
    let opening = Box::pin(async {
        let config = caller_config().await;
        let found = find(name, &config).await.map_err(StackError::into_failure)?;
        let deployed = Deployed::open(&config, found.places, Arc::new(SystemSleeper))?;
        let queue = Arc::new(deployed.queue);
        Ok(Instance {
            records: deployed.records,
            depths: queue.clone(),
            queue,
            place: Place::Stack(name.clone()),
            is_running: true,
            url: found.url,
            cache: cache_folder()?.join(folder_name(&found.arn)),
        })
    });
    while_waiting(quiet, &format!("asking for the stack {name}"), opening).await
}

/// What a stack says of itself.
struct Found {
    arn: String,
    places: Places,
    /// The URL of its HTTP API.
    url: Option<String>,
}

/// Finds the stack `name`, which must be there with all outputs that are needed.
async fn find(name: &StackName, config: &SdkConfig) -> Result<Found, StackError> {
    let region = config.region().map(ToString::to_string).filter(|region| !region.is_empty());
    let region = region.ok_or(StackError::NoRegion)?;
    let asked = Client::new(config).describe_stacks().stack_name(name.as_str()).send().await;
    let answer =
        asked.map_err(|error| StackError::of_request(name, &region, config.endpoint_url(), error))?;
    let stack = answer.stacks.and_then(|stacks| stacks.into_iter().next());
    let stack = stack.ok_or_else(|| StackError::NotThere { name: name.clone(), region })?;
    if let Some(status) = stack.stack_status()
        && let Some(error) = StackError::of_status(name, status.as_str())
    {
        return Err(error);
    }
    let (places, url) = outputs::read(name, stack.outputs())?;
    Ok(Found { arn: stack.stack_id.unwrap_or_else(|| name.as_str().to_owned()), places, url })
}

/// The user's folder for files that can be made again, as the XDG base directories have it:
/// <https://specifications.freedesktop.org/basedir-spec/latest/>. It may be missing.
pub(crate) fn cache_folder() -> Result<PathBuf, Failure> {
    let absolute = |folder: String| Some(PathBuf::from(folder)).filter(|folder| folder.is_absolute());
    let cache = variable("XDG_CACHE_HOME")
        .and_then(absolute)
        .or_else(|| variable("HOME").and_then(absolute).map(|home| home.join(".cache")));
    cache.map(|cache| cache.join("tidewatch")).ok_or_else(|| {
        Failure::new(anyhow::anyhow!("there is no cache folder: neither XDG_CACHE_HOME nor HOME names one"))
            .hint("set XDG_CACHE_HOME to the full path of a folder; advisories are kept there")
    })
}

/// The name of the cache folder of the stack with this ARN: `REGION-ACCOUNT-NAME`. Each stack has one, because indexes
/// that are no longer in force are removed from it.
fn folder_name(arn: &str) -> String {
    let mut parts = arn.splitn(6, ':').skip(3);
    let (region, account) = (parts.next().unwrap_or_default(), parts.next().unwrap_or_default());
    let name = parts.next().and_then(|rest| rest.split('/').nth(1)).unwrap_or(arn);
    let part = |text: &str| text.replace(|character: char| !character.is_ascii_alphanumeric(), "-");
    [region, account, name].map(part).join("-")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stacks_of_one_name_in_two_accounts_have_two_cache_folders() {
        let of = |account: &str| {
            folder_name(&format!("arn:aws:cloudformation:eu-west-1:{account}:stack/acme-scans/1b0c-33"))
        };
        assert_eq!(of("123456789012"), "eu-west-1-123456789012-acme-scans");
        assert_ne!(of("123456789012"), of("000000000000"));
        assert_eq!(folder_name("../acme"), "-----acme", "it stays one part of a path");
    }
}
