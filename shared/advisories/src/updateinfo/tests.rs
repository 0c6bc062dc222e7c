//! Feeds as Amazon Linux publishes them, and such as nobody should.

use super::*;

const FEED: &str = r#"<?xml version="1.0" ?>
<updates>
<update status="final" version="1.4" author="linux-security@amazon.com" type="security" from="linux-security@amazon.com">
  <id>ALAS2023-2024-001</id>
  <title>Amazon Linux 2023 - ALAS2023-2024-001: Important priority package update for openssh &amp; curl</title>
  <issued date="2024-07-01 20:41:00" /><updated date="2024-07-02 23:22" />
  <severity>Important</severity><description>Text of &lt;any&gt; length &#169; <![CDATA[<id>no id</id>]]></description>
  <references>
    <reference href="https://alas.aws.amazon.com/cve/html/CVE-2024-6387.html" title="" id="CVE-2024-6387" type="cve" />
    <reference href="x" id="CVE-2024-6387" type="cve" /><reference href="y" id="RHSA-1" type="self" />
    <reference href="x" id="cve-2024-2" type="cve" />
  </references>
  <pkglist><collection short="amazon-linux-2023"><name>Amazon Linux 2023</name>
    <package name="openssh-server" version="8.7p1" release="12.amzn2023.0.3" epoch="0" arch="x86_64"><filename>x</filename></package>
    <package name="openssh-server" version="8.7p1" release="12.amzn2023.0.4" epoch="0" arch="aarch64"/>
    <package name="openssh-server" version="8.7p1" release="12.amzn2023.0.2" epoch="0" arch="i686"/>
    <package name="curl" version="8.3.0" release="1.amzn2023.0.1" epoch="2" arch="noarch"/>
    <package name="curl" version="8.3.0" release="1.amzn2023.0.1" epoch="2" arch="src"/>
    <package name="odd" arch="x86_64"/>
  </collection></pkglist>
</update>
<update type="bugfix"><id>ALAS2023-2024-002</id><pkglist><collection>
  <package name="bash" version="5" release="1" epoch="0" arch="x86_64"/></collection></pkglist></update>
</updates>"#;

fn read(feed: &str) -> Result<Vec<Record>, UpdateInfoError> {
    records("2023", feed.as_bytes())
}

#[test]
fn a_security_update_is_a_record_with_the_highest_fix_of_each_package() {
    let records = read(FEED).unwrap();
    let expected = json!({
        "id": "ALAS2023-2024-001",
        "summary": "Amazon Linux 2023 - ALAS2023-2024-001: Important priority package update for openssh & curl",
        "upstream": ["CVE-2024-6387", "CVE-2024-2"],
        "published": "2024-07-01T20:41:00Z",
        "modified": "2024-07-02T23:22:00Z",
        "affected": [
            {"package": {"ecosystem": "Amazon Linux:2023", "name": "curl"},
             "ranges": [{"type": "ECOSYSTEM", "events": [{"introduced": "0"}, {"fixed": "2:8.3.0-1.amzn2023.0.1"}]}]},
            {"package": {"ecosystem": "Amazon Linux:2023", "name": "odd"}},
            {"package": {"ecosystem": "Amazon Linux:2023", "name": "openssh-server"},
             "ranges": [{"type": "ECOSYSTEM", "events": [{"introduced": "0"}, {"fixed": "0:8.7p1-12.amzn2023.0.4"}]}]},
        ],
        "database_specific": {"severity": "Important"},
    });
    assert_eq!(
        records.iter().map(|record| serde_json::to_value(record).unwrap()).collect::<Vec<_>>(),
        [expected]
    );
}

#[test]
fn times_are_read_in_every_length() {
    for (text, expected) in [
        ("2024-07-01 20:41:00", Some("2024-07-01T20:41:00Z")),
        ("2024-07-01T20:41:00Z", Some("2024-07-01T20:41:00Z")),
        ("2024-07-01 20:41", Some("2024-07-01T20:41:00Z")),
        ("2024-07-01", Some("2024-07-01T00:00:00Z")),
        ("1 July 2024", None),
        ("", None),
    ] {
        assert_eq!(time(text).as_deref(), expected, "{text:?}");
    }
}

#[test]
fn what_is_no_list_of_updates_is_an_error() {
    for (feed, reason) in [
        ("", "it is empty"),
        ("<html></html>", "it is no list of updates"),
        ("<updates><update type='security'></update></updates>", "an update has no id"),
        ("<updates><update type='security'><id>A</id><package/></update></updates>", "a package has no name"),
    ] {
        let result = read(feed);
        assert!(matches!(result, Err(UpdateInfoError::Form(found)) if found == reason), "{feed}: {result:?}");
    }
    assert!(matches!(read("<updates><a></b></updates>"), Err(UpdateInfoError::Xml { .. })));
    assert_eq!(read("<updates/>").unwrap(), []);
}

#[test]
fn a_feed_that_is_cut_off_is_an_error_wherever_it_ends() {
    for end in 0..FEED.len() {
        assert!(read(&FEED[..end]).is_err(), "{}", &FEED[..end]);
    }
}

#[test]
fn a_feed_cannot_grow_or_nest_beyond_measure() {
    let bomb =
        r#"<!DOCTYPE updates [<!ENTITY a "aaaaaaaaaa"><!ENTITY b "&a;&a;&a;">]><updates>&b;</updates>"#;
    assert!(matches!(read(bomb), Err(UpdateInfoError::DocumentType)));
    let undeclared = "<updates><update type='security'><id>A&b;B</id></update></updates>";
    assert_eq!(read(undeclared).unwrap()[0].id, "AB");
    let deep = format!("<updates>{}", "<a>".repeat(100));
    assert!(matches!(read(&deep), Err(UpdateInfoError::Form("its elements are nested too deep"))));
    let long = format!("<updates><update><description>{}", "x".repeat(EVENT_LIMIT + 100_000));
    let buffered = std::io::BufReader::new(long.as_bytes());
    assert!(matches!(records("2", buffered), Err(UpdateInfoError::Xml { .. })));
}
