//! Archives as build tools make them, and hostile ones.

use proptest::prelude::*;
use zip::write::SimpleFileOptions;

use super::*;
use crate::zip::tests::{DEFLATED, STORED, archive};

const MANIFEST: &str = "META-INF/MANIFEST.MF";

/// What an archive of text members gives.
fn read_members(path: &str, members: &[(&str, &str)]) -> Reading {
    read_bytes(path, jar(members))
}

fn read_bytes(path: &str, bytes: Vec<u8>) -> Reading {
    read(&RandomFile { path, contents: &Contents::from(bytes), packages: usize::MAX })
}

fn jar(members: &[(&str, &str)]) -> Vec<u8> {
    let members: Vec<(&str, &[u8])> = members.iter().map(|(name, text)| (*name, text.as_bytes())).collect();
    archive(&members, DEFLATED, "")
}

fn pack(members: &[(&str, &[u8])], options: SimpleFileOptions) -> Vec<u8> {
    archive(members, options, "")
}

/// `NAME@VERSION` of all packages, in their order; there must be no problem.
fn ids(reading: Reading) -> Vec<String> {
    assert_eq!(reading.problems.into_reasons(), Vec::<String>::new());
    reading.packages.iter().map(|package| format!("{}@{}", package.name, package.version)).collect()
}

fn properties(group: &str, artifact: &str, version: &str) -> String {
    format!("#Created by Apache Maven 3.9.6\ngroupId={group}\nartifactId={artifact}\nversion={version}\n")
}

#[test]
fn a_jar_of_maven_is_what_its_properties_say_with_licence_and_sha1() {
    let pom = "<project><licenses><license><name>Apache-2.0</name></license></licenses></project>";
    let properties = properties("org.apache.logging.log4j", "log4j-core", "2.17.1");
    let directory = "META-INF/maven/org.apache.logging.log4j/log4j-core";
    let bytes = jar(&[
        (MANIFEST, "Manifest-Version: 1.0\r\nImplementation-Version: 2.17.1\r\n\r\n"),
        (&format!("{directory}/pom.xml"), pom),
        (&format!("{directory}/pom.properties"), &properties),
    ]);
    let sha1 = data_encoding::HEXLOWER.encode(&Sha1::digest(&bytes));
    let reading = read_bytes("app/log4j-core-2.17.1.jar", bytes);
    let [package] = reading.packages.as_slice() else { panic!("{reading:?}") };
    assert_eq!(
        (package.name.as_str(), package.version.as_str()),
        ("org.apache.logging.log4j:log4j-core", "2.17.1")
    );
    assert_eq!(package.license.as_deref(), Some("Apache-2.0"));
    assert_eq!(package.sha1.as_ref(), Some(&sha1));
    assert_eq!(package.purl(None), "pkg:maven/org.apache.logging.log4j/log4j-core@2.17.1");
}

#[test]
fn what_properties_leave_out_is_in_the_project_file_beside_them() {
    let pom = "<project><parent><groupId>org.a</groupId><version>${revision}</version></parent>\
               <properties><revision>3.1</revision></properties><artifactId>b</artifactId></project>";
    let reading = read_members(
        "b.jar",
        &[
            (MANIFEST, "Manifest-Version: 1.0\n"),
            ("META-INF/maven/x/pom.xml", pom),
            (
                "META-INF/maven/x/pom.properties",
                "groupId=${project.groupId}\nartifactId=b\nversion=${project.version}\n",
            ),
        ],
    );
    assert_eq!(ids(reading), ["org.a:b@3.1"]);
}

#[test]
fn every_project_in_a_shaded_jar_is_a_package() {
    let members = [
        ("org.x", "app", "1.0"),
        ("com.google.guava", "guava", "31.1-jre"),
        ("io.netty", "netty-buffer", "4.1.0"),
    ];
    let members: Vec<(String, String)> = members
        .iter()
        .map(|(group, artifact, version)| {
            (
                format!("META-INF/maven/{group}/{artifact}/pom.properties"),
                properties(group, artifact, version),
            )
        })
        .chain([(MANIFEST.to_owned(), "Manifest-Version: 1.0\n".to_owned())])
        .collect();
    let members: Vec<(&str, &str)> =
        members.iter().map(|(name, text)| (name.as_str(), text.as_str())).collect();
    let reading = read_members("opt/app-1.0.jar", &members);
    let with_sha1: Vec<&str> = reading
        .packages
        .iter()
        .filter(|package| package.sha1.is_some())
        .map(|package| package.name.as_str())
        .collect();
    assert_eq!(with_sha1, ["org.x:app"]);
    assert_eq!(
        ids(reading),
        ["org.x:app@1.0", "com.google.guava:guava@31.1-jre", "io.netty:netty-buffer@4.1.0"]
    );
}

#[test]
fn without_maven_the_manifest_and_the_file_name_say_what_a_jar_is() {
    for (path, manifest, expected) in [
        // The version of the file name goes before those of the manifest.
        (
            "asm-tree-9.4.jar",
            "Bundle-SymbolicName: org.objectweb.asm.tree\nImplementation-Version: 9.4-SNAPSHOT\n",
            "org.objectweb.asm.tree:asm-tree@9.4",
        ),
        ("jrt-fs.jar", "Specification-Version: 17\nImplementation-Version: 17.0.9\n", "jrt-fs:jrt-fs@17.0.9"),
        ("x.jar", "Specification-Version: 17\nBundle-Version: 3\n", "x:x@17"),
        ("x.jar", "Bundle-Version: 3\n", "x:x@3"),
        ("x.jar", "Implementation-Version: ${version}\nBundle-Version: 3\n", "x:x@3"),
        // A long value goes on in the next line, after a blank.
        ("x-1.jar", "Bundle-SymbolicName: com.exa\r\n mple.x;singleton:=true\r\n", "com.example.x:x@1"),
        (
            "spring-core-5.3.9.jar",
            "Automatic-Module-Name: spring.core\n",
            "org.springframework:spring-core@5.3.9",
        ),
        ("a-1.jar", "Main-Class: org.a.Main\n", "org.a.Main:a@1"),
        ("a-1.jar", "Main-Class: org.a.Main\nBundle-Activator: net.b.Start\n", "net.b.Start:a@1"),
        ("org.example.thing-2.jar", "Manifest-Version: 1.0\n", "thing:thing@2"),
        (
            "org.eclipse.core.jobs_3.10.jar",
            "Manifest-Version: 1.0\n",
            "org.eclipse.core.jobs:org.eclipse.core.jobs@3.10",
        ),
        (
            "snakeyaml.jar",
            "Created-By: Apache Maven Bundle Plugin\nBundle-SymbolicName: org.yaml.snakeyaml\nBundle-Version: 1.33\n",
            "org.yaml.snakeyaml:snakeyaml@1.33",
        ),
        (
            "commons-logging-1.2.jar",
            "Created-By: Apache Maven Bundle Plugin\nBundle-SymbolicName: org.apache.commons.logging\n",
            "commons-logging:commons-logging@1.2",
        ),
        // Of a section of another file or package the version counts when there is no other.
        ("x.jar", "Manifest-Version: 1.0\n\nName: org/x/\nImplementation-Version: 4\n", "x:x@4"),
    ] {
        let reading = read_members(path, &[(MANIFEST, manifest)]);
        assert_eq!(ids(reading), [expected], "{path} {manifest}");
    }
}

#[test]
fn without_a_manifest_a_jar_of_classes_is_what_its_file_name_says() {
    assert_eq!(ids(read_members("lib/gson-2.8.jar", &[("com/google/Gson.class", "")])), ["gson:gson@2.8"]);
    let project = properties("org.a", "b", "1");
    assert_eq!(ids(read_members("c.jar", &[("META-INF/maven/pom.properties", &project)])), ["org.a:b@1"]);
    // Archives of other kinds have such names as well.
    assert_eq!(ids(read_members("x-1.0.par", &[("script/main.pl", "")])), Vec::<String>::new());
}

#[test]
fn without_a_version_there_is_no_package_and_no_problem() {
    let manifest = "Manifest-Version: 1.0\nCreated-By: Maven JAR Plugin 3.3.0\n";
    assert_eq!(ids(read_members("resources.jar", &[(MANIFEST, manifest)])), Vec::<String>::new());
    assert_eq!(ids(read_members("resources.jar", &[("a.txt", "")])), Vec::<String>::new());
    // The one project in it is then the archive itself.
    let project = properties("com.google.errorprone", "error_prone_annotation", "2.18.0");
    let reading = read_members(
        "error-prone-annotation.jar",
        &[(MANIFEST, manifest), ("META-INF/maven/pom.properties", &project)],
    );
    assert!(reading.packages[0].sha1.is_some());
    assert_eq!(ids(reading), ["com.google.errorprone:error_prone_annotation@2.18.0"]);
}

#[test]
fn what_changes_a_library_is_not_the_library() {
    let manifest = "Implementation-Title: spring-1.0\nWeave-Classes: org.x.Y\n";
    assert_eq!(ids(read_members("spring-web-5.0.jar", &[(MANIFEST, manifest)])), Vec::<String>::new());
}

#[test]
fn archives_in_archives_are_read_stored_and_deflated_and_a_copy_counts_once() {
    let library = jar(&[(MANIFEST, "Implementation-Version: 1.0\n")]);
    let plugin = pack(
        &[(MANIFEST, b"Plugin-Version: 7\nShort-Name: plug\n"), ("WEB-INF/lib/lib-a.jar", &library)],
        DEFLATED,
    );
    for options in [STORED, DEFLATED] {
        let war = pack(
            &[
                (MANIFEST, b"Implementation-Version: 2.0\n"),
                ("WEB-INF/lib/lib-a.jar", &library),
                ("WEB-INF/lib/lib-b.jar", &library),
                ("WEB-INF/plugins/plug.hpi", &plugin),
            ],
            options,
        );
        // Spring Boot can put a script before the archive.
        let war = [b"#!/bin/bash\nexit\n".as_slice(), &war].concat();
        let reading = read_bytes("opt/shop.war", war);
        assert!(reading.packages.iter().all(|package| package.sha1.is_some()));
        assert_eq!(ids(reading), ["shop:shop@2.0", "lib-a:lib-a@1.0", "lib-b:lib-b@1.0", "plug:plug@7"]);
    }
}

#[test]
fn what_is_no_archive_is_a_problem_where_it_has_to_be_one() {
    assert_eq!(read_bytes("x.jar", b"<html>".to_vec()).problems.into_reasons(), ["is no ZIP archive"]);
    for (path, bytes) in [("x.jar", b"".as_slice()), ("x.rar", b"Rar!\x1a\x07"), ("x.par", b"PAR2")] {
        assert_eq!(ids(read_bytes(path, bytes.to_vec())), Vec::<String>::new());
    }
    let outer = pack(&[("lib/x.jar", b"<html>"), ("lib/empty.jar", b"")], DEFLATED);
    assert_eq!(
        read_bytes("a.jar", outer).problems.into_reasons(),
        ["holds lib/x.jar, which is no ZIP archive"]
    );
}

#[test]
fn a_member_that_cannot_be_read_is_a_problem_and_the_others_count() {
    let project = properties("org.a", "b", "1");
    let mut bytes =
        jar(&[(MANIFEST, "Implementation-Version: 1\n"), ("META-INF/maven/pom.properties", &project)]);
    let directory = memchr::memmem::find(&bytes, b"PK\x01\x02").unwrap();
    bytes[directory + 8] |= 1;
    let reading = read_bytes("a.jar", bytes);
    assert_eq!(reading.packages[0].name, "org.a:b");
    assert_eq!(reading.problems.into_reasons(), ["holds META-INF/MANIFEST.MF, which is encrypted"]);
}

#[test]
fn archives_too_deep_inside_of_one_another_are_a_problem() {
    let mut bytes = jar(&[(MANIFEST, "Implementation-Version: 1\n")]);
    for _ in 0..DEPTH + 3 {
        bytes = pack(&[(MANIFEST, b"Implementation-Version: 1\n"), ("in.jar", &bytes)], STORED);
    }
    let reading = read_bytes("out.jar", bytes);
    // The outer one, and one that is called as all those inside.
    assert_eq!(reading.packages.len(), 2);
    assert_eq!(
        reading.problems.into_reasons(),
        ["holds archives more than 5 deep inside of one another, which are not read: in.jar"]
    );
}

#[test]
fn a_bomb_of_archives_ends_at_what_its_length_allows() {
    // Sixteen archives, each of which holds sixteen, and so on, and at last 16 MiB of zeros: 2^44 bytes in a few KB.
    let zeros = vec![0; 16 << 20];
    let mut bytes = pack(&[(MANIFEST, &zeros)], DEFLATED);
    for _ in 0..4 {
        let names: Vec<String> = (0..16).map(|number| format!("{number}.jar")).collect();
        let members: Vec<(&str, &[u8])> =
            names.iter().map(|name| (name.as_str(), bytes.as_slice())).collect();
        bytes = pack(&members, DEFLATED);
    }
    assert!(bytes.len() < 50_000);
    let reading = read_bytes("bomb.jar", bytes);
    assert!(reading.packages.is_empty());
    let reasons = reading.problems.into_reasons();
    assert!(
        reasons.last().unwrap().ends_with("holds more bytes than a ZIP archive of its size may"),
        "{reasons:?}"
    );
}

#[test]
fn members_that_are_one_archive_at_one_place_cost_each_time() {
    let inner = pack(&[(MANIFEST, &b"Implementation-Version: 1\n".repeat(4000))], STORED);
    let names: Vec<String> = (0..100).map(|number| format!("a{number}.jar")).collect();
    let members: Vec<(&str, &[u8])> = names.iter().map(|name| (name.as_str(), inner.as_slice())).collect();
    // All members lie at the place of the first: a small file that pretends to be a large one.
    let whole = pack(&members, STORED);
    let end = whole.len() - 22;
    let directory = whole[end + 16..end + 20].try_into().map(u32::from_le_bytes).unwrap() as usize;
    let first = 30 + names[0].len() + inner.len();
    let mut bytes = [&whole[..first], &whole[directory..]].concat();
    let mut record = first;
    while bytes[record..].starts_with(b"PK\x01\x02") {
        bytes[record + 42..record + 46].fill(0);
        record += 46 + usize::from(bytes[record + 28]);
    }
    bytes[record + 16..record + 20].copy_from_slice(&u32::try_from(first).unwrap().to_le_bytes());
    let reading = read_bytes("x.jar", bytes);
    assert!((1..60).contains(&reading.packages.len()), "{}", reading.packages.len());
    assert!(!reading.problems.is_empty());
}

#[test]
fn packages_beyond_those_that_may_be_given_are_a_problem() {
    let library = jar(&[(MANIFEST, "Implementation-Version: 1.0\n")]);
    let bytes = pack(&[("a.jar", &library), ("b.jar", &library), ("c.jar", &library)], STORED);
    let reading = read(&RandomFile { path: "x.jar", contents: &Contents::from(bytes), packages: 1 });
    assert_eq!(reading.packages.len(), 1);
    assert_eq!(
        reading.problems.into_reasons(),
        ["has more packages than its layer may have: the first 1 were read"]
    );
}

#[test]
fn the_name_of_a_file_is_name_and_version() {
    for (path, name, version) in [
        ("a/some-package-4.0.1.jar", "some-package", Some("4.0.1")),
        ("prefix.thing-4.jar", "prefix.thing", Some("4")),
        ("my-http2-server-5.jar", "my-http2-server", Some("5")),
        ("jetpack-build235-rc5.jar", "jetpack", Some("build235-rc5")),
        ("x-RC12.jar", "x", Some("RC12")),
        ("ironman-r4-2009.jar", "ironman-r4", Some("2009")),
        ("spring3-core-3.x.jar", "spring3-core", Some("3.x")),
        ("jsr305-0.1~+svn49.jar", "jsr305", Some("0.1~+svn49")),
        ("org.eclipse.jobs_3.10.0.v2016.jar", "org.eclipse.jobs", Some("3.10.0.v2016")),
        ("activation.1.1.jar", "activation", Some("1.1")),
        ("foo--1.jar", "foo-", Some("1")),
        ("foo-.jar", "foo-", None),
        ("commons-io.jar", "commons-io", None),
        ("foo--bar.jar", "", None),
        ("1.0.jar", "", None),
        ("a b-1.jar", "", None),
        (".jar", "", None),
    ] {
        let file = FileName::of(path);
        assert_eq!((file.name.as_str(), file.version.as_deref()), (name, version), "{path}");
    }
}

#[test]
fn names_that_would_be_ambiguous_name_nothing() {
    let project = properties("org.a:b", "c", "1");
    let reading = read_members("x.jar", &[("META-INF/maven/pom.properties", &project)]);
    assert_eq!(ids(reading), ["c:c@1"]);
    let project = properties("org.a", "b c", "1");
    assert_eq!(
        ids(read_members("x.jar", &[("META-INF/maven/pom.properties", &project)])),
        Vec::<String>::new()
    );
}

#[test]
fn the_seeds_are_what_is_built_here() {
    let pom = "<project><parent><groupId>org.a</groupId><version>${revision}</version></parent><properties>\
               <revision>3.1</revision></properties><licenses><license><name>MIT</name></license></licenses></project>";
    let (project, other) = (properties("org.a", "b", "${project.version}"), properties("c", "d", "1"));
    let manifest = "Manifest-Version: 1.0\r\nImplementation-Version: 2.17.1\r\nBundle-SymbolicName: com.exa\r\n mple.x;\
                    singleton:=true\r\n\r\nName: org/x/\r\nSpecification-Version: 4\r\n";
    let members = [
        (MANIFEST, manifest),
        ("META-INF/maven/org.a/b/pom.xml", pom),
        ("META-INF/maven/org.a/b/pom.properties", &project),
        ("META-INF/maven/c/d/pom.properties", &other),
    ];
    let library = jar(&members);
    let stored: Vec<(&str, &[u8])> = members.iter().map(|(name, text)| (*name, text.as_bytes())).collect();
    let plugin =
        pack(&[(MANIFEST, b"Plugin-Version: 7\nShort-Name: plug\n"), ("lib/a-1.jar", &library)], STORED);
    for (name, archive) in [
        ("jar", library.clone()),
        ("stored", pack(&stored, STORED)),
        ("classes", jar(&[("a/B.class", "")])),
        ("war", pack(&[(MANIFEST, b"Bundle-Version: 3\n"), ("WEB-INF/plug.hpi", &plugin)], STORED)),
        ("deflated-war", pack(&[("WEB-INF/plug.hpi", &plugin)], DEFLATED)),
    ] {
        crate::seeds::check("java-archive", name, &archive);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn no_damage_makes_the_reader_panic_or_give_more_than_it_may(
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..12),
        cut in any::<prop::sample::Index>(),
        options in prop::sample::select(vec![STORED, DEFLATED]),
    ) {
        let library = jar(&[
            (MANIFEST, "Implementation-Version: 1.0\nBundle-SymbolicName: org.a\n"),
            ("META-INF/maven/a/b/pom.properties", &properties("a", "b", "1")),
            ("META-INF/maven/a/b/pom.xml", "<project><version>1</version></project>"),
        ]);
        let mut bytes = pack(&[("a.jar", &library), ("b.jar", &library)], options);
        for (place, byte) in changes {
            let place = place.index(bytes.len());
            bytes[place] = byte;
        }
        let cut = bytes[cut.index(bytes.len())..].to_vec();
        for bytes in [bytes, cut] {
            let reading = read(&RandomFile { path: "x.war", contents: &Contents::from(bytes), packages: 2 });
            prop_assert!(reading.packages.len() <= 2);
        }
    }
}
