"""What a pack says to the stranger who is to verify it: with our tool, with coreutils, with openssl."""

_TEXT = """\
# How to verify this evidence pack

Log `{log}`, tenant `{tenant}`, exported {created_at}, {count} records below a tree head of {size}.
Trust nothing in here because it says so. Each of the three ways below needs no server and no network.

## 1. Everything at once

Install Countersign's library from its own repository (the package of that name on a public index is another
project's), then:

    countersign verify . --key 'NAME+12ab34cd+AbC…=' --against CHECKPOINT

`--key` takes the log's public key as you got it from its operator on another way than this pack: one line of the form
above, which the command that made this pack printed at its end. A file that holds such a line will do. Without `--key`
the key in `keys/` vouches for itself. `--against` takes a checkpoint that you or a third party kept outside, from
before this pack was made: a newer one counts records that this pack cannot know. Without it nobody can tell whether the
newest records were left out. The command ends with 0 only if every step holds, and names the one that does not.

## 2. The files are those that were exported

    sha256sum -c MANIFEST.sha256

This finds damage. It does not find forgery, because a forger can write a new manifest; `MANIFEST.dsse.json` holds the
log's signature over the SHA-256 of the right one, which `countersign verify` checks in its step `frame`.

## 3. One record with openssl alone

Each line of `records.jsonl` is a DSSE envelope. The signature is over `DSSEv1`, the length of the payload type, the
type, the length of the payload, and the payload, with one space between them. For the record in line 1:

```sh
N=1
LINE=$(sed -n "${{N}}p" records.jsonl)
KEYID=$(printf '%s' "$LINE" | sed 's/.*"keyid":"\\([0-9a-f]*\\)".*/\\1/')
TMP=$(mktemp -d)
printf '%s' "$LINE" | sed 's/^{{"payload":"\\([^"]*\\)".*/\\1/' | base64 -d > "$TMP/record.json"
printf '%s' "$LINE" | sed 's/.*"sig":"\\([^"]*\\)".*/\\1/' | base64 -d > "$TMP/record.sig"
printf 'DSSEv1 28 application/vnd.in-toto+json %d ' "$(wc -c < "$TMP/record.json")" > "$TMP/record.pae"
cat "$TMP/record.json" >> "$TMP/record.pae"
openssl pkeyutl -verify -rawin -pubin -inkey "keys/$KEYID.pem" -in "$TMP/record.pae" -sigfile "$TMP/record.sig"
```

It says `Signature Verified Successfully`. (`openssl` 3.0 or later. The key id only picks the file; compare the key in
`keys/` with the one you were given.)

The record's leaf hash, which receipts, threads and approvals name, is the SHA-256 of a zero byte and the record:

```sh
{{ printf '\\0'; cat "$TMP/record.json"; }} | sha256sum
```

## What is in here

| member | what it is |
|---|---|
| `pack.json` | log, tenant, scope, and the sequence number of each line of `records.jsonl` |
| `MANIFEST.dsse.json` | DSSE envelope over the manifest's SHA-256, and so over every other member |
| `records.jsonl` | one DSSE envelope a line, in tree order; payload: an in-toto Statement v1 in RFC 8785 form |
| `checkpoint` | the log's signed tree head (C2SP tlog-checkpoint) |
| `checkpoint.prev.json` | older tree heads with RFC 6962 consistency proofs to that one |
| `proofs/SEQ.tlog-proof` | RFC 6962 inclusion proof of one record (C2SP tlog-proof) |
| `keys/` | the log's public keys, as C2SP vkey and as PEM |
| `args/HEX.json` | action, arguments and salt behind a commitment, where they may be disclosed |
| `policy/HEX.yaml` | policy sources by their SHA-256, as the records name them |
| `mapping/` | index from transaction, session and request to sequence numbers, as its maker found them; an aid |

Commitment = SHA-256("countersign/commitment/v1" newline, salt, action digest). Action digest =
SHA-256("countersign/action/v1" newline, RFC 8785 of the action). Arguments digest = SHA-256("countersign/arguments/v1"
newline, RFC 8785 of the arguments).
"""


def text(*, log: str, tenant: str, created_at: str, count: int, size: int) -> str:
    """The README of one pack."""
    return _TEXT.format(log=log, tenant=tenant, created_at=created_at, count=count, size=size)
