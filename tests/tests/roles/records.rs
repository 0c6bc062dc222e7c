//! What each method of `Records` asks of the table and of object storage, read from the code of the record layer.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use super::source::{Call, Function, functions_in, functions_of};

/// A permission: an action of AWS, and the resource as the template writes it.
pub(crate) type Permission = (String, String);

/// The methods of the port `Table`, and the action that DynamoDB asks for. A transaction asks for those of its writes:
/// <https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/transaction-apis-iam.html>.
const TABLE: &[(&str, Option<&str>)] = &[
    ("get", Some("GetItem")),
    ("get_batch", Some("BatchGetItem")),
    ("put", Some("PutItem")),
    ("delete", Some("DeleteItem")),
    ("update", Some("UpdateItem")),
    ("query", Some("Query")),
    ("transact", None),
];

/// The writes of a transaction, and the action that DynamoDB asks for.
const WRITES: &[(&str, &str)] = &[
    ("Put", "PutItem"),
    ("Delete", "DeleteItem"),
    ("Update", "UpdateItem"),
    ("Check", "ConditionCheckItem"),
];

/// The methods of the port `Objects`, and the actions that S3 asks for on the object. Who may not list the bucket is told
/// of a missing object that it may not be read, so reading asks for that too:
/// <https://docs.aws.amazon.com/AmazonS3/latest/API/API_GetObject.html>.
const OBJECTS: &[(&str, Option<&str>, bool)] = &[
    ("get", Some("s3:GetObject"), true),
    ("put", Some("s3:PutObject"), false),
    ("get_file", Some("s3:GetObject"), true),
    // In parts, that is the same action: https://docs.aws.amazon.com/AmazonS3/latest/userguide/mpuoverview.html
    ("put_file", Some("s3:PutObject"), false),
    ("delete", Some("s3:DeleteObject"), false),
    ("list", None, true),
];

/// Methods that take the key of an object from an item, and the folder that those keys are in.
const KEYS_FROM_ITEMS: &[(&str, &str)] = &[("config_unless_known", "configurations"), ("report", "reports")];

/// What the methods of `Records` ask for, by their name and number of arguments.
pub(crate) struct RecordMethods {
    permissions: BTreeMap<(String, usize), BTreeSet<Permission>>,
    /// The methods of the ports, which may have the names of methods of `Records`.
    of_ports: Vec<Function>,
}

impl RecordMethods {
    /// Reads the record layer below the root of the workspace.
    pub(crate) fn read(root: &Path) -> Self {
        check_ports(root);
        let functions = functions_in(&root.join("shared/store/src/records"));
        for (name, _) in KEYS_FROM_ITEMS {
            let method = functions.iter().find(|function| is_method(function) && function.name == *name);
            let uses = method.is_some_and(|method| !object_calls(&functions, method).is_empty());
            assert!(uses, "{name} uses no objects (any more)");
        }
        let methods = functions.iter().filter(|function| is_method(function) && function.is_public);
        let permissions = methods.map(|method| {
            let key = (method.name.clone(), method.arguments);
            (
                key,
                reachable(&functions, method).into_iter().flat_map(|one| of_body(&functions, one)).collect(),
            )
        });
        let mut of_ports = functions_in(&root.join("shared/core/src/ports"));
        of_ports.retain(|method| method.owner.is_some());
        Self { permissions: permissions.collect(), of_ports }
    }

    /// Whether a call is that of a port, because it is called on something of the port's name: `registry.tags(…)`.
    pub(crate) fn is_of_port(&self, call: &Call) -> bool {
        self.of_ports.iter().any(|method| {
            let port = method.owner.as_deref().unwrap_or_default().to_ascii_lowercase();
            (&method.name, method.arguments, &port) == (&call.name, call.arguments, &call.receiver)
        })
    }

    /// What the method of this name and number of arguments asks for; `None` when it is none of `Records`.
    pub(crate) fn permissions(&self, name: &str, arguments: usize) -> Option<&BTreeSet<Permission>> {
        self.permissions.get(&(name.to_owned(), arguments))
    }
}

/// The tables above name every method of the ports, and every write.
fn check_ports(root: &Path) {
    let ports = root.join("shared/core/src/ports");
    let methods = |file: &str, port: &str| -> BTreeSet<String> {
        let functions = functions_of(&ports.join(file)).into_iter();
        functions
            .filter(|function| function.owner.as_deref() == Some(port))
            .map(|method| method.name)
            .collect()
    };
    let known = TABLE.iter().map(|(name, _)| (*name).to_owned()).collect();
    assert_eq!(methods("table.rs", "Table"), known, "the methods of Table");
    let known = OBJECTS.iter().map(|(name, ..)| (*name).to_owned()).collect();
    assert_eq!(methods("objects.rs", "Objects"), known, "the methods of Objects");
}

fn is_method(function: &Function) -> bool {
    function.owner.as_deref() == Some("Records")
}

/// The functions of the record layer that `start` may come to, itself among them: those that it mentions by name. Other
/// public methods of `Records` only when they are called on itself.
fn reachable<'a>(functions: &'a [Function], start: &'a Function) -> Vec<&'a Function> {
    let mut found = vec![start];
    let mut next = 0;
    while let Some(function) = found.get(next).copied() {
        next += 1;
        let own: BTreeSet<(&str, usize)> = function
            .calls
            .iter()
            .filter(|call| call.receiver == "self")
            .map(|call| (call.name.as_str(), call.arguments))
            .collect();
        let free: BTreeSet<&str> =
            function.paths.iter().filter_map(|path| path.last()).map(String::as_str).collect();
        for other in functions {
            let is_called = if is_method(other) {
                own.contains(&(other.name.as_str(), other.arguments))
            } else {
                free.contains(other.name.as_str()) || own.iter().any(|(name, _)| *name == other.name)
            };
            if is_called && !found.iter().any(|known| std::ptr::eq(*known, other)) {
                found.push(other);
            }
        }
    }
    found
}

/// What the body of one function asks for itself.
fn of_body(functions: &[Function], function: &Function) -> BTreeSet<Permission> {
    let mut actions: BTreeSet<&str> = BTreeSet::new();
    for call in function.calls.iter().filter(|call| call.receiver == "table") {
        let known = TABLE.iter().find(|(name, _)| *name == call.name);
        let (_, action) = known.unwrap_or_else(|| panic!("{}: table.{}", function.name, call.name));
        actions.extend(action);
    }
    for path in &function.paths {
        if let [.., kind, variant] = &path[..]
            && kind == "Write"
        {
            let known = WRITES.iter().find(|(name, _)| name == variant);
            let (_, action) = known.unwrap_or_else(|| panic!("{}: Write::{variant}", function.name));
            actions.insert(action);
        }
    }
    let on_table = actions.iter().map(|action| (format!("dynamodb:{action}"), "${Table.Arn}".to_owned()));
    on_table.chain(of_objects(functions, function)).collect()
}

/// What the body of one function asks of object storage: all its calls, in all folders that it names. Helpers that are
/// given a key ask for nothing themselves: those do that call them.
fn of_objects(functions: &[Function], function: &Function) -> BTreeSet<Permission> {
    let calls = object_calls(functions, function);
    let folders = folders(functions, function);
    if calls.is_empty() || (folders.is_empty() && is_helper(functions, function)) {
        return BTreeSet::new();
    }
    assert!(!folders.is_empty(), "{}: whose objects? name them in KEYS_FROM_ITEMS", function.name);
    assert!(
        calls.len() == 1 || folders.len() == 1,
        "{} uses {folders:?} by {calls:?}: split it, or a role may do each in all of them",
        function.name
    );
    let mut permissions = BTreeSet::new();
    for call in calls {
        let known = OBJECTS.iter().find(|(name, ..)| *name == call);
        let (_, action, lists) = known.unwrap_or_else(|| panic!("{}: objects.{call}", function.name));
        if let Some(action) = action {
            let resource = |folder: &String| format!("${{Bucket.Arn}}/{folder}/*");
            permissions.extend(folders.iter().map(|folder| ((*action).to_owned(), resource(folder))));
        }
        if *lists {
            permissions.insert(("s3:ListBucket".to_owned(), "${Bucket.Arn}".to_owned()));
        }
    }
    permissions
}

/// What a function calls of the port `Objects`, itself and by helpers that it gives a key.
fn object_calls<'a>(functions: &'a [Function], function: &'a Function) -> BTreeSet<&'a str> {
    let direct =
        function.calls.iter().filter(|call| call.receiver == "objects").map(|call| call.name.as_str());
    let helpers = functions.iter().filter(|helper| is_helper(functions, helper));
    let called = helpers.filter(|helper| {
        let is_call = |call: &Call| call.receiver == "self" && call.name == helper.name;
        !std::ptr::eq(*helper, function) && function.calls.iter().any(is_call)
    });
    direct.chain(called.flat_map(|helper| object_calls(functions, helper))).collect()
}

/// Whether a function uses objects whose key it is given.
fn is_helper(functions: &[Function], function: &Function) -> bool {
    is_method(function)
        && !function.is_public
        && function.calls.iter().any(|call| call.receiver == "objects")
        && folders(functions, function).is_empty()
}

/// The folders of the objects that a function names.
fn folders(functions: &[Function], function: &Function) -> BTreeSet<String> {
    let mut folders = BTreeSet::new();
    if is_method(function) {
        let known = KEYS_FROM_ITEMS.iter().filter(|(method, _)| *method == function.name);
        folders.extend(known.map(|(_, folder)| (*folder).to_owned()));
    }
    for path in &function.paths {
        let [.., module, name] = &path[..] else { continue };
        if module == "object" {
            let key = functions.iter().find(|key| key.name == *name && key.modules == ["object"]);
            let key = key.unwrap_or_else(|| panic!("keys::object::{name} is not there"));
            let folder = key.texts.iter().find_map(|text| text.split_once('/')).map(|(folder, _)| folder);
            let folder = folder.unwrap_or_else(|| panic!("keys::object::{name} has no folder"));
            assert!(!folder.contains('{'), "keys::object::{name} begins with what varies");
            folders.insert(folder.to_owned());
        }
    }
    folders
}
