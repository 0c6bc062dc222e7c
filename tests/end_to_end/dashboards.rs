//! What the panels of Docker Scout's two Grafana dashboards ask for, with their variables filled in, and what they show
//! for the images of the fixtures. <https://github.com/dockersamples/scout-metrics-exporter> has the dashboards.

use std::collections::BTreeMap;
use std::process::Command;

use serde_json::{Value, json};
use tidewatch_core::Severity;
use tidewatch_runtime::environment::variable;
use tidewatch_testkit::skip;

use crate::installation::{Configuration, Installation, Numbers, ORG, fixture_registry, settle};

/// The id and the name of the policy of the fixtures.
const POLICY: (&str, &str) = ("fixable-vulnerabilities", "No fixable critical or high vulnerabilities");

/// A query of a panel.
pub(crate) struct Panel {
    /// The query.
    pub(crate) query: String,
    /// The labels of the one series that it gives.
    pub(crate) labels: BTreeMap<&'static str, &'static str>,
    /// Its value.
    pub(crate) value: f64,
}

/// The six queries of the dashboard *Overview*, and the one that both panels of *Policies* have.
pub(crate) fn panels(numbers: &Numbers) -> Vec<Panel> {
    let Numbers { compliant, evaluated, severities } = *numbers;
    let selector = "job=\"acme\", streamName=\"latest-indexed\"";
    let mut panels: Vec<_> = Severity::ALL
        .into_iter()
        .zip(severities)
        .map(|(severity, count)| Panel {
            query: format!(
                "sum by(severity) (scout_stream_vulnerabilities{{{selector}, severity=\"{severity}\"}})"
            ),
            labels: [("severity", severity.as_str())].into(),
            value: number(count),
        })
        .collect();
    panels.push(Panel {
        query: format!("sum(scout_stream_vulnerabilities{{{selector}}})"),
        labels: BTreeMap::new(),
        value: number(severities.iter().sum()),
    });
    let (id, display_name) = POLICY;
    // In one panel the labels stand in another order, with other blanks.
    let selectors = [
        format!("streamName=\"latest-indexed\", job=\"acme\", id=\"{id}\""),
        format!("streamName=\"latest-indexed\", job=\"acme\",id=\"{id}\""),
    ];
    let [compliant_of, evaluated_of] = selectors;
    let labels = [
        ("id", id),
        ("displayName", display_name),
        ("streamName", "latest-indexed"),
        ("job", ORG),
        ("instance", "tidewatch"),
    ];
    panels.push(Panel {
        query: format!(
            "(scout_policy_compliant_images{{{compliant_of}}} * 100) / scout_policy_evaluated_images{{{evaluated_of}}}"
        ),
        labels: labels.into(),
        value: number(compliant) * 100.0 / number(evaluated),
    });
    panels
}

/// Prometheus knows floating point only.
pub(crate) fn number(count: u64) -> f64 {
    f64::from(u32::try_from(count).unwrap())
}

/// The variables of the dashboards, as queries that give what Grafana offers to choose from.
fn variables() -> Vec<Panel> {
    let offers = |query: &str, labels: &[(&'static str, &'static str)]| Panel {
        query: query.to_owned(),
        labels: labels.iter().copied().collect(),
        value: 1.0,
    };
    vec![
        offers("group by (job) (scout_stream_vulnerabilities)", &[("job", ORG)]),
        offers("group by (streamName) (scout_stream_vulnerabilities)", &[("streamName", "latest-indexed")]),
        offers("group by (streamName) (scout_policy_compliant_images)", &[("streamName", "latest-indexed")]),
        offers("group by (id) ({id!=\"\"})", &[("id", POLICY.0)]),
    ]
}

/// The tests of `promtool test rules` for what was scraped:
/// <https://prometheus.io/docs/prometheus/latest/configuration/unit_testing_rules/>.
fn rule_tests(scrape: &str, panels: &[Panel]) -> Value {
    let series: Vec<_> = scrape
        .lines()
        .filter(|line| !line.starts_with('#'))
        .map(|line| {
            let (series, value) = line.rsplit_once("} ").unwrap();
            json!({"series": format!("{series},job={ORG:?},instance=\"tidewatch\"}}"), "values": format!("{value}x10")})
        })
        .collect();
    let tests: Vec<_> = panels
        .iter()
        .map(|panel| {
            let labels = panel.labels.iter().map(|(name, value)| format!("{name}={value:?}"));
            let labels = format!("{{{}}}", labels.collect::<Vec<_>>().join(","));
            json!({
                "expr": panel.query,
                "eval_time": "5m",
                "exp_samples": [{"labels": labels, "value": panel.value}],
            })
        })
        .collect();
    json!({
        "evaluation_interval": "1m",
        "tests": [{"interval": "1m", "input_series": series, "promql_expr_test": tests}],
    })
}

/// Whether promtool finds the tests fulfilled, and what it says.
fn run(installation: &Installation, tests: &Value) -> (bool, String) {
    let file = installation.file("rule-tests.yml", tests);
    let output = Command::new("promtool").args(["test", "rules", &file]).output().unwrap();
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    (output.status.success(), text(&output.stdout) + &text(&output.stderr))
}

#[tokio::test(flavor = "multi_thread")]
async fn the_panels_and_variables_of_scouts_dashboards_show_what_was_scraped() {
    if Command::new("promtool").arg("--version").output().is_err() {
        assert!(variable("CI").is_none_or(|ci| ci != "true"), "promtool is not installed");
        return skip::skipped("promtool is not installed");
    }
    let registry = fixture_registry().await;
    let installation = Installation::configured(&Configuration::of(&registry));
    let local = installation.up();
    installation.run_rule();
    let numbers = Numbers::of_the_fixtures();
    let scrape = settle(&local, ORG, &installation.token(ORG), &numbers).await;
    let mut wanted = panels(&numbers);
    assert_eq!(wanted.len(), 7);
    wanted.extend(variables());
    let (holds, said) = run(&installation, &rule_tests(&scrape, &wanted));
    assert!(holds, "{said}");

    // It would say so.
    wanted[0].value += 1.0;
    let (holds, said) = run(&installation, &rule_tests(&scrape, &wanted));
    assert!(!holds && said.contains("CRITICAL"), "{said}");
}
