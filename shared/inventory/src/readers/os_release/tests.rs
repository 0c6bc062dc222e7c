use super::*;
use crate::reading::file;

fn read_text(path: &str, text: &str) -> Option<Distribution> {
    read(&file(path, text.as_bytes())).distribution
}

#[test]
fn values_are_unquoted_as_a_shell_does() {
    let distribution = read_text(
        "etc/os-release",
        "# comment\n NAME=\"x\"\nID='Acme'\nVERSION_ID=\"1.2\"\nPRETTY_NAME=\"Acme \\\"One\\\" \\$5\"\nVERSION=\"no\n",
    )
    .unwrap();
    assert_eq!(distribution.id, "acme");
    assert_eq!(distribution.version_id.as_deref(), Some("1.2"));
    assert_eq!(distribution.pretty_name, "Acme \"One\" $5");
}

#[test]
fn a_release_file_counts_when_it_holds_a_version() {
    assert_eq!(read_text("etc/alpine-release", "3.19.1\n").unwrap().version_id.as_deref(), Some("3.19.1"));
    assert_eq!(read_text("etc/debian_version", "12.5\n").unwrap().id, "debian");
    assert_eq!(read_text("etc/debian_version", "trixie/sid\n"), None);
    assert_eq!(read_text("etc/debian_version", ""), None);
}

#[test]
fn an_os_release_without_an_id_is_a_problem() {
    let reading = read(&file("etc/os-release", b"NAME=x\n"));
    assert_eq!(reading.distribution, None);
    assert_eq!(reading.problems.into_reasons(), ["names no distribution: it begins \"NAME=x\""]);
}

#[test]
fn a_value_that_is_too_long_is_a_problem_and_a_name_for_people_is_cut() {
    for key in ["ID", "VERSION_ID"] {
        let text = format!("ID=debian\n{key}={}\n", "1".repeat(1025));
        let reading = read(&file("etc/os-release", text.as_bytes()));
        assert_eq!(reading.distribution, None);
        assert_eq!(reading.problems.into_reasons(), [format!("holds a {key} of more than 1024 bytes")]);
    }
    let text = format!("ID=debian\nPRETTY_NAME=\"{}\"\n", "é".repeat(5000));
    assert_eq!(read_text("etc/os-release", &text).unwrap().pretty_name, "é".repeat(200));
}

#[test]
fn what_steers_a_terminal_does_not_come_out_of_a_name() {
    let name = read_text("etc/os-release", "ID=debian\nPRETTY_NAME=\"a\x1b[2Jb\"\n").unwrap().pretty_name;
    assert_eq!(name, "a\\x1b[2Jb");
}

/// Text, id, version, release of advisories, whether it is rolling, and the name for people.
type File = (&'static str, &'static str, Option<&'static str>, Option<&'static str>, bool, &'static str);

/// What os-release files of distributions say, and what that means.
const FILES: &[File] = &[
    (
        "NAME=\"Debian GNU/Linux\"\nVERSION_ID=\"12\"\nVERSION=\"12 (bookworm)\"\nID=debian\nPRETTY_NAME=\"Debian GNU/Linux 12 (bookworm)\"\n",
        "debian",
        Some("12"),
        Some("12"),
        false,
        "Debian GNU/Linux 12 (bookworm)",
    ),
    (
        "PRETTY_NAME=\"Debian GNU/Linux trixie/sid\"\nNAME=\"Debian GNU/Linux\"\nVERSION_CODENAME=trixie\nID=debian\n",
        "debian",
        None,
        None,
        true,
        "Debian GNU/Linux trixie/sid",
    ),
    (
        "PRETTY_NAME=\"Ubuntu 22.04.4 LTS\"\nNAME=\"Ubuntu\"\nVERSION_ID=\"22.04\"\nID=ubuntu\nID_LIKE=debian\n",
        "ubuntu",
        Some("22.04"),
        Some("22.04"),
        false,
        "Ubuntu 22.04.4 LTS",
    ),
    (
        "NAME=\"Alpine Linux\"\nID=alpine\nVERSION_ID=3.19.1\nPRETTY_NAME=\"Alpine Linux v3.19\"\n",
        "alpine",
        Some("3.19.1"),
        Some("3.19"),
        false,
        "Alpine Linux v3.19",
    ),
    (
        "NAME=\"Alpine Linux\"\nID=alpine\nVERSION_ID=3.19_alpha20230901\nPRETTY_NAME=\"Alpine Linux edge\"\n",
        "alpine",
        Some("3.19_alpha20230901"),
        Some("edge"),
        true,
        "Alpine Linux edge",
    ),
    (
        "ID=wolfi\nNAME=\"Wolfi\"\nPRETTY_NAME=\"Wolfi\"\nVERSION_ID=\"20230201\"\nHOME_URL=\"https://wolfi.dev\"\n",
        "wolfi",
        Some("20230201"),
        None,
        true,
        "Wolfi",
    ),
    (
        "ID=chainguard\nNAME=\"chainguard\"\nPRETTY_NAME=\"chainguard\"\nVERSION_ID=\"20230214\"\n",
        "chainguard",
        Some("20230214"),
        None,
        true,
        "chainguard",
    ),
    (
        "NAME=\"Red Hat Enterprise Linux\"\nVERSION=\"9.4 (Plow)\"\nID=\"rhel\"\nID_LIKE=\"fedora\"\nVERSION_ID=\"9.4\"\nPLATFORM_ID=\"platform:el9\"\nPRETTY_NAME=\"Red Hat Enterprise Linux 9.4 (Plow)\"\n",
        "rhel",
        Some("9.4"),
        Some("9"),
        false,
        "Red Hat Enterprise Linux 9.4 (Plow)",
    ),
    (
        "NAME=\"CentOS Linux\"\nVERSION=\"7 (Core)\"\nID=\"centos\"\nID_LIKE=\"rhel fedora\"\nVERSION_ID=\"7\"\nPRETTY_NAME=\"CentOS Linux 7 (Core)\"\n",
        "centos",
        Some("7"),
        Some("7"),
        false,
        "CentOS Linux 7 (Core)",
    ),
    (
        "NAME=\"CentOS Stream\"\nVERSION=\"9\"\nID=\"centos\"\nVERSION_ID=\"9\"\nPRETTY_NAME=\"CentOS Stream 9\"\n",
        "centos",
        Some("9"),
        Some("9"),
        false,
        "CentOS Stream 9",
    ),
    (
        "NAME=\"AlmaLinux\"\nVERSION=\"9.3 (Shamrock Pampas Cat)\"\nID=\"almalinux\"\nVERSION_ID=\"9.3\"\nPRETTY_NAME=\"AlmaLinux 9.3 (Shamrock Pampas Cat)\"\n",
        "almalinux",
        Some("9.3"),
        Some("9"),
        false,
        "AlmaLinux 9.3 (Shamrock Pampas Cat)",
    ),
    (
        "NAME=\"Rocky Linux\"\nVERSION=\"8.9 (Green Obsidian)\"\nID=\"rocky\"\nVERSION_ID=\"8.9\"\nPRETTY_NAME=\"Rocky Linux 8.9 (Green Obsidian)\"\n",
        "rocky",
        Some("8.9"),
        Some("8"),
        false,
        "Rocky Linux 8.9 (Green Obsidian)",
    ),
    (
        "NAME=\"Oracle Linux Server\"\nVERSION=\"8.9\"\nID=\"ol\"\nVERSION_ID=\"8.9\"\nPRETTY_NAME=\"Oracle Linux Server 8.9\"\n",
        "ol",
        Some("8.9"),
        Some("8"),
        false,
        "Oracle Linux Server 8.9",
    ),
    (
        "NAME=\"Amazon Linux AMI\"\nVERSION=\"2018.03\"\nID=\"amzn\"\nVERSION_ID=\"2018.03\"\nPRETTY_NAME=\"Amazon Linux AMI 2018.03\"\n",
        "amzn",
        Some("2018.03"),
        Some("1"),
        false,
        "Amazon Linux AMI 2018.03",
    ),
    (
        "NAME=\"Amazon Linux\"\nVERSION=\"2\"\nID=\"amzn\"\nVERSION_ID=\"2\"\nPRETTY_NAME=\"Amazon Linux 2\"\n",
        "amzn",
        Some("2"),
        Some("2"),
        false,
        "Amazon Linux 2",
    ),
    (
        "NAME=\"Amazon Linux\"\nVERSION=\"2023\"\nID=\"amzn\"\nVERSION_ID=\"2023\"\nPRETTY_NAME=\"Amazon Linux 2023.3.20240219\"\n",
        "amzn",
        Some("2023"),
        Some("2023"),
        false,
        "Amazon Linux 2023.3.20240219",
    ),
    (
        "NAME=\"Fedora Linux\"\nVERSION=\"39 (Container Image)\"\nID=fedora\nVERSION_ID=39\nPRETTY_NAME=\"Fedora Linux 39 (Container Image)\"\n",
        "fedora",
        Some("39"),
        Some("39"),
        false,
        "Fedora Linux 39 (Container Image)",
    ),
    (
        "NAME=\"SLES\"\nVERSION=\"15-SP5\"\nVERSION_ID=\"15.5\"\nPRETTY_NAME=\"SUSE Linux Enterprise Server 15 SP5\"\nID=\"sles\"\nID_LIKE=\"suse\"\n",
        "sles",
        Some("15.5"),
        Some("15 SP5"),
        false,
        "SUSE Linux Enterprise Server 15 SP5",
    ),
    (
        "NAME=\"openSUSE Leap\"\nVERSION=\"15.5\"\nID=\"opensuse-leap\"\nID_LIKE=\"suse opensuse\"\nVERSION_ID=\"15.5\"\nPRETTY_NAME=\"openSUSE Leap 15.5\"\n",
        "opensuse-leap",
        Some("15.5"),
        Some("15.5"),
        false,
        "openSUSE Leap 15.5",
    ),
    (
        "NAME=\"openSUSE Tumbleweed\"\n# VERSION=\"20240801\"\nID=\"opensuse-tumbleweed\"\nVERSION_ID=\"20240801\"\nPRETTY_NAME=\"openSUSE Tumbleweed\"\n",
        "opensuse-tumbleweed",
        Some("20240801"),
        None,
        true,
        "openSUSE Tumbleweed",
    ),
    (
        "NAME=\"VMware Photon OS\"\nVERSION=\"4.0\"\nID=photon\nVERSION_ID=4.0\nPRETTY_NAME=\"VMware Photon OS/Linux\"\n",
        "photon",
        Some("4.0"),
        Some("4.0"),
        false,
        "VMware Photon OS/Linux",
    ),
    (
        "NAME=\"Microsoft Azure Linux\"\nVERSION=\"3.0.20240727\"\nID=azurelinux\nVERSION_ID=\"3.0\"\nPRETTY_NAME=\"Microsoft Azure Linux 3.0\"\n",
        "azurelinux",
        Some("3.0"),
        Some("3"),
        false,
        "Microsoft Azure Linux 3.0",
    ),
    (
        "NAME=\"Common Base Linux Mariner\"\nVERSION=\"2.0.20240123\"\nID=mariner\nVERSION_ID=\"2.0\"\nPRETTY_NAME=\"CBL-Mariner/Linux\"\n",
        "mariner",
        Some("2.0"),
        Some("2"),
        false,
        "CBL-Mariner/Linux",
    ),
    (
        "NAME=\"Arch Linux\"\nPRETTY_NAME=\"Arch Linux\"\nID=arch\nBUILD_ID=rolling\nVERSION_ID=20231112.0.191179\n",
        "arch",
        Some("20231112.0.191179"),
        None,
        true,
        "Arch Linux",
    ),
    (
        "NAME=Gentoo\nID=gentoo\nPRETTY_NAME=\"Gentoo Linux\"\nVERSION_ID=\"2.14\"\n",
        "gentoo",
        Some("2.14"),
        None,
        true,
        "Gentoo Linux",
    ),
    (
        "NAME=Buildroot\r\nVERSION=2023.02\r\nID=buildroot\r\nVERSION_ID=2023.02\r\nPRETTY_NAME=\"Buildroot 2023.02\"\r\n",
        "buildroot",
        Some("2023.02"),
        Some("2023.02"),
        false,
        "Buildroot 2023.02",
    ),
    ("ID=acme\nVERSION_ID=1.2.3\n", "acme", Some("1.2.3"), Some("1.2.3"), false, "acme 1.2.3"),
];

#[test]
fn every_distribution_is_named_right() {
    for (text, id, version, release, is_rolling, name) in FILES {
        let found = read_text("etc/os-release", text).unwrap();
        assert_eq!(
            (
                found.id.as_str(),
                found.version_id.as_deref(),
                found.advisory_release().as_deref(),
                found.is_rolling()
            ),
            (*id, *version, *release, *is_rolling),
            "{text}"
        );
        assert_eq!(found.name(), *name);
    }
}

/// Path, text, id, version, release of advisories, and the name for people.
type ReleaseFile =
    (&'static str, &'static str, &'static str, Option<&'static str>, Option<&'static str>, &'static str);

/// What release files of distributions say, and what that means.
const RELEASE_FILES: &[ReleaseFile] = &[
    (
        "centos-release",
        "CentOS release 6.10 (Final)\n",
        "centos",
        Some("6.10"),
        Some("6"),
        "CentOS release 6.10 (Final)",
    ),
    (
        "redhat-release",
        "CentOS release 5.11 (Final)\n",
        "centos",
        Some("5.11"),
        Some("5"),
        "CentOS release 5.11 (Final)",
    ),
    (
        "redhat-release",
        "Red Hat Enterprise Linux Server release 5.11 (Tikanga)\n",
        "rhel",
        Some("5.11"),
        Some("5"),
        "Red Hat Enterprise Linux Server release 5.11 (Tikanga)",
    ),
    (
        "oracle-release",
        "Oracle Linux Server release 6.8\n",
        "ol",
        Some("6.8"),
        Some("6"),
        "Oracle Linux Server release 6.8",
    ),
    (
        "enterprise-release",
        "Enterprise Linux Enterprise Linux Server release 5.11 (Carthage)\n",
        "ol",
        Some("5.11"),
        Some("5"),
        "Enterprise Linux Enterprise Linux Server release 5.11 (Carthage)",
    ),
    (
        "system-release",
        "Amazon Linux AMI release 2013.03\n",
        "amzn",
        Some("2013.03"),
        Some("1"),
        "Amazon Linux AMI release 2013.03",
    ),
    (
        "system-release",
        "Amazon Linux release 2 (Karoo)\n",
        "amzn",
        Some("2"),
        Some("2"),
        "Amazon Linux release 2 (Karoo)",
    ),
    (
        "fedora-release",
        "Fedora release 14 (Laughlin)\n",
        "fedora",
        Some("14"),
        Some("14"),
        "Fedora release 14 (Laughlin)",
    ),
    (
        "redhat-release",
        "Springdale Linux release 7.9 (Verona)",
        "springdale-linux",
        Some("7.9"),
        Some("7.9"),
        "Springdale Linux release 7.9 (Verona)",
    ),
    (
        "photon-release",
        "VMware Photon OS 4.0\nPHOTON_BUILD_NUMBER=2f5aad892\n",
        "photon",
        Some("4.0"),
        Some("4.0"),
        "VMware Photon OS 4.0",
    ),
    (
        "mariner-release",
        "CBL-Mariner 2.0.20240123\nMARINER_BUILD_NUMBER=x\n",
        "mariner",
        Some("2.0"),
        Some("2"),
        "CBL-Mariner 2.0.20240123",
    ),
    (
        "SuSE-release",
        "SUSE Linux Enterprise Server 11 (x86_64)\nVERSION = 11\nPATCHLEVEL = 4\n",
        "sles",
        Some("11.4"),
        Some("11 SP4"),
        "SUSE Linux Enterprise Server 11 (x86_64)",
    ),
    (
        "SuSE-release",
        "openSUSE 13.1 (x86_64)\nVERSION = 13.1\nCODENAME = Bottle\n",
        "opensuse",
        Some("13.1"),
        Some("13.1"),
        "openSUSE 13.1 (x86_64)",
    ),
    (
        "lsb-release",
        "DISTRIB_ID=Ubuntu\nDISTRIB_RELEASE=10.04\nDISTRIB_CODENAME=lucid\nDISTRIB_DESCRIPTION=\"Ubuntu 10.04.4 LTS\"\n",
        "ubuntu",
        Some("10.04"),
        Some("10.04"),
        "Ubuntu 10.04.4 LTS",
    ),
    (
        "lsb-release",
        "DISTRIB_ID=\"VMware Photon OS\"\nDISTRIB_RELEASE=\"4.0\"\nDISTRIB_DESCRIPTION=\"VMware Photon OS 4.0\"\n",
        "photon",
        Some("4.0"),
        Some("4.0"),
        "VMware Photon OS 4.0",
    ),
    ("lsb-release", "DISTRIB_ID=\"Arch\"\nDISTRIB_RELEASE=\"rolling\"\n", "arch", None, None, "arch"),
    ("arch-release", "", "arch", None, None, "Arch Linux"),
    ("alpine-release", "3.19.1\n", "alpine", Some("3.19.1"), Some("3.19"), "alpine 3.19.1"),
    ("debian_version", "6.0.10\n", "debian", Some("6.0.10"), Some("6.0"), "debian 6.0.10"),
];

#[test]
fn what_was_before_os_release_names_the_distribution_as_well() {
    for (path, text, id, version, release, name) in RELEASE_FILES {
        let reading = read(&file(&format!("etc/{path}"), text.as_bytes()));
        assert!(reading.problems.is_empty());
        let found = reading.distribution.unwrap();
        assert_eq!(
            (
                found.id.as_str(),
                found.version_id.as_deref(),
                found.advisory_release().as_deref(),
                found.name().as_str()
            ),
            (*id, *version, *release, *name),
            "{text}"
        );
    }
}

#[test]
fn a_release_file_without_a_name_or_a_version_is_silent() {
    for (path, text) in [
        ("lsb-release", "LSB_VERSION=base-4.0-amd64\n"),
        ("redhat-release", "\n"),
        ("redhat-release", "nonsense"),
        ("system-release", "release 7"),
        ("SuSE-release", "VERSION = 11"),
        ("alpine-release", "edge"),
    ] {
        assert_eq!(read(&file(&format!("etc/{path}"), text.as_bytes())), Reading::default(), "{path} {text}");
    }
}

#[test]
fn every_path_but_those_of_os_release_has_its_form() {
    for path in READER.paths {
        let path = path.example();
        assert_eq!(Form::of(&path).is_none(), path.contains("/os-release"), "{path}");
    }
}
