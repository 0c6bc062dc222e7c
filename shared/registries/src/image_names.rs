//! Which of several images on disk a name means.

use std::collections::BTreeSet;

/// No image, or more than one, is meant.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ChoiceError {
    /// There is none.
    #[error("there is no image")]
    Nothing,
    /// There are several, and no name was given.
    #[error("there are several images: {has}")]
    NoName {
        /// The names that there are.
        has: String,
    },
    /// None has the name.
    #[error("there is no image named {name}, but: {has}")]
    Unknown {
        /// The name that was given.
        name: String,
        /// The names that there are.
        has: String,
    },
    /// Several have the name.
    #[error("there are several images named {name}: {has}")]
    Ambiguous {
        /// The name that was given.
        name: String,
        /// The names that there are.
        has: String,
    },
}

/// The image that `name` means among `images`, each with all of its names; without a name the only image.
pub(crate) fn choose<'a, T: Copy + PartialEq>(
    name: Option<&str>,
    images: impl Iterator<Item = (&'a BTreeSet<String>, T)>,
) -> Result<T, ChoiceError> {
    let images: Vec<(&BTreeSet<String>, T)> = images.collect();
    let having = |has: &dyn Fn(&BTreeSet<String>) -> bool| -> Vec<T> {
        images.iter().filter(|(names, _)| has(names)).map(|(_, image)| *image).collect()
    };
    let mut found = having(&|names| name.is_none_or(|name| names.contains(name)));
    if found.is_empty() {
        found = having(&|names| names.iter().any(|has| name.is_some_and(|name| means(name, has))));
    }
    let names: Vec<&str> = images.iter().flat_map(|(names, _)| *names).map(String::as_str).collect();
    let has = if names.is_empty() { "images without a name".to_owned() } else { names.join(", ") };
    match (found.split_first(), name.map(str::to_owned)) {
        (Some((first, others)), _) if others.iter().all(|other| other == first) => Ok(*first),
        (Some(_), Some(name)) => Err(ChoiceError::Ambiguous { name, has }),
        (Some(_), None) => Err(ChoiceError::NoName { has }),
        (None, Some(name)) => Err(ChoiceError::Unknown { name, has }),
        (None, None) => Err(ChoiceError::Nothing),
    }
}

/// Whether `wanted` means the image `name`: by its tag, or by its name with or without the registry and the tag that
/// Docker adds.
fn means(wanted: &str, name: &str) -> bool {
    let short = name.strip_prefix("docker.io/").unwrap_or(name);
    let short = short.strip_prefix("library/").unwrap_or(short);
    let tag = name.rsplit_once(':').map(|(_, tag)| tag).filter(|tag| !tag.contains('/'));
    wanted == name || wanted == short || Some(wanted) == tag || format!("{wanted}:latest") == short
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_image_is_meant_by_its_tag_and_by_its_name_as_docker_shortens_it() {
        for wanted in ["1.27", "nginx:1.27", "docker.io/library/nginx:1.27"] {
            assert!(means(wanted, "docker.io/library/nginx:1.27"), "{wanted}");
        }
        assert!(means("nginx", "nginx:latest") && means("latest", "nginx:latest"));
        assert!(means("v1", "v1") && means("a.example:5000/web", "a.example:5000/web:latest"));
        for wanted in ["1.2", "nginx", "5000/web"] {
            assert!(!means(wanted, "a.example:5000/web"), "{wanted}");
            assert!(!means(wanted, "nginx:1.27"), "{wanted}");
        }
    }
}
