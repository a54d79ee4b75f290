"""A Scribe client by Apache Thrift's library, with stubs that the Thrift compiler made of `scribe.thrift`.

It sends events in calls, repeats a call for as long as the server says TRY_LATER, and prints what it saw as JSON.
"""

import argparse
import json
import sys
import time


def arguments():
    parser = argparse.ArgumentParser()
    parser.add_argument("--stubs", required=True, help="folder of the generated modules")
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--worker", required=True)
    parser.add_argument("--calls", type=int, default=20)
    parser.add_argument("--events", type=int, default=1000, help="in each call")
    parser.add_argument("--old", action="store_true", help="headers without a version")
    parser.add_argument("--accelerated", action="store_true", help="the protocol in C")
    return parser.parse_args()


def event(worker, number):
    return json.dumps(
        {
            "timestamp": "2026-03-01T12:10:22",
            "test_run_id": "python",
            "worker_id": worker,
            "endpoint": ["/api/resource", "/api/größe"][number % 2],
            "latency_ms": number % 500,
            "status_code": 503 if number % 10 == 0 else 200,
        },
        ensure_ascii=number % 4 == 1,
    )


def health(client, TApplicationException):
    client.reinitialize()
    try:
        client.getCpuProfile(1)
        unknown = None
    except TApplicationException as refused:
        unknown = [refused.type, refused.message]
    return {
        "name": client.getName(),
        "version": client.getVersion(),
        "status": client.getStatus(),
        "details": client.getStatusDetails(),
        "alive_since": client.aliveSince(),
        "counters": client.getCounters(),
        "events": client.getCounter("events"),
        "none": client.getCounter("no such counter"),
        "unknown": unknown,
    }


def main():
    options = arguments()
    sys.path.insert(0, options.stubs)
    from scribe import scribe
    from scribe.ttypes import LogEntry, ResultCode
    from thrift.protocol import TBinaryProtocol
    from thrift.Thrift import TApplicationException
    from thrift.transport import TSocket, TTransport

    protocol = TBinaryProtocol.TBinaryProtocol
    if options.accelerated:
        protocol = TBinaryProtocol.TBinaryProtocolAccelerated
    transport = TTransport.TFramedTransport(TSocket.TSocket("127.0.0.1", options.port))
    client = scribe.Client(protocol(transport, strictRead=not options.old, strictWrite=not options.old))
    transport.open()
    later = 0
    for call in range(options.calls):
        numbers = range(call * options.events, (call + 1) * options.events)
        entries = [LogEntry("perf_results", event(options.worker, number)) for number in numbers]
        while client.Log(entries) != ResultCode.OK:
            later += 1
            time.sleep(0.01)
    print(json.dumps({"later": later, "health": health(client, TApplicationException)}))
    transport.close()


main()
