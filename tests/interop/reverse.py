"""A server of TCP that answers with what it was sent, backwards, once all has come; and who asks it.

reverse.py serve PORT
reverse.py ask PORT CONNECTIONS BYTES
"""
import asyncio
import os
import sys


async def answer(reader, writer):
    writer.write((await reader.read())[::-1])
    await writer.drain()
    writer.close()


async def serve(port):
    server = await asyncio.start_server(answer, "127.0.0.1", port)
    print("serving", flush=True)
    await server.serve_forever()


async def begin(port, size):
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    question = os.urandom(size)
    writer.write(question[: size // 2])
    await writer.drain()
    return question, reader, writer


async def finish(question, reader, writer):
    writer.write(question[len(question) // 2 :])
    writer.write_eof()
    assert await reader.read() == question[::-1], "another answer"
    writer.close()


async def ask(port, connections, size):
    # All of them are open at the same time.
    begun = await asyncio.gather(*(begin(port, size) for _ in range(connections)))
    await asyncio.gather(*(finish(*one) for one in begun))
    print(connections, "answers")


if sys.argv[1] == "serve":
    asyncio.run(serve(int(sys.argv[2])))
else:
    asyncio.run(asyncio.wait_for(ask(*map(int, sys.argv[2:])), 60))
