"""Validates bills of materials with the official tools: prints a line for each thing that is wrong.

Usage: validate_sboms.py cyclonedx|spdx FILE…
"""

import sys


def cyclonedx(path):
    from cyclonedx.schema import SchemaVersion
    from cyclonedx.validation.json import JsonStrictValidator

    with open(path, encoding="utf-8") as file:
        errors = JsonStrictValidator(SchemaVersion.V1_6).validate_str(file.read(), all_errors=True)
    return [f"{list(error.data.absolute_path)}: {error.data.message}" for error in errors or ()]


def spdx(path):
    from spdx_tools.spdx.parser.error import SPDXParsingError
    from spdx_tools.spdx.parser.parse_anything import parse_file
    from spdx_tools.spdx.validation.document_validator import validate_full_spdx_document

    try:
        document = parse_file(path)
    except SPDXParsingError as error:
        return error.get_messages()
    messages = validate_full_spdx_document(document, "SPDX-2.3")
    return [f"{message.context.spdx_id}: {message.validation_message}" for message in messages]


validate = {"cyclonedx": cyclonedx, "spdx": spdx}[sys.argv[1]]
for path in sys.argv[2:]:
    for complaint in validate(path):
        print(f"{path.rsplit('/', 1)[-1]}: {complaint}"[:1000].replace("\n", " "))
