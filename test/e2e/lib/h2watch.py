"""An HTTP/2 client that keeps every frame it was sent, in order, for tests of the two goodbyes."""

from .case import SluiceTest
from .h2frames import ACK, Code, Kind, headers, ping, post, request
from .h2wire import H2Connection
from .wait import wait_until

# The GOAWAY that refuses nothing.
NOTICE = (2**31 - 1, Code.NO_ERROR)


class Watched(H2Connection):
    def __init__(self, *arguments, **more):
        self.seen = []
        super().__init__(*arguments, **more)

    def _take(self, frame):
        self.seen.append(frame)
        super()._take(frame)

    def ask(self, stream, path="/", method="GET", end=True, more=()):
        """Opens a stream and returns what will come on it."""
        self.open(stream, headers(stream, request(path, method, more), end=end))
        return self.answers[stream]

    def upload(self, stream, path="/", more=()):
        """Opens a stream whose body is to follow."""
        self.open(stream, headers(stream, post(path, more), end=False))
        return self.answers[stream]

    def kinds(self, since=0):
        return [Kind(frame.kind).name for frame in self.seen[since:]]

    def wait_noticed(self):
        """Until the PING behind the first GOAWAY is there, and returns its payload."""
        def pings():
            return [frame.payload for frame in self.seen
                    if frame.kind == Kind.PING and not frame.flags & ACK]
        self.pump_until(pings, "PING")
        payload, = pings()
        return payload

    def answer(self, payload):
        self.send(ping(payload, ack=True))

    def wait_goaways(self, count=2):
        self.pump_until(lambda: len(self.goaways) >= count, f"GOAWAY, {count} of them")


class H2DrainTest(SluiceTest):
    """A process, one connection to it, and what an orderly end of it is."""

    def setUp(self):
        super().setUp()
        self.app = self.origin()

    def serve(self, listener=None, **drain):
        """Drains at once; the client has all the time of the test to answer and to leave."""
        self.process = self.sluice(self.app, listener=listener,
                                   drain={"linger": "60s", "deadline": "60s"} | drain)
        self.h2 = self.open()

    def open(self, **more):
        connection = Watched(self.process.address(), **more)
        self.addCleanup(connection.close)
        return connection

    def begin_drain(self):
        self.process.signal()
        self.process.wait_for_phase("draining")

    def in_flight(self):
        return self.process.admin_json("/drain")["in_flight"]["by_protocol"]

    def wait_in_flight(self, count):
        wait_until(lambda: self.process.admin_json("/connections")["in_flight"] == count,
                   f"{count} requests are in flight")

    def expect_goodbye(self, last, h2=None):
        """The end of the connection: two GOAWAYs were sent, never a third, and then FIN."""
        h2 = h2 or self.h2
        h2.expect_end()
        self.assertEqual([NOTICE, (last, Code.NO_ERROR)], h2.goaways)
        self.assertEqual("fin", h2.ended_by)

    def finish(self, in_flight, finished, told=1):
        self.h2.close()
        self.assertEqual(0, self.process.wait_exit())
        report = self.process.report()
        self.assertEqual(in_flight, report["in_flight_at_start"]["total"], report)
        self.assertEqual(finished, report["finished"], report)
        self.assertEqual(told, report["told"], report)
        self.assertEqual(0, report["cut"]["total"], report)
        return report
