"""A session of Python's imaplib, which parses answers by rules of its own.

Called with a JSON object on stdin: host, port, ca, user, password, and
messages, the paths of files to append as they are. Ends with status 0 and
prints "all well" if everything came back as it must.
"""

import datetime
import imaplib
import json
import re
import ssl
import sys


class Malformed(Exception):
    pass


def parse(data, pos=0):
    """Parses one value of a server's answer as RFC 9051's grammar has it."""
    if data[pos:pos + 1] == b"(":
        values, pos = [], pos + 1
        while data[pos:pos + 1] != b")":
            value, pos = parse(data, pos)
            values.append(value)
            if data[pos:pos + 1] == b" ":
                pos += 1
                if data[pos:pos + 1] in (b")", b" "):
                    raise Malformed("space before " + repr(data[pos:pos + 9]))
            elif data[pos:pos + 1] not in (b")", b"("):
                raise Malformed("expected a space or ) at " + repr(data[pos:pos + 20]))
        return values, pos + 1
    if data[pos:pos + 1] == b'"':
        match = re.compile(rb'"((?:[^"\\\r\n\x00]|\\["\\])*)"').match(data, pos)
        if not match:
            raise Malformed("quoted string at " + repr(data[pos:pos + 40]))
        return re.sub(rb"\\(.)", rb"\1", match.group(1)), match.end()
    if data[pos:pos + 1] == b"{":
        match = re.compile(rb"\{(\d+)\}\r\n").match(data, pos)
        if not match:
            raise Malformed("literal at " + repr(data[pos:pos + 20]))
        end = match.end() + int(match.group(1))
        return data[match.end():end], end
    match = re.compile(rb'\\?[^\x00-\x20(){"\\%*\x7f-\xff]+').match(data, pos)
    if not match:
        raise Malformed("atom at " + repr(data[pos:pos + 20]))
    atom = match.group()
    if atom == b"NIL":
        return None, match.end()
    return int(atom) if atom.isdigit() else atom.decode(), match.end()


def nstring(value, what):
    if not (value is None or isinstance(value, bytes)):
        raise Malformed("%s is %r" % (what, value))


def check_envelope(env):
    if len(env) != 10:
        raise Malformed("envelope of %d fields" % len(env))
    for i in (0, 1, 8, 9):
        nstring(env[i], "envelope field %d" % i)
    for i in range(2, 8):
        if env[i] is None:
            continue
        if not env[i]:
            raise Malformed("an empty address list must be NIL")
        for address in env[i]:
            if len(address) != 4:
                raise Malformed("address %r" % (address,))
            for field in address:
                nstring(field, "address field")


def check_parameters(value):
    if value is None:
        return
    if not value or len(value) % 2 or not all(isinstance(v, bytes) for v in value):
        raise Malformed("parameters %r" % (value,))


def check_disposition(value):
    if value is None:
        return
    if len(value) != 2 or not isinstance(value[0], bytes):
        raise Malformed("disposition %r" % (value,))
    check_parameters(value[1])


def check_language(value):
    if isinstance(value, list):
        if not value or not all(isinstance(v, bytes) for v in value):
            raise Malformed("language %r" % (value,))
    else:
        nstring(value, "language")


def check_structure(body, extended, depth=0):
    """Returns the number of leaf parts."""
    if depth > 200 or not body:
        raise Malformed("body %r" % (body,))
    if isinstance(body[0], list):
        parts = 0
        while parts < len(body) and isinstance(body[parts], list):
            parts += 1
        rest = body[parts:]
        if not rest or not isinstance(rest[0], bytes):
            raise Malformed("multipart without subtype: %r" % (rest,))
        leaves = sum(check_structure(b, extended, depth + 1) for b in body[:parts])
        if not extended and len(rest) > 1:
            raise Malformed("BODY with extension data")
        if len(rest) > 1:
            check_parameters(rest[1])
        if len(rest) > 2:
            check_disposition(rest[2])
        if len(rest) > 3:
            check_language(rest[3])
        if len(rest) > 4:
            nstring(rest[4], "location")
        return leaves
    kind, sub = body[0], body[1]
    if not isinstance(kind, bytes) or not isinstance(sub, bytes):
        raise Malformed("type %r/%r" % (kind, sub))
    check_parameters(body[2])
    nstring(body[3], "content-id")
    nstring(body[4], "description")
    if not isinstance(body[5], bytes):
        raise Malformed("encoding %r" % (body[5],))
    if not isinstance(body[6], int):
        raise Malformed("octets %r" % (body[6],))
    rest = body[7:]
    leaves = 1
    if kind.lower() == b"message" and sub.lower() in (b"rfc822", b"global"):
        check_envelope(rest[0])
        leaves = check_structure(rest[1], extended, depth + 1)
        if not isinstance(rest[2], int):
            raise Malformed("lines %r" % (rest[2],))
        rest = rest[3:]
    elif kind.lower() == b"text":
        if not isinstance(rest[0], int):
            raise Malformed("lines %r" % (rest[0],))
        rest = rest[1:]
    if not extended and rest:
        raise Malformed("BODY with extension data %r" % (rest,))
    if rest:
        nstring(rest[0], "md5")
    if len(rest) > 1:
        check_disposition(rest[1])
    if len(rest) > 2:
        check_language(rest[2])
    if len(rest) > 3:
        nstring(rest[3], "location")
    return leaves


def joined(items):
    """Puts one message's answer together again as it came."""
    out = b""
    for item in items:
        if isinstance(item, tuple):
            out += item[0] + b"\r\n" + item[1]
        else:
            out += item
    return out


def must(answer):
    kind, data = answer
    if kind != "OK":
        raise SystemExit("%s %r" % (kind, data))
    return data


def fetch_one(conn, uid, items):
    data = must(conn.uid("FETCH", uid, items))
    text = joined(d for d in data if d is not None)
    number, rest = text.split(b" ", 1)
    values, end = parse(rest)
    return dict(zip(values[::2], values[1::2]))


def main():
    args = json.load(sys.stdin)
    context = ssl.create_default_context(cafile=args["ca"])
    conn = imaplib.IMAP4_SSL(args["host"], args["port"], ssl_context=context, timeout=60)
    must(conn.login(args["user"], args["password"]))
    must(conn.create('"From Python/2026"'))
    problems = []

    originals = []
    when = datetime.datetime(2026, 3, 14, 5, 6, 7, tzinfo=datetime.timezone.utc)
    # imaplib would make every line end CRLF; the box must keep what it gets.
    imaplib.MapCRLF = re.compile(b"(?!)")
    for path in args["messages"]:
        with open(path, "rb") as file:
            originals.append((path, file.read()))
        must(conn.append('"From Python/2026"', r"(\Seen python)", when, originals[-1][1]))

    if must(conn.select('"From Python/2026"')) != [b"%d" % len(originals)]:
        problems.append("select does not tell the number of messages")
    uids = must(conn.uid("SEARCH", "ALL"))[0].split()
    for uid, (path, raw) in zip(uids, originals, strict=True):
        try:
            got = fetch_one(conn, uid, "(UID FLAGS INTERNALDATE RFC822.SIZE ENVELOPE BODY BODYSTRUCTURE)")
            check_envelope(got["ENVELOPE"])
            check_structure(got["BODY"], False)
            check_structure(got["BODYSTRUCTURE"], True)
            if got["RFC822.SIZE"] != len(raw):
                problems.append("%s: size %d, want %d" % (path, got["RFC822.SIZE"], len(raw)))
            if got["INTERNALDATE"] != b"14-Mar-2026 05:06:07 +0000":
                problems.append("%s: date %r" % (path, got["INTERNALDATE"]))
            body = must(conn.uid("FETCH", uid, "(BODY.PEEK[])"))[0][1]
            if body != raw:
                problems.append("%s: %d octets came back of %d" % (path, len(body), len(raw)))
        except Malformed as problem:
            problems.append("%s: %s" % (path, problem))

    must(conn.store("1", "-FLAGS", r"(\Seen)"))
    if must(conn.uid("SEARCH", "UNSEEN", "KEYWORD", "python"))[0].split() != uids[:1]:
        problems.append("search by flags finds other messages")
    must(conn.copy("1:2", "INBOX"))
    must(conn.store("1", "+FLAGS", r"(\Deleted)"))
    if must(conn.expunge()) != [b"1"]:
        problems.append("expunge tells another message")
    if must(conn.select("INBOX", readonly=True)) != [b"2"]:
        problems.append("the copies are not in INBOX")
    must(conn.close())
    conn.logout()
    if problems:
        raise SystemExit("\n".join(problems))
    print("all well: %d messages" % len(originals))


main()
