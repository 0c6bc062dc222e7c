//! What is to be done at each kind of sender, so that it tells of pushes: a configuration, a command, or the clicks.

use tidewatch_core::config::RegistryKind;
use tidewatch_core::hook::{HookKind, HookSecret};

/// What a registry of this kind sends; `None` for one that sends nothing that is taken.
pub(super) const fn sender_of(kind: RegistryKind) -> Option<HookKind> {
    match kind {
        RegistryKind::DockerHub => Some(HookKind::DockerHub),
        RegistryKind::Acr => Some(HookKind::Acr),
        RegistryKind::Quay => Some(HookKind::Quay),
        RegistryKind::Harbor => Some(HookKind::Harbor),
        RegistryKind::Jfrog => Some(HookKind::Jfrog),
        RegistryKind::Oci => Some(HookKind::Distribution),
        RegistryKind::Ecr | RegistryKind::EcrPublic | RegistryKind::Google | RegistryKind::Openshift => None,
    }
}

/// What to put into the configuration of the sender, or to do there, with the `url` of the hook and its secret.
pub(super) fn instructions(kind: HookKind, url: &str, secret: &HookSecret) -> String {
    let secret = secret.reveal();
    match kind {
        // Pulls tell nothing, and our own are among them. The default time-out is a second.
        // https://distribution.github.io/distribution/about/configuration/#notifications
        HookKind::Distribution => format!(
            "\
notifications:
  endpoints:
    - name: tidewatch
      url: {url}
      headers:
        Authorization: [Bearer {secret}]
      timeout: 5s
      threshold: 5
      backoff: 10s
      ignore:
        actions: [pull]
"
        ),
        HookKind::DockerHub => format!(
            "\
For each repository, at https://hub.docker.com: open the repository, Webhooks, and add one
  Webhook name: tidewatch
  Webhook URL:  {url}/{secret}
"
        ),
        HookKind::Acr => format!(
            "\
az acr webhook create --registry REGISTRY --name tidewatch --actions push \\
  --uri '{url}' --headers 'Authorization=Bearer {secret}'
"
        ),
        HookKind::Quay => format!(
            "\
For each repository, with a token that has the scope repo:admin (or in its settings, Events and Notifications):
curl --fail -X POST 'https://QUAY/api/v1/repository/NAMESPACE/NAME/notification/' \\
  -H 'Authorization: Bearer TOKEN' -H 'Content-Type: application/json' \\
  -d '{{\"event\":\"repo_push\",\"method\":\"webhook\",\"config\":{{\"url\":\"{url}/{secret}\"}},\"eventConfig\":{{}},\"title\":\"tidewatch\"}}'
"
        ),
        HookKind::Harbor => format!(
            "\
In each project, Webhooks, New Webhook
  Notify Type:    http
  Payload Format: Default
  Event Type:     Artifact pushed
  Endpoint URL:   {url}
  Auth Header:    Bearer {secret}
"
        ),
        HookKind::Jfrog => format!(
            "\
Administration, General, Webhooks, New
  Name:     tidewatch
  URL:      {url}
  Events:   Docker: Tag was pushed, of the repositories that Tidewatch reads
  Secret:   {secret}
  Use secret for payload signing: off
"
        ),
        HookKind::Generic => format!(
            "\
curl --fail -X POST '{url}' -H 'Authorization: Bearer {secret}' \\
  -H 'Content-Type: application/json' -d '{{\"repository\":\"team/web\",\"tag\":\"1.4.2\"}}'
"
        ),
    }
}

#[cfg(test)]
mod tests {
    use tidewatch_testkit::ports::SeededRandomness;

    use super::*;

    #[test]
    fn every_sender_is_told_the_url_and_the_secret() {
        let secret = HookSecret::generate(&SeededRandomness::new(1));
        for kind in HookKind::ALL {
            let told = instructions(kind, "https://tidewatch.example.com/v1/hooks/x/y", &secret);
            assert!(told.contains("https://tidewatch.example.com/v1/hooks/x/y"), "{kind}: {told}");
            assert!(told.contains(secret.reveal()) && told.ends_with('\n'), "{kind}: {told}");
        }
    }

    #[test]
    fn the_kind_of_a_registry_says_what_it_sends() {
        let senders: Vec<HookKind> = RegistryKind::ALL.into_iter().filter_map(sender_of).collect();
        assert!(HookKind::ALL.iter().all(|kind| *kind == HookKind::Generic || senders.contains(kind)));
    }
}
