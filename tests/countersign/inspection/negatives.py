"""Texts that look like secrets and are none: what tools are called with all day. Each is one hard negative."""

import base64
import hashlib
import json
import random
import uuid

from countersign import ids

_CHANCE = random.Random(20261120)


def _bytes(size: int) -> bytes:
    return _CHANCE.randbytes(size)


def _uuid() -> str:
    return str(uuid.UUID(bytes=_bytes(16), version=4))


def _sha(size: int = 32) -> str:
    return _bytes(size).hex()


def _digits(size: int) -> str:
    return "".join(_CHANCE.choices("0123456789", k=size))


def _numbers() -> list[str]:
    orders = [f"order {_digits(3)}-{_digits(7)}-{_digits(7)}" for _ in range(15)]
    orders += [f"ORD-{_digits(4)}-{_digits(6)}" for _ in range(10)]
    orders += [f"invoice INV-2026-{_digits(5)}, customer {_digits(8)}" for _ in range(10)]
    ibans = [f"DE{_digits(2)}-ORD-{_digits(4)}-{_digits(4)}-{_digits(2)}" for _ in range(8)]
    times = [f"at {1_700_000_000_000 + _CHANCE.randrange(10**11)} ms" for _ in range(10)]
    times += [f"2026-11-{day:02d}T10:{day:02d}:33.{_digits(6)}Z" for day in range(1, 11)]
    phones = [f"+49 30 {_digits(4)} {_digits(4)}" for _ in range(6)] + [f"+1 (415) 555-{_digits(4)}" for _ in range(6)]
    money = [f"total {_digits(3)},{_digits(3)},{_digits(3)}.{_digits(2)} EUR" for _ in range(6)]
    parts = [f"part no. {_digits(4)}-{_digits(2)}-{_digits(3)}" for _ in range(8)]
    return orders + ibans + times + phones + money + parts


def _identifiers() -> list[str]:
    ours = [
        f'"{prefix}_id": "{ids.new(prefix)}"' for prefix in ("arq", "eva", "apr", "su", "wvr", "evt") for _ in range(4)
    ]
    ours += [f"key {ids.new('arq')} and token {ids.new('eva')}" for _ in range(6)]
    digests = [f'"{name}": "sha256:{_sha()}"' for name in ("arguments_digest", "seen", "token_digest", "key", "schema")]
    digests += [f"api key fingerprint sha256:{_sha()}" for _ in range(4)]
    uuids = [
        f'"{name}": "{_uuid()}"' for name in ("id", "request_id", "idempotency_key", "trace", "order", "cache_key")
    ]
    uuids += [f"session {_uuid()} ended" for _ in range(8)]
    hashes = [f"commit {_sha(20)}" for _ in range(10)] + [f"merge {_sha(4)[:7]} into main" for _ in range(6)]
    hashes += [f"{_sha()}  dist/package-{n}.tar.gz" for n in range(8)]
    hashes += [f"image: registry.acme.test/app@sha256:{_sha()}" for _ in range(6)]
    etags = [f'ETag: W/"{_sha(8)}"' for _ in range(5)] + [f"traceparent: 00-{_sha(16)}-{_sha(8)}-01" for _ in range(6)]
    integrity = [f'"integrity": "sha512-{base64.b64encode(_bytes(64)).decode()}"' for _ in range(6)]
    return ours + digests + uuids + hashes + etags + integrity


def _encoded() -> list[str]:
    heads = [b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR", b"\xff\xd8\xff\xe0\0\x10JFIF", b"GIF89a", b"%PDF-1.7\n", b"PK\3\4"]
    images = [
        f"data:image/png;base64,{base64.b64encode(head + _bytes(300)).decode()}" for head in heads for _ in range(3)
    ]
    texts = ["Dear team, please approve the refund for order A-1002.", '{"page": 2, "size": 50, "sort": "created"}']
    plain = [base64.b64encode(text.encode()).decode() for text in texts * 3]
    escaped = [f"https://acme.test/search?q=red%20shoes%20%26%20size%20{n}&page={n}&utm_source=mail" for n in range(8)]
    colours = [" ".join(f"#{_sha(3)}" for _ in range(40)), ",".join(f"0x{_sha(4)}" for _ in range(60))]
    return images + plain + escaped + colours


_PATHS = """/usr/local/lib/python3.11/site-packages/countersign/inspection/catalogue.py
/home/erin/projects/acme-billing/src/main/java/com/acme/billing/InvoiceKeyRepository.java
C:\\Users\\erin\\AppData\\Local\\Programs\\Python\\Python311\\python.exe
s3://acme-exports/2026/11/20/orders/part-00017-of-00128.snappy.parquet
arn:aws:iam::123456789012:role/service-role/AWSLambdaBasicExecutionRole
projects/acme-prod/locations/europe-west3/keyRings/main/cryptoKeys/orders/cryptoKeyVersions/3
registry.acme.test:5000/team/app-server:v2.31.4-rc.1
git@github.com:acme/very-long-repository-name-for-testing.git
https://github.com/acme/app/compare/v1.2.3...v1.2.4?diff=split&w=1
https://docs.acme.test/guides/access-tokens/rotating-access-tokens-without-downtime
/access/v1/evaluation /access/v1/evaluations /access/v1/search/subject
postgres://localhost:5432/acme redis://127.0.0.1:6379/0 amqp://rabbit/acme
node_modules/@babel/plugin-transform-react-jsx-development/lib/index.js
org.springframework.security.web.authentication.UsernamePasswordAuthenticationFilter"""

_CODE = """password = getpass.getpass("Password: ")
password = os.environ["DATABASE_PASSWORD"]
password: str = Field(min_length=12, max_length=128)
if (!password) throw new Error("password is required");
<input type="password" name="password" autocomplete="current-password">
const token = await getAccessToken({ audience, scope });
secret_key_base: <%= ENV["SECRET_KEY_BASE"] %>
api_key = settings.SLACK_API_KEY
api_key: ${{ secrets.API_KEY }}
apiKey: process.env.API_KEY
"Authorization": f"Bearer {token}"
Authorization: Bearer <token>
headers = {"Authorization": "Bearer " + token}
token = request.headers.get("X-CSRF-Token")
key = lambda row: (row.created_at, row.id)
for key, value in sorted(mapping.items(), key=lambda item: item[1]):
primary_key=True, foreign_key="orders.id", unique_key_constraint="orders_number_key"
CREATE UNIQUE INDEX orders_customer_key ON orders (customer_id, order_number);
ALTER TABLE vote ADD CONSTRAINT one_vote_per_human_and_request UNIQUE (request_id, human_id);
SELECT token_id, access_level FROM access_tokens WHERE expires_at > now() AND revoked_at IS NULL
def test_refuses_a_password_that_is_too_short(self): ...
export PATH="$HOME/.local/bin:$PATH" SECRET="$(pass show acme/db)"
kubectl get secret acme-db-credentials -o jsonpath='{.data.password}'
kubectl create secret generic acme-db --from-file=password=./password.txt
docker run --mount=type=secret,id=npmrc acme/build:latest
curl -sS -H "Accept: application/json" https://api.acme.test/v1/orders
curl -u "$USER:$PASSWORD" https://api.acme.test/v1/orders
terraform apply -var "db_password=$DB_PASSWORD" -auto-approve
import { AccessTokenProvider, RefreshTokenStore } from '@acme/authentication-client-library';
public static final String ACCESS_TOKEN_HEADER = "X-Access-Token";
grant_type=authorization_code&redirect_uri=https%3A%2F%2Fapp.acme.test%2Fcallback
SecretsManagerClient.builder().region(Region.EU_CENTRAL_1).build()
assert response.json()["error"] == "invalid_token"
keyboard_shortcut: "ctrl+shift+alt+delete"
monkeypatch.setattr(accounts, "key_of", lambda account: account.key)
token_type: bearer, expires_in: 3600, scope: read_orders write_orders
maxTokens: 4096, stopTokens: ["END"], tokensPerMinute: 120000
"key": "customer/orders/2026/november", "partition_key": "tenant-acme-europe-west"
"sort_key": "2026-11-20T10:00:00Z#ORD-20261120-000123"
"next_page_token": "page-2-of-17"
"access": "read-only", "auth": "required", "credential": "none"
"secret": null, "password": null, "api_key": ""
"password": "********", "token": "<hidden>", "secret": "${SECRET}"
key=value; another_key=another_value; third_key=third_value
"api_version": "2026-11-20.preview", "api_name": "orders-internal-v2"
KEY_VAULT_NAME=acme-prod-westeurope-vault
ssh-keygen -t ed25519 -C "erin@acme.test" -f ~/.ssh/id_ed25519_acme
-----BEGIN CERTIFICATE-----
The BEGIN PRIVATE KEY line must be the first of the file.
access-control-allow-origin: https://app.acme.test
key-value store with 1234567890 keys in 0.000123456 seconds
Basic understanding of authentication-and-authorization is expected.
The bearer understands-and-accepts-the-conditions of carriage."""

_PROSE = """Please reset the password of frank@acme.test and tell him by phone.
The secret of a good refund: answer within a day.
We need access to the key account list, token budget is 20000 per call.
Your API key expires on 2026-12-31; renew it in the portal.
Authentication failed: wrong password for user erin (attempt 3 of 5).
Passwort vergessen? Bitte wenden Sie sich an die Hotline 030 1234567.
Ship 12 units of SKU-4111-1111 to warehouse 5500-0055 before 2026-12-01.
Meeting ID: 812 3456 7890, passcode on the invitation.
Temperature rose from 36.6 to 38.4 between 10:15:30 and 10:45:00.
Version 2026.11.20.1234 replaces 2026.10.31.0987.
The bearer of this letter may enter; basic rules apply.
Credential stuffing doubled; access was denied 1,234,567 times.
Flight LH 454, seat 23A, ticket 220-2412345678.
ISBN 978-3-16-148410-0, EAN 4006381333931, DOI 10.1000/182
IP 192.168.100.200, MAC 00:1B:44:11:3A:B7, IPv6 2001:db8:85a3::8a2e:370:7334
Coordinates 52.520008, 13.404954; box 52.3382448,13.0883450,52.6755087,13.7611609
"""


def _calls() -> list[str]:
    calls = [
        {
            "order": f"A-{n}",
            "amount": f"{n}.00",
            "currency": "EUR",
            "note": "damaged on arrival",
            "attempt": ids.new("att"),
        }
        for n in range(15)
    ]
    calls += [{"key": f"orders/{_digits(6)}.json", "version": hashlib.md5(_bytes(4)).hexdigest()} for _ in range(6)]
    calls += [{"sql": f"SELECT id FROM tokens WHERE key_id = '{_digits(6)}' LIMIT {n}"} for n in range(5)]
    calls += [
        {"accessibility": True, "author": "Erika Mustermann", "keywords": ["api", "secret santa"], "n": n}
        for n in range(5)
    ]
    return [json.dumps(call) for call in calls]


NEGATIVES = [
    *_numbers(), *_identifiers(), *_encoded(), *_PATHS.splitlines(), *_CODE.splitlines(), *_PROSE.strip().splitlines(),
    *_calls(),
]  # fmt: skip
