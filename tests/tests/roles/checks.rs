//! What must hold of the template, given what the code needs. Each check gives what is wrong, for people.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;
use tidewatch_core::ports::queue::QueueName;
use tidewatch_core::ports::table::TIME_TO_LIVE;

use super::needs::{Code, Needs};
use super::permissions::{NETWORK, WITHOUT_RESOURCE, operator, role};
use super::template::{Template, each, reference, referred};

/// A function as template and code have it.
pub(crate) struct Deployed<'a> {
    /// Its name: `scan-image`.
    pub(crate) name: &'a str,
    /// Its logical id: `ScanImage`.
    pub(crate) id: String,
    /// What its code needs.
    pub(crate) needs: &'a Needs,
}

/// Everything that is wrong with the template.
pub(crate) fn faults(template: &Template, code: &Code) -> Vec<String> {
    let mut faults = Vec::new();
    let functions = code.functions.iter().map(|(name, needs)| Deployed { name, id: logical_id(name), needs });
    let functions: Vec<_> = functions.collect();
    let wanted: BTreeSet<_> = functions.iter().map(|function| function.id.as_str()).collect();
    let there: BTreeSet<_> =
        template.resources("AWS::Serverless::Function").into_iter().map(|(id, _)| id).collect();
    differ(&mut faults, "the functions", &wanted, &there);
    for function in &functions {
        role(&mut faults, template, function);
        function_itself(&mut faults, template, function);
    }
    operator(&mut faults, template, &code.command);
    queues(&mut faults, template);
    storage(&mut faults, template);
    statements(&mut faults, template);
    faults
}

/// `scan-image` is the resource `ScanImage`.
pub(crate) fn logical_id(name: &str) -> String {
    let parts = name.split('-').map(|part| part[..1].to_uppercase() + &part[1..]);
    parts.collect()
}

fn differ<T: Ord + std::fmt::Debug>(
    faults: &mut Vec<String>,
    what: &str,
    wanted: &BTreeSet<T>,
    there: &BTreeSet<T>,
) {
    faults.extend(wanted.difference(there).map(|missing| format!("{what}: {missing:?} is missing")));
    faults.extend(there.difference(wanted).map(|more| format!("{what}: {more:?} is too much")));
}

/// Where the function's code is, what it is told and what calls it.
fn function_itself(faults: &mut Vec<String>, template: &Template, function: &Deployed<'_>) {
    let Deployed { name, id, needs } = function;
    let properties = template.properties(id);
    let mut is = |what: &str, there: &Value, wanted: &str| {
        if reference(there) != wanted {
            faults.push(format!("{name}: {what} is {}, not {wanted}", reference(there)));
        }
    };
    is("its code", &properties["CodeUri"], &format!("target/lambda/{name}/"));
    is("its name", &properties["FunctionName"], &format!("${{AWS::StackName}}-{name}"));
    is("its log group", &properties["LoggingConfig"]["LogGroup"], &format!("${{{id}Logs}}"));
    let logs = template.properties(&format!("{id}Logs"));
    is(
        "the name of its log group",
        &logs["LogGroupName"],
        &format!("/aws/lambda/${{AWS::StackName}}-{name}"),
    );
    is("the time that its logs are kept", &logs["RetentionInDays"], "${LogRetentionDays}");
    let vpc = if needs.reads_secrets { "InVpc" } else { "null" };
    is("the condition of its VPC", &properties["VpcConfig"]["Fn::If"][0], vpc);

    let everywhere = &template.document["Globals"]["Function"]["Environment"]["Variables"];
    let variables = [everywhere, &properties["Environment"]["Variables"]];
    let there: BTreeSet<(String, String)> = variables
        .iter()
        .filter_map(|variables| variables.as_object())
        .flatten()
        .map(|(variable, value)| (variable.clone(), reference(value)))
        .collect();
    let queue = |queue: &String| {
        (format!("TIDEWATCH_QUEUE_{}", queue.to_ascii_uppercase()), format!("${{{queue}Queue}}"))
    };
    let mut wanted: BTreeSet<(String, String)> = needs.sends.union(&needs.reads).map(queue).collect();
    for id in &needs.asks {
        let dead = format!("TIDEWATCH_DEAD_LETTER_QUEUE_{}", id.to_ascii_uppercase());
        wanted.extend([queue(id), (dead, format!("${{{id}Dead}}"))]);
    }
    let fixed = [("TABLE", "Table"), ("BUCKET", "Bucket"), ("LOG", "LogFilter")];
    wanted.extend(fixed.map(|(variable, id)| (format!("TIDEWATCH_{variable}"), format!("${{{id}}}"))));
    for variable in &needs.variables {
        let words = variable.trim_start_matches("TIDEWATCH_").to_ascii_lowercase().replace('_', "-");
        wanted.insert((variable.clone(), format!("${{{}}}", logical_id(&words))));
    }
    differ(faults, &format!("{name}: its environment"), &wanted, &there);

    sources(faults, template, function);
}

/// What calls a function: the queues that it reads, a schedule, the API.
fn sources(faults: &mut Vec<String>, template: &Template, function: &Deployed<'_>) {
    let Deployed { name, id, needs } = function;
    let properties = template.properties(id);
    let mut queues = BTreeSet::new();
    for (event, source) in properties["Events"].as_object().into_iter().flatten() {
        let settings = &source["Properties"];
        queues.insert(referred(&settings["Queue"]).trim_end_matches("Queue").to_owned());
        if source["Type"] != "SQS" {
            faults.push(format!("{name}: the event {event} is none of SQS: write its resources out"));
        }
        if settings["FunctionResponseTypes"] != serde_json::json!(["ReportBatchItemFailures"]) {
            faults.push(format!("{name}: the event {event} does not report the messages that failed"));
        }
        let most = &settings["ScalingConfig"]["MaximumConcurrency"]["Fn::FindInMap"];
        if most[0] != "Sizes" || most[2] != *event {
            faults.push(format!("{name}: the event {event} has no limit of its own in the mapping Sizes"));
        }
        let of = |properties: &Value, name: &str| properties[name].as_u64().unwrap_or_default();
        let visibility = of(template.properties(&referred(&settings["Queue"])), "VisibilityTimeout");
        let (timeout, batch) = (of(properties, "Timeout"), of(settings, "BatchSize"));
        if timeout == 0 || visibility < timeout + 60 || (batch != 1 && visibility < 6 * timeout) {
            faults.push(format!("{name}: messages of {event} become visible again while it is at work"));
        }
    }
    differ(faults, &format!("{name}: the queues that it reads"), &needs.reads, &queues);

    let rules = template.resources("AWS::Events::Rule");
    let scheduled = rules.iter().any(|(_, rule)| {
        let targets = each(&rule["Properties"]["Targets"]);
        targets.iter().any(|target| reference(&target["Arn"]) == format!("${{{id}.Arn}}"))
    });
    let integrations = template.resources("AWS::ApiGatewayV2::Integration");
    let routes = template.resources("AWS::ApiGatewayV2::Route");
    let answers = integrations.iter().any(|(integration, settings)| {
        let target = format!("integrations/${{{integration}}}");
        reference(&settings["Properties"]["IntegrationUri"]) == format!("${{{id}.Arn}}")
            && routes.iter().any(|(_, route)| reference(&route["Properties"]["Target"]) == target)
    });
    let callers: BTreeMap<String, String> = template
        .resources("AWS::Lambda::Permission")
        .into_iter()
        .map(|(_, permission)| &permission["Properties"])
        .filter(|permission| referred(&permission["FunctionName"]) == *id)
        .map(|permission| (reference(&permission["Principal"]), reference(&permission["SourceArn"])))
        .collect();
    let may =
        |principal: &str, part: &str| callers.get(principal).is_some_and(|source| source.contains(part));
    let of = [
        ("a schedule", needs.is_scheduled, scheduled, may("events.amazonaws.com", "Schedule.Arn")),
        ("the API", needs.answers_http, answers, may("apigateway.amazonaws.com", "${Api}/")),
    ];
    for (what, wanted, is_there, may) in of {
        if (wanted, wanted) != (is_there, may) {
            faults.push(format!("{name}: {what} must call it and be allowed to, or neither"));
        }
    }
}

fn queues(faults: &mut Vec<String>, template: &Template) {
    let mut wanted = BTreeSet::new();
    for queue in QueueName::ALL {
        let id = logical_id(queue.as_str());
        let (live, dead) = (format!("{id}Queue"), format!("{id}Dead"));
        let redrive = &template.properties(&live)["RedrivePolicy"];
        if reference(&redrive["deadLetterTargetArn"]) != format!("${{{dead}.Arn}}") {
            faults.push(format!("the queue {queue} has no dead-letter queue of its own"));
        }
        for (resource, name) in [(&live, queue.to_string()), (&dead, format!("{queue}-dead"))] {
            let properties = template.properties(resource);
            if reference(&properties["QueueName"]) != format!("${{AWS::StackName}}-{name}") {
                faults.push(format!("the queue {name} is not named so"));
            }
            if properties["SqsManagedSseEnabled"] != true {
                faults.push(format!("the queue {name} is not encrypted"));
            }
        }
        for (output, resource) in [(format!("Queue{id}"), &live), (format!("DeadLetterQueue{id}"), &dead)] {
            if reference(&template.document["Outputs"][&output]["Value"]) != format!("${{{resource}}}") {
                faults.push(format!("there is no output {output}"));
            }
        }
        wanted.extend([live, dead]);
    }
    let there = template.resources("AWS::SQS::Queue").into_iter().map(|(id, _)| id.to_owned()).collect();
    differ(faults, "the queues", &wanted, &there);
}

/// The table, the bucket and the API.
fn storage(faults: &mut Vec<String>, template: &Template) {
    let mut holds = |what: &str, holds: bool| {
        if !holds {
            faults.push(what.to_owned());
        }
    };
    for id in ["Table", "Bucket", "BucketPolicy"] {
        let resource = &template.document["Resources"][id];
        let is_kept =
            ["DeletionPolicy", "UpdateReplacePolicy"].iter().all(|policy| resource[policy] == "Retain");
        holds(&format!("{id} does not stay when the stack goes"), is_kept);
    }
    let table = template.properties("Table");
    holds(
        "the table has another time to live",
        table["TimeToLiveSpecification"]["AttributeName"] == TIME_TO_LIVE,
    );
    holds("nothing of the table expires", table["TimeToLiveSpecification"]["Enabled"] == true);
    let recovery = &table["PointInTimeRecoverySpecification"]["PointInTimeRecoveryEnabled"];
    holds("the table cannot be put back to a point in time", *recovery == true);
    let bucket = template.properties("Bucket");
    let public = &bucket["PublicAccessBlockConfiguration"];
    let blocks = ["BlockPublicAcls", "BlockPublicPolicy", "IgnorePublicAcls", "RestrictPublicBuckets"];
    holds("the bucket may be public", blocks.iter().all(|block| public[block] == true));
    holds("the bucket is not encrypted", !bucket["BucketEncryption"].is_null());
    let policy = &template.properties("BucketPolicy")["PolicyDocument"]["Statement"][0];
    let refuses = policy["Effect"] == "Deny" && policy["Condition"]["Bool"]["aws:SecureTransport"] == "false";
    holds("the bucket may be used without TLS", refuses);
    for (output, id) in [("Table", "${Table}"), ("Bucket", "${Bucket}"), ("ApiId", "${Api}")] {
        let there = reference(&template.document["Outputs"][output]["Value"]);
        holds(&format!("there is no output {output}"), there == id);
    }
    holds("there is no output ApiUrl", !template.document["Outputs"]["ApiUrl"].is_null());
    for (_, stage) in template.resources("AWS::ApiGatewayV2::Stage") {
        let log = stage["Properties"]["AccessLogSettings"].to_string();
        let tells = ["context.path", "header", "rawPath", "queryString", "requestOverride"];
        let is_silent = !tells.iter().any(|secret| log.contains(secret));
        holds("the access log tells paths or headers: those hold secrets", is_silent);
        let limits = &stage["Properties"]["DefaultRouteSettings"];
        holds("the API lets everything through", !limits["ThrottlingRateLimit"].is_null());
    }
    let routes = template.resources("AWS::ApiGatewayV2::Route");
    let routes = routes.iter().map(|(_, route)| reference(&route["Properties"]["RouteKey"])).collect();
    let wanted = [
        "GET /v1/exporter/org/{org}",
        "GET /v1/exporter/org/{org}/metrics",
        "GET /v1/exporter/org/{org}/tidewatch",
        "GET /v1/openapi.json",
        "GET /v1/org/{org}/explain",
        "GET /v1/org/{org}/image",
        "GET /v1/org/{org}/images",
        "GET /v1/org/{org}/policies/{id}",
        "GET /v1/org/{org}/streams",
        "GET /v1/org/{org}/vulnerabilities/{id}",
        "HEAD /v1/exporter/org/{org}",
        "HEAD /v1/exporter/org/{org}/metrics",
        "HEAD /v1/exporter/org/{org}/tidewatch",
        "POST /v1/hooks/{kind}/{hook}",
        "POST /v1/hooks/{kind}/{hook}/{secret}",
    ];
    differ(faults, "the routes", &wanted.map(str::to_owned).into(), &routes);
}

/// No statement of any policy allows every action of a service, or is about everything without need.
fn statements(faults: &mut Vec<String>, template: &Template) {
    for (id, resource) in template.document["Resources"].as_object().into_iter().flatten() {
        visit(resource, &mut |statement| {
            if statement["Effect"] != "Allow" {
                return;
            }
            for action in each(&statement["Action"]) {
                let action = action.as_str().unwrap_or_default();
                if action.contains('*') {
                    faults.push(format!("{id}: {action:?} allows more than one action"));
                }
                let is_everything = |resource: &&Value| reference(resource) == "*";
                let everything = each(&statement["Resource"]).iter().any(is_everything);
                if everything && !NETWORK.contains(&action) && !WITHOUT_RESOURCE.contains(&action) {
                    faults.push(format!("{id}: {action:?} is allowed on everything"));
                }
            }
        });
    }
}

fn visit(value: &Value, see: &mut impl FnMut(&Value)) {
    match value {
        Value::Array(values) => values.iter().for_each(|value| visit(value, see)),
        Value::Object(entries) => {
            if entries.contains_key("Effect") {
                see(value);
            }
            entries.values().for_each(|value| visit(value, see));
        }
        _ => {}
    }
}
