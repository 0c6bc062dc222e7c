//! What roles and policies allow, against what the code asks for.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use super::checks::Deployed;
use super::needs::Needs;
use super::records::Permission;
use super::template::{Template, each, reference};

/// Lambda reads queues by the role of the function: <https://docs.aws.amazon.com/lambda/latest/dg/services-sqs-configure.html>.
/// The last one is the function's own: it makes a failed message visible again after a pause.
const READING: &[&str] =
    &["sqs:ReceiveMessage", "sqs:DeleteMessage", "sqs:GetQueueAttributes", "sqs:ChangeMessageVisibility"];

/// Lambda makes the network interfaces of a function in a VPC by the role of the function, and takes no resource:
/// <https://docs.aws.amazon.com/lambda/latest/dg/configuration-vpc.html>.
pub(crate) const NETWORK: &[&str] = &[
    "ec2:AssignPrivateIpAddresses",
    "ec2:CreateNetworkInterface",
    "ec2:DeleteNetworkInterface",
    "ec2:DescribeNetworkInterfaces",
    "ec2:DescribeSubnets",
    "ec2:UnassignPrivateIpAddresses",
];

/// These take no resource: <https://docs.aws.amazon.com/service-authorization/latest/reference/list_amazonelasticcontainerregistry.html>.
pub(crate) const WITHOUT_RESOURCE: &[&str] = &["ecr:GetAuthorizationToken"];

/// The repositories of every account that lets this one read them.
const REPOSITORIES: &str = "arn:${AWS::Partition}:ecr:*:*:repository/*";

/// The roles of other accounts in which their registries are read.
const MEMBER_ROLES: &str = "arn:${AWS::Partition}:iam::*:role/${EcrMemberRoleName}";

/// The role of a function: what its code asks for, and what Lambda asks for in its name, no less and no more.
pub(crate) fn role(faults: &mut Vec<String>, template: &Template, function: &Deployed<'_>) {
    let Deployed { name, id, needs } = function;
    let role = template.properties(&format!("{id}Role"));
    if reference(&template.properties(id)["Role"]) != format!("${{{id}Role.Arn}}") {
        faults.push(format!("{name}: its role is not its own"));
    }
    if !role["ManagedPolicyArns"].is_null() {
        faults.push(format!("{name}: its role has managed policies"));
    }
    let trusted = &role["AssumeRolePolicyDocument"]["Statement"];
    if trusted.as_array().map(Vec::len) != Some(1)
        || trusted[0]["Principal"]["Service"] != "lambda.amazonaws.com"
    {
        faults.push(format!("{name}: its role is for more than Lambda"));
    }
    let (mut there, mut network, mut others) = (BTreeSet::new(), false, BTreeSet::new());
    for policy in each(&role["Policies"]) {
        match policy["Fn::If"].as_array() {
            Some(choice) if choice[0] == "ReadsBucket" => {
                others.extend(allowed(&choice[1]));
                if reference(&choice[2]) != "${AWS::NoValue}" {
                    faults.push(format!("{name}: there is a policy where no bucket is named"));
                }
            }
            Some(choice) => {
                network = true;
                in_vpc(faults, name, choice);
            }
            None => there.extend(allowed(policy)),
        }
    }
    compare(faults, &format!("{name}, where a bucket is named"), &of_others(needs), &others);
    if network != needs.reads_secrets {
        faults.push(format!("{name}: who opens registries may be in a VPC, and nobody else"));
    }
    compare(faults, name, &permissions(function), &there);
}

/// The policy of those who use the command: what its code asks for, no less and no more.
pub(crate) fn operator(faults: &mut Vec<String>, template: &Template, command: &Needs) {
    let there = allowed(template.properties("TidewatchOperator"));
    let mut wanted = stored_and_sent(command);
    let stack =
        "arn:${AWS::Partition}:cloudformation:${AWS::Region}:${AWS::AccountId}:stack/${AWS::StackName}/*";
    let finding = ("cloudformation:DescribeStacks".to_owned(), stack.to_owned());
    wanted.insert(finding, "finding the stack".to_owned());
    compare(faults, "tidewatch", &wanted, &there);
}

/// What a policy allows: each action on each resource of its statements.
pub(crate) fn allowed(policy: &Value) -> BTreeSet<Permission> {
    let mut there = BTreeSet::new();
    for statement in each(&policy["PolicyDocument"]["Statement"]) {
        for action in each(&statement["Action"]) {
            let action = action.as_str().unwrap_or_default();
            let resources = each(&statement["Resource"]).into_iter().map(reference);
            there.extend(resources.map(|resource| (action.to_owned(), resource)));
        }
    }
    there
}

/// Says what of `wanted` is missing in what is there, and what of that nothing wants.
pub(crate) fn compare(
    faults: &mut Vec<String>,
    name: &str,
    wanted: &BTreeMap<Permission, String>,
    there: &BTreeSet<Permission>,
) {
    for (permission, why) in wanted {
        if !there.contains(permission) {
            faults.push(format!("{name}: its role lacks {permission:?} for {why}"));
        }
    }
    let unused = there.iter().filter(|permission| !wanted.contains_key(*permission));
    faults
        .extend(unused.map(|permission| format!("{name}: its role has {permission:?}, which nothing needs")));
}

/// What the role of a function must hold, and why.
fn permissions(function: &Deployed<'_>) -> BTreeMap<Permission, String> {
    let Deployed { id, needs, .. } = function;
    let mut wanted = stored_and_sent(needs);
    let mut add = |action: &str, resource: String, why: &str| {
        wanted.insert((action.to_owned(), resource), why.to_owned());
    };
    for action in ["logs:CreateLogStream", "logs:PutLogEvents"] {
        add(action, format!("${{{id}Logs.Arn}}"), "its logs");
    }
    for queue in &needs.reads {
        for action in READING {
            add(action, format!("${{{queue}Queue.Arn}}"), "what it reads");
        }
    }
    if needs.puts_events {
        let bus = "arn:${AWS::Partition}:events:${AWS::Region}:${AWS::AccountId}:event-bus/${EventBus}";
        add("events:PutEvents", bus.to_owned(), "what it tells");
    }
    if needs.reads_secrets {
        let secrets =
            "arn:${AWS::Partition}:secretsmanager:${AWS::Region}:${AWS::AccountId}:secret:${SecretsPrefix}*";
        add("secretsmanager:GetSecretValue", secrets.to_owned(), "the credentials of registries");
    }
    for action in &needs.ecr {
        let resource = match action.as_str() {
            action if WITHOUT_RESOURCE.contains(&action) => "*",
            "sts:AssumeRole" => MEMBER_ROLES,
            _ => REPOSITORIES,
        };
        add(action, resource.to_owned(), "registries of Amazon");
    }
    wanted
}

/// What the code asks of the bucket that belongs to others, and why.
fn of_others(needs: &Needs) -> BTreeMap<Permission, String> {
    let bucket = "arn:${AWS::Partition}:s3:::${AdvisoriesBucket}";
    let reading = [("s3:GetObject", format!("{bucket}/*")), ("s3:ListBucket", bucket.to_owned())];
    let reading = reading.into_iter().filter(|_| needs.reads_others);
    reading.map(|(action, resource)| ((action.to_owned(), resource), "its copies".to_owned())).collect()
}

/// What code asks of the table, of object storage and of queues, but for those that it reads, and why.
fn stored_and_sent(needs: &Needs) -> BTreeMap<Permission, String> {
    let because = |methods: &BTreeSet<String>| {
        format!("Records::{}", methods.iter().cloned().collect::<Vec<_>>().join(", "))
    };
    let stored = needs.stored.iter().map(|(permission, methods)| (permission.clone(), because(methods)));
    let sent = needs.sends.iter().map(|queue| {
        let permission = ("sqs:SendMessage".to_owned(), format!("${{{queue}Queue.Arn}}"));
        (permission, "what it sends".to_owned())
    });
    let asked = needs.asks.iter().flat_map(|id| {
        let permission = |kind: &str| ("sqs:GetQueueAttributes".to_owned(), format!("${{{id}{kind}.Arn}}"));
        ["Queue", "Dead"].map(|kind| (permission(kind), "how much is in it".to_owned()))
    });
    stored.chain(sent).chain(asked).collect()
}

/// The policy of a role that stands behind a condition: network interfaces, for Lambda alone, in a VPC alone.
fn in_vpc(faults: &mut Vec<String>, name: &str, choice: &[Value]) {
    let [condition, policy, otherwise] = choice else {
        return faults.push(format!("{name}: a policy is chosen among other than two"));
    };
    let actions = |statement: &Value| -> BTreeSet<String> {
        each(&statement["Action"])
            .iter()
            .map(|action| action.as_str().unwrap_or_default().to_owned())
            .collect()
    };
    let wanted: BTreeSet<String> = NETWORK.iter().map(|action| (*action).to_owned()).collect();
    let itself = format!("${{AWS::StackName}}-{name}");
    let is_right = match each(&policy["PolicyDocument"]["Statement"])[..] {
        [allow, deny] => {
            let source = reference(&deny["Condition"]["ArnEquals"]["lambda:SourceFunctionArn"]);
            allow["Effect"] == "Allow"
                && deny["Effect"] == "Deny"
                && [allow, deny].iter().all(|one| one["Resource"] == "*" && actions(one) == wanted)
                && source.ends_with(&format!(":function:{itself}"))
        }
        _ => false,
    };
    if condition != "InVpc" || reference(otherwise) != "${AWS::NoValue}" || !is_right {
        faults.push(format!("{name}: the policy for a VPC is not as it must be"));
    }
}
