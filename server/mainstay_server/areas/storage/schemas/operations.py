"""The words of the door for bytes in OpenAPI, since no framework knows of it."""

from typing import Any

Json = dict[str, Any]

TAG = "Storage"
REFUSAL: Json = {"$ref": "#/components/responses/Refusal"}
LINK: Json = {
    "in": "query",
    "name": "link",
    "required": True,
    "description": "The signed text that `upload-url` or `download-url` gave.",
    "schema": {"type": "string", "maxLength": 100, "examples": ["AQIAAAAAAGkn…"]},
}
BYTES: Json = {"application/octet-stream": {"schema": {"type": "string"}, "example": "bytes"}}
FETCH: Json = {
    "tags": [TAG],
    "summary": "Fetch a file by a link",
    "description": (
        "The bytes, or with `Range` a part of them (206). A link of a bucket elsewhere leads there"
        " (302). 410 says that the link has ended, was used or revoked, or its file is gone. HEAD"
        " answers as GET does and costs a link that is counted no use."
    ),
    "operationId": "fetchFile",
    "security": [],
    "parameters": [LINK],
    "responses": {
        "200": {"description": "The file", "content": BYTES},
        "206": {"description": "The part that was asked for", "content": BYTES},
        "302": {"description": "The store has it there"},
        "304": {"description": "The client has it already"},
        "416": {"description": "The file is not that long"},
        "4XX": REFUSAL,
        "503": REFUSAL,
    },
}
SEND: Json = {
    "tags": [TAG],
    "summary": "Send a file by a link",
    "description": (
        "The bytes as they are, at most as many as were reserved (413), of the content type and"
        " SHA-256 that were promised (409). Works once: afterwards the link is gone (410)."
    ),
    "operationId": "sendFile",
    "security": [],
    "parameters": [LINK],
    "requestBody": {"required": True, "content": BYTES},
    "responses": {
        "201": {
            "description": "It is stored",
            "content": {
                "application/json": {
                    "schema": {
                        "type": "object",
                        "required": ["id", "key", "size", "contentType", "sha256"],
                        "properties": {
                            "id": {"type": "string"},
                            "key": {"type": "string"},
                            "size": {"type": "integer"},
                            "contentType": {"type": "string"},
                            "sha256": {"type": "string"},
                        },
                    },
                    "example": {
                        "id": "0199b1b2-7c3d-7e4f-8a5b-6c7d8e9f0a1b",
                        "key": "acme/insight/ann/report.pdf",
                        "size": 48213,
                        "contentType": "application/pdf",
                        "sha256": "9f86d081884c7d659a2feaa0c55ad015"
                        "a3bf4f1b2b0b822cd15d6c15b0f00a08",
                    },
                }
            },
        },
        "4XX": REFUSAL,
        "503": REFUSAL,
    },
}
