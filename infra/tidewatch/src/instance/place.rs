//! Where the instance is that a command works on, and how that is chosen by options and environment variables.

use std::fmt;
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::time::Duration;

use anyhow::anyhow;
use clap::parser::ValueSource;

use crate::failure::Failure;

/// The longest name of a stack.
const MAX_NAME: usize = 128;

/// Where an instance is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Place {
    /// In a data folder on this machine.
    Folder(PathBuf),
    /// In an AWS account, as this stack.
    Stack(StackName),
}

/// The name of a CloudFormation stack, or its ARN.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct StackName(String);

/// By what an option was given.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Given {
    /// By the option on the command line.
    Option,
    /// By its environment variable.
    Variable,
    /// By neither.
    No,
}

impl From<Option<ValueSource>> for Given {
    fn from(source: Option<ValueSource>) -> Self {
        match source {
            Some(ValueSource::CommandLine) => Self::Option,
            Some(ValueSource::EnvVariable) => Self::Variable,
            _ => Self::No,
        }
    }
}

impl Place {
    /// The place that a command works on. An option wins over the other's variable; both options, or both variables
    /// and no option, are refused. A command that works on a data folder only (`is_local`) does not mind the variable
    /// of a stack.
    pub(crate) fn choose(
        (data, data_given): (PathBuf, Given),
        (stack, stack_given): (Option<StackName>, Given),
        is_local: bool,
    ) -> Result<Self, Failure> {
        let Some(stack) = stack else { return Ok(Self::Folder(data)) };
        match (stack_given, data_given) {
            _ if is_local && stack_given == Given::Variable => Ok(Self::Folder(data)),
            (Given::Option, Given::Option) => Err(Failure::wrong_use(anyhow!(
                "--data and --stack are both given, and a command works on one instance"
            ))
            .hint("leave one of them out")),
            (Given::Variable, Given::Variable) => {
                Err(Failure::wrong_use(anyhow!("TIDEWATCH_DATA and TIDEWATCH_STACK are both set"))
                    .hint("say which instance is meant: --data DIR or --stack NAME"))
            }
            (Given::Variable, Given::Option) => Ok(Self::Folder(data)),
            _ => Ok(Self::Stack(stack)),
        }
    }

    /// The data folder, for commands that work on nothing else.
    pub(crate) fn folder(&self) -> Result<&Path, Failure> {
        match self {
            Self::Folder(folder) => Ok(folder),
            Self::Stack(_) => Err(Failure::wrong_use(anyhow!(
                "this command works on this machine, with a data folder: it takes no --stack"
            ))
            .hint("leave --stack out; `tidewatch up` and `tidewatch scan` take --data DIR, `tidewatch inventory` and `tidewatch versions` take neither")),
        }
    }

    /// How often something that changes by itself is looked at. A stack takes and costs a few requests for each look.
    pub(crate) const fn look(&self) -> Duration {
        match self {
            Self::Folder(_) => Duration::from_millis(300),
            Self::Stack(_) => Duration::from_secs(2),
        }
    }

    /// Where its logs are found, as a part of a sentence.
    pub(crate) fn logs(&self) -> String {
        match self {
            Self::Folder(_) => "what `tidewatch up` logs".to_owned(),
            Self::Stack(name) => {
                format!("the logs of its functions: sam logs --stack-name {}", name.name())
            }
        }
    }
}

impl StackName {
    /// What CloudFormation is asked with.
    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }

    /// The name alone, also of an ARN: `arn:aws:cloudformation:REGION:ACCOUNT:stack/NAME/ID`.
    pub(crate) fn name(&self) -> &str {
        self.0
            .split_once(":stack/")
            .map_or(self.0.as_str(), |(_, rest)| rest.split('/').next().unwrap_or(rest))
    }
}

impl fmt::Display for StackName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// A text that is no name of a stack.
#[derive(Debug, thiserror::Error)]
#[error("a stack's name is up to 128 letters, digits and dashes, with a letter first; or give its ARN")]
pub(crate) struct NoStackName;

impl FromStr for StackName {
    type Err = NoStackName;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let name = Self(text.to_owned());
        let is_arn = text.starts_with("arn:") && text.contains(":stack/");
        if text.starts_with("arn:") && !is_arn {
            return Err(NoStackName);
        }
        let bytes = name.name().as_bytes();
        let is_name = bytes.first().is_some_and(u8::is_ascii_alphabetic)
            && bytes.len() <= MAX_NAME
            && bytes.iter().all(|byte| byte.is_ascii_alphanumeric() || *byte == b'-');
        if is_name { Ok(name) } else { Err(NoStackName) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn choose(data: Given, stack: Given, is_local: bool) -> Result<Place, Failure> {
        let name = (stack != Given::No).then(|| "acme".parse().unwrap());
        Place::choose(("data".into(), data), (name, stack), is_local)
    }

    #[test]
    fn an_option_wins_over_the_variable_of_the_other() {
        let (folder, stack) = (Place::Folder("data".into()), Place::Stack("acme".parse().unwrap()));
        assert_eq!(choose(Given::Option, Given::Variable, false).unwrap(), folder);
        assert_eq!(choose(Given::Variable, Given::Option, false).unwrap(), stack);
        assert_eq!(choose(Given::No, Given::Variable, false).unwrap(), stack);
        assert_eq!(choose(Given::No, Given::Option, false).unwrap(), stack);
        assert_eq!(choose(Given::No, Given::No, false).unwrap(), folder);
        assert_eq!(choose(Given::Variable, Given::No, false).unwrap(), folder);
    }

    #[test]
    fn what_does_not_say_which_one_is_refused() {
        for given in [Given::Option, Given::Variable] {
            assert!(choose(given, given, false).is_err(), "{given:?}");
        }
    }

    #[test]
    fn a_command_of_this_machine_refuses_the_option_and_does_not_mind_the_variable() {
        for data in [Given::No, Given::Variable, Given::Option] {
            assert_eq!(choose(data, Given::Variable, true).unwrap(), Place::Folder("data".into()));
        }
        assert!(choose(Given::No, Given::Option, true).unwrap().folder().is_err());
    }

    #[test]
    fn a_stack_is_given_by_its_name_or_its_arn() {
        let arn = "arn:aws:cloudformation:eu-west-1:123456789012:stack/acme-scans/1b0c-33";
        let name: StackName = arn.parse().unwrap();
        assert_eq!((name.as_str(), name.to_string().as_str()), (arn, "acme-scans"));
        assert!("Acme-1".parse::<StackName>().is_ok());
        for wrong in ["", "1acme", "acme/scans", "acme scans", "arn:aws:s3:::bucket", &"a".repeat(129)] {
            assert!(wrong.parse::<StackName>().is_err(), "{wrong:?}");
        }
    }
}
