"""A peer that misbehaves: it writes to the topics what no node of ours would, and makes topics with settings of its own.

`noise.py … topic NAME PARTITIONS [SETTING=VALUE …]` makes one topic; `noise.py … alter NAME SETTING=VALUE` changes it; `noise.py … write TEST_ID NODE_ID` writes to all topics messages that
are malformed, truncated, oversized, of an unknown version, or about other runs and drivers. It prints how many as JSON.
"""

import argparse
import json
import random
import sys
import uuid

from confluent_kafka import Producer
from confluent_kafka.admin import AdminClient, AlterConfigOpType, ConfigEntry, ConfigResource, NewTopic

TOPICS = ["register", "test_config", "trigger", "control", "metrics", "heartbeat"]
# Below the 1 MiB that a broker takes by default, above every limit of a message here.
OVERSIZED = 900_000


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--kafka", required=True)
    parser.add_argument("--prefix", default="swell.")
    parser.add_argument("what", choices=["topic", "alter", "write"])
    parser.add_argument("rest", nargs="+")
    options = parser.parse_args()
    return {"topic": make_topic, "alter": alter_topic, "write": write}[options.what](options, *options.rest)


def make_topic(options, name, partitions, *settings):
    admin = AdminClient({"bootstrap.servers": options.kafka})
    config = dict(setting.split("=", 1) for setting in settings)
    topic = NewTopic(options.prefix + name, num_partitions=int(partitions), replication_factor=1, config=config)
    for made in admin.create_topics([topic], operation_timeout=10).values():
        made.result(20)
    return 0


def alter_topic(options, name, setting):
    admin = AdminClient({"bootstrap.servers": options.kafka})
    entry = ConfigEntry(*setting.split("=", 1), incremental_operation=AlterConfigOpType.SET)
    resource = ConfigResource(ConfigResource.Type.TOPIC, options.prefix + name, incremental_configs=[entry])
    for altered in admin.incremental_alter_configs([resource]).values():
        altered.result(20)
    return 0


def write(options, test_id, node_id):
    producer = Producer({"bootstrap.servers": options.kafka})
    count = 0

    def send(topic, value, key=None):
        nonlocal count
        producer.produce(options.prefix + topic, value, key=key)
        producer.poll(0)
        count += 1

    for topic in TOPICS:
        for value in anywhere():
            send(topic, value)
        for message in plausible(test_id, node_id):
            text = json.dumps(message).encode()
            send(topic, text, node_id)
            send(topic, text[: len(text) // 2], node_id)
    undelivered = producer.flush(30)
    print(json.dumps({"written": count, "undelivered": undelivered}))
    return 0 if undelivered == 0 else 1


def anywhere():
    """What is no message of any kind."""
    noise = random.Random(7)
    yield None
    yield b""
    yield b"not JSON at all"
    yield b"\xff\xfe\x00\x80"
    yield b"[]"
    yield b"null"
    yield b'{"node_id": '
    yield b"[" * 5_000
    yield b'{"a":' * 5_000
    yield json.dumps({"node_id": "x" * OVERSIZED}).encode()
    yield noise.randbytes(OVERSIZED)
    for size in (1, 7, 64, 4096):
        yield noise.randbytes(size)


def plausible(test_id, node_id):
    """What looks like a message and is not one that counts: other runs, unknown versions, impossible values."""
    stranger, other_run, life = "stranger", str(uuid.uuid4()), str(uuid.uuid4())
    latencies = {"mean_latency": "1", "median_latency": "1", "min_latency": "1", "max_latency": "1"}
    nonsense = {"mean_latency": "NaN", "median_latency": -1, "min_latency": "1e400", "max_latency": None}
    for run, node in ((other_run, node_id), (other_run, stranger), (test_id, stranger)):
        yield {"node_id": node, "test_id": run, "report_id": "r", "metrics": latencies}
        yield {"node_id": node, "test_id": run, "report_id": "r", "metrics": nonsense}
        yield {"node_id": node, "test_id": run, "report_id": "r", "metrics": {**latencies, "incarnation": life, "seq": 1, "part": 0, "parts": 1, "second": 3, "requests_sent": 10**9, "windows": "//8=", "final": False}}
        yield {"node_id": node, "test_id": run, "report_id": "r", "metrics": {**latencies, "incarnation": "not one", "seq": -1, "part": 9, "parts": 2, "second": -3, "windows": "%%%"}}
    # Version 255 of the windows, for the run and the driver that are at work.
    yield {"node_id": node_id, "test_id": test_id, "report_id": "r", "metrics": {**latencies, "incarnation": life, "seq": 1, "part": 0, "parts": 1, "second": 3, "requests_sent": 5, "windows": "/w==", "final": True}}
    yield {"node_id": stranger, "heartbeat": "YES", "timestamp": "the day before yesterday"}
    yield {"node_id": stranger, "heartbeat": "NO", "timestamp": 0}
    yield {"node_id": stranger, "node_IP": "127.0.0.1", "message_type": "DRIVER_NODE_EXPLODE"}
    yield {"node_id": "", "node_IP": "", "message_type": "DRIVER_NODE_REGISTER"}
    yield {"node_id": stranger, "node_IP": "127.0.0.1", "message_type": "DRIVER_NODE_REGISTER", "incarnation": life, "protocol": 99, "version": "99.0.0", "cores": -4}
    yield {"test_id": other_run, "test_type": "MAELSTROM", "test_message_delay": 20, "message_count_per_driver": 5}
    yield {"test_id": other_run, "test_type": "TSUNAMI", "test_message_delay": -20, "message_count_per_driver": 5}
    yield {"test_id": other_run, "test_type": "AVALANCHE", "test_message_delay": 0, "message_count_per_driver": 10**30}
    # A whole run of an orchestrator of other make, while ours is on.
    yield {"test_id": other_run, "test_type": "AVALANCHE", "test_message_delay": 0, "message_count_per_driver": 5}
    yield {"test_id": other_run, "trigger": "YES"}
    yield {"test_id": other_run, "trigger": "MAYBE"}
    yield {"test_id": test_id, "command": "self_destruct", "epoch": 10**12, "seq": 1, "store": life}
    yield {"test_id": test_id, "command": "lease", "epoch": -5, "seq": "one", "store": life, "expires_at": "soon"}
    yield {"test_id": other_run, "command": "stop", "epoch": -1, "seq": 1, "store": life}


if __name__ == "__main__":
    sys.exit(main())
