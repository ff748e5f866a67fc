"""The JSON dialect of Google Cloud Storage, as Google's own clients speak it: objects, media, listings, uploads."""

from __future__ import annotations

import json
import re
from email import message_from_bytes
from typing import Any
from urllib.parse import unquote

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from resources.gcp.testing.gcs_objects import GcsError, Objects, ResumableUpload, StoredObject
from resources.gcp.testing.gcs_xml import content, unspoken

_BUCKET = re.compile(r"/storage/v1/b/([^/]+)")
_PATH = re.compile(r"/(?P<door>upload/|download/|)storage/v1/b/(?P<bucket>[^/]+)/o(?:/(?P<name>.+))?")
_RANGE = re.compile(r"bytes (?:(\d+)-(\d+)|\*)/(\d+|\*)")
_LISTED = {"prefix", "delimiter", "pageToken", "startOffset", "maxResults", "projection", "prettyPrint"}
_UPLOADED = {"uploadType", "name", "ifGenerationMatch", "prettyPrint"}
_ONE = {"alt", "fields", "ifGenerationMatch", "projection", "prettyPrint"}


def spoken(request: Request) -> bool:
    """Whether a request is in this dialect."""
    return re.match(r"/(upload/|download/)?storage/v1/", request.url.path) is not None


async def answer(request: Request, objects: Objects) -> Response:
    """What the service answers. Raises GcsError for what it refuses."""
    raw_path = request.scope["raw_path"].decode()
    path = _PATH.fullmatch(raw_path)
    body = await request.body()
    if request.method == "GET" and (of_bucket := _BUCKET.fullmatch(raw_path)):
        return _bucket(of_bucket[1], objects)
    if path is None:
        raise unspoken(request)
    bucket, name = path["bucket"], unquote(path["name"] or "")
    given = set(request.query_params)
    if name and given <= _ONE:
        return _one(request, bucket, name, objects)
    if not name and path["door"] == "upload/" and request.method == "POST" and given <= _UPLOADED:
        return _upload(request, bucket, body, objects)
    if not name and path["door"] == "upload/" and request.method == "PUT" and given == {"upload_id"}:
        return _resumed(request, bucket, body, objects)
    if not name and path["door"] == "" and request.method == "GET" and given <= _LISTED:
        return _list(request, bucket, objects)
    raise unspoken(request)


def refusal(error: GcsError) -> Response:
    """The error as this dialect spells it."""
    said = {"code": error.status, "message": str(error), "errors": [{"reason": error.code, "message": str(error)}]}
    return JSONResponse({"error": said}, status_code=error.status)


def _bucket(bucket: str, objects: Objects) -> Response:
    if bucket not in objects.buckets:
        raise GcsError(404, "NoSuchBucket", f"The bucket {bucket} does not exist")
    return JSONResponse({"kind": "storage#bucket", "id": bucket, "name": bucket})


def _one(request: Request, bucket: str, name: str, objects: Objects) -> Response:
    if request.method == "DELETE":
        objects.delete(bucket, name, _generation(request))
        return Response(status_code=204)
    if request.method != "GET" or "ifGenerationMatch" in request.query_params:
        raise unspoken(request)
    found = objects.get(bucket, name)
    if request.query_params.get("alt", "json") == "media":
        return content(request, found)
    fields = request.query_params.get("fields", "").split(",")
    return JSONResponse(
        {key: value for key, value in _resource(bucket, found).items() if key in fields or not fields[0]}
    )


def _upload(request: Request, bucket: str, body: bytes, objects: Objects) -> Response:
    kind, name = request.query_params.get("uploadType"), request.query_params.get("name", "")
    if kind == "multipart":
        head = f"Content-Type: {request.headers['content-type']}\r\n\r\n".encode()
        parts = [part for part in message_from_bytes(head + body).walk() if not part.is_multipart()]
        about, media = (part.get_payload(decode=True) for part in parts)
        name, body = json.loads(bytes(about))["name"], bytes(media)
    elif kind == "resumable":
        name = json.loads(body or b"{}").get("name", name)
        upload = objects.resume(bucket, ResumableUpload(name, _generation(request)))
        return Response(headers={"location": f"{request.url.replace(query='')}?upload_id={upload}"})
    elif kind != "media":
        raise unspoken(request)
    return JSONResponse(_resource(bucket, objects.put(bucket, name, body, _generation(request))))


def _resumed(request: Request, bucket: str, body: bytes, objects: Objects) -> Response:
    """The object where all of its bytes have come; else how far they have, with 308."""
    upload = objects.resumable.get(request.query_params["upload_id"])
    asked = _RANGE.fullmatch(request.headers.get("content-range", ""))
    if upload is None or asked is None:
        raise GcsError(404 if asked else 400, "InvalidArgument", "There is no such upload, or no range of it")
    first, last, total = asked.groups()
    if first is not None:
        if int(first) > len(upload.content) or int(last) - int(first) + 1 != len(body):
            raise GcsError(400, "InvalidArgument", f"{len(upload.content)} bytes have come, but not {asked[0]}")
        upload.content = upload.content[: int(first)] + body
    if total != "*" and len(upload.content) == int(total):
        return JSONResponse(_resource(bucket, objects.put(bucket, upload.name, upload.content, upload.generation)))
    so_far = {"range": f"bytes=0-{len(upload.content) - 1}"} if upload.content else {}
    return Response(status_code=308, headers=so_far)


def _list(request: Request, bucket: str, objects: Objects) -> Response:
    given = request.query_params
    limit = int(given.get("maxResults", "1000"))
    prefix, delimiter, token, start = (
        given.get(key, "") for key in ("prefix", "delimiter", "pageToken", "startOffset")
    )
    page = objects.list(bucket, prefix, delimiter, token, limit, start)
    said: dict[str, Any] = {"kind": "storage#objects", "items": [_resource(bucket, found) for found in page.objects]}
    if page.prefixes:
        said["prefixes"] = list(page.prefixes)
    if page.token:
        said["nextPageToken"] = page.token
    return JSONResponse(said)


def _generation(request: Request) -> int | None:
    given = request.query_params.get("ifGenerationMatch")
    return None if given is None else int(given)


def _resource(bucket: str, of: StoredObject) -> dict[str, Any]:
    return {
        "kind": "storage#object",
        "id": f"{bucket}/{of.name}/{of.generation}",
        "name": of.name,
        "bucket": bucket,
        "generation": str(of.generation),
        "metageneration": "1",
        "size": str(len(of.content)),
        "updated": of.updated.isoformat(),
        "etag": of.etag,
        "md5Hash": of.md5,
        "crc32c": of.crc32c,
    }
