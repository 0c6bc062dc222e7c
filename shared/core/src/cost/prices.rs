//! What AWS asks for what a run uses: one table, with its date and sources. Taxes, free tiers and discounts are not in it.

/// Prices in millionths of a millionth of a dollar, so that all of them are whole numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Prices {
    /// When they were looked up.
    pub as_of: &'static str,
    /// For which region.
    pub region: &'static str,
    /// A request of Lambda.
    pub lambda_request: u64,
    /// A GB-second of Lambda on arm64, of the first 7.5 thousand million in a month.
    pub lambda_gb_second: u64,
    /// A write request unit of DynamoDB, on demand: up to 1 KB; two in a transaction.
    pub table_write: u64,
    /// A read request unit of DynamoDB, on demand: up to 4 KB, strongly consistent.
    pub table_read: u64,
    /// A request of SQS, of a standard queue: up to 64 KB.
    pub queue_request: u64,
    /// A PUT of S3 Standard.
    pub object_put: u64,
    /// A GET of S3 Standard.
    pub object_get: u64,
    /// A GB from the internet, or from another service of AWS in the region: nothing. A NAT gateway, as functions in a VPC
    /// may have, costs 0.045 dollars for each GB and is not in the estimate, nor is what the registry asks for.
    pub transfer_in_gb: u64,
}

/// Prices of us-east-1, looked up on 2026-11-30. AWS publishes them at
/// <https://aws.amazon.com/lambda/pricing/>, <https://aws.amazon.com/dynamodb/pricing/on-demand/>,
/// <https://aws.amazon.com/sqs/pricing/>, <https://aws.amazon.com/s3/pricing/> and
/// <https://aws.amazon.com/ec2/pricing/on-demand/#Data_Transfer>. Those pages choose by region in the browser; the numbers are
/// those that descriptions of 2025 and 2026 give of them, such as <https://cloudchipr.com/blog/aws-lambda-pricing>,
/// <https://airbyte.com/data-engineering-resources/dynamodb-pricing>, <https://cloudburn.io/blog/amazon-sqs-pricing> and
/// <https://leanopstech.com/blog/aws-data-transfer-pricing-2026/>. Those of S3 requests (0.005 and 0.0004 dollars a thousand)
/// have not changed for years, and were not looked up again.
pub const PRICES: Prices = Prices {
    as_of: "2026-11-30",
    region: "us-east-1",
    lambda_request: 200_000,
    lambda_gb_second: 13_333_400,
    table_write: 625_000,
    table_read: 125_000,
    queue_request: 400_000,
    object_put: 5_000_000,
    object_get: 400_000,
    transfer_in_gb: 0,
};
