"""The XML dialect of Google Cloud Storage, as delta-rs speaks it: objects, ranges, listings, uploads in parts.

What is not spoken here is refused with 501, parameter by parameter: nothing is ignored.
"""

from __future__ import annotations

import re
from urllib.parse import unquote
from xml.etree import ElementTree
from xml.sax.saxutils import escape

from starlette.requests import Request
from starlette.responses import Response

from resources.gcp.testing.gcs_objects import GcsError, Objects, StoredObject

_RANGE = re.compile(r"bytes=(\d*)-(\d*)")
_CONDITIONS = re.compile(r"if-(none-)?match|if-(un)?modified-since|x-goog-(if|copy)-.+")
_SPOKEN = {"x-goog-if-generation-match", "x-goog-copy-source"}
_LISTED = {"list-type", "prefix", "delimiter", "continuation-token", "start-after", "max-keys"}


async def answer(request: Request, objects: Objects) -> Response:
    """What the service answers. Raises GcsError for what it refuses."""
    bucket, _, name = request.url.path.lstrip("/").partition("/")
    name = unquote(request.scope["raw_path"].decode().lstrip("/").partition("/")[2])
    body = await request.body()
    if any(_CONDITIONS.fullmatch(header) and header not in _SPOKEN for header in request.headers):
        raise unspoken(request)
    asked = (request.method, frozenset(request.query_params))
    if not name and request.method == "GET" and asked[1] <= _LISTED:
        return _list(request, bucket, objects)
    if name and asked in (("GET", frozenset()), ("HEAD", frozenset())):
        return _get(request, objects.get(bucket, name))
    if name and asked == ("PUT", frozenset()):
        return _put(request, bucket, name, body, objects)
    if name and asked == ("DELETE", frozenset()):
        objects.delete(bucket, name, _generation(request))
        return Response(status_code=204)
    if name:
        return _in_parts(request, bucket, name, body, objects)
    raise unspoken(request)


def refusal(error: GcsError) -> Response:
    """The error as this dialect spells it."""
    return _xml("Error", f"<Code>{error.code}</Code><Message>{escape(str(error))}</Message>", error.status)


def unspoken(request: Request) -> GcsError:
    """The error for a call that the stand-in does not know."""
    asked = f"{request.method} {request.url.path}?{request.url.query}"
    return GcsError(501, "NotImplemented", f"{asked} is not spoken here")


def content(request: Request, of: StoredObject) -> Response:
    """The object's bytes, or the range of them that is asked for."""
    headers = _headers(of)
    asked = request.headers.get("range")
    if asked is None:
        return Response(of.content, headers={**headers, "content-length": str(len(of.content))})
    match = _RANGE.fullmatch(asked)
    if match is None or not any(match.groups()):
        raise GcsError(400, "InvalidArgument", f"The range {asked} is none")
    first, last = match.groups()
    size = len(of.content)
    start = int(first) if first else max(0, size - int(last))
    end = min(size, int(last) + 1) if first and last else size
    if start >= end:
        raise GcsError(416, "InvalidRange", f"The range {asked} is outside of {size} bytes")
    headers["content-range"] = f"bytes {start}-{end - 1}/{size}"
    return Response(of.content[start:end], status_code=206, headers=headers)


def _get(request: Request, found: StoredObject) -> Response:
    if request.method == "HEAD":
        return Response(headers={**_headers(found), "content-length": str(len(found.content))})
    return content(request, found)


def _put(request: Request, bucket: str, name: str, body: bytes, objects: Objects) -> Response:
    source = request.headers.get("x-goog-copy-source")
    if source is None:
        return Response(headers=_headers(objects.put(bucket, name, body, _generation(request))))
    origin, _, origin_name = unquote(source).lstrip("/").partition("/")
    made = objects.put(bucket, name, objects.get(origin, origin_name).content, _generation(request))
    inside = f'<ETag>"{made.etag}"</ETag><LastModified>{_time(made)}</LastModified>'
    return _xml("CopyObjectResult", inside)


def _in_parts(request: Request, bucket: str, name: str, body: bytes, objects: Objects) -> Response:
    given = request.query_params
    asked = (request.method, frozenset(given))
    if asked == ("POST", frozenset({"uploads"})):
        return _xml("InitiateMultipartUploadResult", f"<UploadId>{objects.start(bucket)}</UploadId>")
    if asked == ("PUT", frozenset({"partNumber", "uploadId"})):
        objects.parts(given["uploadId"])[int(given["partNumber"])] = body
        return Response(headers={"etag": f'"part-{given["partNumber"]}"'})
    if asked == ("POST", frozenset({"uploadId"})):
        parts = objects.parts(given["uploadId"])
        named = ElementTree.fromstring(body)  # noqa: S314 - written by a client of ours, on loopback
        wanted = [int(str(node.text)) for node in named.iter() if node.tag.endswith("PartNumber")]
        if sorted(wanted) != sorted(parts):
            raise GcsError(400, "InvalidPart", f"The parts {wanted} are named, but {sorted(parts)} have come")
        made = objects.put(bucket, name, b"".join(parts[number] for number in wanted), _generation(request))
        del objects.uploads[given["uploadId"]]
        return _xml("CompleteMultipartUploadResult", f'<ETag>"{made.etag}"</ETag>', headers=_headers(made))
    if asked == ("DELETE", frozenset({"uploadId"})):
        objects.parts(given["uploadId"])
        del objects.uploads[given["uploadId"]]
        return Response(status_code=204)
    raise unspoken(request)


def _list(request: Request, bucket: str, objects: Objects) -> Response:
    given = request.query_params
    after = given.get("continuation-token") or given.get("start-after", "")
    limit = int(given.get("max-keys", "1000"))
    page = objects.list(bucket, given.get("prefix", ""), given.get("delimiter", ""), after, limit)
    contents = "".join(
        f"<Contents><Key>{escape(found.name)}</Key><Size>{len(found.content)}</Size>"
        f'<LastModified>{_time(found)}</LastModified><ETag>"{found.etag}"</ETag></Contents>'
        for found in page.objects
    )
    prefixes = "".join(f"<CommonPrefixes><Prefix>{escape(name)}</Prefix></CommonPrefixes>" for name in page.prefixes)
    token = f"<NextContinuationToken>{escape(page.token)}</NextContinuationToken>" if page.token else ""
    return _xml("ListBucketResult", f"<Name>{bucket}</Name>{contents}{prefixes}{token}")


def _generation(request: Request) -> int | None:
    given = request.headers.get("x-goog-if-generation-match")
    return None if given is None else int(given)


def _headers(of: StoredObject) -> dict[str, str]:
    return {
        "x-goog-hash": f"crc32c={of.crc32c},md5={of.md5}",
        "etag": f'"{of.etag}"',
        "x-goog-generation": str(of.generation),
        "last-modified": of.updated.strftime("%a, %d %b %Y %H:%M:%S GMT"),
    }


def _time(of: StoredObject) -> str:
    return of.updated.strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def _xml(root: str, inside: str, status: int = 200, headers: dict[str, str] | None = None) -> Response:
    text = f'<?xml version="1.0" encoding="UTF-8"?><{root}>{inside}</{root}>'
    return Response(text, status_code=status, headers=headers, media_type="application/xml")
