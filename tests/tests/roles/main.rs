//! The template against the code: every role may do exactly what the code of its function asks for. The code is read,
//! not run: see `needs` for how, and `checks` for what must hold.

// Test code: a broken set-up ends the test.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod checks;
mod document;
mod member;
mod needs;
mod permissions;
mod records;
mod source;
mod template;

use std::fs;
use std::path::PathBuf;

use needs::Code;
use template::Template;

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).parent().unwrap().to_owned()
}

fn text() -> String {
    fs::read_to_string(root().join("template.yaml")).unwrap()
}

#[test]
fn every_role_may_do_what_the_code_of_its_function_does_and_no_more() {
    let faults = checks::faults(&Template::read(&text()), &Code::read(&root()));
    assert!(faults.is_empty(), "\n{}\n", faults.join("\n"));
}

/// What the checks are worth: each of these mistakes in the template is noticed, by the fault that is said.
#[test]
fn a_mistake_in_the_template_is_noticed() {
    let mistakes = [
        ("                  - dynamodb:BatchGetItem\n", "", "lacks (\"dynamodb:BatchGetItem\""),
        (
            "                  - dynamodb:BatchGetItem\n",
            "                  - dynamodb:BatchGetItem\n                  - dynamodb:Scan\n",
            "has (\"dynamodb:Scan\"",
        ),
        (
            "- !Sub \"${Bucket.Arn}/layers/*\"",
            "- !Sub \"${Bucket.Arn}/*\"",
            "lacks (\"s3:GetObject\", \"${Bucket.Arn}/layers/*\")",
        ),
        ("Action: s3:ListBucket", "Action: s3:*", "\"s3:*\" allows more than one action"),
        (
            "Role: !GetAtt ScanImageRole.Arn",
            "Role: !GetAtt ResolveImagesRole.Arn",
            "scan-image: its role is not its own",
        ),
        (
            "Action: secretsmanager:GetSecretValue\n                Resource: !Sub \"arn:${AWS::Partition}:secretsmanager:${AWS::Region}:${AWS::AccountId}:secret:${SecretsPrefix}*\"",
            "Action: secretsmanager:GetSecretValue\n                Resource: \"*\"",
            "is allowed on everything",
        ),
        (
            "                  - ecr:DescribeImages\n",
            "                  - ecr:PutImage\n",
            "resolve-images: its role lacks (\"ecr:DescribeImages\"",
        ),
        (
            "Resource: !Sub \"arn:${AWS::Partition}:iam::*:role/${EcrMemberRoleName}\"",
            "Resource: !Sub \"arn:${AWS::Partition}:iam::*:role/*\"",
            "which nothing needs",
        ),
        (
            "        TIDEWATCH_BUCKET: !Ref Bucket\n",
            "",
            "its environment: (\"TIDEWATCH_BUCKET\", \"${Bucket}\") is missing",
        ),
        (
            "            FunctionResponseTypes: [ReportBatchItemFailures]\n",
            "",
            "does not report the messages that failed",
        ),
        ("VisibilityTimeout: 960", "VisibilityTimeout: 900", "become visible again while it is at work"),
        (
            "      RedrivePolicy: {deadLetterTargetArn: !GetAtt ScansDead.Arn, maxReceiveCount: !Ref MaxReceives}\n",
            "",
            "the queue scans has no dead-letter queue",
        ),
        ("    DeletionPolicy: Retain\n", "", "Table does not stay"),
        (
            "      RouteKey: \"HEAD /v1/exporter/org/{org}\"\n",
            "      RouteKey: \"ANY /v1/exporter/org/{org}\"\n",
            "the routes",
        ),
        (
            "                  Resource: !Sub \"arn:${AWS::Partition}:s3:::${AdvisoriesBucket}/*\"\n",
            "                  Resource: \"arn:aws:s3:::*\"\n",
            "sync-advisories, where a bucket is named: its role has (\"s3:GetObject\", \"arn:aws:s3:::*\")",
        ),
        (
            "                  - !GetAtt RollupsDead.Arn\n",
            "",
            "export-metrics: its role lacks (\"sqs:GetQueueAttributes\", \"${RollupsDead.Arn}\") for how much is in it",
        ),
        (
            "          TIDEWATCH_DEAD_LETTER_QUEUE_HINTS: !Ref HintsDead\n",
            "",
            "its environment: (\"TIDEWATCH_DEAD_LETTER_QUEUE_HINTS\", \"${HintsDead}\") is missing",
        ),
        (
            "      AutoDeploy: true\n",
            "      AutoDeploy: true\n      AccessLogSettings: {Format: '$context.path'}\n",
            "access log tells paths",
        ),
    ];
    let (text, code) = (text(), Code::read(&root()));
    for (right, wrong, fault) in mistakes {
        assert!(text.contains(right), "the template does not have {right:?} any more");
        let faults = checks::faults(&Template::read(&text.replacen(right, wrong, 1)), &code);
        assert!(faults.iter().any(|found| found.contains(fault)), "{fault:?} is not noticed: {faults:?}");
    }
}

/// The other way around: what the code does more is noticed too.
#[test]
fn a_call_that_the_role_does_not_allow_is_noticed() {
    let (template, mut code) = (Template::read(&text()), Code::read(&root()));
    let needs = code.functions.get_mut("export-metrics").unwrap();
    let put = ("dynamodb:PutItem".to_owned(), "${Table.Arn}".to_owned());
    needs.stored.entry(put).or_default().insert("put_token".to_owned());
    needs.sends.insert("Scans".to_owned());
    code.functions.get_mut("read-results").unwrap().asks = needs::every_queue();
    let faults = checks::faults(&template, &code).join("\n");
    for fault in [
        "read-results: its role lacks (\"sqs:GetQueueAttributes\", \"${ScansDead.Arn}\") for how much is in it",
        "export-metrics: its role lacks (\"dynamodb:PutItem\", \"${Table.Arn}\") for Records::put_token",
        "export-metrics: its role lacks (\"sqs:SendMessage\", \"${ScansQueue.Arn}\")",
        "read-results: its environment: (\"TIDEWATCH_QUEUE_SCANS\", \"${ScansQueue}\") is missing",
    ] {
        assert!(faults.contains(fault), "{fault:?} is not noticed:\n{faults}");
    }
}
