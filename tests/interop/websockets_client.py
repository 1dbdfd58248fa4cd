"""Sends a file in messages of all sizes, offers compression, and compares the echo."""
import asyncio
import sys

from websockets.asyncio.client import connect


async def main(url, path):
    sent = open(path, "rb").read()
    sizes = [1, 125, 126, 65535, 65536, 1 << 20]
    async with connect(url, compression="deflate", max_size=None, subprotocols=["echo"]) as ws:
        assert ws.subprotocol == "echo" and not ws.protocol.extensions

        async def send():
            at, turn = 0, 0
            while at < len(sent):
                size = sizes[turn % len(sizes)]
                piece = sent[at : at + size]
                # Every other message in fragments.
                await ws.send(piece if turn % 2 else [piece[:7], piece[7:]])
                at, turn = at + size, turn + 1

        sending = asyncio.create_task(send())
        received = bytearray()
        while len(received) < len(sent):
            received += await ws.recv()
        await sending
        await (await ws.ping())
    assert bytes(received) == sent
    assert ws.close_code == 1000, ws.close_code


asyncio.run(main(*sys.argv[1:]))
