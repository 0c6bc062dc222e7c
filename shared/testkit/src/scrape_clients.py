"""Clients of the metrics endpoint, as their makers publish them: prints what they take from it as JSON.

Usage: scrape_clients.py datadog CONF        runs Datadog's OpenMetrics check once, by the configuration of its agent
       scrape_clients.py text|openmetrics    reads an exposition on standard input with Prometheus' Python client
"""

import json
import sys


def datadog(path):
    import yaml
    from datadog_checks.base import OpenMetricsBaseCheckV2
    from datadog_checks.base.stubs import aggregator

    with open(path, encoding="utf-8") as file:
        config = yaml.safe_load(file)
    OpenMetricsBaseCheckV2.__NAMESPACE__ = ""
    check = OpenMetricsBaseCheckV2("openmetrics", config.get("init_config") or {}, config["instances"])
    error = check.run()
    kinds = {number: name for name, number in aggregator.METRIC_ENUM_MAP.items()}
    samples = [
        {"name": sample.name, "kind": kinds[sample.type], "value": sample.value, "tags": sorted(sample.tags)}
        for name in sorted(aggregator.metric_names)
        for sample in aggregator.metrics(name)
    ]
    namespace = config["instances"][0]["namespace"]
    checks = aggregator.service_checks(f"{namespace}.openmetrics.health")
    return {
        "error": json.loads(error)[0]["message"] if error else None,
        "health": [check.status for check in checks],
        "samples": samples,
    }


def exposition(parse):
    return [
        {
            "name": family.name,
            "kind": family.type,
            "help": family.documentation,
            "samples": [
                {"name": sample.name, "labels": sample.labels, "value": sample.value} for sample in family.samples
            ],
        }
        for family in parse(sys.stdin.read())
    ]


def text():
    from prometheus_client.parser import text_string_to_metric_families

    return exposition(text_string_to_metric_families)


def openmetrics():
    from prometheus_client.openmetrics.parser import text_string_to_metric_families

    return exposition(text_string_to_metric_families)


command = {"datadog": datadog, "text": text, "openmetrics": openmetrics}[sys.argv[1]]
json.dump(command(*sys.argv[2:]), sys.stdout)
