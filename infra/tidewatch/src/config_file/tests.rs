mod documents;
mod schema;

use proptest::prelude::*;
use tidewatch_core::config::Credentials;
use tidewatch_core::rule::Schedule;

use super::*;

/// The problems of a text, one per line.
fn problems(text: &str) -> String {
    let problems = parse(text).expect_err("the configuration was taken");
    assert!(!problems.is_empty(), "refused without a problem");
    let lines: Vec<String> = problems.iter().map(ToString::to_string).collect();
    lines.join("\n")
}

const RIGHT: &str = r#"
org: acme
platforms: [linux/amd64]
registries:
  - {id: hub, kind: oci, url: "https://registry.example.com", credentials: {env: HUB_LOGIN}}
  - id: local
    kind: oci
    url: http://127.0.0.1:5000
    repositories: [team/web, team/api]
    credentials: {file: /run/secrets/local}
rules:
  - id: nightly
    registries: &all [hub, local]
    include: ["team/**:*-prod", ":latest"]
    exclude: ["**/sandbox-*"]
    schedule: {cron: "0 2 * * *", timezone: Asia/Tokyo}
  - id: often
    registries: *all
    schedule: {every: 6h}
  - id: by-hand
    registries: [local]
    schedule: manual
policies:
  - {id: fixable-vulnerabilities, config: {severities: [CRITICAL, HIGH], grace_period_days: 7}}
  - {id: no-old-criticals, type: fixable-vulnerabilities, display_name: No old criticals, config: {severities: [CRITICAL]}}
exceptions:
  - vulnerability: CVE-2024-3094
    package: pkg:deb/debian/xz-utils
    type: false_positive
    justification: vulnerable_code_not_present
    reason: not the affected build
    expires: 2027-01-31
  - {vulnerability: [CVE-1, CVE-2], repository: "hub/team/**", type: accepted_risk, expires_when: [fix_available]}
"#;

#[test]
fn a_right_file_is_read() {
    let config = parse(RIGHT).unwrap();
    assert_eq!(config.org.as_str(), "acme");
    assert_eq!(config.registries[0].credentials, Some(Credentials::Env("HUB_LOGIN".to_owned())));
    assert_eq!(config.rules[1].registries.len(), 2);
    assert!(matches!(config.rules[0].schedule, Schedule::Cron(_)));
    assert_eq!(config.policies[0].config["grace_period_days"], 7);
    assert_eq!(config.policies[1].display_name.as_deref(), Some("No old criticals"));
    assert_eq!(config.exceptions[0].expires.unwrap().to_string(), "2027-01-31");
    assert_eq!(config.exceptions[1].vulnerability.iter().count(), 2);
}

#[test]
fn keys_without_a_value_are_as_good_as_absent() {
    assert_eq!(parse("org: acme\nregistries:\nrules: ~\nplatforms:\n"), parse("org: acme"));
}

#[test]
fn every_problem_is_found_at_once() {
    let text = r#"org: Acme Inc
platfroms: [linux/amd64]
registries:
  - {id: hub, kind: ocii, url: registry.example.com}
  - id: 0123
    kind: oci
    url: https://quay.example.com
  - kind: oci
    url: https://other.example.com
    credential: {env: OTHER}
  - {id: last, kind: oci, url: "https://last.example.com", credentials: {vault: hub}}
rules:
  - id: nightly
    registries: [hub, lats]
    include: ["team/**x", "fine/*", "regex:("]
    schedule: {cron: "0 25 * * *", timezone: Asia/Tokio}
  - id: nightly
    registries: []
    schedule: {every: 6}
    exclude: sandbox/*
policies:
  - {id: fixable-vulnerability}
  - id: fixable-vulnerabilities
    enabled: yes
    config:
      severities: [CRITICAL, high, 3]
      grace_period: 7
      grace_period_days: "7"
"#;
    insta::assert_snapshot!(problems(text), @r#"
    1:6: failed to read "Acme Inc" as an organisation: expected 1 to 64 of a-z, 0-9, `-` and `_`, beginning with a letter or digit
    2:1: unknown key `platfroms` (did you mean `platforms`?)
    4:21: unknown value `ocii` (did you mean `oci`?)
    4:32: "registry.example.com" is no URL: begin it with https:// (or http:// for a registry without TLS)
    5:9: expected a text, found the number 0123 (write it in quotes: "0123")
    8:5: the key `id` is missing
    10:5: unknown key `credential` (did you mean `credentials`?)
    11:74: unknown key `vault` (expected one of `env`, `file`, `secret`)
    14:23: no registry has the id "lats" (did you mean `last`?)
    15:15: failed to read "team/**x" as a pattern: `**` must stand alone between slashes, not as "**x"
    15:37: failed to read "regex:(" as a pattern: regex parse error: error: unclosed group
    16:22: failed to read "0 25 * * *" as a cron expression of five fields: Component error: Number out of bounds.
    16:46: failed to find the time zone "Asia/Tokio": expected an IANA name, for example Europe/Berlin
    17:9: "nightly" is there twice
    18:17: at least one registry is needed
    19:23: expected `manual`, {every: 6h} or {cron: "0 2 * * *", timezone: Europe/Berlin, until: "06:00"}; found the number 6
    20:14: expected a list, found the text "sandbox/*" (write it as a list: ["sandbox/*"])
    22:10: no policy has the id "fixable-vulnerability" (did you mean `fixable-vulnerabilities`?)
    24:14: expected true or false, found the text "yes" (write `true`, without quotes)
    26:30: unknown value `high` (did you mean `HIGH`?)
    26:36: expected a text, or a key with its value, found the number 3
    27:7: unknown key `grace_period` (did you mean `grace_period_days`?)
    28:26: expected a whole number from 0, found the text "7" (write it without quotes: 7)
    "#);
}

#[test]
fn the_file_of_policies_of_scout_is_taken_as_it_is() {
    let text = r#"org: acme
policies: {"policies":[
  {"name":"fixable-vulnerabilities","enabled":true,"weight":20,"config":{"severities":["CRITICAL"]}},
  {"name":"no-copyleft-licenses","enabled":false,"weight":5}
],"debug":false}
"#;
    let config = parse(text).unwrap();
    assert_eq!(config.policies.len(), 2);
    assert_eq!(config.policies[0].config["severities"][0], "CRITICAL");
    assert!(!config.policies[1].enabled);
    let ours = "org: acme\npolicies:\n  - {id: fixable-vulnerabilities, weight: 20, config: {severities: [CRITICAL]}}\n  - {id: no-copyleft-licenses, enabled: false, weight: 5}";
    assert_eq!(parse(ours).unwrap(), config);
}

#[test]
fn the_problems_of_policies_have_their_places_in_either_form() {
    let entries = r#"
  - {name: fixable-vulnerabilities, config: {severity: [HIGH]}}
  - {id: copyleft-license, display_name: Mine}
  - {id: no-copyleft-licenses, enabled: false}
  - {id: default-non-root-user, type: copyleft-license, display_name: Mine}
  - {id: own, type: copyleft, display_name: No outdated base images}
  - {id: other, type: copyleft-license, config: {ignored_packages: [curl]}}
  - {id: own, type: copyleft-license, display_name: " x"}
  - {id: last, wieght: 3}
"#;
    insta::assert_snapshot!(problems(&format!("org: acme\npolicies:{entries}")), @r#"
    3:46: unknown key `severity` (did you mean `severities`?)
    4:42: only a policy with a `type` has a name of its own
    5:10: "no-copyleft-licenses" is there twice
    6:10: "default-non-root-user" is a policy already: one with a `type` needs another id
    6:71: another policy has the name "Mine" already
    7:21: no policy has the id "copyleft" (expected one of `approved-base-images`, `copyleft-license`, `default-non-root-user`, `fixable-vulnerabilities`, `high-profile-vulnerabilities`, `no-stale-base-images`, `supply-chain-attestations`)
    7:45: another policy has the name "No outdated base images" already
    8:69: failed to read the parameters of policy copyleft-license: failed to read "curl" as a package URL: expected pkg:TYPE/[NAMESPACE/]NAME[@VERSION][?QUALIFIERS]
    9:10: "own" is there twice
    9:53: " x" is no name: expected 1 to 100 characters, none of them a control character or a blank at an end
    10:10: no policy has the id "last" (expected one of `approved-base-images`, `copyleft-license`, `default-non-root-user`, `fixable-vulnerabilities`, `high-profile-vulnerabilities`, `no-stale-base-images`, `supply-chain-attestations`)
    10:16: unknown key `wieght` (did you mean `weight`?)
    "#);
    insta::assert_snapshot!(problems(&format!("org: acme\npolicies:\n debug: 7\n policies:{entries}")), @r#"
    3:9: expected true or false, found the number 7
    5:46: unknown key `severity` (did you mean `severities`?)
    6:42: only a policy with a `type` has a name of its own
    7:10: "no-copyleft-licenses" is there twice
    8:10: "default-non-root-user" is a policy already: one with a `type` needs another id
    8:71: another policy has the name "Mine" already
    9:21: no policy has the id "copyleft" (expected one of `approved-base-images`, `copyleft-license`, `default-non-root-user`, `fixable-vulnerabilities`, `high-profile-vulnerabilities`, `no-stale-base-images`, `supply-chain-attestations`)
    9:45: another policy has the name "No outdated base images" already
    10:69: failed to read the parameters of policy copyleft-license: failed to read "curl" as a package URL: expected pkg:TYPE/[NAMESPACE/]NAME[@VERSION][?QUALIFIERS]
    11:10: "own" is there twice
    11:53: " x" is no name: expected 1 to 100 characters, none of them a control character or a blank at an end
    12:10: no policy has the id "last" (expected one of `approved-base-images`, `copyleft-license`, `default-non-root-user`, `fixable-vulnerabilities`, `high-profile-vulnerabilities`, `no-stale-base-images`, `supply-chain-attestations`)
    12:16: unknown key `wieght` (did you mean `weight`?)
    "#);
    insta::assert_snapshot!(problems("org: acme\npolicies: all"), @r#"2:11: expected a list, found the text "all" (write it as a list: ["all"])"#);
    insta::assert_snapshot!(problems("org: acme\npolicies: {policy: []}"), @"2:12: unknown key `policy` (did you mean `policies`?)");
}

#[test]
fn the_problems_of_exceptions_have_their_places() {
    let text = r#"org: acme
exceptions:
  - {vulnerability: CVE-2024-3094, package: "pkg:deb/debian/xz-utils", type: false_positive, expires: 2027-01-31}
  - {vulnerability: [CVE-2024-3094, 7], type: accepted-risk, expires: 31.1.2027}
  - {vulnerability: [], package: xz-utils, type: accepted_risk, justification: nonsense}
  - {package: "pkg:deb/debian/xz-utils", expires_when: [fix_availible, severity_raised], type: accepted_risk}
  - {vulnerability: "CVE 1", repository: "a/**b", digest: sha256:1, stream: Production, type: accepted_risk, expire: 2027-01-31}
  - {vulnerability: CVE-1, type: accepted_risk, severity: HIGH}
  - {vulnerability: CVE-1, type: accepted_risk}
  - {id: Mine, vulnerability: {id: CVE-1}, type: accepted_risk}
"#;
    insta::assert_snapshot!(problems(text), @r#"
    3:5: a false positive needs a `justification` or a `reason`
    4:37: expected a text, found the number 7 (write it in quotes: "7")
    4:47: unknown value `accepted-risk` (did you mean `accepted_risk`?)
    4:71: failed to read "31.1.2027" as a day: expected YEAR-MONTH-DAY, for example 2027-01-31
    5:21: at least one vulnerability is needed
    5:34: failed to read "xz-utils" as a package URL: expected pkg:TYPE/[NAMESPACE/]NAME[@VERSION][?QUALIFIERS]
    5:80: unknown value `nonsense` (expected one of `component_not_present`, `vulnerable_code_not_present`, `vulnerable_code_not_in_execute_path`, `vulnerable_code_cannot_be_controlled_by_adversary`, `inline_mitigations_already_exist`)
    6:5: the key `vulnerability` is missing
    6:57: unknown value `fix_availible` (did you mean `fix_available`?)
    7:21: failed to read "CVE 1" as a vulnerability: expected an id such as CVE-2024-3094
    7:42: failed to read "a/**b" as a pattern: `**` must stand alone between slashes, not as "**b"
    7:59: failed to read "sha256:1" as a digest: expected `sha256:` and 64 lower-case hexadecimal digits
    7:77: failed to read "Production" as a stream name: expected 1 to 64 of a-z, 0-9, `-` and `_`, beginning with a letter or digit
    7:110: unknown key `expire` (did you mean `expires`?)
    8:59: only `expires_when: [severity_raised]` has a `severity`
    9:5: another exception is about the same: give one of them an `id`
    10:10: failed to read "Mine" as an exception id: expected 1 to 64 of a-z, 0-9, `-` and `_`, beginning with a letter or digit
    10:31: expected a text, found a key with its value
    "#);
}

#[test]
fn what_follows_from_another_problem_is_not_reported() {
    let text = r#"org: acme
registries:
  - {idd: typo, kind: oci, url: "https://a.example.com"}
  - {id: wrong-url, kind: oci, url: [1]}
  - {id: wrong-kind, kind: {a: b}, url: "https://b.example.com"}
  - only-a-name
rules:
  - {id: a, registries: [typo, wrong-url, wrong-kind, only-a-name]}
  - {id: b, registries: [7]}
  - {id: c, registries: only-a-name}
"#;
    insta::assert_snapshot!(problems(text), @r#"
    3:6: unknown key `idd` (did you mean `id`?)
    4:37: expected a text, found a list
    5:29: unknown key `a` (expected one of `docker-hub`, `acr`, `ecr`, `ecr-public`, `quay`, `google`, `harbor`, `jfrog`, `openshift`, `oci`)
    6:5: expected keys with values (`key: value`), found the text "only-a-name"
    9:26: expected a text, found the number 7 (write it in quotes: "7")
    10:25: expected a list, found the text "only-a-name" (write it as a list: ["only-a-name"])
    "#);
    insta::assert_snapshot!(problems("org: acme\nregistry: [{id: a}]\nregistries: 5\nrules: [{id: b, registries: [a]}]"), @r#"
    2:1: unknown key `registry` (did you mean `registries`?)
    3:13: expected a list, found the number 5
    "#);
}

#[test]
fn yaml_that_cannot_be_read_is_a_problem_with_its_place() {
    insta::assert_snapshot!(problems("org: acme\nrules:\n  - id: \"a\n"), @"3:9: this is no YAML: while scanning a quoted scalar, found unexpected end of stream");
    insta::assert_snapshot!(problems("org: acme\n  rules: []\n"), @"2:8: this is no YAML: mapping values are not allowed in this context");
    insta::assert_snapshot!(problems("org: [a\nrules: }"), @"2:6: this is no YAML: illegal placement of ':' indicator");
    insta::assert_snapshot!(problems("org: *nowhere"), @"1:6: this is no YAML: while parsing node, found unknown anchor");
    insta::assert_snapshot!(problems("org: &a [*a]"), @"1:10: the alias stands inside of what it repeats");
    insta::assert_snapshot!(problems("org: acme\n\tplatforms: []"), @"1:6: this is no YAML: while scanning a plain scalar, found a tab");
}

#[test]
fn keys_are_texts_and_there_once() {
    let text = "org: acme\n1: a\n? [x]\n: b\nrules: []\nnull: c\n\"org\": other\nrules:\n";
    insta::assert_snapshot!(problems(text), @r#"
    2:1: a key must be a text, found `1` (write it in quotes: "1")
    3:3: a key must be a text, this is a list or a mapping
    6:1: a key must be a text, found `null` (write it in quotes: "null")
    7:1: the key `org` is there twice (it is there first in line 1)
    8:1: the key `rules` is there twice (it is there first in line 5)
    "#);
}

#[test]
fn a_configuration_is_one_document_of_keys_and_values() {
    insta::assert_snapshot!(problems(""), @"1:1: the key `org` is missing");
    insta::assert_snapshot!(problems("# nothing\n---\n"), @"1:1: the key `org` is missing");
    insta::assert_snapshot!(problems("- org: acme"), @"1:1: expected keys with values (`key: value`), found a list (begin with the organisation: `org: NAME`)");
    insta::assert_snapshot!(problems("acme"), @r#"1:1: expected keys with values (`key: value`), found the text "acme" (begin with the organisation: `org: NAME`)"#);
    insta::assert_snapshot!(problems("[acme]"), @"1:1: expected keys with values (`key: value`), found a list (begin with the organisation: `org: NAME`)");
    insta::assert_snapshot!(problems("---\norg: acme\nrule: []\n---\norg: other\n"), @r#"
    3:1: unknown key `rule` (did you mean `rules`?)
    4:1: a second document begins here (a configuration is one document: remove the line `---`)
    "#);
}

#[test]
fn tags_other_than_those_of_the_core_schema_are_refused() {
    assert!(parse("org: !!str 123\nplatforms: !!seq [linux/amd64]").is_ok());
    insta::assert_snapshot!(problems("org: !secret acme\nrules: !list []\nplatforms: [!!int x]"), @r#"
    1:6: the tag `!secret` is not known (remove it)
    2:8: the tag `!list` is not known (remove it)
    3:13: failed to read "x" as a platform: expected OS/ARCHITECTURE[/VARIANT], for example linux/amd64
    3:13: the value does not fit its tag
    "#);
}

#[test]
fn scalars_mean_what_yaml_1_2_says() {
    assert_eq!(parse("org: yes").unwrap().org.as_str(), "yes");
    assert_eq!(parse("\u{feff}org: \"012\"\r\nrules: []\r\n").unwrap().org.as_str(), "012");
    insta::assert_snapshot!(problems("org: 1e3"), @r#"1:6: expected a text, found the number 1e3 (write it in quotes: "1e3")"#);
    insta::assert_snapshot!(problems("org: True"), @r#"1:6: expected a text, found `True` (write it in quotes: "True")"#);
    insta::assert_snapshot!(problems("org:"), @"1:1: `org` has no value");
    insta::assert_snapshot!(problems("org: acme\nrules:\n  -\n  - {id: [a], registries: {}}"), @r#"
    3:4: expected keys with values (`key: value`), found nothing
    4:10: expected a text, found a list
    4:27: expected a list, found an empty mapping
    "#);
}

#[test]
fn a_list_does_not_stand_for_keys_with_values() {
    let text = "org: a\nregistries: [[r, oci, 'http://r']]\nrules:\n- {id: x, registries: [r], schedule: ['6h']}\n- [y, [r]]\n";
    insta::assert_snapshot!(problems(text), @r#"
    2:14: expected keys with values (`key: value`), found a list
    4:38: expected keys with values (`key: value`), found a list
    5:3: expected keys with values (`key: value`), found a list
    "#);
}

#[test]
fn schedules_are_judged_in_all_their_parts() {
    let rule = |schedule: &str| {
        problems(&format!(
            "org: a\nregistries: [{{id: r, kind: oci, url: 'http://r'}}]\nrules:\n- id: a\n  registries: [r]\n  schedule: {schedule}"
        ))
    };
    insta::assert_snapshot!(rule("manuel"), @r#"6:13: expected `manual`, {every: 6h} or {cron: "0 2 * * *", timezone: Europe/Berlin, until: "06:00"}; found the text "manuel" (did you mean `manual`?)"#);
    insta::assert_snapshot!(rule("0 2 * * *"), @r#"6:13: expected `manual`, {every: 6h} or {cron: "0 2 * * *", timezone: Europe/Berlin, until: "06:00"}; found the text "0 2 * * *""#);
    insta::assert_snapshot!(rule("{cron: '0 2 * *', timezon: UTC}"), @r#"
    6:20: failed to read "0 2 * *" as a cron expression of five fields: Invalid pattern: Pattern must have 5 fields when seconds are disallowed.
    6:31: unknown key `timezon` (did you mean `timezone`?)
    "#);
    insta::assert_snapshot!(rule("{every: 6, until: '06:00'}"), @r#"6:21: expected `manual`, {every: 6h} or {cron: "0 2 * * *", timezone: Europe/Berlin, until: "06:00"}; found the number 6"#);
    insta::assert_snapshot!(rule("{every: 6h, until: '06:00'}"), @r#"6:13: expected `manual`, {every: 6h} or {cron: "0 2 * * *", timezone: Europe/Berlin, until: "06:00"}"#);
    insta::assert_snapshot!(rule("{cron: '0 2 * * *', until: '6:00'}"), @r#"6:40: failed to read "6:00" as a time of day: expected hour and minute, for example 06:00"#);
    insta::assert_snapshot!(rule("{cron: '0 2 * * *', until: 6}"), @r#"6:40: expected `manual`, {every: 6h} or {cron: "0 2 * * *", timezone: Europe/Berlin, until: "06:00"}; found the number 6"#);
    insta::assert_snapshot!(rule("{every: 6 hours}"), @r#"6:21: failed to read "6 hours" as a length of time: expected a number and a unit, for example 30m, 6h or 60d"#);
    insta::assert_snapshot!(rule("{every: 6h, cron: '0 2 * * *'}"), @r#"6:13: expected `manual`, {every: 6h} or {cron: "0 2 * * *", timezone: Europe/Berlin, until: "06:00"}"#);
    insta::assert_snapshot!(rule("[manual]"), @r#"6:14: failed to read "manual" as a length of time: expected a number and a unit, for example 30m, 6h or 60d"#);
}

#[test]
fn the_end_of_windows_needs_no_quotes() {
    for until in ["06:00", "'06:00'", "\"06:00\""] {
        let text = format!(
            "org: a\nrules:\n- {{id: a, registries: [r], schedule: {{cron: '0 2 * * *', until: {until}}}}}\nregistries: [{{id: r, kind: oci, url: 'http://r'}}]"
        );
        assert_eq!(parse(&text).unwrap().rules[0].schedule.to_string(), "0 2 * * * UTC until 06:00");
    }
}

#[test]
fn credentials_never_stand_in_a_message() {
    let of = |credentials: &str| {
        problems(&format!(
            "org: a\nregistries: [{{id: r, kind: oci, url: 'http://r', credentials: {credentials}}}]"
        ))
    };
    insta::assert_snapshot!(of("'user:hunter2'"), @"2:63: unknown value (expected one of `env`, `file`, `secret`)");
    insta::assert_snapshot!(of("12345678"), @"2:63: expected a text, or a key with its value, found a number");
    insta::assert_snapshot!(of("[hunter2]"), @"2:63: expected a text, or a key with its value, found a list");
    insta::assert_snapshot!(of("{env: 12345678}"), @"2:69: expected a text, found a number (write it in quotes)");
    insta::assert_snapshot!(of("{password: hunter2}"), @"2:64: unknown key `password` (expected one of `env`, `file`, `secret`)");
    insta::assert_snapshot!(of("{env: A, file: B}"), @"2:63: expected exactly one key with its value, found 2 keys with values");
    insta::assert_snapshot!(of("{'user:hunter2'}"), @"2:63: expected exactly one key with its value, found a key without a value");
    insta::assert_snapshot!(of("env"), @"2:63: expected a key with its value, found a text");
    let url = "org: a\nregistries: [{id: r, kind: oci, url: 'https://user:hunter2@r'}]";
    insta::assert_snapshot!(problems(url), @r#"2:38: "https://…@r" is not the URL of a registry: give its host and port only"#);
}

#[test]
fn a_problem_behind_an_anchor_is_reported_where_it_stands() {
    let text = "org: a\nplatforms: &p [linux]\nregistries: [{id: r, kind: oci, url: 'http://r', repositories: *p}]\npolicies: [{<<: *p, id: fixable-vulnerabilities}]";
    insta::assert_snapshot!(problems(text), @r#"
    2:16: failed to read "linux" as a platform: expected OS/ARCHITECTURE[/VARIANT], for example linux/amd64
    4:13: unknown key `<<` (YAML 1.2 has no merge keys: write the keys out)
    "#);
}

#[test]
fn nesting_and_aliases_have_a_limit() {
    insta::assert_snapshot!(problems(&format!("org: {}", "[".repeat(100_000))), @"1:261: this is no YAML: recursion limit exceeded");
    insta::assert_snapshot!(problems(&format!("org: {}{}", "[".repeat(65), "]".repeat(65))), @"1:69: lists and mappings are nested more than 64 levels deep");
    let levels = (1..10).map(|level| {
        let aliases = vec![format!("*a{}", level - 1); 10].join(", ");
        format!("a{level}: &a{level} [{aliases}]")
    });
    let first = "a0: &a0 [x, x, x, x, x, x, x, x, x, x]".to_owned();
    let bomb = std::iter::once(first).chain(levels).collect::<Vec<_>>().join("\n");
    insta::assert_snapshot!(problems(&bomb), @"6:45: the aliases make more than 1048576 values");
}

#[test]
fn a_search_without_end_is_ended() {
    let keys: Vec<String> = (0..1000).map(|key| format!("k{key}: 1")).collect();
    let found = parse(&format!("org: acme\n{}", keys.join("\n"))).unwrap_err();
    assert_eq!(found.len(), 101);
    assert_eq!(found[0].to_string(), "1:1: there are more problems than are listed here");
}

#[test]
fn words_of_error_messages_in_values_confuse_nobody() {
    let text = "org: 'unknown field `x`, expected `y`'\nplatforms: ['missing field `org`', 'invalid type: a, expected b', 'x; there are: y']";
    insta::assert_snapshot!(problems(text), @r#"
    1:6: failed to read "unknown field `x`, expected `y`" as an organisation: expected 1 to 64 of a-z, 0-9, `-` and `_`, beginning with a letter or digit
    2:13: failed to read "missing field `org`" as a platform: expected OS/ARCHITECTURE[/VARIANT], for example linux/amd64
    2:36: failed to read "invalid type: a, expected b" as a platform: expected OS/ARCHITECTURE[/VARIANT], for example linux/amd64
    2:67: failed to read "x; there are: y" as a platform: expected OS/ARCHITECTURE[/VARIANT], for example linux/amd64
    "#);
}

#[test]
fn files_that_are_no_text_or_too_large_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("tidewatch.yaml");
    let refusal = |content: &[u8]| {
        std::fs::write(&path, content).unwrap();
        read(&path).unwrap_err().to_string().replace(&path.display().to_string(), "PATH")
    };
    insta::assert_snapshot!(refusal(b"org: acme\nrules: \xff[]"), @r#"
    PATH:2:8: the file is not UTF-8 from here on
        save it as UTF-8
    1 problem: correct it, then run the command again
    "#);
    insta::assert_snapshot!(refusal(&vec![b'#'; SIZE_LIMIT + 1]), @r#"
    PATH:1:1: the file is larger than 1 MiB
    1 problem: correct it, then run the command again
    "#);
    insta::assert_snapshot!(refusal(b"org: Acme\nrule: []"), @r#"
    PATH:1:6: failed to read "Acme" as an organisation: expected 1 to 64 of a-z, 0-9, `-` and `_`, beginning with a letter or digit
    PATH:2:1: unknown key `rule`
        did you mean `rules`?
    2 problems: correct them, then run the command again
    "#);
    std::fs::write(&path, RIGHT).unwrap();
    assert!(read(&path).is_ok());
    let absent = read(&folder.path().join("absent.yaml")).unwrap_err();
    assert!(
        matches!(&absent, ConfigFileError::Read { source, .. } if source.kind() == io::ErrorKind::NotFound)
    );
}

/// Whether every problem stands in the text, and they are sorted.
fn are_placed(problems: &[FileProblem], text: &str) -> bool {
    let lines = text.split(['\n', '\r']).count();
    !problems.is_empty()
        && problems.is_sorted()
        && problems.iter().all(|problem| {
            (1..=lines + 1).contains(&problem.line) && problem.column >= 1 && !problem.message.contains('\n')
        })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn any_text_is_read_or_has_problems(text in any::<String>()) {
        prop_assert!(parse(&text).map_or_else(|problems| are_placed(&problems, &text), |_| true));
    }

    #[test]
    fn any_yaml_signs_are_read_or_have_problems(text in "[-a-c:?*&!<>|{}\\[\\],\"'#~1. \n\t]{0,60}") {
        prop_assert!(parse(&text).map_or_else(|problems| are_placed(&problems, &text), |_| true));
    }

    #[test]
    fn a_damaged_file_is_read_or_has_problems(
        start in 0..RIGHT.len(),
        length in 0..40_usize,
        insertion in "[-a-c:?*&!<>|{}\\[\\],\"'#~1. \n]{0,8}",
    ) {
        let mut text = RIGHT.to_owned();
        text.replace_range(start..(start + length).min(RIGHT.len()), &insertion);
        prop_assert!(parse(&text).map_or_else(|problems| are_placed(&problems, &text), |_| true));
    }
}
