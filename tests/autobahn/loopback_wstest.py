"""`wstest` (Python 2) whose server listens on a free port of loopback, and prints it.

By itself it listens on every interface, and refuses what comes through a proxy: then the port in
`Host` isn't its own.
"""
import sys

from autobahntestsuite import choosereactor  # has to come first
from autobahntestsuite.wstest import run
from twisted.internet import reactor

listen = reactor.listenTCP


def listen_on_loopback(_port, factory, backlog=50, interface=""):
    factory.externalPort = None
    listening = listen(0, factory, backlog, "127.0.0.1")
    print "port", listening.getHost().port
    sys.stdout.flush()
    return listening


reactor.listenTCP = listen_on_loopback
run()
