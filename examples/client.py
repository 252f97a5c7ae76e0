"""Signs in as carol, sends packets, prints the replies: python examples/client.py [http://127.0.0.1:8000]."""

import asyncio
import json
import sys
from urllib.parse import urlencode, urlsplit
from urllib.request import urlopen
from uuid import uuid4

from websockets.asyncio.client import connect

BASE = sys.argv[1] if len(sys.argv) > 1 else "http://127.0.0.1:8000"
DOCUMENT = json.load(urlopen(f"{BASE}/schema/asyncapi.json"))


def sign_in(user: str, password: str) -> str:
    keycloak = DOCUMENT["components"]["securitySchemes"]["keycloak"]
    realm = json.load(urlopen(keycloak["openIdConnectUrl"]))
    form = {"grant_type": "password", "client_id": keycloak["x-client-id"], "username": user, "password": password}
    return json.load(urlopen(realm["token_endpoint"], urlencode(form).encode()))["access_token"]


async def main() -> None:
    headers = {"Authorization": f"Bearer {sign_in('carol', 'carol')}"}
    packets = [(-1, {"sent": "by a client"})]  # PING
    packets += [(2, {"name": f"Author {uuid4()}"})]  # CREATE_AUTHOR
    packets += [(1, {"per_page": 5, "cursor": ""})]  # GET_AUTHORS; `next` in `meta` is the cursor of the next page
    here = urlsplit(BASE)
    server = max(DOCUMENT["servers"].values(), key=lambda one: one["protocol"] == here.scheme.replace("http", "ws"))
    url = f"{server['protocol']}://{server['host'].format(host=here.netloc, name=here.hostname)}/web"
    async with connect(url, additional_headers=headers) as socket:
        for pkg_id, data in packets:
            await socket.send(json.dumps({"pkg_id": pkg_id, "req_id": str(uuid4()), "data": data}))
            print(json.dumps(reply := json.loads(await socket.recv()), indent=2))
            if cursor := reply.get("meta", {}).get("next"):
                packets.append((pkg_id, {**data, "cursor": cursor}))


asyncio.run(main())
